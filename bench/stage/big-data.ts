/**
 * Three months of stored rows, made inside ClickHouse: columns of a width and variety that real traffic has, so that
 * parts, marks and compression are those of a real table. Hours count as rolled up already.
 */
import { ClickHouseLogLevel, createClient } from '@clickhouse/client';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { MARK_HOUR_S } from '../../clickhouse/rollups.ts';
import { LANE_COUNT } from '../../src/domain/gate-request.ts';
import { askAgain, until, type Stack } from './stack.ts';

/** Rows a statement: bounds its memory. */
const ROWS_A_STATEMENT = 1_000_000;
const DAYS = 90;
const DAYS_MS = DAYS * 86_400_000;
const MERGED_MS = 900_000;

/** Rows that came one after the other are out of order by so much, as those of several edges are. */
const DISORDER_MS = 60_000;
/**
 * Spread over the days in the order of their numbers, as live rows come: a part then holds a stretch of time, and what asks
 * for a day opens the parts of that day. `number` decides, so a second run makes the same rows.
 */
const AGE_MS = `intDiv(({last:UInt64} - number) * ${DAYS_MS}, {last:UInt64} - {first:UInt64} + 1) + cityHash64(number, 1) % ${DISORDER_MS}`;
/** Blocks of a made lane; the live lanes' begin after them. */
const BLOCKS = 250;
const BLOCK_MS = Math.ceil((DAYS_MS + DISORDER_MS) / BLOCKS);

const PICK_TEXT = (options: readonly string[], salt: number): string =>
  `[${options.map((option) => `'${option}'`).join(', ')}][1 + cityHash64(number, ${salt}) % ${options.length}]`;

const TIME = `fromUnixTimestamp64Milli(toInt64({now:Int64} - ${AGE_MS}), 'UTC')`;
const UUID = (salt: number): string =>
  `concat(substring(hex(MD5(toString(number + ${salt}))), 1, 8), '-', substring(hex(MD5(toString(number))), 9, 4), '-7', substring(hex(MD5(toString(number))), 14, 3), '-8', substring(hex(MD5(toString(number))), 18, 3), '-', substring(hex(MD5(toString(number))), 21, 12))`;
const CLICK_ID = 'lower(hex(MD5(toString(number))))';
const USER_AGENT = PICK_TEXT(
  [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
    'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36',
  ],
  2,
);
const WHO = `toUInt32(1 + cityHash64(number, 3) % 50) AS offer_id, toUInt32(1 + cityHash64(number, 4) % 200) AS affiliate_id, toUInt32(1 + offer_id % 10) AS advertiser_id`;
const CLIENT = `concat('77.', toString(cityHash64(number, 5) % 256), '.', toString(cityHash64(number, 6) % 256), '.', toString(cityHash64(number, 7) % 256)) AS ip,
  ${USER_AGENT} AS user_agent, 'https://blog.example/best-running-shoes' AS referer, ${PICK_TEXT(['DE', 'AT', 'CH', 'US', 'GB', 'FR', 'PL'], 8)} AS country,
  ${PICK_TEXT(['desktop', 'mobile', 'tablet'], 9)} AS device, ${PICK_TEXT(['Windows', 'iOS', 'Android'], 10)} AS os, ${PICK_TEXT(['Chrome', 'Safari', 'Firefox'], 11)} AS browser`;

const CLICKS = `INSERT INTO click_log (hit_id, hit_time, click_id, click_time, offer_id, affiliate_id, advertiser_id, verdict_code, verdict, title,
  aff_click_id, sub_id1, sub_id2, source, ip, user_agent, referer, country, device, os, browser, method, path, query,
  chunk_id, chunk_time, chunk_hits, catalogue_version, block_time)
SELECT ${UUID(0)} AS hit_id, ${TIME} AS hit_time, ${CLICK_ID} AS click_id, hit_time AS click_time, ${WHO},
  0, 'accepted', 'Accepted', concat('ac-', toString(number)), ${PICK_TEXT(['newsletter', 'review', 'banner', 'social'], 12)},
  toString(cityHash64(number, 13) % 997), 'blog', ${CLIENT}, 'GET', '/click',
  concat('o=', toString(offer_id), '&a=', toString(affiliate_id), '&sub_id1=newsletter&aff_click_id=ac-', toString(number)),
  concat('0-', toString(intDiv(toUnixTimestamp64Milli(hit_time), 60)), '-c'), hit_time, 1000, 1, toDateTime(hit_time)
FROM numbers({from:UInt64}, {rows:UInt64}) SETTINGS max_execution_time=0, max_partitions_per_insert_block=0`;

const CALLS = `INSERT INTO postback_log (lane, position, block_row, writer, hit_id, hit_time, row_kind, endpoint, channel, transaction_id,
  click_id, click_time, offer_id, affiliate_id, advertiser_id, goal_id, verdict_code, verdict, title, detail, conv_status,
  payout, revenue, amount, currency, track_id, adv_order_id, sub_id1, ip, user_agent, referer, country, device, os, browser,
  method, path, query, chunk_id, chunk_time, chunk_hits, catalogue_version, block_time)
SELECT toUInt16(900 + offer_id % 4), ${BLOCKS} - intDiv(${AGE_MS}, ${BLOCK_MS}), number, 'bench', ${UUID(7)} AS hit_id, ${TIME} AS hit_time,
  'conversion', 'goal-by-click-id', 'postback', hit_id, ${CLICK_ID} AS click_id, hit_time, ${WHO}, offer_id + 100,
  0, 'accepted', 'Accepted', '', ${PICK_TEXT(['approved', 'pending', 'rejected'], 14)}, 5, 8, 49.9, 'EUR',
  concat('t-', toString(number)), concat('B-', toString(number)), 'newsletter', ${CLIENT}, 'GET', '/track/goal-by-click-id',
  concat('click_id=', click_id, '&amount=49.90&adv_order_id=B-', toString(number)),
  concat('0-', toString(intDiv(toUnixTimestamp64Milli(hit_time), 60)), '-t'), hit_time, 1000, 1, toDateTime(hit_time)
FROM numbers({from:UInt64}, {rows:UInt64}) SETTINGS max_execution_time=0, max_partitions_per_insert_block=0`;

/**
 * A block of each live lane, so that theirs that follow have higher positions than what was made, as they have in life:
 * positions grow with time, and parts and granules of what is old are passed over.
 */
const LANES_BEGIN = `INSERT INTO postback_log (lane, position, block_row, writer, hit_id, hit_time, row_kind, verdict_code, verdict, chunk_id, chunk_time, block_time)
SELECT number, ${BLOCKS + 1}, 0, 'bench', ${UUID(9)}, fromUnixTimestamp64Milli({now:Int64}, 'UTC') AS hit_time, 'invalid', 120, 'malformed', 'lanes-begin', hit_time, toDateTime(hit_time)
FROM numbers(${LANE_COUNT})`;

export async function addRows(
  clickhouse: ClickHouse,
  kind: 'clicks' | 'conversions',
  from: number,
  to: number,
  nowMs: number,
): Promise<void> {
  if (kind === 'conversions' && from === 0)
    await clickhouse.raw.command({ query: LANES_BEGIN, query_params: { now: nowMs } });
  for (let at = from; at < to; at += ROWS_A_STATEMENT) {
    const rows = Math.min(ROWS_A_STATEMENT, to - at);
    await clickhouse.raw.command({
      query: kind === 'clicks' ? CLICKS : CALLS,
      query_params: { from: at, rows, now: nowMs, first: from, last: to - 1 },
    });
  }
}

/** Says that every hour so far has been rolled up: the catch-up of three months is not what is measured. */
async function markRolledUp(clickhouse: ClickHouse, nowMs: number): Promise<void> {
  await clickhouse.command(
    `INSERT INTO statistics_hourly_generations
     SELECT toStartOfHour(fromUnixTimestamp(toInt64(intDiv({now:Int64}, 1000) - number * 3600))), {now:UInt64}, fromUnixTimestamp64Milli({now:Int64})
     FROM numbers(${DAYS * 24 + 2})
     UNION ALL SELECT toDateTime(${MARK_HOUR_S}, 'UTC'), {now:UInt64}, fromUnixTimestamp64Milli({now:Int64})`,
    { now: nowMs },
  );
}

/** No merge is seen in so many looks, one after the other. */
const QUIET_LOOKS = 3;

async function untilMerged(clickhouse: ClickHouse): Promise<void> {
  let quiet = 0;
  await until(
    'ClickHouse to merge what is stored',
    async () => {
      const [row] = await askAgain(() =>
        clickhouse.query<{ n: number }>('SELECT count() AS n FROM system.merges'),
      );
      quiet = row?.n === 0 ? quiet + 1 : 0;
      return quiet === QUIET_LOOKS;
    },
    MERGED_MS,
    500,
  );
}

/** What live rows of each log follow: their partition is that of the newest (`clickhouse/partitions.ts`). */
const NEWEST = { click_log: 'chunk_time', postback_log: 'position' } as const;

/**
 * Makes one part of the newest partition, into which live rows go too. Otherwise a few of them may bring on a merge of
 * millions of rows, which is due once in days, and it would be counted as what those few cost.
 */
export async function mergeNewest({ clickhouseUrl, clickhousePassword }: Stack): Promise<void> {
  const patient = createClient({
    url: clickhouseUrl,
    username: 'sluice',
    password: clickhousePassword,
    database: 'sluice',
    request_timeout: MERGED_MS,
    log: { level: ClickHouseLogLevel.OFF },
  });
  try {
    for (const [table, column] of Object.entries(NEWEST)) {
      const found = await patient.query({
        query: `SELECT _partition_id AS id FROM ${table} ORDER BY ${column} DESC LIMIT 1`,
        format: 'JSONEachRow',
      });
      const [newest] = await found.json<{ id: string }>();
      if (newest !== undefined)
        await patient.command({
          query: `OPTIMIZE TABLE ${table} PARTITION ID '${newest.id}' FINAL`,
        });
    }
  } finally {
    await patient.close();
  }
}

/** Makes of rows that were just put there what they would be by now: rolled up, and merged. */
export async function settle(clickhouse: ClickHouse): Promise<void> {
  await markRolledUp(clickhouse, Date.now());
  await untilMerged(clickhouse);
}

/** Clicks and calls of a given number, as the generator names them. */
export function orderIdOf(number: number): string {
  return `B-${number}`;
}
