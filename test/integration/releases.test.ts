/**
 * Corrections and conversions by hand through the worker: a release frees what its transaction claimed, once, whoever
 * asks how often, also when Redis loses everything; events say who changed what from what.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import type { BatchKind, Chunk, ConversionHit } from '../../src/domain/hit.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import { createRedisKeys, type RedisKeys } from '../../src/redis/keys.ts';
import { createClickIdCodec } from '../../src/domain/click-id.ts';
import { LINE_KINDS } from '../../src/batch/line.ts';
import {
  advertiser,
  affiliate,
  catalogue,
  goal,
  NO_CAPS,
  offer,
  TEST_KEY,
} from '../support/catalogue.ts';
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

const CAP = 5;
const CATALOGUE = catalogue({
  advertisers: [advertiser({ id: 1 }), advertiser({ id: 2 })],
  affiliates: [affiliate({ id: 1 }), affiliate({ id: 2, status: 'pending' })],
  offers: [
    offer({ id: 16, unique_ip: { enabled: true, window: 'ever' } }),
    offer({ id: 20, advertiser_id: 2 }),
    offer({ id: 24, availability: 'selective' }),
  ],
  goals: [
    goal({
      id: 12,
      offer_id: 16,
      multiple_conversions: false,
      unique_order_id: true,
      unique_track_id: true,
      caps: { ...NO_CAPS, total: CAP },
    }),
    goal({ id: 13, offer_id: 20, alias: 'other', multiple_conversions: true }),
    goal({ id: 14, offer_id: 24, alias: 'third', multiple_conversions: true }),
  ],
});
const codec = createClickIdCodec([TEST_KEY]);
const hitIds = createHitIds(Date.now);

let server: TestRedis;
let database: TestClickHouse;
let clickhouse: ClickHouse;
let keys: RedisKeys;
let worker: TestWorker;
let tests = 0;
let chunks = 0;

beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
  clickhouse = database.clickhouse;
}, 120_000);
afterAll(async () => {
  await Promise.all([server.close(), database.close()]);
});
beforeEach(() => {
  keys = createRedisKeys(`releases-${process.pid}-${++tests}`);
  worker = newWorker();
});
afterEach(async () => {
  await clickhouse.command('TRUNCATE TABLE postback_log');
});

const newWorker = (): TestWorker =>
  createTestWorker({ clickhouse, redis: server.redis, keys, catalogue: CATALOGUE });

/** Clicks of offer 16 from addresses of their own. */
async function clicks(count: number): Promise<string[]> {
  const now = Date.now();
  const made = Array.from({ length: count }, (_, index) => {
    const id = codec.mint(now, 16, 0, tests * 1_000 + index);
    return { ...clickHit(hitIds(), id, 16, now), ip: `198.51.100.${index + 1}` };
  });
  await worker.clicks.storeChunk(clickChunk(`0-${now}-${++chunks}-c`, made), codec);
  return made.map(({ clickId }) => clickId);
}

const converts = (clickId: string, number: number): ConversionHit =>
  conversionHit(hitIds(), Date.now(), {
    endpoint: 'goal-by-click-id',
    path: '/track/goal-by-click-id',
    query: `click_id=${clickId}&adv_order_id=o${number}&track_id=t${number}`,
  });

/** A chunk of lines, as the batch process makes it. */
function lines(kind: BatchKind, values: readonly object[], advertiserId = 0): Chunk {
  const hits = values.map((value) =>
    conversionHit(hitIds(), Date.now(), {
      endpoint: LINE_KINDS[kind].endpoint,
      method: 'POST',
      path: '/track/batch',
      body: JSON.stringify(value),
      contentType: 'application/json',
    }),
  );
  const chunk = conversionChunk(`batch-b${++chunks}-0`, hits);
  const batch = {
    batchId: `b${chunks}`,
    advertiserId,
    kind,
    author: 'Ada',
    suppressPostbacks: false,
  };
  return { ...chunk, header: { ...chunk.header, batch } };
}

const release = (ids: readonly string[]): Chunk =>
  lines(
    'corrections',
    ids.map((id) => ({ transaction_id: id, conv_status: 'rejected', release: true })),
  );

interface Row {
  readonly hit_id: string;
  readonly row_kind: string;
  readonly verdict_code: number;
  readonly released: number;
  readonly detail: string;
  readonly transaction_id: string;
  readonly blocking_transaction_id: string;
}

async function rowsOf({ hits }: Chunk): Promise<Row[]> {
  const rows = await clickhouse.query<Row>(
    'SELECT hit_id, row_kind, verdict_code, released, detail, transaction_id, blocking_transaction_id FROM postback_log WHERE hit_id IN {ids:Array(String)}',
    { ids: hits.map(({ hitId }) => hitId) },
  );
  return hits.flatMap(({ hitId }) => rows.filter((row) => row.hit_id === hitId));
}

async function judged(chunk: Chunk): Promise<Row[]> {
  expect(await worker.ingest(chunk)).toEqual({ kind: 'stored' });
  return rowsOf(chunk);
}

const codes = async (hits: readonly ConversionHit[]): Promise<number[]> => {
  const rows = await judged(conversionChunk(`0-${Date.now()}-${++chunks}-t`, hits));
  return rows.map(({ verdict_code }) => verdict_code);
};

async function count(where: string): Promise<number> {
  const [row] = await clickhouse.query<{ n: number }>(
    `SELECT count() AS n FROM postback_log WHERE ${where}`,
  );
  return row?.n ?? 0;
}

it('a rejected transaction keeps its click, order, track id, address and cap until it is released', async () => {
  const [click = '', other = ''] = await clicks(2);
  const made = converts(click, 1);
  expect(await codes([made])).toEqual([0]);
  const reject = { transaction_id: made.hitId, conv_status: 'rejected' };
  expect(await judged(lines('corrections', [reject]))).toMatchObject([
    { row_kind: 'change', released: 0, detail: '' },
  ]);
  const again = () => [converts(click, 2), converts(other, 1)];
  expect(await codes(again())).toEqual([101, 122]);
  // Whether Redis has the state or makes it anew.
  await server.redis.flushall();
  expect(await codes(again())).toEqual([101, 122]);
  expect(await judged(release([made.hitId]))).toMatchObject([
    { row_kind: 'change', released: 1, transaction_id: made.hitId },
  ]);
  // Of the same click, address, order and track id: the released one holds none of them.
  expect(await codes([converts(click, 1)])).toEqual([0]);
  expect(await codes([converts(click, 1)])).toEqual([101]);
});

it('a second release frees nothing, and says so; approving again claims nothing, and says so', async () => {
  const [click = ''] = await clicks(1);
  const made = converts(click, 1);
  await codes([made]);
  const rows = await judged(release([made.hitId, made.hitId]));
  expect(rows.map(({ released }) => released)).toEqual([1, 0]);
  expect(rows[1]?.detail).toMatch(/released before/);
  const next = converts(click, 2);
  expect(await codes([next])).toEqual([0]);
  await server.redis.flushall();
  expect((await judged(release([made.hitId]))).map(({ released }) => released)).toEqual([0]);
  const [approved] = await judged(
    lines('corrections', [{ transaction_id: made.hitId, conv_status: 'approved' }]),
  );
  expect(approved?.detail).toMatch(/released before: approved again, it counts in no cap/);
  const blocked = converts(click, 3);
  await codes([blocked]);
  const [row] = await rowsOf(conversionChunk('x', [blocked]));
  expect(row).toMatchObject({ verdict_code: 101, blocking_transaction_id: next.hitId });
});

it('a transaction may be released by a line of the chunk that created it', async () => {
  const [click = ''] = await clicks(1);
  const made = converts(click, 1);
  const change = conversionHit(hitIds(), Date.now(), {
    endpoint: 'conv-change',
    query: `transaction_id=${made.hitId}&release=1&conv_status=rejected&notes=oops`,
  });
  const chunk = lines('corrections', []);
  expect(await judged({ ...chunk, hits: [made, change] })).toMatchObject([
    { row_kind: 'conversion' },
    { row_kind: 'change', released: 1 },
  ]);
  expect(await codes([converts(click, 1)])).toEqual([0]);
});

it('accepts exactly the cap and what was released, while workers race, releases repeat and Redis is emptied', async () => {
  const ids = await clicks(60);
  const workers = [newWorker(), newWorker(), newWorker()];
  const flood = ids.map((id, index) => converts(id, index));
  const part = (from: number, to: number): Chunk =>
    conversionChunk(`0-${Date.now()}-${++chunks}-t`, flood.slice(from, to));
  const first = part(0, 20);
  await Promise.all(workers.map((each) => each.ingest(first)));
  expect(await count("row_kind = 'conversion'")).toBe(CAP);
  const held = await clickhouse.query<{ transaction_id: string }>(
    "SELECT transaction_id FROM postback_log WHERE row_kind = 'conversion' ORDER BY hit_id LIMIT 3",
  );
  const targets = held.map(({ transaction_id }) => transaction_id);
  // Each worker gets a release of its own for the same transactions, twice, and calls that compete for the room.
  const releases = workers.map(() => release(targets));
  const calls = [part(20, 30), part(30, 40), part(40, 50)];
  const deliveries = workers.flatMap((each, index) =>
    [releases[index], releases[(index + 1) % 3], calls[index]].map((chunk) =>
      chunk === undefined ? Promise.resolve() : each.ingest(chunk),
    ),
  );
  await server.redis.flushall();
  await Promise.all(deliveries);
  await server.redis.flushall();
  await worker.ingest(part(50, 60));
  expect(await count('released = 1')).toBe(3);
  expect(await count("row_kind = 'change'")).toBe(9);
  expect(await count("row_kind = 'conversion'")).toBe(CAP + 3);
  expect(await server.redis.hget(keys.lane.caps(0, 12), 'g:ever')).toMatch(/^5\|/);
});

it('the state after releases is the same, applied block by block or rebuilt from the log', async () => {
  const ids = await clicks(4);
  const made = ids.map((id, index) => converts(id, index));
  await codes(made);
  await judged(release([made[0]?.hitId ?? '', made[2]?.hitId ?? '']));
  await codes([converts(ids[0] ?? '', 7)]);
  const state = async (): Promise<Record<string, Record<string, string>>> => {
    const names = (await server.redis.keys(`{${keys.prefix}:l:0}:*`)).toSorted();
    const values = await Promise.all(names.map((name) => server.redis.hgetall(name)));
    return Object.fromEntries(names.map((name, index) => [name, values[index] ?? {}]));
  };
  const before = await state();
  expect(Object.keys(before).length).toBeGreaterThan(5);
  await server.redis.flushall();
  await codes([converts(ids[0] ?? '', 8)]);
  const after = await state();
  const meta = keys.lane.meta(0);
  expect({ ...after, [meta]: {} }).toEqual({ ...before, [meta]: {} });
});

it('events say who changed what from what, and the transaction has the newest notes', async () => {
  const [click = ''] = await clicks(1);
  const made = converts(click, 1);
  await codes([made]);
  const id = made.hitId;
  await judged(lines('corrections', [{ transaction_id: id, payout: '3', notes: 'too much' }]));
  await judged(
    lines('corrections', [
      { transaction_id: id, conv_status: 'rejected', payout: '2.5', amount: '10', release: true },
    ]),
  );
  const events = await clickhouse.query(
    'SELECT * FROM transaction_events WHERE transaction_id = {id:String} ORDER BY hit_id',
    { id },
  );
  expect(events).toMatchObject([
    {
      author: 'Ada',
      previous_conv_status: 'approved',
      conv_status: '',
      previous_payout: 5,
      payout: 3,
      previous_notes: '',
      notes: 'too much',
      released: 0,
    },
    {
      previous_conv_status: 'approved',
      conv_status: 'rejected',
      previous_payout: 3,
      payout: 2.5,
      previous_amount: null,
      amount: 10,
      previous_notes: 'too much',
      released: 1,
    },
  ]);
  const [now] = await clickhouse.query(
    'SELECT * FROM transactions WHERE transaction_id = {id:String}',
    {
      id,
    },
  );
  expect(now).toMatchObject({
    conv_status: 'rejected',
    payout: 2.5,
    revenue: 8,
    notes: 'too much',
    released: 1,
    author: '',
  });
});

it('corrections of an advertiser reach their own offers only, and lines at fault are 120', async () => {
  const [click = ''] = await clicks(1);
  const made = converts(click, 1);
  await codes([made]);
  const change = (more: object): object => ({ transaction_id: made.hitId, ...more });
  const others = await judged(lines('corrections', [change({ payout: 1 })], 2));
  expect(others).toMatchObject([{ verdict_code: 119, transaction_id: '' }]);
  const own = await judged(
    lines(
      'corrections',
      [
        change({ payout: 1 }),
        change({ payout: -1 }),
        change({ release: 'maybe' }),
        change({ release: true, conv_status: 'approved' }),
        change({ notes: 'x'.repeat(2_001) }),
        { transaction_id: hitIds().replace(/^.{8}/, '01900000') },
      ],
      1,
    ),
  );
  expect(own.map(({ verdict_code }) => verdict_code)).toEqual([0, 120, 120, 120, 120, 119]);
});

it('conversions by hand need no click, and are judged by the same checks and the same gate', async () => {
  const manual = (more: object): object => ({
    affiliate_id: 1,
    offer_id: 16,
    track_id: 't',
    ...more,
  });
  const rows = await judged(
    lines('manual', [
      manual({ payout: '9', notes: 'bonus', ip: '203.0.113.1', adv_order_id: 'm1' }),
      manual({ ip: '203.0.113.2', adv_order_id: 'm1' }),
      manual({ ip: '203.0.113.1', adv_order_id: 'm2' }),
      manual({ ip: '203.0.113.3', adv_order_id: 'm3' }),
      manual({ affiliate_id: 2 }),
      manual({ affiliate_id: 77 }),
      manual({ offer_id: 99 }),
      manual({ goal_alias: 'none' }),
      { affiliate_id: 1, offer_id: 24, goal_alias: 'third' },
      { affiliate_id: 1 },
      manual({ payout: 'a lot' }),
      { affiliate_id: 1, offer_id: 20, goal_id: 13 },
    ]),
  );
  expect(rows.map(({ verdict_code }) => verdict_code)).toEqual([
    0, 122, 102, 103, 110, 121, 105, 106, 109, 105, 120, 0,
  ]);
  const [made] = await clickhouse.query(
    'SELECT * FROM transactions WHERE transaction_id = {id:String}',
    { id: rows[0]?.hit_id ?? '' },
  );
  expect(made).toMatchObject({
    channel: 'manual',
    endpoint: 'manual',
    author: 'Ada',
    notes: 'bonus',
    payout: 9,
    revenue: 8,
    click_id: '',
    affiliate_id: 1,
    visitor_ip: '203.0.113.1',
  });
});
