/**
 * Two edges whose clocks are 5 s apart, on both sides of a midnight: each hit counts in the day of its own receipt, and
 * no day's cap is overshot, whoever stores first (invariant 5).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCatalogueStore } from '../../src/catalogue/store.ts';
import { FULL_IPS } from '../../src/domain/ip-storage.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { startWorkerRole, type WorkerRole } from '../../workers/ingest/role.ts';
import { catalogue, goal, NO_CAPS } from '../support/catalogue.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startEdge, type TestEdge } from '../support/start-edge.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import { waitFor } from '../support/wait-for.ts';

const DAY_MS = 86_400_000;
const APART_MS = 5_000;
const CATALOGUE = catalogue({
  goals: [goal({ multiple_conversions: true, caps: { ...NO_CAPS, daily: 2 } })],
});
const logger = pino({ level: 'silent' });

let server: TestRedis;
let database: TestClickHouse;
let dataDir = '';
let before: TestEdge;
let after: TestEdge;
let worker: WorkerRole;
const midnight = Math.ceil((Date.now() + DAY_MS) / DAY_MS) * DAY_MS;
/** What the slower clock shows; moved on by the test, never back. */
let slowNow = midnight - 60_000;

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'sluice-clocks-'));
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
  const { clickhouse } = database;
  const keys = createRedisKeys();
  const store = createCatalogueStore({ clickhouse, redis: server.redis, keys, logger });
  await store.change(() => CATALOGUE, 'test');
  const shared = {
    dataDir,
    redisUrl: server.url,
    clickhouse: {
      url: database.url,
      user: 'sluice',
      password: database.password,
      database: clickhouse.database,
    },
  };
  const began = Date.now();
  // Both run, as clocks do; the test decides what they show.
  const clock = (): number => slowNow + (Date.now() - began) / 1_000;
  before = await startEdge(undefined, { ...shared, clock: () => Math.floor(clock()) });
  after = await startEdge(undefined, { ...shared, clock: () => Math.floor(clock()) + APART_MS });
  worker = await startWorkerRole({
    dataDir,
    redisUrl: server.url,
    clickhouse: shared.clickhouse,
    ips: FULL_IPS,
    retention: { clicksDays: null, invalidDays: null, affiliatePostbacksDays: null },
    outgoingAllow: [],
    logger,
  });
}, 120_000);
afterAll(async () => {
  await worker?.close();
  await before?.close();
  await after?.close();
  await Promise.all([server.close(), database.close()]);
  rmSync(dataDir, { recursive: true, force: true });
});

test('a day ends for each edge by its own clock, and no cap is overshot', async () => {
  slowNow = midnight - 2_500;
  const answer = await fetch(`${before.url}/click?o=16&a=1&return=click_id`);
  const { click_id } = (await answer.json()) as { click_id: string };
  // Their chunks close by age: one call each, so that neither waits for the other's clock.
  for (let call = 0; call < 4; call++) {
    for (const edge of [before, after]) {
      const stored = await fetch(`${edge.url}/track/goal-by-click-id?click_id=${click_id}`);
      expect(stored.status).toBe(200);
    }
  }
  slowNow += 1_000;
  const days = async () =>
    database.clickhouse.query<{ day: string; accepted: number; rejected: number }>(
      `SELECT if(hit_time < fromUnixTimestamp64Milli({midnight:Int64}), 'before', 'after') AS day,
         countIf(verdict_code = 0) AS accepted, countIf(verdict_code = 107) AS rejected
       FROM postback_log GROUP BY day ORDER BY day DESC`,
      { midnight },
    );
  await waitFor(
    async () => (await days()).reduce((sum, row) => sum + row.accepted + row.rejected, 0) === 8,
    { timeoutMs: 30_000, what: 'every call to be judged' },
  );
  expect(await days()).toEqual([
    { day: 'before', accepted: 2, rejected: 2 },
    { day: 'after', accepted: 2, rejected: 2 },
  ]);
}, 60_000);
