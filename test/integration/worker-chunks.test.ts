/**
 * Chunks of conversion calls at the worker: changes of transactions that the same chunk creates, and calls that are
 * poison to something on their way. A chunk ends as exactly one row a call, whatever is in it (invariants 3 and 9).
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { createClickIdCodec } from '../../src/domain/click-id.ts';
import type { ConversionHit } from '../../src/domain/hit.ts';
import { hashToken } from '../../src/domain/judge/call.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import { decodeHit, encodeHit } from '../../src/queue/chunk-job.ts';
import { createRedisKeys, type RedisKeys } from '../../src/redis/keys.ts';
import {
  advertiser,
  catalogue,
  goal,
  NO_CAPS,
  offer,
  promoCode,
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

const TOKEN = 'right';
const CATALOGUE = catalogue({
  advertisers: [advertiser({ token: hashToken(TOKEN) })],
  offers: [offer(), offer({ id: 17 })],
  goals: [
    goal({ unique_order_id: true, unique_track_id: false, multiple_conversions: true }),
    goal({ id: 13, alias: 'once', default: false, caps: { ...NO_CAPS, total: 1 } }),
    goal({ id: 20, offer_id: 17, unique_track_id: true, multiple_conversions: true }),
  ],
  promo_codes: [promoCode(), promoCode({ id: 2, code: 'OTHER', offer_id: 17, sequence: 2 })],
});
const codec = createClickIdCodec([TEST_KEY]);
const hitIds = createHitIds(Date.now);

let server: TestRedis;
let database: TestClickHouse;
let clickhouse: ClickHouse;
let keys: RedisKeys;
let worker: TestWorker;
let tests = 0;
let clickId = '';

beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
  clickhouse = database.clickhouse;
}, 120_000);
afterAll(async () => {
  await Promise.all([server.close(), database.close()]);
});
beforeEach(async () => {
  keys = createRedisKeys(`chunks-${process.pid}-${++tests}`);
  worker = createTestWorker({ clickhouse, redis: server.redis, keys, catalogue: CATALOGUE });
  const now = Date.now();
  clickId = codec.mint(now, 16, 0, tests);
  await worker.clicks.storeChunk(
    clickChunk(`0-${now}-${tests}-c`, [clickHit(hitIds(), clickId, 16, now)]),
    codec,
  );
});
afterEach(async () => {
  await clickhouse.command('TRUNCATE TABLE postback_log');
});

type Fields = Partial<ConversionHit> & Pick<ConversionHit, 'endpoint' | 'query'>;
const hit = (fields: Fields): ConversionHit =>
  conversionHit(hitIds(), Date.now(), { path: `/track/${fields.endpoint}`, ...fields });

interface Row {
  readonly hit_id: string;
  readonly row_kind: string;
  readonly verdict_code: number;
  readonly transaction_id: string;
  readonly conv_status: string;
  readonly detail: string;
}

/** One row a hit, in the order of the hits. */
async function rowsOf(hits: readonly ConversionHit[]): Promise<(Row | undefined)[]> {
  const rows = await clickhouse.query<Row>(
    'SELECT hit_id, row_kind, verdict_code, transaction_id, conv_status, detail FROM postback_log',
  );
  expect(rows).toHaveLength(hits.length);
  return hits.map(({ hitId }) => rows.find((row) => row.hit_id === hitId));
}

/** Delivers a chunk as a queue does at its worst: at once to two workers, and again. */
async function deliver(chunkId: string, hits: readonly ConversionHit[]): Promise<void> {
  const chunk = conversionChunk(chunkId, hits);
  const other = createTestWorker({ clickhouse, redis: server.redis, keys, catalogue: CATALOGUE });
  await Promise.all([worker.ingest(chunk), other.ingest(chunk)]);
  expect(await worker.ingest(chunk)).toEqual({ kind: 'stored' });
}

const create = (more = ''): ConversionHit =>
  hit({ endpoint: 'conv', query: `click_id=${clickId}${more}` });
const change = (more: string): ConversionHit =>
  hit({ endpoint: 'conv-change', query: `token=${TOKEN}&${more}` });

test('a change of a transaction that the same chunk creates changes it, once', async () => {
  const made = create();
  const hits = [made, change(`transaction_id=${made.hitId}&conv_status=rejected`)];
  await deliver('change', hits);
  expect(await rowsOf(hits)).toMatchObject([
    { row_kind: 'conversion', verdict_code: 0, transaction_id: made.hitId },
    { row_kind: 'change', verdict_code: 0, transaction_id: made.hitId, conv_status: 'rejected' },
  ]);
  const [now] = await clickhouse.query<{ conv_status: string }>(
    'SELECT conv_status FROM transactions',
  );
  expect(now?.conv_status).toBe('rejected');
});

test('a change of a call that the gate rejects in the same chunk is 119', async () => {
  const [first, second] = [create('&goal_alias=once'), create('&goal_alias=once')];
  const hits = [first, second, change(`transaction_id=${second.hitId}&conv_status=rejected`)];
  await deliver('rejected', hits);
  expect((await rowsOf(hits)).map((row) => row?.verdict_code)).toEqual([0, 101, 119]);
});

test('a change of a call that is invalid in the same chunk is 119', async () => {
  const made = create('&amount=abc');
  const hits = [made, change(`transaction_id=${made.hitId}&conv_status=rejected`)];
  await deliver('invalid', hits);
  expect((await rowsOf(hits)).map((row) => row?.verdict_code)).toEqual([120, 119]);
});

test('a change by click finds the last transaction of the goal, also within the chunk', async () => {
  const [first, last] = [create('&adv_order_id=1'), create('&adv_order_id=2')];
  const hits = [first, last, change(`click_id=${clickId}&conv_status=hold`)];
  await deliver('last', hits);
  expect((await rowsOf(hits))[2]).toMatchObject({ row_kind: 'change', transaction_id: last.hitId });
});

test('conv-addchange creates once and changes after, in one chunk and in the next', async () => {
  const addChange = (status: string): ConversionHit =>
    hit({
      endpoint: 'conv-addchange',
      query: `token=${TOKEN}&click_id=${clickId}&conv_status=${status}`,
    });
  const [one, two, three] = [addChange('pending'), addChange('hold'), addChange('approved')];
  await deliver('add-1', [one, two]);
  await deliver('add-2', [three]);
  expect(await rowsOf([one, two, three])).toMatchObject([
    { row_kind: 'conversion', transaction_id: one.hitId, conv_status: 'pending' },
    { row_kind: 'change', transaction_id: one.hitId, conv_status: 'hold' },
    { row_kind: 'change', transaction_id: one.hitId, conv_status: 'approved' },
  ]);
});

test('a change of a transaction that was acknowledged a moment ago waits for it', async () => {
  const made = create();
  const later = conversionChunk('later', [change(`transaction_id=${made.hitId}&conv_status=hold`)]);
  expect(await worker.ingest(later)).toEqual({ kind: 'wait' });
  await worker.ingest(conversionChunk('earlier', [made]));
  expect(await worker.ingest(later)).toEqual({ kind: 'stored' });
  expect((await rowsOf([made, ...(later.hits as ConversionHit[])]))[1]?.verdict_code).toBe(0);
});

test.each([
  ['is 200 ms behind the edge', 0, -200, 'wait'],
  ['was set back by 90 s together with the edge', 90_000, -90_000, 'wait'],
  ['is a minute behind the edge, which no host in time is', 0, -60_000, 'stored'],
  ['is 6 s ahead, or later', 0, 6_000, 'stored'],
])(
  'a change right behind its transaction, at a worker whose clock %s',
  async (_, backMs, aheadMs, kind) => {
    let edgeMs = Date.now();
    const ids = createHitIds(() => edgeMs);
    const transactionId = ids();
    edgeMs -= backMs;
    const late = createTestWorker({
      clickhouse,
      redis: server.redis,
      keys,
      catalogue: CATALOGUE,
      clock: () => edgeMs + backMs + aheadMs,
    });
    const query = `token=${TOKEN}&transaction_id=${transactionId}&conv_status=hold`;
    const path = '/track/conv-change';
    const called = conversionHit(ids(), edgeMs, { endpoint: 'conv-change', path, query });
    expect((await late.ingest(conversionChunk('right-behind', [called]))).kind).toBe(kind);
  },
);

const JSON_TYPE = { contentType: 'application/json' } as const;
const body = (fields: object): Fields => ({
  endpoint: 'conv',
  query: '',
  body: JSON.stringify({ click_id: clickId, ...fields }),
  ...JSON_TYPE,
});

/** What something on the way could choke on: JSON, Lua's decoder, keys of Redis, SQL, tab-separated records. */
const POISON: readonly (readonly [name: string, make: () => Fields, verdict: number])[] = [
  ['half a character as order id', () => body({ adv_order_id: '\ud800' }), 0],
  ['half a character in a label', () => body({ adv_param1: 'x\udfff', sub_id1: '\udc00' }), 0],
  [
    'NUL as order id',
    () => ({ endpoint: 'conv', query: `click_id=${clickId}&adv_order_id=%00` }),
    0,
  ],
  ['NUL in a click id', () => ({ endpoint: 'conv', query: 'click_id=%00' }), 108],
  ['tabs and line ends', () => body({ adv_order_id: 'a\tb\r\n\\n\\t' }), 0],
  ['a bar, as Redis values have them', () => body({ adv_order_id: 'a|b|c' }), 0],
  ['quotes and a comment', () => body({ adv_order_id: `'); DROP TABLE postback_log; --` }), 0],
  [
    'a number no float holds',
    () => ({ ...body({}), body: `{"click_id":"${clickId}","adv_order_id":1e999}` }),
    0,
  ],
  ['a name of an object', () => body({ adv_order_id: '__proto__', track_id: 'constructor' }), 0],
  [
    'the name __proto__',
    () => ({ ...body({}), body: `{"__proto__":"x","click_id":"${clickId}"}` }),
    0,
  ],
  ['an order id of 60 KiB', () => body({ adv_order_id: 'x'.repeat(60_000) }), 0],
  [
    'the largest amount',
    () => body({ amount: '99999999999999.9999', token: TOKEN, payout: '99999999999999.9999' }),
    0,
  ],
  ['an amount of one digit too many', () => body({ amount: '100000000000000' }), 120],
  ['a nested body', () => ({ ...body({}), body: '{"a":[[[[{}]]]]}' }), 120],
  ['a deep body', () => ({ ...body({}), body: `${'['.repeat(30_000)}${']'.repeat(30_000)}` }), 120],
  ['a body that is no UTF-8', () => ({ ...body({}), body: '//4A', bodyIsBase64: true }), 120],
  ['an impossible address', () => ({ ...body({}), ip: 'not an address' }), 0],
  ['an IPv6 address', () => ({ ...body({}), ip: '2001:db8::1' }), 0],
  [
    'a user agent of odd bytes',
    () => ({ ...body({}), userAgent: '\u0000\ufffe\ud83d\ude00', referer: '\\' }),
    0,
  ],
  [
    'broken percent signs',
    () => ({ endpoint: 'conv', query: `click_id=${clickId}&sub_id1=%zz&%=%` }),
    0,
  ],
  [
    'an id beyond UInt32',
    () => ({ endpoint: 'conv', query: `click_id=${clickId}&offer_id=99999999999` }),
    105,
  ],
  [
    'an unknown endpoint',
    () => ({ endpoint: 'unknown', query: 'x', path: `/track/${'y'.repeat(2_000)}` }),
    120,
  ],
  [
    'a code of odd letters',
    () => ({ endpoint: 'promo', query: 'code=%C4%B0%00%F0%9F%98%80' }),
    111,
  ],
];

test.each(POISON)('poison: %s, between healthy calls', async (_, make, verdict) => {
  // As the spool gives it back: the record's way is part of the test.
  const poison = decodeHit(encodeHit(hit(make())));
  if (poison.endpoint === 'click') throw new Error('no conversion');
  const hits = [
    create('&adv_order_id=before'),
    poison,
    create('&adv_order_id=after'),
    hit({ endpoint: 'promo', query: 'code=OTHER&track_id=t1' }),
  ];
  await deliver('poison', hits);
  expect((await rowsOf(hits)).map((row) => row?.verdict_code)).toEqual([0, verdict, 0, 0]);
});

test('poison is judged alike when the state of the gate is lost and rebuilt from the log', async () => {
  const odd = ['a|b', '\ud800', '\0', 'x'.repeat(60_000), '"\\', '\t'];
  const hits = odd.map((adv_order_id) => hit(body({ adv_order_id })));
  await deliver('first', hits);
  const lost = await server.redis.keys(`{${keys.prefix}:l:*`);
  expect(lost.length).toBeGreaterThan(0);
  await server.redis.del(...lost);
  const again = odd.map((adv_order_id) => hit(body({ adv_order_id })));
  await deliver('second', again);
  const rows = await rowsOf([...hits, ...again]);
  expect(rows.map((row) => row?.verdict_code)).toEqual([
    ...odd.map(() => 0),
    ...odd.map(() => 122),
  ]);
});
