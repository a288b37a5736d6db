/**
 * Rows of the base tables from hits and judged fields, column by column in the order of `clickhouse/tables.ts`. One
 * literal each on purpose: rows put together by spreading took V8 twice as long, and every hit makes one.
 */
import type { Row } from '../../clickhouse/insert.ts';
import { timeText } from '../../clickhouse/insert.ts';
import type { Device } from '../../src/domain/device.ts';
import { hintOfClick } from '../../src/domain/hints.ts';
import type { Chunk, ChunkHeader, ClickHit } from '../../src/domain/hit.ts';
import type { IpStorage } from '../../src/domain/ip-storage.ts';
import type { PostbackFields } from '../../src/domain/judge/fields.ts';
import type { OpenedClickId } from '../../src/domain/click-id.ts';
import { blankToken, blankTokenOfUrl, parseBody, parseQuery } from '../../src/domain/parameters.ts';
import { verdictOfCode } from '../../src/domain/verdicts.ts';
import type { BlockColumns } from '../gate/lane-block.ts';
import type { CountryReader } from './country.ts';

export interface Enrichment {
  readonly country: CountryReader;
  readonly device: (userAgent: string) => Device;
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
  const hint = verdict === undefined ? '' : hintOfClick(verdict.slug, parameters);
  const device = enrichment.device(hit.userAgent);
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
    hint,
    sent('aff_click_id'),
    sent('sub_id1'),
    sent('sub_id2'),
    sent('sub_id3'),
    sent('sub_id4'),
    sent('sub_id5'),
    sent('aff_param1'),
    sent('aff_param2'),
    sent('aff_param3'),
    sent('aff_param4'),
    sent('aff_param5'),
    sent('deep_link'),
    sent('link_id'),
    sent('creative_id'),
    sent('idfa'),
    sent('gaid'),
    sent('source'),
    ips.shown(hit.ip),
    hit.userAgent,
    blankTokenOfUrl(hit.referer),
    enrichment.country(hit.ip),
    device.device,
    device.os,
    device.browser,
    hit.method,
    hit.path,
    ips.blank(blankToken(hit.query), [hit.ip]),
    ips.hashes ? ips.key(hit.ip) : '',
    chunk.header.chunkId,
    timeText(chunk.header.openedAtMs),
    chunk.hits.length,
    chunk.header.catalogueVersion,
    blockTimeS,
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
  const { header } = place;
  const device = enrichment.device(fields.user_agent);
  const [adv1, adv2, adv3, adv4, adv5] = fields.adv_params;
  const [sub1, sub2, sub3, sub4, sub5] = fields.sub_ids;
  const [aff1, aff2, aff3, aff4, aff5] = fields.aff_params;
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
    adv1,
    adv2,
    adv3,
    adv4,
    adv5,
    sub1,
    sub2,
    sub3,
    sub4,
    sub5,
    aff1,
    aff2,
    aff3,
    aff4,
    aff5,
    fields.aff_click_id,
    fields.source,
    fields.visitor_ip,
    fields.ip,
    fields.user_agent,
    fields.referer,
    enrichment.country(place.callerIp),
    device.device,
    device.os,
    device.browser,
    fields.replayed_from,
    fields.method,
    fields.path,
    fields.query,
    fields.body,
    fields.body_base64,
    fields.from_browser,
    fields.content_type,
    fields.cookies,
    header.chunkId,
    timeText(header.openedAtMs),
    place.chunkHits,
    header.catalogueVersion,
    block.blockTimeS,
    header.batch?.batchId ?? '',
    place.batchLine,
    header.batch?.author ?? '',
    fields.notes,
    fields.released,
    place.suppressPostbacks ? 1 : 0,
  ];
}
