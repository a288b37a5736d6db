/** The log of a lane in ClickHouse, read: who owns a position, what blocks accepted, which chunks are there. */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { quotedList, timeLiteral } from '../../clickhouse/insert.ts';
import { FULL_IPS, type IpStorage } from '../../src/domain/ip-storage.ts';
import type { AcceptedConversion } from '../../src/domain/gate-request.ts';
import { msOfUuidV7, TIME_SLACK_MS } from '../../src/domain/uuid-v7.ts';
import type { GateEvent } from './claims.ts';

/** Ids a look-up; more go in several. */
const LOOKUP_IDS_MAX = 2_000;

export interface ChunkReference {
  readonly chunkId: string;
  readonly openedAtMs: number;
}

interface EventRow {
  readonly position: number;
  readonly catalogue_version: number;
  readonly hit_id: string;
  readonly row_kind: string;
  readonly transaction_id: string;
}

interface ConversionRow {
  readonly hit_id: string;
  readonly hit_ms: number;
  readonly offer_id: number;
  readonly goal_id: number;
  readonly affiliate_id: number;
  readonly click_id: string;
  readonly has_click: number;
  readonly adv_order_id: string;
  readonly track_id: string;
  readonly visitor_ip: string;
}

/** A stored call that a call in a lane replays. */
export interface Original {
  readonly hitId: string;
  /** Its receipt time, which its replays have too. */
  readonly hitTimeMs: number;
  /** Its offer follows from the catalogue, so that another one may send its replays to another lane. */
  readonly mayMove: boolean;
}

/** What became of replays of some calls, as far as the lane's log goes up to a position. */
export interface ReplayClaims {
  readonly upTo: number;
  /** Original → the transaction that a replay of it created or changed. */
  readonly transactions: ReadonlyMap<string, string>;
}

/** A lane may have any number of events: what is read at once must fit a worker's memory and a request's time. */
const ROWS_A_PAGE = 20_000;
/** Positions of a page. One has no event or some thousand, so it follows from what the pages before had. */
const SPAN_AT_FIRST = 16;
const SPAN_MAX = 2_000;
const NARROWER = 4;

export interface LoggedEvent extends GateEvent {
  readonly position: number;
  readonly catalogueVersion: number;
}

export interface LoggedPage {
  /** The last position of the page. */
  readonly upTo: number;
  readonly events: readonly LoggedEvent[];
}

/** Transactions looked up by one query. */
const IDS_A_QUERY = 5_000;
const CONVERSION_COLUMNS = `hit_id, toUnixTimestamp64Milli(hit_time) AS hit_ms, offer_id, goal_id, affiliate_id, click_id,
  isNotNull(click_time) AS has_click, adv_order_id, track_id, visitor_ip`;

function toAccepted(row: ConversionRow, ips: IpStorage): AcceptedConversion {
  return {
    transactionId: row.hit_id,
    hitTimeMs: row.hit_ms,
    offerId: row.offer_id,
    goalId: row.goal_id,
    affiliateId: row.affiliate_id,
    clickId: row.has_click === 1 ? row.click_id : '',
    orderId: row.adv_order_id,
    trackId: row.track_id,
    uniqueIp: ips.key(row.visitor_ip),
  };
}

/** Accepted conversions by transaction id. The UUIDv7's time bounds the look-up. */
export async function findAccepted(
  clickhouse: ClickHouse,
  ids: Iterable<string>,
  ips: IpStorage,
): Promise<Map<string, AcceptedConversion>> {
  const found = new Map<string, AcceptedConversion>();
  // In order of their times: each query then reads a short stretch of them.
  const known = [...new Set(ids)].filter((id) => msOfUuidV7(id) !== undefined).toSorted();
  async function look(some: readonly string[], when: string): Promise<void> {
    const rows = await clickhouse.query<ConversionRow>(
      `SELECT ${CONVERSION_COLUMNS} FROM postback_log
       WHERE ${when} AND hit_id IN {ids:Array(String)} AND row_kind = 'conversion'`,
      { ids: some },
    );
    for (const row of rows) found.set(row.hit_id, toAccepted(row, ips));
  }
  for (let at = 0; at < known.length; at += IDS_A_QUERY) {
    const some = known.slice(at, at + IDS_A_QUERY);
    const times = some.map((id) => msOfUuidV7(id) ?? 0);
    await look(
      some,
      `hit_time BETWEEN ${timeLiteral(Math.min(...times) - TIME_SLACK_MS)} AND ${timeLiteral(Math.max(...times) + TIME_SLACK_MS)}`,
    );
    // The rest by the index on ids: what was made of an old call has that call's time, not its own.
    const missing = some.filter((id) => !found.has(id));
    if (missing.length > 0) await look(missing, '1');
  }
  return found;
}

/** Condition: a row belongs to one of the chunks. Bounded by the chunks' opening times, which are indexed. */
export function inChunks(chunks: readonly ChunkReference[]): string {
  const times = chunks.map(({ openedAtMs }) => openedAtMs);
  return `chunk_time BETWEEN ${timeLiteral(Math.min(...times))} AND ${timeLiteral(Math.max(...times))} AND chunk_id IN (${quotedList(chunks.map(({ chunkId }) => chunkId))})`;
}

/** `rowsAPage`: so many events are read at once, unless a single position has more. */
export function createLaneLog(
  clickhouse: ClickHouse,
  lane: number,
  ips: IpStorage = FULL_IPS,
  rowsAPage = ROWS_A_PAGE,
) {
  let span = SPAN_AT_FIRST;

  async function lastPosition(): Promise<number> {
    const rows = await clickhouse.query<{ last: number }>(
      `SELECT max(position) AS last FROM postback_log WHERE lane = ${lane}`,
    );
    return rows[0]?.last ?? 0;
  }

  async function eventsOf(rows: readonly (EventRow & ConversionRow)[]): Promise<LoggedEvent[]> {
    const released = rows.filter(({ row_kind }) => row_kind === 'change');
    const targets = await findAccepted(
      clickhouse,
      released.map(({ transaction_id }) => transaction_id),
      ips,
    );
    return rows.flatMap((row) => {
      const { position, catalogue_version: catalogueVersion } = row;
      if (row.row_kind !== 'change')
        return { position, catalogueVersion, conversion: toAccepted(row, ips), releasedBy: '' };
      const conversion = targets.get(row.transaction_id);
      // What is not in the log claimed nothing that could be freed.
      if (conversion === undefined) return [];
      return { position, catalogueVersion, conversion, releasedBy: row.hit_id };
    });
  }

  async function eventsAfter(from: number, last: number): Promise<LoggedPage> {
    const to = Math.min(last, from + span);
    const isOne = to === from + 1;
    const rows = await clickhouse.query<EventRow & ConversionRow>(
      `SELECT position, catalogue_version, row_kind, transaction_id, ${CONVERSION_COLUMNS}
       FROM postback_log
       WHERE lane = ${lane} AND position > ${from} AND position <= ${to} AND (row_kind = 'conversion' OR released = 1)
       ORDER BY position, block_row ${isOne ? '' : `LIMIT ${rowsAPage + 1}`}`,
    );
    if (rows.length > rowsAPage && !isOne) {
      span = Math.max(1, Math.floor((to - from) / NARROWER));
      return eventsAfter(from, last);
    }
    if (rows.length < rowsAPage / NARROWER) span = Math.min(SPAN_MAX, span * 2);
    return { upTo: to, events: await eventsOf(rows) };
  }

  return {
    ips,
    lastPosition,
    /** Which of these calls were replayed with success, in this lane at least up to `upTo`, in the others as far as can be seen. */
    async replayed(originals: readonly Original[]): Promise<ReplayClaims> {
      // Asked first: what is committed by now is seen by the look-ups that follow.
      const upTo = await lastPosition();
      const transactions = new Map<string, string>();
      for (let at = 0; at < originals.length; at += LOOKUP_IDS_MAX) {
        const some = originals.slice(at, at + LOOKUP_IDS_MAX);
        const times = some.map(({ hitTimeMs }) => hitTimeMs);
        const rows = await clickhouse.query<{ original: string; transaction_id: string }>(
          `SELECT replayed_from AS original, any(transaction_id) AS transaction_id FROM postback_log
           WHERE hit_time BETWEEN ${timeLiteral(Math.min(...times))} AND ${timeLiteral(Math.max(...times))}
             AND row_kind != 'invalid' AND replayed_from > '' AND replayed_from IN {ids:Array(String)}
           GROUP BY replayed_from`,
          { ids: some.map(({ hitId }) => hitId) },
        );
        for (const row of rows) transactions.set(row.original, row.transaction_id);
      }
      return { upTo, transactions };
    },
    /** The attempt that wrote a position, or undefined. */
    async writerOf(position: number): Promise<string | undefined> {
      const rows = await clickhouse.query<{ writer: string }>(
        `SELECT writer FROM postback_log WHERE lane = ${lane} AND position = ${position} LIMIT 1`,
      );
      return rows[0]?.writer;
    },
    /** Of these chunks, those with rows in the lane. */
    async presentChunks(chunks: readonly ChunkReference[]): Promise<Set<string>> {
      const rows = await clickhouse.query<{ chunk_id: string }>(
        `SELECT DISTINCT chunk_id FROM postback_log WHERE lane = ${lane} AND ${inChunks(chunks)}`,
      );
      return new Set(rows.map(({ chunk_id }) => chunk_id));
    },
    /**
     * Conversions that claimed and changes that released, in the order of the log: those of whole positions after `from`,
     * as many as fit a page, not beyond `last`.
     */
    eventsAfter,
  };
}
export type LaneLog = ReturnType<typeof createLaneLog>;
