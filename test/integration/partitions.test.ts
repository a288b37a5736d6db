/**
 * The partition of a block follows from what its token names, so that two who write it at once write it once, whatever their
 * clocks say; and a database whose logs were split by the time of writing gets them carried over.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { migrate } from '../../clickhouse/migrate.ts';
import { repartition } from '../../clickhouse/partitions.ts';
import { applyRetention } from '../../clickhouse/retention.ts';
import { createClickIdCodec } from '../../src/domain/click-id.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { catalogue, goal, NO_CAPS, TEST_KEY } from '../support/catalogue.ts';
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

const CATALOGUE = catalogue({
  goals: [goal({ multiple_conversions: true, caps: { ...NO_CAPS, total: 1 } })],
});
const MONTH_END = Date.parse('2026-06-30T23:59:59.900Z');
const MONTH_START = Date.parse('2026-07-01T00:00:00.100Z');
const ROUNDS = 10;

let server: TestRedis;
let database: TestClickHouse;
let clickhouse: ClickHouse;
beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
  ({ clickhouse } = database);
}, 120_000);
afterAll(async () => {
  await Promise.all([server.close(), database.close()]);
});

/** Two workers, one of which is in the next month already. */
function workersAtMonthsEnd(name: string): readonly TestWorker[] {
  const keys = createRedisKeys(name);
  return [MONTH_END, MONTH_START].map((now) =>
    createTestWorker({
      clickhouse,
      redis: server.redis,
      keys,
      catalogue: CATALOGUE,
      clock: () => now,
    }),
  );
}

it('stores a chunk of clicks once that two workers write at once on either side of a month’s end', async () => {
  const workers = workersAtMonthsEnd('partitions-clicks');
  const codec = createClickIdCodec([TEST_KEY]);
  const ids = createHitIds(() => MONTH_END);
  const stored: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const at = MONTH_END - 5_000 + round;
    const hits = Array.from({ length: 2_000 }, (_, n) =>
      clickHit(ids(), codec.mint(at, 16, 0, n), 16, at),
    );
    const chunk = clickChunk(`0-${at}-${round}-c`, hits);
    await Promise.all(workers.map((worker) => worker.clicks.storeChunk(chunk, codec)));
    const [row] = await clickhouse.query<{ rows: number }>(
      'SELECT count() AS rows FROM click_log WHERE chunk_id = {id:String}',
      { id: chunk.header.chunkId },
    );
    stored.push(row?.rows ?? 0);
  }
  expect(stored).toEqual(stored.map(() => 2_000));
}, 120_000);

it('gives a position of a lane to one block, and overshoots no cap, when two workers write it at once on either side of a month’s end', async () => {
  const seen: { blocks: number; accepted: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await clickhouse.command('TRUNCATE TABLE postback_log');
    const workers = workersAtMonthsEnd(`partitions-lane-${round}`);
    const at = MONTH_END - 1_000 + round;
    const ids = createHitIds(() => at);
    const chunks = workers.map((_, number) =>
      conversionChunk(
        `${number}-${round}`,
        Array.from({ length: 500 }, () => conversionHit(ids(), at, { query: 'code=PROMO22' })),
      ),
    );
    await Promise.all(workers.map((worker, n) => worker.ingest(chunks[n] ?? expect.fail())));
    const [row] = await clickhouse.query<{ blocks: number; accepted: number }>(
      `SELECT uniqExact(writer) - uniqExact(lane, position) + 1 AS blocks, countIf(verdict_code = 0) AS accepted FROM postback_log`,
    );
    if (row !== undefined) seen.push(row);
  }
  expect(seen).toEqual(Array.from({ length: ROUNDS }, () => ({ blocks: 1, accepted: 1 })));
}, 120_000);

describe('a database whose logs were split by the time of writing', () => {
  const BEFORE = [
    [
      'click_log',
      'toYYYYMM(block_time), ignore(chunk_time, click_time, hit_time)',
      'toYYYYMM(chunk_time), ignore(block_time, click_time, hit_time)',
    ],
    [
      'postback_log',
      'toYYYYMM(block_time), ignore(lane, position, chunk_time, hit_time)',
      'toUInt32(sqrt(intDiv(position, 1000))), ignore(lane, chunk_time, hit_time, block_time)',
    ],
  ] as const;
  const RULES = { clicksDays: 400, invalidDays: 400, affiliatePostbacksDays: null };

  const definition = async (table: string): Promise<string> => {
    const [row] = await clickhouse.query<{ statement: string }>(`SHOW CREATE TABLE ${table}`);
    return row?.statement ?? '';
  };

  /** Every column of every row that retention keeps, those that are materialized too. */
  async function content(table: string): Promise<unknown> {
    const [row] = await clickhouse.query(
      `SELECT count() AS rows, groupBitXor(cityHash64(*)) AS hash, sum(cityHash64(*)) AS sum FROM ${table} WHERE hit_id != 'expired'
       SETTINGS asterisk_include_materialized_columns = 1`,
    );
    return row;
  }

  /** As it was: the shape of before, and rows of several months in several parts, two of them equal blocks. */
  async function makeBefore(clicksADay: number, days: readonly number[]): Promise<void> {
    for (const [table, before, after] of BEFORE) {
      const made = (await definition(table)).replace(`(${after})`, `(${before})`);
      await clickhouse.command(`DROP TABLE ${table} SYNC`);
      await clickhouse.command(made);
    }
    for (const day of days) {
      await clickhouse.command(
        `INSERT INTO click_log (hit_id, hit_time, click_id, click_time, offer_id, ip, sub_id1, chunk_id, chunk_time, block_time)
         SETTINGS insert_deduplicate = 0
         SELECT toString(number), chunk_time, toString(number), chunk_time, number % 7, '203.0.113.9', 'ü☕', 'c${day}',
           now() - INTERVAL ${day} DAY AS chunk_time, chunk_time + INTERVAL number % 3 DAY FROM numbers(${clicksADay})`,
      );
      await clickhouse.command(
        `INSERT INTO postback_log (lane, position, block_row, hit_id, hit_time, row_kind, payout, chunk_id, chunk_time, block_time)
         SETTINGS insert_deduplicate = 0
         SELECT number % 2, 1 + number * 20, 0, toString(number), chunk_time, 'invalid', if(number % 2, NULL, 5.25), 'p${day}',
           now() - INTERVAL ${day} DAY AS chunk_time, chunk_time FROM numbers(1000)`,
      );
    }
    await clickhouse.command(
      "INSERT INTO click_log (hit_id, chunk_time, block_time) SELECT 'expired', now(), now() - INTERVAL 500 DAY",
    );
    for (const [kind, id] of [
      ['invalid', 'expired'],
      ['conversion', 'kept'],
    ])
      await clickhouse.command(
        `INSERT INTO postback_log (position, row_kind, hit_id, block_time) SELECT 1, '${kind}', '${id}', now() - INTERVAL 500 DAY`,
      );
  }

  const leftovers = () =>
    clickhouse.query(
      "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE '%moving%'",
    );

  const all = async (what: (table: string) => Promise<unknown>): Promise<readonly unknown[]> => [
    await what('click_log'),
    await what('postback_log'),
  ];

  async function expectCarriedOver(made: readonly unknown[], rows: readonly unknown[]) {
    const expected = made.map((statement, index) => {
      const [, was, is] = BEFORE[index] ?? expect.fail();
      expect(statement).toContain(`PARTITION BY (${was})\n`);
      return String(statement).replace(was, is);
    });
    expect(await all(definition)).toEqual(expected);
    expect(await all(content)).toEqual(rows);
    expect(await leftovers()).toEqual([]);
  }

  it('keeps every row, and all of its shape but the partitions; retention goes on', async () => {
    await makeBefore(1_300, [0, 0, 40]);
    await applyRetention(clickhouse, RULES);
    const made = await all(definition);
    const rows = await all(content);
    const told: string[] = [];
    const moved = await repartition(clickhouse, (what) => void told.push(what), 1_000);
    expect(moved).toEqual(['click_log', 'postback_log']);
    expect(told).toEqual([
      'click_log: copying 3901 rows into new partitions',
      'postback_log: copying 3002 rows into new partitions',
    ]);
    await expectCarriedOver(made, rows);
    expect(await migrate(clickhouse)).toEqual({ applied: [] });

    expect(await applyRetention(clickhouse, RULES)).toEqual([]);
    for (const table of ['click_log', 'postback_log'])
      await clickhouse.command(`OPTIMIZE TABLE ${table} FINAL`);
    const expired = (table: string) =>
      clickhouse.query(`SELECT hit_id FROM ${table} WHERE hit_id = 'expired'`);
    expect(await all(expired)).toEqual([[], []]);
    expect(await all(content)).toEqual(rows);
  }, 120_000);

  it('is carried over by the next start when one was killed at any moment of it', async () => {
    // From the first statement that moves click_log to the first that moves postback_log.
    for (let statements = 4; statements <= 13; statements++) {
      await makeBefore(10, [0]);
      const made = await all(definition);
      const rows = await all(content);
      let sent = 0;
      const dying: ClickHouse = {
        ...clickhouse,
        async command(...statement) {
          if (sent >= statements) throw new Error('killed');
          sent += 1;
          await clickhouse.command(...statement);
          // It has landed, but nobody heard of it.
          if (sent === statements) throw new Error('killed');
        },
      };
      await expect(migrate(dying)).rejects.toThrow('killed');
      await migrate(clickhouse);
      await expectCarriedOver(made, rows);
    }
  }, 300_000);

  it('stays as it is when somebody writes meanwhile, and says so', async () => {
    await makeBefore(10, [0, 40]);
    const made = await all(definition);
    const written: ClickHouse = {
      ...clickhouse,
      async command(statement, parameters) {
        await clickhouse.command(statement, parameters);
        if (statement.includes('INSERT INTO click_log_moving'))
          await clickhouse.command(
            "INSERT INTO click_log (hit_id, block_time) SELECT 'late', now()",
          );
      },
    };
    await expect(migrate(written)).rejects.toMatchObject({
      code: 'MIGRATION_REFUSED',
      message: expect.stringContaining('stop every worker'),
    });
    expect(await all(definition)).toEqual(made);
    await clickhouse.command('OPTIMIZE TABLE click_log FINAL');

    const rows = await all(content);
    await migrate(clickhouse);
    await expectCarriedOver(made, rows);
  }, 60_000);
});
