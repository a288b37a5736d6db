/** Rows of the base tables from hits and judged fields, column by column in the order of `clickhouse/tables.ts`. */
import type { Row } from '../../clickhouse/insert.ts';
import { timeText } from '../../clickhouse/insert.ts';
import type { Device } from '../../src/domain/device.ts';
import type { Chunk, ChunkHeader, ClickHit } from '../../src/domain/hit.ts';
import type { IpStorage } from '../../src/domain/ip-storage.ts';
import type { PostbackFields } from '../../src/domain/judge/fields.ts';
import type { OpenedClickId } from '../../src/domain/click-id.ts';
import { blankToken, parseBody, parseQuery } from '../../src/domain/parameters.ts';
import { verdictOfCode } from '../../src/domain/verdicts.ts';
import type { BlockColumns } from '../gate/lane-block.ts';
import type { CountryReader } from './country.ts';

export interface Enrichment {
  readonly country: CountryReader;
  readonly device: (userAgent: string) => Device;
}

const NUMBERS = [1, 2, 3, 4, 5] as const;

function clientColumns(
  enrichment: Enrichment,
  ip: string,
  shownIp: string,
  userAgent: string,
  referer: string,
): Row {
  const device = enrichment.device(userAgent);
  return [
    shownIp,
    userAgent,
    referer,
    enrichment.country(ip),
    device.device,
    device.os,
    device.browser,
  ];
}

function chunkColumns(header: ChunkHeader, chunkHits: number, blockTimeS: number): Row {
  return [
    header.chunkId,
    timeText(header.openedAtMs),
    chunkHits,
    header.catalogueVersion,
    blockTimeS,
  ];
}

/** The click's own time: that of its id, so that a look-up by id seeks; of an invalid click its receipt. */
export function clickRow(
  hit: ClickHit,
  opened: OpenedClickId | undefined,
  chunk: Chunk,
  how: { readonly enrichment: Enrichment; readonly ips: IpStorage; readonly blockTimeS: number },
): Row {
  const { enrichment, ips, blockTimeS } = how;
  const body = parseBody(hit.body, hit.contentType);
  const parameters = hit.query === '' && body.readable ? body.parameters : parseQuery(hit.query);
  const sent = (name: string): string => parameters.get(name) ?? '';
  const verdict = verdictOfCode(hit.verdictCode);
  return [
    hit.hitId,
    timeText(hit.receivedAtMs),
    hit.clickId,
    timeText(opened?.ms ?? hit.receivedAtMs),
    hit.offerId,
    hit.affiliateId,
    hit.advertiserId,
    hit.verdictCode,
    verdict?.slug ?? '',
    verdict?.title ?? '',
    hit.detail,
    '',
    sent('aff_click_id'),
    ...NUMBERS.map((n) => sent(`sub_id${n}`)),
    ...NUMBERS.map((n) => sent(`aff_param${n}`)),
    sent('deep_link'),
    sent('link_id'),
    sent('creative_id'),
    sent('idfa'),
    sent('gaid'),
    sent('source'),
    ...clientColumns(enrichment, hit.ip, ips.shown(hit.ip), hit.userAgent, hit.referer),
    hit.method,
    hit.path,
    ips.blank(blankToken(hit.query), [hit.ip]),
    ips.hashes ? ips.key(hit.ip) : '',
    ...chunkColumns(chunk.header, chunk.hits.length, blockTimeS),
  ];
}

/** What a row holds beside the judged fields. */
export interface RowPlace {
  readonly header: ChunkHeader;
  readonly chunkHits: number;
  readonly batchLine: number;
  /** Of its batch, also when it is judged again by itself. */
  readonly suppressPostbacks: boolean;
  /** The whole address, for the country; what is stored of it is in the fields. */
  readonly callerIp: string;
}

export function postbackRow(
  fields: PostbackFields,
  block: BlockColumns,
  place: RowPlace,
  enrichment: Enrichment,
): Row {
  const { header, chunkHits, batchLine } = place;
  const client = clientColumns(
    enrichment,
    place.callerIp,
    fields.ip,
    fields.user_agent,
    fields.referer,
  );
  return [
    block.lane,
    block.position,
    block.blockRow,
    block.writer,
    fields.hit_id,
    timeText(fields.hit_time_ms),
    fields.row_kind,
    fields.endpoint,
    fields.channel,
    fields.transaction_id,
    fields.click_id,
    fields.click_time_ms === null ? null : timeText(fields.click_time_ms),
    fields.offer_id,
    fields.affiliate_id,
    fields.advertiser_id,
    fields.goal_id,
    fields.verdict_code,
    fields.verdict,
    fields.title,
    fields.detail,
    fields.hint,
    fields.blocking_transaction_id,
    fields.click_pending,
    fields.token_valid,
    fields.conv_status,
    fields.payout,
    fields.revenue,
    fields.amount,
    fields.currency,
    fields.promo_code,
    fields.track_id,
    fields.adv_order_id,
    fields.adv_user_id,
    ...fields.adv_params,
    ...fields.sub_ids,
    ...fields.aff_params,
    fields.aff_click_id,
    fields.source,
    fields.visitor_ip,
    ...client,
    fields.replayed_from,
    fields.method,
    fields.path,
    fields.query,
    fields.body,
    fields.body_base64,
    fields.from_browser,
    fields.content_type,
    fields.cookies,
    ...chunkColumns(header, chunkHits, block.blockTimeS),
    header.batch?.batchId ?? '',
    batchLine,
    header.batch?.author ?? '',
    fields.notes,
    fields.released,
    place.suppressPostbacks ? 1 : 0,
  ];
}
