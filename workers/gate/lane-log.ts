/** The log of a lane in ClickHouse, read: who owns a position, what blocks accepted, which chunks are there. */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { quotedList, timeLiteral } from '../../clickhouse/insert.ts';
import { FULL_IPS, type IpStorage } from '../../src/domain/ip-storage.ts';
import type { AcceptedConversion } from './claims.ts';

export interface ChunkReference {
  readonly chunkId: string;
  readonly openedAtMs: number;
}

interface AcceptedRow {
  readonly position: number;
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
  readonly catalogue_version: number;
}

export interface LoggedConversion extends AcceptedConversion {
  readonly position: number;
  readonly catalogueVersion: number;
}

function toAccepted(row: AcceptedRow, ips: IpStorage): LoggedConversion {
  return {
    position: row.position,
    catalogueVersion: row.catalogue_version,
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

/** Condition: a row belongs to one of the chunks. Bounded by the chunks' opening times, which are indexed. */
export function inChunks(chunks: readonly ChunkReference[]): string {
  const times = chunks.map(({ openedAtMs }) => openedAtMs);
  return `chunk_time BETWEEN ${timeLiteral(Math.min(...times))} AND ${timeLiteral(Math.max(...times))} AND chunk_id IN (${quotedList(chunks.map(({ chunkId }) => chunkId))})`;
}

export function createLaneLog(clickhouse: ClickHouse, lane: number, ips: IpStorage = FULL_IPS) {
  return {
    ips,
    async lastPosition(): Promise<number> {
      const rows = await clickhouse.query<{ last: number }>(
        `SELECT max(position) AS last FROM postback_log WHERE lane = ${lane}`,
      );
      return rows[0]?.last ?? 0;
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
    /** Accepted conversions of positions after `from` up to `to`, in the order of the log; of one offer when it is given. */
    async accepted(from: number, to: number, offerId?: number): Promise<LoggedConversion[]> {
      const rows = await clickhouse.query<AcceptedRow>(
        `SELECT position, hit_id, toUnixTimestamp64Milli(hit_time) AS hit_ms, offer_id, goal_id, affiliate_id, click_id,
           isNotNull(click_time) AS has_click, adv_order_id, track_id, visitor_ip, catalogue_version
         FROM postback_log
         WHERE lane = ${lane} AND position > ${from} AND position <= ${to} AND row_kind = 'conversion'
           ${offerId === undefined ? '' : `AND offer_id = ${offerId}`}
         ORDER BY position, block_row`,
      );
      return rows.map((row) => toAccepted(row, ips));
    },
  };
}
export type LaneLog = ReturnType<typeof createLaneLog>;
