/**
 * `npm run bench [-- NAME…] [--quick] [--rows 1e6,1e7] [--print]`: builds Sluice, runs the measurements one after the
 * other, prints them; a run without names writes docs/benchmarks.md as it goes. Quick ones leave out `recent-conversions`, `console` and `steps`.
 * Ratios within one run are the result.
 */
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { messageOf } from '../src/domain/app-error.ts';
import { projectPath } from '../src/project-root.ts';
import { batch } from './measurements/batch.ts';
import { bigData } from './measurements/big-data.ts';
import { edgeLatency } from './measurements/edge-latency.ts';
import { edgePeaks } from './measurements/edge-peaks.ts';
import { freshness } from './measurements/freshness.ts';
import { gate } from './measurements/gate.ts';
import { memory } from './measurements/memory.ts';
import { consolePages } from './measurements/console.ts';
import { clickPipeline, conversionPipeline, recentConversions } from './measurements/pipelines.ts';
import { start } from './measurements/start.ts';
import { steps } from './measurements/steps.ts';
import { printResult, writeDocument, type Section } from './paper/document.ts';
import { readMachineTicks } from './paper/machine.ts';
import type { Measurement, Result, Settings } from './paper/result.ts';

const MEASUREMENTS: readonly Measurement[] = [
  edgePeaks,
  edgeLatency,
  clickPipeline,
  conversionPipeline,
  recentConversions,
  freshness,
  gate,
  batch,
  bigData,
  consolePages,
  memory,
  steps,
  start,
];
/** Beside the promises; a quick run has five minutes. */
const NOT_QUICK: ReadonlySet<Measurement> = new Set([recentConversions, consolePages, steps]);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    rows: { type: 'string' },
    print: { type: 'boolean', default: false },
  },
});

function chosen(): readonly Measurement[] {
  const known = MEASUREMENTS.map(({ name }) => name);
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    console.error(`bench: there is no ${unknown.join(', ')}; there are ${known.join(', ')}`);
    process.exit(2);
  }
  return MEASUREMENTS.filter((measurement) =>
    positionals.length === 0
      ? !(values.quick && NOT_QUICK.has(measurement))
      : positionals.includes(measurement.name),
  );
}

function readSettings(): Settings {
  const rows = values.rows?.split(',').map(Number) ?? (values.quick ? [3e5] : [1e6, 1e7, 5e7]);
  return { quick: values.quick, rows };
}

/** What others measured is not lost with a measurement that could not be made; the document says so. */
function failed(name: string): (error: unknown) => Result {
  return (error) => {
    console.error(`bench: ${name} failed:`, error);
    process.exitCode = 1;
    return {
      title: name,
      method: `Could not be measured: ${messageOf(error)}`,
      findings: [],
      tables: [],
      charts: [],
    };
  };
}

const measurements = chosen();
const settings = readSettings();
execFileSync(projectPath('sluice'), ['--help'], { stdio: ['ignore', 'ignore', 'inherit'] });
const startedAt = new Date();
const sections: Section[] = [];
const isWhole = positionals.length === 0 && !values.print;
for (const measurement of measurements) {
  const { name } = measurement;
  const began = performance.now();
  const ticks = readMachineTicks();
  console.error(`bench: ${name} …`);
  const result = await measurement.run(settings).catch(failed(name));
  const seconds = (performance.now() - began) / 1000;
  const { all, stolen } = readMachineTicks();
  const section = { name, result, seconds, stolen: (stolen - ticks.stolen) / (all - ticks.all) };
  sections.push(section);
  console.log(printResult(section));
  // After each: a run that is broken off keeps what it measured.
  if (isWhole) {
    const missing = measurements.slice(sections.length).map((left) => left.name);
    writeDocument({ sections, startedAt, missing });
  }
}
process.exit();
