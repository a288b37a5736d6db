/** Writes docs/benchmarks.md and its plots: the promises first, then machine and method, then every table. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { projectPath } from '../../src/project-root.ts';
import { drawChart } from './chart.ts';
import { describeMachine } from './machine.ts';
import { percent } from './numbers.ts';
import type { Finding, Result, Table } from './result.ts';

export interface Section {
  readonly name: string;
  readonly result: Result;
  readonly seconds: number;
  /** Part of the cores' time that the hypervisor gave to other machines meanwhile: figures are worse by that and more. */
  readonly stolen: number;
}

export interface Run {
  readonly sections: readonly Section[];
  readonly startedAt: Date;
  /** Names of measurements that this run has not made, or not yet. */
  readonly missing: readonly string[];
}

const PLOTS = 'benchmarks';

function printTable({ columns, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
}

function findingsTable(findings: readonly Finding[]): string {
  return printTable({
    columns: ['what', 'measured', 'side by side with', 'ratio', 'target', 'moonshot', 'met'],
    rows: findings.map((finding) => [
      finding.what,
      finding.measured,
      finding.peer,
      finding.ratio,
      finding.target,
      finding.moonshot,
      finding.met === undefined ? '–' : finding.met ? 'yes' : 'no',
    ]),
  });
}

function printCharts(result: Result): string {
  return result.charts.map(({ file, chart }) => `![${chart.title}](${PLOTS}/${file})`).join('\n\n');
}

/** One measurement as text, for the terminal and the document. */
export function printResult({ name, result, seconds, stolen }: Section): string {
  const parts = [
    `## ${result.title}`,
    `\`npm run bench -- ${name}\`, ${Math.round(seconds)} s, ${percent(stolen)} of the cores' time stolen by other machines. ${result.method}`,
    ...(result.findings.length === 0 ? [] : [findingsTable(result.findings)]),
    ...result.tables.map(printTable),
  ];
  return `${parts.join('\n\n')}\n`;
}

export function writeDocument(run: Run): void {
  const folder = projectPath('docs', PLOTS);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { result } of run.sections)
    for (const { file, chart } of result.charts)
      writeFileSync(`${folder}/${file}`, drawChart(chart));
  const options = process.argv.slice(2).join(' ');
  const command = `npm run bench${options === '' ? '' : ` -- ${options}`}`;
  const parts = [
    '# Benchmarks',
    `Written by \`${command}\`; do not edit. Ratios within this one run are the result: the machine is what it is, and a contestant that is measured in the same minute on the same cores has the same noise. Where there are several rounds, medians are given with (least – most).`,
    findingsTable(run.sections.flatMap(({ result }) => result.findings)),
    run.missing.length === 0
      ? ''
      : `This run was broken off; not measured: ${run.missing.join(', ')}.`,
    '## Machine',
    printTable({ columns: ['', ''], rows: describeMachine(run.startedAt) }),
    ...run.sections.flatMap((section) => [printResult(section), printCharts(section.result)]),
  ];
  writeFileSync(
    projectPath('docs', 'benchmarks.md'),
    `${parts.filter((part) => part !== '').join('\n\n')}\n`,
  );
}
