/** Sluice as single roles that a test can kill, hold down and stop one by one: real processes, real files. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { createClickHouse, type ClickHouse } from '../../../clickhouse/client.ts';
import { projectPath } from '../../../src/project-root.ts';
import { untilAnswers } from '../../support/start-clickhouse.ts';
import { freePort, runCommand } from '../../support/start-sluice.ts';
import { waitFor } from '../../support/wait-for.ts';
import { startProcess, type ManagedProcess } from './process.ts';

const run = promisify(execFile);
const READY_MS = 60_000;
const MAIN = projectPath('dist', 'src', 'cli', 'main.js');

export interface Cluster {
  readonly dataDir: string;
  readonly edgeUrl: string;
  readonly clickhouseUrl: string;
  readonly redisUrl: string;
  readonly redis: ManagedProcess;
  readonly clickhouse: ManagedProcess;
  readonly edges: readonly ManagedProcess[];
  readonly workers: readonly ManagedProcess[];
  /** As user `sluice`: base tables too. */
  readonly sql: ClickHouse;
  readonly sqlPassword: string;
  readonly redisClient: Redis;
  readonly env: NodeJS.ProcessEnv;
  /** Runs a tool; rejects on a bad exit code. */
  tool(...args: string[]): Promise<string>;
  startEdge(name: string, env: NodeJS.ProcessEnv): ManagedProcess;
  startWorker(name: string, env: NodeJS.ProcessEnv): ManagedProcess;
  startApi(name: string, env: NodeJS.ProcessEnv): ManagedProcess;
  untilReady(): Promise<void>;
  close(): Promise<void>;
}

export interface ClusterOptions {
  readonly edges?: number;
  readonly workers?: number;
  readonly catalogue: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly workerEnv?: NodeJS.ProcessEnv;
  readonly redisArgs?: readonly string[];
  /** Redis is the data dir's own, as `up` starts it, so that chunks are read from their files; else they go through it. */
  readonly ownRedis?: boolean;
}

/** Builds once; the launcher does it only when sources changed. */
async function build(): Promise<void> {
  const { code, output } = await runCommand(['--help'], process.env);
  if (code !== 0) throw new Error(output);
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  await build();
  const dataDir = mkdtempSync(join(tmpdir(), 'sluice-fault-'));
  const [edgePort, redisPort, clickhousePort] = [
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    SLUICE_DATA_DIR: dataDir,
    SLUICE_EDGE_PORT: String(edgePort),
    SLUICE_API_PORT: String(await freePort()),
    SLUICE_CLICKHOUSE_PORT: String(clickhousePort),
    SLUICE_TRUSTED_PROXIES: '127.0.0.0/8',
    ...(options.ownRedis === true
      ? { SLUICE_REDIS_PORT: String(redisPort) }
      : { REDIS_URL: `redis://127.0.0.1:${redisPort}` }),
    PATH: `${process.env['PATH'] ?? ''}:/usr/bin:/usr/sbin:/usr/local/bin`,
    ...options.env,
  };
  mkdirSync(join(dataDir, 'redis'));
  const all: ManagedProcess[] = [];
  const manage = (
    name: string,
    program: string,
    args: readonly string[],
    extra: NodeJS.ProcessEnv = {},
  ): ManagedProcess => {
    const logFile = join(dataDir, `${name}.log`);
    const managed = startProcess({ name, program, args, env: { ...env, ...extra }, logFile });
    all.push(managed);
    return managed;
  };
  const role = (name: string, command: string, extra?: NodeJS.ProcessEnv): ManagedProcess =>
    manage(name, process.execPath, [MAIN, command], extra);
  // The launcher sets this: the engine wants more threads than Node starts by itself.
  const clickhouse = role('clickhouse', 'clickhouse', { UV_THREADPOOL_SIZE: '24' });
  const secretsFile = join(dataDir, 'secrets.json');
  const { clickhousePassword, redisPassword } = await waitFor(
    () => {
      try {
        return JSON.parse(readFileSync(secretsFile, 'utf8')) as {
          clickhousePassword: string;
          redisPassword: string;
        };
      } catch {
        // Not made yet.
        return undefined;
      }
    },
    { timeoutMs: READY_MS, what: 'the secrets' },
  );
  const redis = manage('redis', 'redis-server', [
    `--port ${redisPort}`,
    '--bind 127.0.0.1',
    `--dir ${join(dataDir, 'redis')}`,
    '--appendonly yes',
    '--appendfsync everysec',
    '--save ""',
    '--maxmemory-policy noeviction',
    ...(options.ownRedis === true ? [`--requirepass ${redisPassword}`] : []),
    ...(options.redisArgs ?? []),
  ]);
  const redisUrl = env['REDIS_URL'] ?? `redis://:${redisPassword}@127.0.0.1:${redisPort}`;
  const redisClient = new Redis(redisUrl, { retryStrategy: () => 100, maxRetriesPerRequest: null });
  redisClient.on('error', () => undefined);
  const clickhouseUrl = `http://127.0.0.1:${clickhousePort}`;
  const sql = createClickHouse({
    url: clickhouseUrl,
    user: 'sluice',
    password: clickhousePassword,
    database: 'sluice',
  });
  await untilAnswers(sql, READY_MS);
  await redisClient.ping();
  const tool = async (...args: string[]): Promise<string> => {
    const { stdout } = await run(process.execPath, [MAIN, ...args], { env });
    return stdout;
  };
  await tool('migrate');
  await tool('catalogue', 'apply', options.catalogue);
  const count = (n: number | undefined): number[] => Array.from({ length: n ?? 1 }, (_, i) => i);
  const edges = count(options.edges).map((n) => role(`edge-${n}`, 'edge'));
  const workers = count(options.workers).map((n) =>
    role(`worker-${n}`, 'worker', options.workerEnv),
  );
  const edgeUrl = `http://127.0.0.1:${edgePort}`;

  async function untilReady(): Promise<void> {
    await waitFor(
      async () => (await fetch(`${edgeUrl}/readyz`).catch(() => undefined))?.status === 200,
      { timeoutMs: READY_MS, what: 'an edge to be ready' },
    );
  }
  if (edges.length > 0) await untilReady();
  return {
    dataDir,
    edgeUrl,
    clickhouseUrl,
    redisUrl,
    redis,
    clickhouse,
    edges,
    workers,
    sql,
    sqlPassword: clickhousePassword,
    redisClient,
    env,
    tool,
    startEdge: (name, extra) => role(name, 'edge', extra),
    startWorker: (name, extra) => role(name, 'worker', extra),
    startApi: (name, extra) => role(name, 'api', extra),
    untilReady,
    async close() {
      redisClient.disconnect();
      await sql.close();
      for (const managed of all) {
        managed.resume();
        await managed.hold();
      }
      if (process.env['SLUICE_FAULT_KEEP'] === undefined)
        rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Waits until `sluice doctor` finds nothing wrong; rejects with what it last found. */
export async function untilHealthy(cluster: Cluster, timeoutMs = 45_000): Promise<void> {
  let findings = '';
  await waitFor(
    () =>
      cluster.tool('doctor').catch((error: unknown) => {
        // execFile puts what the tool printed beside the message.
        findings = String((error as { stdout?: string }).stdout ?? error);
        return undefined;
      }),
    { timeoutMs, intervalMs: 500, what: 'doctor to find nothing wrong' },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${findings}`);
  });
}
