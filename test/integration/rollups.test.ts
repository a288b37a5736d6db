/** The hourly roll-up counts every row, also one that is visible long after its block time or written under a clock that jumps. */
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { createRollups, LOOK_BACK_S } from '../../clickhouse/rollups.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';

const KEPT = { clicksDays: null, invalidDays: null, affiliatePostbacksDays: null };
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Longer than an insert may wait for its turn and run. */
const LATE_S = 58;

let database: TestClickHouse;
let clickhouse: ClickHouse;
beforeAll(async () => {
  database = await startClickHouse();
  ({ clickhouse } = database);
}, 120_000);
afterAll(async () => {
  await database.close();
});
afterEach(async () => {
  vi.useRealTimers();
  for (const table of [
    'click_log',
    'postback_log',
    'statistics_hourly_rows',
    'statistics_hourly_generations',
  ])
    await clickhouse.command(`TRUNCATE TABLE ${table}`);
});

let paceMs = 0;
const rollups = (on = clickhouse) =>
  createRollups({ clickhouse: on, retention: KEPT, clock: () => (paceMs += HOUR_MS) });

/** Clicks of `hitMs`, whose block says that it was written at `blockMs`. */
async function insertClicks(count: number, hitMs: number, blockMs: number): Promise<void> {
  await clickhouse.command(
    `INSERT INTO click_log (hit_id, click_id, hit_time, click_time, offer_id, verdict_code, block_time)
     SELECT toString(generateUUIDv4()), toString(number), fromUnixTimestamp64Milli({hit:Int64}), fromUnixTimestamp64Milli({hit:Int64}), 5, 0, fromUnixTimestamp(intDiv({block:Int64}, 1000))
     FROM numbers(${count})`,
    { hit: hitMs, block: blockMs },
  );
}

async function insertCall(
  kind: 'conversion' | 'change',
  of: { transactionId: string; hitMs: number; blockMs: number; status: string },
): Promise<void> {
  await clickhouse.command(
    `INSERT INTO postback_log (row_kind, hit_id, transaction_id, hit_time, offer_id, conv_status, block_time)
     SELECT '${kind}', {id:String}, {id:String}, fromUnixTimestamp64Milli({hit:Int64}), 5, {status:String}, fromUnixTimestamp(intDiv({block:Int64}, 1000))`,
    { id: of.transactionId, hit: of.hitMs, block: of.blockMs, status: of.status },
  );
}

async function counted(column = 'clicks'): Promise<number> {
  const [row] = await clickhouse.query<{ counted: number }>(
    `SELECT sum(${column}) AS counted FROM statistics_hourly`,
  );
  return row?.counted ?? 0;
}

it('counts rows that come as long after their block time as an insert may take', async () => {
  const blockMs = Date.now() - LATE_S * 1_000;
  const hitMs = blockMs - 2 * HOUR_MS;
  await insertClicks(5, hitMs, blockMs);
  await rollups().round();
  expect(await counted()).toBe(5);

  await insertClicks(7, hitMs, blockMs);
  await rollups().round();
  expect(await counted()).toBe(12);
});

it('looks for rows that come late in hours that nothing else has touched, too', async () => {
  const now = Date.now();
  await insertClicks(1, now, now);
  await rollups().round();
  // The mark of that round is behind these.
  await insertClicks(7, now - 5 * HOUR_MS, now - LATE_S * 1_000);
  await rollups().round();
  expect(await counted()).toBe(8);
  expect(LOOK_BACK_S).toBeGreaterThan(2 * LATE_S);
});

it('goes on counting when a round was made under a clock a day ahead that was then put right', async () => {
  const now = Date.now();
  await insertClicks(5, now - HOUR_MS, now);
  vi.useFakeTimers({ toFake: ['Date'], now: now + DAY_MS });
  await rollups().round();
  vi.useRealTimers();
  expect(await counted()).toBe(5);

  await insertClicks(7, now - HOUR_MS, now);
  await insertClicks(7, now - 3 * HOUR_MS, now);
  await rollups().round();
  expect(await counted()).toBe(19);

  // Nor does what that round left behind come back into force when its time has come.
  await insertClicks(1, now - 4 * HOUR_MS, now);
  vi.useFakeTimers({ toFake: ['Date'], now: now + DAY_MS + 2 * LOOK_BACK_S * 1_000 });
  await rollups().round();
  vi.useRealTimers();
  expect(await counted()).toBe(20);
});

it('counts an hour once that two rounds compute at once under a clock that was put back', async () => {
  const now = Date.now();
  await insertClicks(5, now - HOUR_MS, now);
  vi.useFakeTimers({ toFake: ['Date'], now: now + DAY_MS });
  await rollups().round();
  vi.useRealTimers();
  await insertClicks(7, now - HOUR_MS, now);
  await Promise.all([rollups().round(), rollups().round()]);
  expect(await counted()).toBe(12);
});

it('counts a change in the hour of its transaction, where the id of that one has another', async () => {
  const hour = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - 2 * HOUR_MS;
  // The edge's clock was put back after it had made this id.
  const transactionId = createHitIds(() => hour + 20_000)();
  const hitMs = hour - 100_000;
  const longAgo = Date.now() - 2 * LOOK_BACK_S * 1_000;
  await insertCall('conversion', { transactionId, hitMs, blockMs: longAgo, status: 'approved' });
  await rollups().round();
  expect(await counted('approved')).toBe(1);

  const now = Date.now();
  await insertCall('change', { transactionId, hitMs: now, blockMs: now, status: 'rejected' });
  await rollups().round();
  expect([await counted('rejected'), await counted('approved')]).toEqual([1, 0]);
});

it('counts hours that surely lack rows before those that only may', async () => {
  // More hours than a round counts, and all of them may still get rows.
  await clickhouse.command(
    `INSERT INTO click_log (hit_id, click_id, hit_time, click_time, offer_id, verdict_code, block_time)
     SELECT toString(number), toString(number), now() - INTERVAL number HOUR, now(), 5, 0, now() FROM numbers(52)`,
  );
  await rollups().round();
  await rollups().round();
  expect(await counted()).toBe(52);
}, 120_000);
