/**
 * An edge that is killed and never comes back: another one of the same data dir takes over its folder and sees every
 * acknowledged hit through to ClickHouse, once (invariants 1 to 3). Real processes, real Redis and ClickHouse.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FULL_IPS } from '../../src/domain/ip-storage.ts';
import { createCatalogueStore } from '../../src/catalogue/store.ts';
import { projectPath } from '../../src/project-root.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { claimFolder } from '../../src/spool/folder.ts';
import { startWorkerRole } from '../../workers/ingest/role.ts';
import { catalogue } from '../support/catalogue.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startEdge } from '../support/start-edge.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import { freePort } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

/** The number of the edge that dies; the one that adopts its folder has 0. */
const DOOMED = 5;
const logger = pino({ level: 'silent' });

let server: TestRedis;
let database: TestClickHouse;
let dataDir = '';
let child: ChildProcess | undefined;
beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'sluice-adopt-'));
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
}, 120_000);
afterAll(async () => {
  child?.kill('SIGKILL');
  await Promise.all([server.close(), database.close()]);
  rmSync(dataDir, { recursive: true, force: true });
});

async function startDoomed(): Promise<string> {
  const port = await freePort();
  const url = new URL(database.url);
  url.username = 'sluice';
  url.password = database.password;
  child = spawn(
    process.execPath,
    ['--import', 'tsx', projectPath('src', 'cli', 'main.ts'), 'edge'],
    {
      cwd: projectPath('.'),
      stdio: 'ignore',
      env: {
        ...process.env,
        SLUICE_DATA_DIR: dataDir,
        SLUICE_EDGE_PORT: String(port),
        SLUICE_EDGE_NUMBER_BASE: String(DOOMED),
        REDIS_URL: server.url,
        CLICKHOUSE_URL: url.href,
        CLICKHOUSE_DATABASE: database.clickhouse.database,
      },
    },
  );
  const base = `http://127.0.0.1:${port}`;
  await waitFor(
    () =>
      fetch(`${base}/readyz`).then(
        ({ status }) => status === 200,
        () => false,
      ),
    { timeoutMs: 60_000, what: 'the edge that will die to be ready' },
  );
  return base;
}

interface Acknowledged {
  readonly clicks: Set<string>;
  readonly hits: Set<string>;
}

/** Clicks and conversions of them until the edge is gone. */
async function client(base: string, acknowledged: Acknowledged): Promise<void> {
  for (;;) {
    try {
      const click = await fetch(`${base}/click?o=16&a=1&return=click_id`);
      if (click.status !== 200) return;
      const { click_id } = (await click.json()) as { click_id: string };
      acknowledged.clicks.add(click_id);
      const call = await fetch(`${base}/track/conv?click_id=${click_id}`);
      if (call.status !== 200) return;
      acknowledged.hits.add(((await call.json()) as { hit_id: string }).hit_id);
    } catch {
      // Killed in the middle: nothing is promised about this one.
      return;
    }
  }
}

test('an edge takes over the folder of one that was killed, and loses and doubles nothing', async () => {
  const { clickhouse } = database;
  const store = createCatalogueStore({
    clickhouse,
    redis: server.redis,
    keys: createRedisKeys(),
    logger,
  });
  await store.change(() => catalogue(), 'test');
  const base = await startDoomed();
  const clickhouseSettings = {
    url: database.url,
    user: 'sluice',
    password: database.password,
    database: clickhouse.database,
  };
  const edge = await startEdge(undefined, {
    dataDir,
    redisUrl: server.url,
    clickhouse: clickhouseSettings,
  });
  expect(edge.role.edgeNumber).toBe(0);
  const acknowledged: Acknowledged = { clicks: new Set(), hits: new Set() };
  const clients = Array.from({ length: 4 }, () => client(base, acknowledged));
  await waitFor(() => acknowledged.hits.size > 200, { timeoutMs: 60_000, what: 'traffic' });
  const folder = join(dataDir, 'spool', String(DOOMED));
  // While its owner lives nobody else has the folder, whatever is in it.
  expect(await claimFolder(join(dataDir, 'spool'), DOOMED)).toBeUndefined();
  child?.kill('SIGKILL');
  await Promise.all(clients);
  // No worker has run: everything is still in the spool.
  expect(readdirSync(folder).some((name) => /\.(open|ready)$/.test(name))).toBe(true);

  const worker = await startWorkerRole({
    dataDir,
    redisUrl: server.url,
    clickhouse: clickhouseSettings,
    ips: FULL_IPS,
    retention: { clicksDays: null, invalidDays: null, affiliatePostbacksDays: null },
    outgoingAllow: [],
    logger,
  });
  try {
    await waitFor(() => !readdirSync(folder).some((name) => /\.(open|ready)$/.test(name)), {
      timeoutMs: 60_000,
      what: 'the folder to be empty',
    });
    const counts = async (sql: string): Promise<Map<string, number>> =>
      new Map((await clickhouse.query<{ id: string; n: number }>(sql)).map(({ id, n }) => [id, n]));
    const clicks = await counts('SELECT click_id AS id, count() AS n FROM click_log GROUP BY id');
    const hits = await counts('SELECT hit_id AS id, count() AS n FROM postback_log GROUP BY id');
    expect([...acknowledged.clicks].filter((id) => clicks.get(id) !== 1)).toEqual([]);
    expect([...acknowledged.hits].filter((id) => hits.get(id) !== 1)).toEqual([]);
    const accepted = await counts(
      'SELECT toString(verdict_code) AS id, count() AS n FROM postback_log GROUP BY id',
    );
    expect([...accepted.keys()]).toEqual(['0']);
    // An emptied folder is given back, for an edge of that number to come.
    await waitFor(
      async () => {
        const free = await claimFolder(join(dataDir, 'spool'), DOOMED);
        await free?.release();
        return free !== undefined;
      },
      { timeoutMs: 15_000, what: 'the folder to be free' },
    );
    expect(existsSync(join(dataDir, 'spool', 'quarantine'))).toBe(false);
  } finally {
    await worker.close();
    await edge.close();
  }
}, 240_000);
