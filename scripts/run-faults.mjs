// `npm run test:fault -- --minutes N [--seed S]`: the fault suite with long outages, then kills until the time is over.
// Writes the figures to docs/reliability.md and keeps its notes. Without --minutes: the quick profile, nothing written.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seed: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (values.help) {
  console.log('Usage: npm run test:fault -- [--minutes N] [--seed S]');
  process.exit(0);
}
const minutes = values.minutes === undefined ? 0 : Number(values.minutes);
if (!(minutes >= 0)) {
  console.error('--minutes must be a number');
  process.exit(2);
}
const began = Date.now();
const folder = mkdtempSync(join(tmpdir(), 'sluice-faults-'));
const reportFile = join(folder, 'report.jsonl');
let seed = Number(values.seed ?? Date.now() % 1_000_000);

function run(filters, env) {
  const { status } = spawnSync(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--project', 'fault', ...filters],
    { stdio: 'inherit', env: { ...process.env, ...env, SLUICE_FAULT_REPORT: reportFile } },
  );
  return status === 0;
}

const HALF = { SLUICE_FAULT_OUTAGE_S: '30' };
const WHOLE = {
  SLUICE_FAULT_OUTAGE_S: '60',
  SLUICE_FAULT_CLICKHOUSE_S: '300',
  SLUICE_FAULT_RATE: '1000',
};
const long = minutes === 0 ? {} : minutes < 20 ? HALF : WHOLE;
let failed = run([], { ...long, SLUICE_FAULT_SEED: String(seed) }) ? 0 : 1;
let rounds = 1;
while (Date.now() - began < minutes * 60_000) {
  seed += 1;
  rounds += 1;
  if (!run(['kills'], { SLUICE_FAULT_KILLS: '50', SLUICE_FAULT_SEED: String(seed) })) failed += 1;
}

const lines = readFileSync(reportFile, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line));
rmSync(folder, { recursive: true, force: true });
const kills = lines.filter(({ test }) => test === 'kills');
const sum = (key) => kills.reduce((total, line) => total + line[key], 0);
console.log(
  `${rounds} rounds, ${sum('kills')} kills, ${sum('clicks')} clicks and ${sum('calls')} calls compared, ${failed} failed`,
);
if (minutes > 0) {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const rows = lines.map(({ test, ...figures }) => {
    const text = Object.entries(figures)
      .map(([key, value]) => `${key} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
      .join(', ');
    return `| ${test} | ${text} |`;
  });
  const file = 'docs/reliability.md';
  const before = readFileSync(file, 'utf8');
  const notesAt = before.indexOf('\n## Notes\n');
  // What a person found out about an earlier run; which, the notes say themselves.
  const notes = notesAt === -1 ? '' : before.slice(notesAt);
  writeFileSync(
    file,
    `# Reliability

The notes at the end are written by hand, all above them by \`npm run test:fault -- --minutes ${minutes}\` (commit ${commit}, Node ${process.versions.node}, ${cpus().length} cores,
${Math.round(totalmem() / 2 ** 30)} GiB): real processes, real files, an open-loop client that writes down every acknowledgement, and a checker
that compares each of them with the final rows and judges all calls again with a plain model of its own. A line is written only
after its check: lost 0, stored twice 0, every verdict as the model says.

**${sum('kills')} kills under load in ${rounds} rounds; ${sum('clicks')} clicks and ${sum('calls')} calls compared; rounds that failed: ${failed}.**

| test | figures |
| --- | --- |
${rows.join('\n')}
${notes}`,
  );
}
process.exit(failed === 0 ? 0 : 1);
