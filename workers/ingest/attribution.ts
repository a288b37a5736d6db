/**
 * What judging a conversion takes from its click: as a row that goes to ClickHouse, as the column `attribution` that
 * comes back (migration 0001), and as the text that a worker remembers.
 */
import type { Row } from '../../clickhouse/insert.ts';
import { CLICK_COLUMNS } from '../../clickhouse/tables.ts';
import type { OpenedClickId } from '../../src/domain/click-id.ts';
import type { StoredClick } from '../../src/domain/judge/resolve.ts';

type Attribution = readonly [
  affiliateId: number,
  advertiserId: number,
  ip: string,
  affClickId: string,
  source: string,
  subIds: readonly string[],
  affParams: readonly string[],
];

function columnAt(name: string): number {
  return CLICK_COLUMNS.findIndex(([column]) => column === name);
}

const AT = {
  affiliate: columnAt('affiliate_id'),
  advertiser: columnAt('advertiser_id'),
  ip: columnAt('ip'),
  ipKey: columnAt('ip_key'),
  affClickId: columnAt('aff_click_id'),
  source: columnAt('source'),
  subId1: columnAt('sub_id1'),
  affParam1: columnAt('aff_param1'),
};
const NUMBERED = 5;

export function attributionOfColumn(json: string): Attribution {
  return JSON.parse(json) as Attribution;
}

/** As ClickHouse makes the column of it. */
export function attributionOfRow(row: Row): Attribution {
  const text = (at: number): string => String(row[at] ?? '');
  const five = (first: number): string[] => row.slice(first, first + NUMBERED).map(String);
  return [
    Number(row[AT.affiliate]),
    Number(row[AT.advertiser]),
    text(AT.ipKey) || text(AT.ip),
    text(AT.affClickId),
    text(AT.source),
    five(AT.subId1),
    five(AT.affParam1),
  ];
}

/** ASCII's unit separator, between values that are remembered. As JSON they took three times as long, for every click. */
const SEPARATOR = '\x1f';
const VALUES = 5 + 2 * NUMBERED;

export function textOfAttribution(attribution: Attribution): string {
  const [affiliateId, advertiserId, ip, affClickId, source, subIds, affParams] = attribution;
  return [affiliateId, advertiserId, ip, affClickId, source, ...subIds, ...affParams].join(
    SEPARATOR,
  );
}

/** Undefined when a value holds the separator, and of no text. */
export function attributionOfText(text: string): Attribution | undefined {
  const values = text.split(SEPARATOR);
  if (values.length !== VALUES) return undefined;
  const [affiliateId, advertiserId, ip = '', affClickId = '', source = '', ...numbered] = values;
  return [
    Number(affiliateId),
    Number(advertiserId),
    ip,
    affClickId,
    source,
    numbered.slice(0, NUMBERED),
    numbered.slice(NUMBERED),
  ];
}

export function storedClick(
  clickId: string,
  opened: OpenedClickId,
  attribution: Attribution,
): StoredClick {
  const [affiliate_id, advertiser_id, ip, aff_click_id, source, sub_ids, aff_params] = attribution;
  return {
    click_id: clickId,
    click_time_ms: opened.ms,
    offer_id: opened.offerId,
    affiliate_id,
    advertiser_id,
    ip,
    aff_click_id,
    source,
    sub_ids,
    aff_params,
  };
}
