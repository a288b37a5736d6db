/**
 * Sluice for a benchmark: the released roles as processes of their own, in a data folder of their own, each on the
 * cores that the measurement gives it. What `sluice up` does for an operator, without its supervisor.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createClickHouse, type ClickHouse } from '../../clickhouse/client.ts';
import { isRetryable } from '../../src/domain/app-error.ts';
import { projectPath } from '../../src/project-root.ts';
import { startProcess, type Cores, type Running } from './processes.ts';

export type RoleName = 'edge' | 'worker' | 'api';

export interface Stack {
  readonly dataDir: string;
  readonly edgePort: number;
  readonly apiPort: number;
  readonly adminKey: string;
  readonly redis: Redis;
  readonly redisUrl: string;
  readonly clickhouse: ClickHouse;
  readonly clickhouseUrl: string;
  readonly clickhousePassword: string;
  /** Pids by role, of what runs now. */
  pids(): ReadonlyMap<string, number>;
  start(role: RoleName, cores?: Cores, env?: Readonly<Record<string, string>>): Promise<Running>;
  stop(role: RoleName, signal?: NodeJS.Signals): Promise<void>;
  /** Runs a one-shot command of the launcher. */
  run(...args: string[]): void;
  close(): Promise<void>;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks again and again; throws when it takes too long. */
export async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
  timeoutMs = 60_000,
  everyMs = 50,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await pause(everyMs);
  }
}

/** A question to a store that is under full load: a connection may break, and the question is then asked again. */
export async function askAgain<T>(question: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await question();
    } catch (error) {
      if (!isRetryable(error) || attempt === ATTEMPTS_MAX) throw error;
      await pause(ASK_AGAIN_MS);
    }
  }
}

const ATTEMPTS_MAX = 20;
const ASK_AGAIN_MS = 100;

/** A Redis as `up` starts it: append-only, synced each second; with `own` the one of a data dir. */
export async function startRedis(
  dir: string,
  cores: Cores,
  own?: { readonly port: number; readonly password: string },
): Promise<{ redis: Redis; url: string; server: Running }> {
  const port = own?.port ?? (await freePort());
  const server = await startProcess(
    [
      'redis-server',
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      ...(own === undefined ? [] : ['--requirepass', own.password]),
      '--dir',
      dir,
      '--save',
      '',
      '--appendonly',
      'yes',
      '--appendfsync',
      'everysec',
    ],
    { cores, logFile: join(dir, 'redis.log') },
  );
  const url = `redis://${own === undefined ? '' : `:${own.password}@`}127.0.0.1:${port}`;
  const redis = new Redis(url, { retryStrategy: () => 30, maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  await redis.ping();
  return { redis, url, server };
}

/** An edge listens before it knows a catalogue; until then it refuses hits. */
async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  await response.arrayBuffer();
  return response.ok;
}

/** As the launcher starts it. */
const NODE_ARGUMENTS = ['--max-semi-space-size=32'];
const ENGINE_THREADS = '24';

const MAIN = projectPath('dist', 'src', 'cli', 'main.js');

/** Starts Redis and the embedded ClickHouse, migrates, applies the benchmarks' catalogue. No role runs yet. */
export async function startStack(cores?: Cores): Promise<Stack> {
  const dataDir = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const [edgePort, apiPort, clickhousePort, redisPort] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ]);
  const env: Record<string, string> = {
    SLUICE_DATA_DIR: dataDir,
    SLUICE_EDGE_PORT: String(edgePort),
    SLUICE_API_PORT: String(apiPort),
    SLUICE_CLICKHOUSE_PORT: String(clickhousePort),
    SLUICE_TRUSTED_PROXIES: '127.0.0.0/8',
    SLUICE_SPOOL_BYTES_MAX: '40G',
    // No REDIS_URL: the Redis is this data dir's own, as the launcher's is.
    SLUICE_REDIS_PORT: String(redisPort),
  };
  const logOf = (name: string): string => join(dataDir, `${name}.log`);
  const launch = (
    role: string,
    roleCores: Cores,
    extra: Readonly<Record<string, string>> = {},
  ): Promise<Running> =>
    startProcess([process.execPath, ...NODE_ARGUMENTS, MAIN, role], {
      cores: roleCores,
      env: { ...env, ...extra },
      logFile: logOf(role),
      announces: true,
    });
  // As the launcher does: the engine blocks threads of the pool.
  const engine = await launch('clickhouse', cores, { UV_THREADPOOL_SIZE: ENGINE_THREADS });
  const secrets = JSON.parse(readFileSync(join(dataDir, 'secrets.json'), 'utf8')) as {
    adminKey: string;
    clickhousePassword: string;
    redisPassword: string;
  };
  const store = await startRedis(dataDir, cores, {
    port: redisPort,
    password: secrets.redisPassword,
  });
  const clickhouseUrl = `http://127.0.0.1:${clickhousePort}`;
  const clickhouse = createClickHouse({
    url: clickhouseUrl,
    user: 'sluice',
    password: secrets.clickhousePassword,
    database: 'sluice',
  });
  const roles = new Map<RoleName, Running>();
  const run = (...args: string[]): void => {
    execFileSync(process.execPath, [MAIN, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  };
  run('migrate');
  run('catalogue', 'apply', projectPath('bench', 'catalogue.yaml'));

  async function stop(role: RoleName, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await roles.get(role)?.stop(signal);
    roles.delete(role);
  }

  return {
    dataDir,
    edgePort,
    apiPort,
    adminKey: secrets.adminKey,
    redis: store.redis,
    redisUrl: store.url,
    clickhouse,
    clickhouseUrl,
    clickhousePassword: secrets.clickhousePassword,
    pids: () =>
      new Map([
        ...[...roles].map(([name, { pid }]): [string, number] => [name, pid]),
        ['redis', store.server.pid],
        ['clickhouse', engine.pid],
      ]),
    async start(role, roleCores = cores, extra = {}) {
      const started = await launch(role, roleCores, extra);
      roles.set(role, started);
      if (role === 'edge') await until('the edge to be ready', () => isReady(edgePort));
      return started;
    },
    stop,
    run,
    async close() {
      // Nothing of a run is kept: a kill is as good as an end, and sooner.
      for (const role of ['edge', 'worker', 'api'] as const) await stop(role, 'SIGKILL');
      await clickhouse.close();
      store.redis.disconnect();
      await engine.stop('SIGKILL');
      await store.server.stop('SIGKILL');
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
