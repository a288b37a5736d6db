/** The embedded ClickHouse for a test: the released role as a process, a data dir and port of its own, ended by pid. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClickHouse, type ClickHouse } from '../../clickhouse/client.ts';
import { projectPath } from '../../src/project-root.ts';
import { freePort } from './start-sluice.ts';
import { waitFor } from './wait-for.ts';

export interface RunningEmbeddedClickHouse {
  readonly url: string;
  readonly password: string;
  readonly dataDir: string;
  readonly pid: number;
  /** As user `sluice`, the way Sluice's own roles talk to it. */
  readonly owner: ClickHouse;
  /** Largest resident set so far, in bytes. */
  peakBytes(): number;
  output(): string;
  /** SIGTERM, or SIGKILL; resolves with the exit code once it is gone. The data dir stays. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
  /** Ends it and removes its data dir. */
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export async function startEmbeddedClickHouse(
  extra: Readonly<Record<string, string>> = {},
): Promise<RunningEmbeddedClickHouse> {
  const dataDir = extra['SLUICE_DATA_DIR'] ?? mkdtempSync(join(tmpdir(), 'sluice-clickhouse-'));
  const port = extra['SLUICE_CLICKHOUSE_PORT'] ?? String(await freePort());
  const child = spawn(projectPath('sluice'), ['clickhouse'], {
    env: { ...process.env, SLUICE_DATA_DIR: dataDir, SLUICE_CLICKHOUSE_PORT: port, ...extra },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  let asked = false;
  child.once('exit', (code, signal) => {
    running.delete(child);
    // A test that only sees refused connections would not say why.
    if (!asked) console.error(`ClickHouse ended by itself: ${code} ${signal}\n${output}`);
  });
  const url = `http://127.0.0.1:${port}`;
  await waitFor(
    () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${output}`);
      return fetch(`${url}/ping`).then(
        ({ ok }) => ok,
        () => undefined,
      );
    },
    { timeoutMs: 60_000, what: 'the embedded ClickHouse' },
  );
  // Our own file, written by openSecrets.
  const secrets = JSON.parse(readFileSync(join(dataDir, 'secrets.json'), 'utf8')) as {
    clickhousePassword: string;
  };
  const password = secrets.clickhousePassword;
  const owner = createClickHouse({ url, user: 'sluice', password, database: 'sluice' });
  const pid = child.pid ?? -1;
  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    asked = true;
    await owner.close();
    if (child.exitCode === null) child.kill(signal);
    return ended;
  }
  return {
    url,
    password,
    dataDir,
    pid,
    owner,
    peakBytes: () =>
      Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024,
    output: () => output,
    end,
    async stop() {
      await end('SIGKILL');
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
