/**
 * A real ClickHouse for a test file, migrated, in a database of its own: the server at CLICKHOUSE_URL when it is set
 * (the database is dropped again), else an embedded one on a free port, ended by pid.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClickHouse, type ClickHouse } from '../../clickhouse/client.ts';
import { migrate } from '../../clickhouse/migrate.ts';
import { projectPath } from '../../src/project-root.ts';
import { freePort } from './start-sluice.ts';
import { waitFor } from './wait-for.ts';

export interface TestClickHouse {
  readonly clickhouse: ClickHouse;
  readonly url: string;
  readonly password: string;
  /** Of the embedded server; undefined for a server of CLICKHOUSE_URL. */
  readonly pid: number | undefined;
  /** Starts the embedded server again on the same data and port after it was killed. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

const READY_MS = 60_000;

/** Resolves when it answers its user. */
export async function untilAnswers(clickhouse: ClickHouse, timeoutMs = READY_MS): Promise<void> {
  const answers = (): Promise<boolean> =>
    clickhouse.ping().then(
      () => true,
      () => false,
    );
  await waitFor(answers, { timeoutMs, what: 'ClickHouse to answer' });
}

async function useServer(given: string): Promise<TestClickHouse> {
  const url = new URL(given);
  const database = `sluice_test_${process.pid}_${Date.now()}`;
  const password = decodeURIComponent(url.password);
  const user = url.username === '' ? 'default' : decodeURIComponent(url.username);
  const clickhouse = createClickHouse({ url: url.origin, user, password, database });
  await migrate(clickhouse);
  return {
    clickhouse,
    url: url.origin,
    password,
    pid: undefined,
    restart: () => Promise.reject(new Error('a given server is not ours to restart')),
    async close() {
      await clickhouse.command(`DROP DATABASE ${database}`);
      await clickhouse.command(`DROP DATABASE ${clickhouse.privateDatabase}`);
      await clickhouse.close();
    },
  };
}

export async function startClickHouse(): Promise<TestClickHouse> {
  const given = process.env['CLICKHOUSE_URL'];
  if (given !== undefined && given !== '') return useServer(given);
  const dataDir = mkdtempSync(join(tmpdir(), 'sluice-clickhouse-'));
  const port = await freePort();
  const env = { ...process.env, SLUICE_DATA_DIR: dataDir, SLUICE_CLICKHOUSE_PORT: String(port) };
  let child: ChildProcess;
  const start = (): void => {
    child = spawn(projectPath('sluice'), ['clickhouse'], { env, stdio: 'ignore' });
  };
  start();
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const secretsFile = join(dataDir, 'secrets.json');
  const secrets = await waitFor(
    () => {
      try {
        return JSON.parse(readFileSync(secretsFile, 'utf8')) as { clickhousePassword: string };
      } catch {
        // Not written yet.
        return undefined;
      }
    },
    { timeoutMs: READY_MS, what: 'the embedded ClickHouse to make its secrets' },
  );
  const url = `http://127.0.0.1:${port}`;
  const clickhouse = createClickHouse({
    url,
    user: 'sluice',
    password: secrets.clickhousePassword,
    database: 'sluice',
  });
  await untilAnswers(clickhouse);
  await migrate(clickhouse);
  return {
    clickhouse,
    url,
    password: secrets.clickhousePassword,
    get pid() {
      return child.pid;
    },
    async restart() {
      start();
      await untilAnswers(clickhouse);
    },
    async close() {
      process.removeListener('exit', kill);
      await clickhouse.close();
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
