/**
 * The log of verdicts under attack: racing workers, repeated and permuted deliveries, lost answers, burned tokens, rows
 * that ClickHouse refuses, and a Redis that loses everything in between (invariants 3 to 6 and 9).
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { AppError } from '../../src/domain/app-error.ts';
import type { Chunk } from '../../src/domain/hit.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import { FULL_IPS } from '../../src/domain/ip-storage.ts';
import { createRedisKeys, type RedisKeys } from '../../src/redis/keys.ts';
import { createLaneLog, type LoggedPage } from '../../workers/gate/lane-log.ts';
import { catalogue, goal, NO_CAPS, offer, promoCode } from '../support/catalogue.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import {
  clickChunk,
  clickHit,
  conversionChunk,
  conversionHit,
  createTestWorker,
} from '../support/test-worker.ts';
import { createClickIdCodec } from '../../src/domain/click-id.ts';

const CAP = 37;
const OFFERS = [4, 5, 6, 7];
const NOW = Date.parse('2026-06-15T12:00:00Z');

const CATALOGUE = catalogue({
  offers: OFFERS.map((id) => offer({ id })),
  goals: OFFERS.map((offerId) =>
    goal({
      id: offerId * 10,
      offer_id: offerId,
      multiple_conversions: true,
      unique_order_id: true,
      caps: { ...NO_CAPS, daily: CAP },
    }),
  ),
  promo_codes: OFFERS.map((offerId, index) =>
    promoCode({ id: index + 1, code: `CODE${offerId}`, offer_id: offerId, sequence: index + 1 }),
  ),
});

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
beforeEach(() => {
  tests += 1;
  keys = createRedisKeys(`lanes-${process.pid}-${tests}`);
});
afterEach(async () => {
  await clickhouse.command('TRUNCATE TABLE postback_log');
});

const worker = (through: ClickHouse = clickhouse) =>
  createTestWorker({ clickhouse: through, redis: server.redis, keys, catalogue: CATALOGUE });

function chunksOf(count: number, hitsEach: number, prefix: string): Chunk[] {
  const hitIds = createHitIds(() => NOW);
  return Array.from({ length: count }, (_, at) => {
    const hits = Array.from({ length: hitsEach }, (__, n) => {
      const offer = OFFERS[(at + n) % OFFERS.length] ?? 4;
      // Every fifth order id was used before.
      const order = n % 5 === 4 ? `o-${at}-${n - 4}` : `o-${at}-${n}`;
      return conversionHit(hitIds(), NOW + at, {
        query: `code=CODE${offer}&adv_order_id=${order}`,
      });
    });
    return conversionChunk(`${prefix}-${at}`, hits);
  });
}

interface Totals {
  readonly hits: number;
  readonly rows: number;
  readonly positions: number;
  readonly last: number;
}

async function totals(lane: number): Promise<Totals | undefined> {
  const rows = await clickhouse.query<Totals>(
    `SELECT uniqExact(hit_id) AS hits, count() AS rows, uniqExact(position) AS positions, max(position) AS last
     FROM postback_log WHERE lane = ${lane}`,
  );
  return rows[0];
}

async function acceptedByOffer(): Promise<Record<string, number>> {
  const rows = await clickhouse.query<{ offer_id: number; accepted: number }>(
    'SELECT offer_id, countIf(verdict_code = 0) AS accepted FROM postback_log GROUP BY offer_id ORDER BY offer_id',
  );
  return Object.fromEntries(rows.map(({ offer_id, accepted }) => [String(offer_id), accepted]));
}

async function expectWholeLog(hits: number): Promise<void> {
  const lanes = await Promise.all([0, 1, 2, 3].map(totals));
  expect(lanes.reduce((sum, lane) => sum + (lane?.rows ?? 0), 0)).toBe(hits);
  for (const lane of lanes) {
    expect(lane?.rows).toBe(lane?.hits);
    expect(lane?.positions).toBe(lane?.last);
  }
}

it('keeps one row a hit and the cap exact when four workers race over every chunk three times', async () => {
  const chunks = chunksOf(40, 25, 'race');
  const workers = [worker(), worker(), worker(), worker()];
  const deliveries = [...chunks, ...chunks.toReversed(), ...chunks].map((chunk, index) => ({
    chunk,
    by: workers[(index * 7) % workers.length] ?? worker(),
  }));
  await Promise.all(deliveries.map(({ chunk, by }) => by.ingest(chunk)));
  await expectWholeLog(40 * 25);
  expect(await acceptedByOffer()).toEqual({ 4: CAP, 5: CAP, 6: CAP, 7: CAP });
}, 120_000);

it('goes on exactly where it was when Redis is emptied between chunks', async () => {
  const chunks = chunksOf(20, 20, 'flush');
  const one = worker();
  for (const [at, chunk] of chunks.entries()) {
    await one.ingest(chunk);
    if (at % 4 !== 3) continue;
    const lost = await server.redis.keys(`{${keys.prefix}:l:*`);
    if (lost.length > 0) await server.redis.del(...lost);
  }
  await expectWholeLog(20 * 20);
  expect(await acceptedByOffer()).toEqual({ 4: CAP, 5: CAP, 6: CAP, 7: CAP });
}, 120_000);

it('reads a log in pages of any size to the same events, positions whole', async () => {
  const one = worker();
  for (const [at, hits] of [1, 40, 1, 1, 60, 3].entries())
    for (const chunk of chunksOf(1, hits, `page-${at}`)) await one.ingest(chunk);
  const read = async (rowsAPage: number): Promise<readonly LoggedPage[]> => {
    const log = createLaneLog(clickhouse, 0, FULL_IPS, rowsAPage);
    const last = await log.lastPosition();
    const pages: LoggedPage[] = [];
    for (let from = 0; from < last; from = pages.at(-1)?.upTo ?? last)
      pages.push(await log.eventsAfter(from, last));
    return pages;
  };
  const whole = await read(10_000);
  expect(whole).toHaveLength(1);
  const events = whole.flatMap((page) => page.events);
  expect(events.length).toBeGreaterThan(20);
  for (const rowsAPage of [1, 2, 5, 15]) {
    const pages = await read(rowsAPage);
    expect(pages.length).toBeGreaterThan(1);
    expect(pages.flatMap((page) => page.events)).toEqual(events);
    for (const [index, page] of pages.entries())
      for (const { position } of page.events) {
        expect(position).toBeLessThanOrEqual(page.upTo);
        expect(position).toBeGreaterThan(pages[index - 1]?.upTo ?? 0);
      }
  }
}, 120_000);

it('writes one row a hit when an insert lands but its answer is lost', async () => {
  let lost = 0;
  const deaf: ClickHouse = {
    ...clickhouse,
    async insert(sql, data, parameters) {
      await clickhouse.insert(sql, data, parameters);
      lost += 1;
      if (lost % 2 === 1) throw new AppError('CLICKHOUSE_UNAVAILABLE', 'the answer was lost');
    },
  };
  const chunks = chunksOf(6, 10, 'lost');
  const one = worker(deaf);
  for (const chunk of chunks) await one.ingest(chunk);
  expect(lost).toBeGreaterThan(0);
  await expectWholeLog(60);
});

it('goes on under the next token when a kill burned one', async () => {
  // Seen from outside, a burned token is an insert that reports success and writes nothing, however often it is repeated.
  const burned: ClickHouse = {
    ...clickhouse,
    insert: (sql, data, parameters) =>
      /'[0-3]:1#[01]'/.test(sql) ? Promise.resolve() : clickhouse.insert(sql, data, parameters),
  };
  const [chunk] = chunksOf(1, 8, 'burned');
  if (chunk === undefined) throw new Error('no chunk');
  await worker(burned).ingest(chunk);
  await expectWholeLog(8);
});

it('stores a row that ClickHouse refuses as malformed, and the rest of its chunk as judged', async () => {
  const [chunk] = chunksOf(1, 8, 'refused');
  if (chunk === undefined) throw new Error('no chunk');
  let refusals = 0;
  const strict: ClickHouse = {
    ...clickhouse,
    // A value that judging let through and the column's type does not hold: here the lane, the first of every row.
    insert: (sql, data, parameters) =>
      clickhouse
        .insert(sql, data.replace(/^\[\d+(?=.*"CODE6")/m, '["no lane"'), parameters)
        .catch((error: unknown) => {
          refusals += 1;
          throw error;
        }),
  };
  await worker(strict).ingest(chunk);
  expect(refusals).toBeGreaterThan(0);
  await expectWholeLog(8);
  const rows = await clickhouse.query<{ verdict: string; detail: string; query: string }>(
    "SELECT verdict, detail, query FROM postback_log WHERE verdict = 'malformed'",
  );
  expect(rows).toHaveLength(2);
  expect(rows[0]?.detail).toContain('could not be stored as judged');
  expect(rows[0]?.query).toContain('CODE6');
  expect(await acceptedByOffer()).toMatchObject({ 4: 1, 5: 2, 7: 2 });
});

it('lets a live chunk wait for one block with calls of a batch, and for no second one', async () => {
  const hitIds = createHitIds(() => NOW);
  const chunkOf = (name: string, calls: number): Chunk =>
    conversionChunk(
      name,
      Array.from({ length: calls }, (_, n) =>
        conversionHit(hitIds(), NOW, { query: `code=CODE4&adv_order_id=${name}-${n}` }),
      ),
    );
  const ofBatch = (name: string): Chunk => {
    const { header, hits } = chunkOf(name, 3_000);
    const batch = {
      batchId: name,
      advertiserId: 0,
      kind: 'postbacks',
      author: '',
      suppressPostbacks: false,
    } as const;
    return { header: { ...header, batch }, hits };
  };
  let letGo = (): void => undefined;
  const held = new Promise<void>((resolve) => (letGo = resolve));
  let sawInsert = (): void => undefined;
  const inserting = new Promise<void>((resolve) => (sawInsert = resolve));
  const waiting = new Set(['batch-2', 'batch-3', 'live']);
  const busy = createTestWorker({
    clickhouse: {
      ...clickhouse,
      insert: (sql, data, parameters) => {
        sawInsert();
        return held.then(() => clickhouse.insert(sql, data, parameters));
      },
    },
    redis: server.redis,
    keys,
    catalogue: CATALOGUE,
    // The first block is on its way until all the others wait.
    onSubmit: (chunkId) => {
      waiting.delete(chunkId);
      if (waiting.size === 0) letGo();
    },
  });
  const first = busy.ingest(ofBatch('batch-1'));
  await inserting;
  const others = [ofBatch('batch-2'), ofBatch('batch-3'), chunkOf('live', 5)].map((chunk) =>
    busy.ingest(chunk),
  );
  await Promise.all([first, ...others]);
  const blocks = await clickhouse.query<{ chunks: string[] }>(
    'SELECT groupUniqArray(chunk_id) AS chunks FROM postback_log GROUP BY position ORDER BY position',
  );
  expect(blocks.map(({ chunks }) => chunks)).toEqual([
    ['batch-1'],
    ['live'],
    ['batch-2'],
    ['batch-3'],
  ]);
});

it('writes no row twice when a chunk comes again long after the deduplication window', async () => {
  const tables = ['postback_log', 'click_log'];
  const setWindow = async (blocks: number): Promise<void> => {
    for (const table of tables)
      await clickhouse.command(
        `ALTER TABLE ${table} MODIFY SETTING non_replicated_deduplication_window = ${blocks}`,
      );
  };
  await setWindow(2);
  try {
    const chunks = chunksOf(12, 8, 'window');
    const codec = createClickIdCodec(CATALOGUE.click_id_keys);
    const clicks = chunks.map((_, n) =>
      clickChunk(`0-${NOW + n}-${n}-c`, [
        clickHit(`click-${n}`, codec.mint(NOW + n, 4, 1, n), 4, NOW + n),
      ]),
    );
    for (const by of [worker(), worker()]) {
      for (const chunk of chunks) await by.ingest(chunk);
      for (const chunk of clicks) await by.clicks.storeChunk(chunk, codec);
    }
    await expectWholeLog(12 * 8);
    const [stored] = await clickhouse.query<{ n: number }>('SELECT count() AS n FROM click_log');
    expect(stored?.n).toBe(12);
  } finally {
    await setWindow(10_000);
    await clickhouse.command('TRUNCATE TABLE click_log');
  }
}, 120_000);

it('judges anew when the log has lost its last block behind a running worker', async () => {
  const through = worker();
  const chunks = chunksOf(3, 4, 'lost');
  for (const chunk of chunks) await through.ingest(chunk);
  const rows = (): Promise<unknown[]> =>
    clickhouse.query(
      'SELECT lane, position, hit_id, verdict, blocking_transaction_id FROM postback_log ORDER BY lane, position, hit_id',
    );
  const before = await rows();
  // As a ClickHouse that was restored from before it; the edge still has the chunk, and it comes again.
  await clickhouse.command(
    'ALTER TABLE postback_log DELETE WHERE position = 3 SETTINGS mutations_sync = 2',
  );
  expect(await rows()).not.toEqual(before);
  const [, , last] = chunks;
  if (last !== undefined) await through.ingest(last);
  expect(await rows()).toEqual(before);
});
