/**
 * Clicks at the worker (invariant 3): stored once however often they are delivered; conversions wait for them, are told
 * 108 only on proof, and are replayed exactly once when a click comes after all.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { createCatalogueSnapshot } from '../../src/domain/catalogue.ts';
import { createClickIdCodec } from '../../src/domain/click-id.ts';
import { createIpStorage, FULL_IPS } from '../../src/domain/ip-storage.ts';
import { hashToken } from '../../src/domain/judge/call.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import { createRedisKeys, type RedisKeys } from '../../src/redis/keys.ts';
import { createClickStore } from '../../workers/ingest/click-store.ts';
import { replayLateClicks } from '../../workers/maintenance/late-clicks.ts';
import { advertiser, catalogue, TEST_KEY } from '../support/catalogue.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import {
  clickChunk,
  clickHit,
  conversionChunk,
  conversionHit,
  createTestWorker,
  type TestWorker,
} from '../support/test-worker.ts';

const TOKEN = 'right';
const CATALOGUE = catalogue({ advertisers: [advertiser({ token: hashToken(TOKEN) })] });
const codec = createClickIdCodec([TEST_KEY]);
const hitIds = createHitIds(Date.now);
const EDGE = 3;
const MINUTE_MS = 60_000;

let server: TestRedis;
let database: TestClickHouse;
let clickhouse: ClickHouse;
let keys: RedisKeys;
let worker: TestWorker;
let tests = 0;
/** Of the workers; moved by tests. */
let now = Date.now();

const createWorker = (): TestWorker =>
  createTestWorker({
    clickhouse,
    redis: server.redis,
    keys,
    catalogue: CATALOGUE,
    clock: () => now,
  });

beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
  clickhouse = database.clickhouse;
}, 120_000);
afterAll(async () => {
  await Promise.all([server.close(), database.close()]);
});
beforeEach(() => {
  now = Date.now();
  keys = createRedisKeys(`clicks-${process.pid}-${++tests}`);
  worker = createWorker();
});
afterEach(async () => {
  await clickhouse.command('TRUNCATE TABLE postback_log');
  await clickhouse.command('TRUNCATE TABLE click_log');
});

let sequence = 0;
/** After so long without a new mark nobody waits for an edge. */
const SILENCE_MS = 11_000;
interface Minted {
  readonly id: string;
  /** The chunk that holds the click. */
  readonly chunk: ReturnType<typeof clickChunk>;
}

function mint(agoMs: number): Minted {
  sequence += 1;
  const at = now - agoMs;
  const id = codec.mint(at, 16, EDGE, sequence);
  return { id, chunk: clickChunk(`${EDGE}-${at}-${sequence}-c`, [clickHit(hitIds(), id, 16, at)]) };
}

const storeClick = (minted: Minted): Promise<void> => worker.clicks.storeChunk(minted.chunk, codec);

function call(query: string, chunkId = `${EDGE}-${now}-${++sequence}-t`) {
  const hit = conversionHit(hitIds(), now, {
    endpoint: 'conv',
    path: '/track/conv',
    query,
  });
  return conversionChunk(chunkId, [hit]);
}

interface VerdictRow {
  readonly verdict_code: number;
  readonly click_pending: number;
  readonly replayed_from: string;
  readonly hit_id: string;
}

const rows = (): Promise<VerdictRow[]> =>
  clickhouse.query<VerdictRow>(
    'SELECT verdict_code, click_pending, replayed_from, hit_id FROM postback_log ORDER BY position, block_row',
  );

async function publishMark(confirmedUpToMs: number, publishedAgoMs = 0): Promise<void> {
  const value = `${confirmedUpToMs}:${now - publishedAgoMs}`;
  await server.redis.hset(keys.edgeMarks, String(EDGE), value);
}

test('a chunk of clicks delivered three times, twice of it at once, is one row a click', async () => {
  const at = now;
  const hits = Array.from({ length: 50 }, (_, n) =>
    clickHit(hitIds(), codec.mint(at, 16, EDGE, 1_000 + n), 16, at),
  );
  const chunk = clickChunk(`${EDGE}-${at}-9-c`, hits);
  const other = createWorker();
  await Promise.all([
    worker.clicks.storeChunk(chunk, codec),
    other.clicks.storeChunk(chunk, codec),
  ]);
  await worker.clicks.storeChunk(chunk, codec);
  const [totals] = await clickhouse.query<{ n: number; hits: number; clicks: number }>(
    'SELECT count() AS n, uniqExact(hit_id) AS hits, uniqExact(click_id) AS clicks FROM click_log',
  );
  expect(totals).toEqual({ n: 50, hits: 50, clicks: 50 });
});

test.each([
  ['full', FULL_IPS],
  ['truncated', createIpStorage('truncated', 'a secret')],
] as const)('who stored a click knows of it what ClickHouse says: addresses %s', async (_, ips) => {
  const newStore = () =>
    createClickStore({
      clickhouse,
      enrichment: { country: () => '', device: () => ({ device: '', os: '', browser: '' }) },
      ips,
      clock: () => now,
    });
  const writer = newStore();
  const queries = [
    'o=16&a=1&aff_click_id=%22q%22&source=%E2%82%AC&sub_id1=a%0Ab&sub_id5=%5C&aff_param3=%00x',
    'o=16',
    // What separates remembered values: it is looked up.
    'o=16&sub_id2=a%1Fb',
  ];
  const ids = queries.map((_query, index) => mint(1_000 * (index + 1)).id);
  const hits = ids.map((id, index) => ({
    ...clickHit(hitIds(), id, 16, codec.open(id)?.ms ?? 0),
    ip: `203.0.113.${index}`,
    query: queries[index] ?? '',
  }));
  await writer.storeChunk(clickChunk(`${EDGE}-${now}-${++sequence}-c`, hits), codec);
  const wanted = new Map(
    ids.flatMap((id) => {
      const opened = codec.open(id);
      return opened === undefined ? [] : [[id, opened] as const];
    }),
  );
  const stored = await newStore().find(wanted);
  expect(stored.size).toBe(3);
  expect(await writer.find(wanted)).toEqual(stored);
  await clickhouse.command('TRUNCATE TABLE click_log');
  stored.delete(ids[2] ?? '');
  expect(await writer.find(wanted)).toEqual(stored);
});

test('a conversion waits for a young click and counts when it has come', async () => {
  const click = mint(1_000);
  const chunk = call(`click_id=${click.id}`);
  expect(await worker.ingest(chunk)).toEqual({ kind: 'wait' });
  expect(await rows()).toEqual([]);
  await storeClick(click);
  expect(await worker.ingest(chunk)).toEqual({ kind: 'stored' });
  expect(await worker.ingest(chunk)).toEqual({ kind: 'stored' });
  expect(await rows()).toMatchObject([{ verdict_code: 0 }]);
});

test('one call that waits holds back its whole chunk, and only that', async () => {
  const [missing, stored] = [mint(1_000), mint(1_000)];
  await storeClick(stored);
  const both = conversionChunk('both', [
    ...call(`click_id=${stored.id}&adv_param1=held`).hits.flatMap((hit) =>
      hit.endpoint === 'click' ? [] : [hit],
    ),
    ...call(`click_id=${missing.id}`).hits.flatMap((hit) =>
      hit.endpoint === 'click' ? [] : [hit],
    ),
  ]);
  expect(await worker.ingest(both)).toEqual({ kind: 'wait' });
  expect(await worker.ingest(call(`click_id=${stored.id}`))).toEqual({ kind: 'stored' });
  expect(await rows()).toHaveLength(1);
});

test.each<[string, number, (clickMs: number) => Promise<void>, string]>([
  ['a young one without a mark', 30_000, () => Promise.resolve(), 'wait'],
  ['a young one and a mark behind it', 30_000, (ms) => publishMark(ms - 1), 'wait'],
  ['a young one and a mark at it', 30_000, (ms) => publishMark(ms), 'wait'],
  ['a young one and a mark past it', 30_000, (ms) => publishMark(ms + 1), 'unknown'],
  [
    'an old one, while its edge still has chunks',
    5 * MINUTE_MS,
    (ms) => publishMark(ms - 1, 1_000),
    'wait',
  ],
  [
    'an old one, whose edge is silent',
    5 * MINUTE_MS,
    (ms) => publishMark(ms - 1, 11_000),
    'pending',
  ],
  [
    'one far in the future, whose edge is silent',
    -5 * MINUTE_MS,
    () => Promise.resolve(),
    'pending',
  ],
  [
    'one far in the future, while its edge is heard',
    -5 * MINUTE_MS,
    (ms) => publishMark(ms - 6 * MINUTE_MS),
    'wait',
  ],
  ['an old one without a mark', 5 * MINUTE_MS, () => Promise.resolve(), 'pending'],
  ['an old one and a mark past it', 5 * MINUTE_MS, (ms) => publishMark(ms + 1, 11_000), 'unknown'],
  [
    'a mark that can not be read',
    5 * MINUTE_MS,
    async () => void (await server.redis.hset(keys.edgeMarks, String(EDGE), 'x')),
    'pending',
  ],
])('a missing click is 108 only on proof: %s', async (_, agoMs, prepare, expected) => {
  const { id } = mint(agoMs);
  await prepare(now - agoMs);
  if (expected !== 'unknown') {
    expect((await worker.ingest(call(`click_id=${id}`))).kind).toBe('wait');
    expect(await rows()).toEqual([]);
  }
  if (expected === 'wait') return;
  now += SILENCE_MS;
  expect((await worker.ingest(call(`click_id=${id}`))).kind).toBe('stored');
  expect(await rows()).toMatchObject([
    { verdict_code: 108, click_pending: expected === 'pending' ? 1 : 0 },
  ]);
});

test('an edge that was silent, as while a store was gone, is listened to before its clicks are given up', async () => {
  const { id } = mint(5 * MINUTE_MS);
  const clickMs = now - 5 * MINUTE_MS;
  const chunk = call(`click_id=${id}`);
  await publishMark(clickMs - 1, 4 * MINUTE_MS);
  expect((await worker.ingest(chunk)).kind).toBe('wait');
  for (let second = 0; second < 30; second += 5) {
    now += 5_000;
    await publishMark(clickMs - 1);
    expect((await worker.ingest(chunk)).kind).toBe('wait');
  }
  await publishMark(clickMs + 1);
  expect((await worker.ingest(chunk)).kind).toBe('stored');
  expect(await rows()).toMatchObject([{ verdict_code: 108, click_pending: 0 }]);
});

test('several silent edges are listened to at the same time', async () => {
  const clickMs = now - 5 * MINUTE_MS;
  const hits = [1, 2, 3].flatMap((n) =>
    call(`click_id=${codec.mint(clickMs, 16, EDGE + n, n)}`).hits.flatMap((hit) =>
      hit.endpoint === 'click' ? [] : [hit],
    ),
  );
  const chunk = conversionChunk('of-three-edges', hits);
  expect((await worker.ingest(chunk)).kind).toBe('wait');
  now += SILENCE_MS;
  expect((await worker.ingest(chunk)).kind).toBe('stored');
  expect(await rows()).toHaveLength(3);
});

test('a click that is stored, and vouched for, while it is looked for is waited for, not denied', async () => {
  const click = mint(30_000);
  let looks = 0;
  const late: ClickHouse = {
    ...clickhouse,
    async query<T>(sql: string, parameters?: Readonly<Record<string, unknown>>): Promise<T[]> {
      const found = await clickhouse.query<T>(sql, parameters);
      if (sql.includes('FROM click_log') && ++looks === 1) {
        await storeClick(click);
        await publishMark(now);
      }
      return found;
    },
  };
  const slow = createTestWorker({
    clickhouse: late,
    redis: server.redis,
    keys,
    catalogue: CATALOGUE,
    clock: () => now,
  });
  const chunk = call(`click_id=${click.id}`);
  expect(await slow.ingest(chunk)).toEqual({ kind: 'wait' });
  expect(await slow.ingest(chunk)).toEqual({ kind: 'stored' });
  expect(await rows()).toMatchObject([{ verdict_code: 0 }]);
});

/** Judges calls whose old clicks are missing and whose edge is silent: 108, pending. */
async function judgePending(queries: readonly string[]): Promise<string[]> {
  expect((await worker.ingest(call(queries[0] ?? ''))).kind).toBe('wait');
  now += SILENCE_MS;
  for (const query of queries) expect((await worker.ingest(call(query))).kind).toBe('stored');
  const judged = await rows();
  expect(judged.map(({ verdict_code, click_pending }) => [verdict_code, click_pending])).toEqual(
    queries.map(() => [108, 1]),
  );
  return judged.map(({ hit_id }) => hit_id);
}

const round = (by: TestWorker = createWorker()): Promise<number> =>
  replayLateClicks({
    clickhouse,
    store: { current: () => Promise.resolve(createCatalogueSnapshot(CATALOGUE)) },
    ingestConversions: by.ingest,
    ips: FULL_IPS,
  });

test('a pending call is replayed once when its click comes, also by rounds at the same time', async () => {
  const clicks = [mint(5 * MINUTE_MS), mint(5 * MINUTE_MS)];
  const originals = await judgePending(clicks.map(({ id }) => `click_id=${id}`));
  expect(await round()).toBe(0);
  const [first] = clicks;
  if (first === undefined) throw new Error('no click');
  await storeClick(first);
  await Promise.all([round(), round(), round()]);
  expect(await round()).toBe(0);
  const replays = (await rows()).filter(({ replayed_from }) => replayed_from !== '');
  expect(replays).toHaveLength(1);
  expect(replays[0]).toMatchObject({ verdict_code: 0, replayed_from: originals[0] });
  expect(replays[0]?.hit_id).not.toBe(originals[0]);
});

test('a thousand pending calls are replayed in one round, each once', async () => {
  const at = now - 5 * MINUTE_MS;
  const ids = Array.from({ length: 1_200 }, (_, n) => codec.mint(at, 16, EDGE, 10_000 + n));
  const calls = conversionChunk(
    `${EDGE}-${now}-${++sequence}-t`,
    ids.map((id) =>
      conversionHit(hitIds(), now, {
        endpoint: 'conv',
        path: '/track/conv',
        query: `click_id=${id}`,
      }),
    ),
  );
  expect((await worker.ingest(calls)).kind).toBe('wait');
  now += SILENCE_MS;
  expect((await worker.ingest(calls)).kind).toBe('stored');
  await worker.clicks.storeChunk(
    clickChunk(
      `${EDGE}-${at}-${++sequence}-c`,
      ids.map((id) => clickHit(hitIds(), id, 16, at)),
    ),
    codec,
  );
  const began = performance.now();
  expect((await Promise.all([round(), round()])).some((replayed) => replayed > 0)).toBe(true);
  expect(performance.now() - began).toBeLessThan(20_000);
  const replayed = (await rows()).flatMap(({ replayed_from: id }) => (id === '' ? [] : [id]));
  expect(replayed).toHaveLength(1_200);
  expect(new Set(replayed).size).toBe(1_200);
});

test('a replay is judged with the token that came: right stays right, wrong stays wrong', async () => {
  const clicks = [mint(5 * MINUTE_MS), mint(5 * MINUTE_MS), mint(5 * MINUTE_MS)];
  const [right, wrong, none] = await judgePending(
    ['&payout=1&token=right', '&payout=1&token=wrong', '&payout=1'].map(
      (query, index) => `click_id=${clicks[index]?.id ?? ''}${query}`,
    ),
  );
  for (const click of clicks) await storeClick(click);
  expect(await round()).toBe(3);
  const replays = await clickhouse.query<{
    replayed_from: string;
    verdict: string;
    payout: number;
  }>(
    `SELECT replayed_from, verdict, toFloat64(payout) AS payout FROM postback_log WHERE replayed_from != ''`,
  );
  const of = (id: string | undefined) => replays.find((row) => row.replayed_from === id);
  expect(of(right)).toMatchObject({ verdict: 'accepted', payout: 1 });
  expect(of(wrong)).toMatchObject({ verdict: 'invalid_token' });
  expect(of(none)).toMatchObject({ verdict: 'accepted', payout: 5 });
});
