/**
 * A change that names its transaction, in a chunk of two lanes of which one was committed and the other was not: between
 * two deliveries the transaction is stored, which tells another lane than before. Each call is one row all the same.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { hashToken } from '../../src/domain/judge/call.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import { createRedisKeys, type RedisKeys } from '../../src/redis/keys.ts';
import { advertiser, catalogue, goal, offer, promoCode } from '../support/catalogue.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import { conversionChunk, conversionHit, createTestWorker } from '../support/test-worker.ts';

let server: TestRedis;
let database: TestClickHouse;
let clickhouse: ClickHouse;
let keys: RedisKeys;
let tests = 0;

beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
  clickhouse = database.clickhouse;
}, 120_000);
afterAll(async () => {
  await Promise.all([server.close(), database.close()]);
});
beforeEach(async () => {
  keys = createRedisKeys(`change-lanes-${process.pid}-${++tests}`);
  await clickhouse.command('TRUNCATE TABLE postback_log');
});

// Offer 16 is of lane 0, as are calls that match no offer; offer 17 of lane 1.
const CATALOGUE = catalogue({
  advertisers: [advertiser({ token: hashToken('s3cret') })],
  offers: [16, 17].map((id) => offer({ id })),
  goals: [16, 17].map((id) => goal({ id: id * 10, offer_id: id, multiple_conversions: true })),
  promo_codes: [16, 17].map((id) => promoCode({ id, code: `C${id}`, offer_id: id, sequence: id })),
});
/** Long ago for a transaction that is still on its way. */
const THEN = Date.now() - 60_000;

const converts = (hitId: string, code: string) =>
  conversionHit(hitId, THEN, { query: `code=${code}` });
const changes = (hitId: string, transactionId: string, more = '') =>
  conversionHit(hitId, THEN + 1, {
    endpoint: 'conv-change',
    path: '/track/conv-change',
    query: `transaction_id=${transactionId}&conv_status=rejected&token=s3cret${more}`,
  });

/** Delivers a chunk to a worker that can't write one of the lanes, then its transactions, then the chunk again, twice. */
async function deliver(
  lost: number,
  hits: Parameters<typeof conversionChunk>[1],
  transactions: Parameters<typeof conversionChunk>[1],
): Promise<Record<string, { lane: number; verdict: string }[]>> {
  const mixed = conversionChunk('1-mixed', hits);
  const failing: ClickHouse = {
    ...clickhouse,
    insert: (sql, ...rest) =>
      sql.includes(`insert_deduplication_token='${lost}:`)
        ? Promise.reject(new Error('killed here'))
        : clickhouse.insert(sql, ...rest),
  };
  const deps = { redis: server.redis, keys, catalogue: CATALOGUE };
  await expect(createTestWorker({ ...deps, clickhouse: failing }).ingest(mixed)).rejects.toThrow();
  const second = createTestWorker({ ...deps, clickhouse });
  await second.ingest(conversionChunk('0-late', transactions));
  await second.ingest(mixed);
  await second.ingest(mixed);
  const rows = await clickhouse.query<{ hit_id: string; lane: number; verdict: string }>(
    `SELECT hit_id, lane, verdict FROM postback_log WHERE chunk_id = '1-mixed'`,
  );
  const byHit: Record<string, { lane: number; verdict: string }[]> = {};
  for (const { hit_id: id, lane, verdict } of rows) (byHit[id] ??= []).push({ lane, verdict });
  return byHit;
}

test.each([
  ['its own lane', 0],
  ['the other one', 1],
])('the first delivery lost %s', async (_, lost) => {
  const ids = createHitIds(() => THEN);
  const [transaction, other, change] = [ids(), ids(), ids()];
  const rows = await deliver(
    lost,
    [converts(other, 'C17'), changes(change, transaction)],
    [converts(transaction, 'C17')],
  );
  expect(rows).toEqual({
    [other]: [{ lane: 1, verdict: 'accepted' }],
    [change]: [{ lane: 0, verdict: 'transaction_not_found' }],
  });
});

test('two changes that would change places: none is stored twice, none never', async () => {
  const ids = createHitIds(() => THEN);
  const [of16, of17, first, second] = [ids(), ids(), ids(), ids()];
  const rows = await deliver(
    1,
    [changes(first, of17), changes(second, of16, '&offer_id=17')],
    [converts(of16, 'C16'), converts(of17, 'C17')],
  );
  expect(rows).toEqual({
    [first]: [{ lane: 0, verdict: 'transaction_not_found' }],
    [second]: [{ lane: 1, verdict: 'transaction_not_found' }],
  });
});

test('a change whose transaction is stored in time changes it, in its lane, however often it is delivered', async () => {
  const ids = createHitIds(() => THEN);
  const [transaction, change] = [ids(), ids()];
  const worker = createTestWorker({ clickhouse, redis: server.redis, keys, catalogue: CATALOGUE });
  await worker.ingest(conversionChunk('0-first', [converts(transaction, 'C17')]));
  const chunk = conversionChunk('1-change', [changes(change, transaction)]);
  await worker.ingest(chunk);
  await worker.ingest(chunk);
  expect(
    await clickhouse.query(
      `SELECT lane, verdict, toString(row_kind) AS row_kind FROM postback_log WHERE chunk_id = '1-change'`,
    ),
  ).toEqual([{ lane: 1, verdict: 'accepted', row_kind: 'change' }]);
});
