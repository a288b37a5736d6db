/**
 * What is to be sent, read from ClickHouse alone: events after a position, events that were never attempted, postbacks
 * whose last attempt was not their end. Nothing here needs Redis to have remembered anything.
 */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { LANE_COUNT } from '../../src/domain/gate-request.ts';
import type { AffiliatePostbackJob } from '../../src/queue/affiliate-postback-queue.ts';
import type { PostbackEntries } from './entries.ts';
import { EVENT_COLUMNS, type EventRow } from './events.ts';

/** Longer than all attempts of a postback can take. What is older has been given up, or was never wanted. */
export const WINDOW_S = 3 * 86_400;
export const PAGE_ROWS = 1_000;

/** Last position by lane. */
export type Positions = ReadonlyMap<number, number>;

const LANES = Array.from({ length: LANE_COUNT }, (_, lane) => lane);

/** Events at all: of affiliates that have entries, after the first entry was made, and not kept quiet. */
const IS_EVENT = `row_kind IN ('conversion', 'change') AND conv_status != '' AND suppress_postbacks = 0
  AND affiliate_id IN {affiliates:Array(UInt32)} AND catalogue_version >= {since:UInt64}`;

const eventParameters = ({ affiliates, since }: PostbackEntries) => ({ affiliates, since });

/** The newest position of each lane; a lane without rows after the known one keeps it. */
export async function readHeads(clickhouse: ClickHouse, after: Positions): Promise<Positions> {
  const parts = LANES.map(
    (lane) =>
      `SELECT toUInt16(${lane}) AS lane, max(position) AS head FROM postback_log WHERE lane = ${lane} AND position > ${after.get(lane) ?? 0}`,
  );
  const rows = await clickhouse.query<{ lane: number; head: number }>(parts.join(' UNION ALL '));
  return new Map(rows.map(({ lane, head }) => [lane, Math.max(head, after.get(lane) ?? 0)]));
}

/** Events between two positions of every lane, in pages, in the order of each lane. */
export async function* eventsBetween(
  clickhouse: ClickHouse,
  entries: PostbackEntries,
  after: Positions,
  until: Positions,
): AsyncGenerator<readonly EventRow[]> {
  for (const lane of LANES) {
    let [position, row] = [after.get(lane) ?? 0, -1];
    const last = until.get(lane) ?? 0;
    while (position < last) {
      const page = await clickhouse.query<EventRow>(
        `SELECT ${EVENT_COLUMNS} FROM postback_log
         WHERE lane = ${lane} AND position >= ${row < 0 ? position + 1 : position} AND position <= ${last}
           AND (position, block_row) > (${position}, ${row < 0 ? 'toUInt32(4294967295)' : row}) AND ${IS_EVENT}
         ORDER BY position, block_row LIMIT ${PAGE_ROWS}`,
        eventParameters(entries),
      );
      if (page.length > 0) yield page;
      const end = page.at(-1);
      if (end === undefined || page.length < PAGE_ROWS) break;
      [position, row] = [end.position, end.block_row];
    }
  }
}

/** Events since a time of which some postback was never attempted, in pages. */
export async function* eventsNotAttempted(
  clickhouse: ClickHouse,
  entries: PostbackEntries,
  sinceS: number,
): AsyncGenerator<readonly EventRow[]> {
  let [timeS, hitId] = [sinceS, ''];
  for (;;) {
    const page = await clickhouse.query<EventRow>(
      `SELECT ${EVENT_COLUMNS} FROM postback_log
       WHERE block_time >= fromUnixTimestamp({timeS:Int64}) AND (toInt64(toUnixTimestamp(block_time)), hit_id) > ({timeS:Int64}, {hitId:String}) AND ${IS_EVENT}
         AND hit_id NOT IN (
           SELECT hit_id FROM affiliate_postback_log WHERE event_time >= fromUnixTimestamp({sinceS:Int64})
           GROUP BY hit_id HAVING uniqExact(postback_id) >= max(fanout))
       ORDER BY toInt64(toUnixTimestamp(block_time)), hit_id LIMIT ${PAGE_ROWS}`,
      { ...eventParameters(entries), timeS, hitId, sinceS },
    );
    if (page.length > 0) yield page;
    const end = page.at(-1);
    if (end === undefined || page.length < PAGE_ROWS) return;
    [timeS, hitId] = [end.block_s, end.hit_id];
  }
}

/** Whether an attempt of the postback has succeeded. */
export async function isSent(
  clickhouse: ClickHouse,
  { eventTimeS, hitId, postbackId }: AffiliatePostbackJob,
): Promise<boolean> {
  const rows = await clickhouse.query(
    `SELECT 1 FROM affiliate_postback_log
     WHERE event_time = fromUnixTimestamp({eventTimeS:Int64}) AND hit_id = {hitId:String} AND postback_id = {postbackId:String} AND outcome = 'sent' LIMIT 1`,
    { eventTimeS, hitId, postbackId },
  );
  return rows.length > 0;
}

interface StandingRow {
  readonly postback_id: string;
  readonly attempt: number;
  readonly outcome: string;
  readonly next_ms: number;
  readonly resent_by: string;
  readonly entry_id: number;
  readonly fanout: number;
  readonly transaction_id: string;
  readonly hit_id: string;
  readonly event_s: number;
  readonly offer_id: number;
  readonly goal_id: number;
  readonly affiliate_id: number;
  readonly conv_status: string;
}

/** A postback whose last attempt was not its end, and when the next is due. */
export interface Unended {
  readonly job: AffiliatePostbackJob;
  readonly dueMs: number;
}

const toUnended = (row: StandingRow): Unended => ({
  dueMs: row.outcome === 'requested' ? 0 : row.next_ms,
  job: {
    postbackId: row.postback_id,
    entryId: row.entry_id,
    fanout: row.fanout,
    transactionId: row.transaction_id,
    hitId: row.hit_id,
    eventTimeS: row.event_s,
    offerId: row.offer_id,
    goalId: row.goal_id,
    affiliateId: row.affiliate_id,
    convStatus: row.conv_status,
    attempt: row.attempt + 1,
    resentBy: row.resent_by,
  },
});

const latest = (column: string): string =>
  `argMax(${column}, (attempt_time, attempt_id)) AS ${column}`;

/** Postbacks that wait for another attempt, in pages. */
export async function* postbacksUnended(
  clickhouse: ClickHouse,
  sinceS: number,
): AsyncGenerator<readonly Unended[]> {
  const inWindow = 'attempt_time >= fromUnixTimestamp({sinceS:Int64})';
  let after = '';
  for (;;) {
    const page = await clickhouse.query<StandingRow>(
      `SELECT postback_id, any(entry_id) AS entry_id, max(fanout) AS fanout, any(transaction_id) AS transaction_id, any(hit_id) AS hit_id,
         toUnixTimestamp(any(event_time)) AS event_s, any(offer_id) AS offer_id, any(goal_id) AS goal_id, any(affiliate_id) AS affiliate_id,
         any(conv_status) AS conv_status, ${['attempt', 'outcome', 'resent_by'].map(latest).join(', ')},
         argMax(ifNull(toUnixTimestamp64Milli(next_attempt_time), 0), (attempt_time, attempt_id)) AS next_ms
       FROM affiliate_postback_log
       WHERE ${inWindow} AND postback_id > {after:String}
         AND postback_id IN (SELECT postback_id FROM affiliate_postback_log WHERE ${inWindow} AND final = 0)
       GROUP BY postback_id HAVING argMax(final, (attempt_time, attempt_id)) = 0
       ORDER BY postback_id LIMIT ${PAGE_ROWS}`,
      { sinceS, after },
    );
    if (page.length > 0) yield page.map(toUnended);
    const end = page.at(-1);
    if (end === undefined || page.length < PAGE_ROWS) return;
    after = end.postback_id;
  }
}
