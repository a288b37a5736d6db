/**
 * An edge whose clock is set back, as a time server may do at any moment: what it has acknowledged goes on its way as
 * before (invariant 2).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createCatalogueStore, type CatalogueStore } from '../../src/catalogue/store.ts';
import { createClickIdCodec } from '../../src/domain/click-id.ts';
import { FULL_IPS } from '../../src/domain/ip-storage.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { startWorkerRole, type WorkerRole } from '../../workers/ingest/role.ts';
import { catalogue, goal } from '../support/catalogue.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startEdge, type TestEdge } from '../support/start-edge.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import { waitFor } from '../support/wait-for.ts';

const HOUR_MS = 3_600_000;
/** More than a young click is waited for. */
const STEP_MS = 90_000;
/** Each alone may go well by chance: the verdict may come when the click is stored already. */
const STEPS = 4;
const CATALOGUE = catalogue({ goals: [goal({ multiple_conversions: true })] });
const logger = pino({ level: 'silent' });
const keys = createRedisKeys();

let server: TestRedis;
let database: TestClickHouse;
let store: CatalogueStore;
beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
  const { clickhouse } = database;
  store = createCatalogueStore({ clickhouse, redis: server.redis, keys, logger });
  await store.change(() => CATALOGUE, 'test');
}, 120_000);
afterAll(async () => {
  await Promise.all([server.close(), database.close()]);
});

let dataDir = '';
/** How far the edge's clock was set back. */
let behindMs = 0;
let edge: TestEdge;
let worker: WorkerRole | undefined;
const settings = () => ({
  dataDir,
  redisUrl: server.url,
  clickhouse: {
    url: database.url,
    user: 'sluice',
    password: database.password,
    database: database.clickhouse.database,
  },
});
beforeEach(async () => {
  behindMs = 0;
  dataDir = mkdtempSync(join(tmpdir(), 'sluice-clock-'));
  edge = await startEdge(undefined, { ...settings(), clock: () => Date.now() - behindMs });
});
afterEach(async () => {
  await worker?.close();
  worker = undefined;
  await edge.close();
  rmSync(dataDir, { recursive: true, force: true });
});

async function startWorker(): Promise<void> {
  worker = await startWorkerRole({
    ...settings(),
    ips: FULL_IPS,
    retention: { clicksDays: null, invalidDays: null, affiliatePostbacksDays: null },
    outgoingAllow: [],
    logger,
  });
}

const callEdge = async <T>(path: string): Promise<T> =>
  (await (await fetch(`${edge.url}${path}`)).json()) as T;
async function verdictsOf(hits: readonly string[]): Promise<string[]> {
  const rows = await database.clickhouse.query<{ verdict: string }>(
    'SELECT verdict FROM postback_log WHERE hit_id IN {hits:Array(String)}',
    { hits },
  );
  return rows.map(({ verdict }) => verdict);
}
const callPromo = async (): Promise<string> =>
  (await callEdge<{ hit_id: string }>('/track/promo?code=PROMO22')).hit_id;

test('chunks that are open when the clock is set back are judged at once', async () => {
  await startWorker();
  const hits: string[] = [];
  // An answer comes with the write into its chunk, which is then open for some time.
  for (let call = 0; call < 5; call++) {
    hits.push(await callPromo());
    behindMs += HOUR_MS;
  }
  await waitFor(async () => (await verdictsOf(hits)).length === hits.length, {
    timeoutMs: 15_000,
    what: 'every call to be judged',
  });
}, 60_000);

test('a call right behind its click counts when the clock was set back before the click', async () => {
  await startWorker();
  const codec = createClickIdCodec(CATALOGUE.click_id_keys);
  const click = async (): Promise<string> =>
    (await callEdge<{ click_id: string }>('/click?o=16&a=1&return=click_id')).click_id;
  const calls: string[] = [];
  for (let step = 0; step < STEPS; step++) {
    const mintedMs = codec.open(await click())?.ms ?? Infinity;
    await waitFor(
      async () => {
        const mark = (await server.redis.hget(keys.edgeMarks, '0')) ?? '';
        return Number(mark.split(':')[0]) > mintedMs;
      },
      { timeoutMs: 15_000, what: 'the mark to pass the click' },
    );
    behindMs = STEP_MS;
    const path = `/track/goal-by-click-id?click_id=${await click()}`;
    calls.push((await callEdge<{ hit_id: string }>(path)).hit_id);
    await waitFor(async () => (await verdictsOf(calls)).length === calls.length, {
      timeoutMs: 30_000,
      what: 'the verdict',
    });
    behindMs = 0;
  }
  expect(await verdictsOf(calls)).toEqual(calls.map(() => 'accepted'));
}, 180_000);

test('a chunk that Redis lost after the clock was set back an hour is queued again', async () => {
  const waiting = (): Promise<number> => server.redis.llen(`${keys.queuePrefix}:conversions:wait`);
  const untilQueued = (): Promise<true> =>
    waitFor(async () => (await waiting()) === 1, { timeoutMs: 20_000, what: 'the job' });
  await callPromo();
  await untilQueued();
  behindMs = HOUR_MS;
  await server.redis.flushall();
  await store.refill();
  expect(await waiting()).toBe(0);
  await untilQueued();
}, 60_000);
