/**
 * The hourly roll-up: hours that changed are recomputed from the base tables and replaced whole under a new
 * generation, never incremented, so they can't drift. Inserting the generation is the commit point.
 */
import { randomInt } from 'node:crypto';
import type { ClickHouse } from './client.ts';
import type { Retention } from './retention.ts';

/**
 * Rows may come so long after their block time: an insert waits up to 30 s for its turn and runs up to 25 (`insert.ts`), and
 * the clocks of workers differ. Until that is past, an hour is looked at again.
 */
const SETTLE_S = 120;
/** Hours a round; the oldest dirty ones first. */
const HOURS_A_ROUND = 48;
/** Rows that came before the last round in which every dirty hour was counted are not looked at again, but for so long. */
export const LOOK_BACK_S = 300;
/** The hour under which the generations hold that round's time: one without rows. */
export const MARK_HOUR_S = 0;
const DAY_S = 86_400;
/** Of two rounds that take the next generation of an hour at once, each takes its own. */
const GENERATION_STEP_MAX = 1_000;
const ROUND_MS = 10_000;
const REST_FACTOR = 30;
const PRUNE_EVERY_MS = 600_000;
/** A report that began before may still read an older generation. */
const PRUNE_AFTER_MS = 300_000;
const DIMENSIONS =
  'offer_id, goal_id, affiliate_id, advertiser_id, country, device, promo_code, currency, verdict_code';

/**
 * Hours with rows that their newest generation may lack; those that surely lack some come first. What was computed beyond now,
 * by a clock that has been put back, says nothing. A change dirties the hour of its transaction, which only that one's row
 * tells: the time in its id is another where an edge's clock stepped back.
 */
async function dirtyHours(clickhouse: ClickHouse, nowMs: number): Promise<number[]> {
  const computed =
    'argMaxIf(computed_at, generation, computed_at <= fromUnixTimestamp64Milli({now:Int64}))';
  const recentChanges = `FROM postback_log WHERE block_time >= since AND row_kind = 'change'`;
  const rows = await clickhouse.query<{ hour_s: number }>(
    `WITH toDateTime(greatest(0, (SELECT toUnixTimestamp(${computed})
       FROM statistics_hourly_generations WHERE hour = toDateTime(${MARK_HOUR_S})) - ${LOOK_BACK_S})) AS since
     SELECT toUnixTimestamp(hour) AS hour_s FROM (
       SELECT toStartOfHour(hit_time) AS hour, max(block_time) AS written FROM click_log
         WHERE block_time >= since GROUP BY hour
       UNION ALL
       SELECT toStartOfHour(hit_time) AS hour, max(block_time) AS written FROM postback_log
         WHERE block_time >= since AND row_kind != 'change' GROUP BY hour
       UNION ALL
       SELECT toStartOfHour(hit_time) AS hour, max(written) AS written
         FROM (SELECT transaction_id, hit_time FROM postback_log
           WHERE row_kind = 'conversion' AND transaction_id IN (SELECT transaction_id ${recentChanges})) AS created
         JOIN (SELECT transaction_id, max(block_time) AS written ${recentChanges} GROUP BY transaction_id) AS change USING (transaction_id)
         GROUP BY hour) AS touched
     LEFT JOIN (SELECT hour, ${computed} AS computed FROM statistics_hourly_generations GROUP BY hour) AS done USING (hour)
     GROUP BY hour HAVING max(written) + ${SETTLE_S} >= max(done.computed)
     ORDER BY max(written) >= max(done.computed) DESC, hour LIMIT ${HOURS_A_ROUND}`,
    { now: nowMs },
  );
  return rows.map(({ hour_s }) => hour_s);
}

/** What an hour's rows are computed from: the base tables, or, for rows that retention has removed, what was computed before. */
function sourceOf(kept: boolean, fromBase: string, columns: string): string {
  if (kept) return fromBase;
  return `SELECT ${DIMENSIONS}, ${columns} FROM statistics_hourly WHERE hour = fromUnixTimestamp({hour:Int64})`;
}

async function recomputeHour(
  clickhouse: ClickHouse,
  hourS: number,
  retention: Retention,
): Promise<void> {
  const computedAtMs = Date.now();
  const generation = await nextGeneration(clickhouse, hourS, computedAtMs);
  const parameters = { hour: hourS, generation };
  const isKept = (days: number | null): boolean =>
    days === null || hourS > computedAtMs / 1000 - days * DAY_S + DAY_S;
  const within =
    'hit_time >= fromUnixTimestamp({hour:Int64}) AND hit_time < fromUnixTimestamp({hour:Int64} + 3600)';
  const status = (name: string): string => `countIf(conv_status = '${name}')`;
  await clickhouse.command(
    `INSERT INTO statistics_hourly_rows
     SELECT fromUnixTimestamp({hour:Int64}), {generation:UInt64}, ${DIMENSIONS},
       sum(clicks), sum(invalid_clicks), sum(conversions), sum(approved), sum(pending), sum(rejected), sum(hold), sum(invalid_traffic), sum(payout), sum(revenue)
     FROM (
       ${sourceOf(
         isKept(retention.clicksDays),
         `SELECT offer_id, 0 AS goal_id, affiliate_id, advertiser_id, country, device, '' AS promo_code, '' AS currency, verdict_code,
         countIf(verdict_code = 0) AS clicks, countIf(verdict_code != 0) AS invalid_clicks, 0 AS conversions, 0 AS approved, 0 AS pending,
         0 AS rejected, 0 AS hold, 0 AS invalid_traffic, toDecimal128(0, 4) AS payout, toDecimal128(0, 4) AS revenue
       FROM click_log WHERE ${within} GROUP BY ${DIMENSIONS}`,
         'clicks, invalid_clicks, 0 AS conversions, 0 AS approved, 0 AS pending, 0 AS rejected, 0 AS hold, 0 AS invalid_traffic, toDecimal128(0, 4) AS payout, toDecimal128(0, 4) AS revenue',
       )}
       UNION ALL
       SELECT ${DIMENSIONS}, 0, 0, count(), ${status('approved')}, ${status('pending')}, ${status('rejected')}, ${status('hold')}, 0,
         toDecimal128(sum(ifNull(t.payout, 0)), 4), toDecimal128(sum(ifNull(t.revenue, 0)), 4)
       FROM transactions AS t WHERE ${within} GROUP BY ${DIMENSIONS}
       UNION ALL
       ${sourceOf(
         isKept(retention.invalidDays),
         `SELECT ${DIMENSIONS}, 0, 0, 0, 0, 0, 0, 0, count(), toDecimal128(0, 4), toDecimal128(0, 4)
       FROM invalid_traffic WHERE ${within} GROUP BY ${DIMENSIONS}`,
         '0, 0, 0, 0, 0, 0, 0, invalid_traffic, toDecimal128(0, 4), toDecimal128(0, 4)',
       )}
     ) GROUP BY ${DIMENSIONS}`,
    parameters,
  );
  await commitGeneration(clickhouse, { hourS, generation, computedAtMs });
}

/** The time, but past every generation of the hour: one that a clock made which was ahead would count for as long as it was. */
async function nextGeneration(
  clickhouse: ClickHouse,
  hourS: number,
  nowMs: number,
): Promise<number> {
  const [row] = await clickhouse.query<{ newest: number }>(
    'SELECT max(generation) AS newest FROM statistics_hourly_generations WHERE hour = fromUnixTimestamp({hour:Int64})',
    { hour: hourS },
  );
  const newest = row?.newest ?? 0;
  return nowMs > newest ? nowMs : newest + 1 + randomInt(GENERATION_STEP_MAX);
}

async function commitGeneration(
  clickhouse: ClickHouse,
  of: { readonly hourS: number; readonly generation: number; readonly computedAtMs: number },
): Promise<void> {
  await clickhouse.command(
    'INSERT INTO statistics_hourly_generations SELECT fromUnixTimestamp({hour:Int64}), {generation:UInt64}, fromUnixTimestamp64Milli({computed:Int64})',
    { hour: of.hourS, generation: of.generation, computed: of.computedAtMs },
  );
}

/** Says that every row written before was counted, but for those that may still come. */
async function setMark(clickhouse: ClickHouse, lookedAtMs: number): Promise<void> {
  const generation = await nextGeneration(clickhouse, MARK_HOUR_S, lookedAtMs);
  await commitGeneration(clickhouse, { hourS: MARK_HOUR_S, generation, computedAtMs: lookedAtMs });
}

/** Removes generations that nothing reads any more; the newest of each hour stays. */
async function pruneGenerations(clickhouse: ClickHouse): Promise<void> {
  const stale =
    '(hour, generation) NOT IN (SELECT hour, max(generation) FROM statistics_hourly_generations GROUP BY hour)';
  const old = `generation < ${Date.now() - PRUNE_AFTER_MS}`;
  await clickhouse.command(`DELETE FROM statistics_hourly_rows WHERE ${old} AND ${stale}`);
  await clickhouse.command(`DELETE FROM statistics_hourly_generations WHERE ${old} AND ${stale}`);
}

/** Keeps the roll-up up to date: call `round` as often as you like, it does what is due. Safe to run twice at once. */
export function createRollups(deps: {
  readonly clickhouse: ClickHouse;
  readonly retention: Retention;
  readonly clock: () => number;
}) {
  const { clickhouse, retention, clock } = deps;
  let nextRoundMs = 0;
  let nextPruneMs = 0;
  return {
    async round(): Promise<void> {
      const began = clock();
      if (began < nextRoundMs) return;
      const lookedAtMs = Date.now();
      const hours = await dirtyHours(clickhouse, lookedAtMs);
      for (const hour of hours) await recomputeHour(clickhouse, hour, retention);
      // Not before all are counted: the others would be out of sight.
      if (hours.length > 0 && hours.length < HOURS_A_ROUND) await setMark(clickhouse, lookedAtMs);
      // At high volume an hour takes long to count: most of the time belongs to the inserts.
      nextRoundMs = clock() + Math.max(ROUND_MS, REST_FACTOR * (clock() - began));
      if (began < nextPruneMs) return;
      nextPruneMs = began + PRUNE_EVERY_MS;
      await pruneGenerations(clickhouse);
    },
  };
}
export type Rollups = ReturnType<typeof createRollups>;
