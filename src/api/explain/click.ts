/** The click that a call names: as a report shows it, and as judging wants it. */
import type { ClickHouse, QueryParameters } from '../../../clickhouse/client.ts';
import type { ClickIdCodec } from '../../domain/click-id.ts';
import type { StoredClick } from '../../domain/judge/resolve.ts';

export type Row = Record<string, unknown>;

/** A text column, '' for anything else. */
export function textOf(row: Row, column: string): string {
  const value = row[column];
  return typeof value === 'string' ? value : '';
}

export interface FoundClick {
  readonly row: Row;
  readonly stored: StoredClick;
}

/** Condition on rows of clicks: that of the id, whose offer and time say where it lies. Undefined: nobody minted the id. */
export function whereClick(
  codec: ClickIdCodec,
  clickId: string,
): { readonly sql: string; readonly parameters: QueryParameters } | undefined {
  const opened = codec.open(clickId);
  if (opened === undefined) return undefined;
  return {
    sql: 'offer_id = {offer:UInt32} AND click_time = fromUnixTimestamp64Milli({ms:Int64}) AND click_id = {click:String}',
    parameters: { offer: opened.offerId, ms: opened.ms, click: clickId },
  };
}

/** One row of forty columns: threads and system calls would cost more than reading does. */
export async function findClick(
  clickhouse: ClickHouse,
  codec: ClickIdCodec,
  clickId: string,
): Promise<FoundClick | undefined> {
  const where = whereClick(codec, clickId);
  if (where === undefined) return undefined;
  const [found] = await clickhouse.query<Row>(
    `SELECT *, toUnixTimestamp64Milli(click_time) AS click_ms FROM clicks WHERE ${where.sql} LIMIT 1
     SETTINGS max_threads = 1, local_filesystem_read_method = 'mmap'`,
    where.parameters,
  );
  if (found === undefined) return undefined;
  const { click_ms, ...row } = found;
  const list = (prefix: string): string[] =>
    [1, 2, 3, 4, 5].map((n) => textOf(row, `${prefix}${n}`));
  return {
    row,
    stored: {
      click_id: clickId,
      click_time_ms: Number(click_ms),
      offer_id: Number(row['offer_id']),
      affiliate_id: Number(row['affiliate_id']),
      advertiser_id: Number(row['advertiser_id']),
      ip: textOf(row, 'ip'),
      aff_click_id: textOf(row, 'aff_click_id'),
      source: textOf(row, 'source'),
      sub_ids: list('sub_id'),
      aff_params: list('aff_param'),
    },
  };
}
