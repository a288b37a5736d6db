/** `./sluice up`, the second time: from the command to the line that says it is up. */
import { mkdtempSync, rmSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectPath } from '../../src/project-root.ts';
import { fixed, spreadText } from '../paper/numbers.ts';
import type { Measurement, Result, Settings } from '../paper/result.ts';
import { spread } from '../paper/statistics.ts';
import { freePort } from '../stage/stack.ts';

const TARGET_S = 5;

async function up(env: NodeJS.ProcessEnv): Promise<number> {
  const started = performance.now();
  const child = spawn(projectPath('sluice'), ['up'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const seconds = await new Promise<number>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('sluice is up')) resolve((performance.now() - started) / 1000);
    });
    void ended.then(() => reject(new Error(`sluice up ended early: ${output}`)));
  });
  child.kill('SIGTERM');
  await ended;
  process.removeListener('exit', kill);
  return seconds;
}

async function run(settings: Settings): Promise<Result> {
  const dataDir = mkdtempSync(join(tmpdir(), 'sluice-bench-start-'));
  const [edge, api, redis, clickhouse] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ]);
  const env = {
    ...process.env,
    SLUICE_DATA_DIR: dataDir,
    SLUICE_EDGE_PORT: String(edge),
    SLUICE_API_PORT: String(api),
    SLUICE_REDIS_PORT: String(redis),
    SLUICE_CLICKHOUSE_PORT: String(clickhouse),
  };
  try {
    const first = await up(env);
    const later: number[] = [];
    for (let round = 0; round < (settings.quick ? 2 : 7); round++) later.push(await up(env));
    const seconds = spread(later);
    const print = (value: number): string => `${fixed(value)} s`;
    return {
      title: 'Start',
      method: `\`./sluice up\` in the same data folder, ended by SIGTERM and started again; from the command to the line \`sluice is up\`. The very first start, which makes the schema, took ${print(first)}.`,
      findings: [
        {
          what: 'start, second time, to ready',
          measured: spreadText(seconds, print),
          peer: '–',
          ratio: '–',
          target: '≤ 5 s',
          moonshot: '2 s',
          met: seconds.median <= TARGET_S,
        },
      ],
      tables: [],
      charts: [],
    };
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

export const start: Measurement = { name: 'start', run };
