/** The reports: which view each reads, its columns, who may read it. The allow-list for every dynamic part of a query. */
import type { Principal } from './principal.ts';

type ColumnType = 'String' | 'UInt32' | 'UInt16' | 'UInt64' | 'DateTime' | 'Decimal';

export interface Report {
  readonly view: string;
  readonly columns: ReadonlyMap<string, ColumnType>;
  readonly roles: readonly Principal['role'][];
}

const numbered = (prefix: string): [string, ColumnType][] =>
  [1, 2, 3, 4, 5].map((n) => [`${prefix}${n}`, 'String']);
const strings = (...names: string[]): [string, ColumnType][] =>
  names.map((name) => [name, 'String']);

const HIT: readonly [string, ColumnType][] = [
  ['hit_id', 'String'],
  ['hit_time', 'DateTime'],
];
const WHO: readonly [string, ColumnType][] = [
  ['offer_id', 'UInt32'],
  ['affiliate_id', 'UInt32'],
  ['advertiser_id', 'UInt32'],
];
const VERDICT: readonly [string, ColumnType][] = [
  ['verdict_code', 'UInt16'],
  ...strings('verdict', 'title', 'detail', 'hint'),
];
const CLIENT = strings('ip', 'user_agent', 'referer', 'country', 'device', 'os', 'browser');
const CHUNK: readonly [string, ColumnType][] = [
  ['chunk_id', 'String'],
  ['catalogue_version', 'UInt64'],
];

const CLICK: readonly [string, ColumnType][] = [
  ...HIT,
  ['click_id', 'String'],
  ['click_time', 'DateTime'],
  ...WHO,
  ...VERDICT,
  ['aff_click_id', 'String'],
  ...numbered('sub_id'),
  ...numbered('aff_param'),
  ...strings('deep_link', 'link_id', 'creative_id', 'idfa', 'gaid', 'source'),
  ...CLIENT,
  ...strings('method', 'path', 'query'),
  ...CHUNK,
];

const CONVERSION: readonly [string, ColumnType][] = [
  ...HIT,
  ...strings('transaction_id', 'click_id'),
  ['click_time', 'DateTime'],
  ['offer_id', 'UInt32'],
  ['goal_id', 'UInt32'],
  ['affiliate_id', 'UInt32'],
  ['advertiser_id', 'UInt32'],
  ...VERDICT,
  ...strings('blocking_transaction_id', 'conv_status'),
  ['payout', 'Decimal'],
  ['revenue', 'Decimal'],
  ['amount', 'Decimal'],
  ...strings('currency', 'promo_code', 'track_id', 'adv_order_id', 'adv_user_id'),
  ...numbered('sub_id'),
  ...numbered('aff_param'),
  ...numbered('adv_param'),
  ...strings('aff_click_id', 'source', 'endpoint', 'channel', 'replayed_from', 'visitor_ip'),
  ...CLIENT,
  ...CHUNK,
  ...strings('method', 'path', 'query', 'body', 'content_type', 'cookies'),
];

const NETWORK = ['manager', 'advertiser'] as const;
const EVERYONE = ['manager', 'advertiser', 'affiliate'] as const;

export const REPORTS: ReadonlyMap<string, Report> = new Map([
  ['clicks', { view: 'clicks', columns: new Map(CLICK), roles: EVERYONE }],
  ['invalid-clicks', { view: 'invalid_clicks', columns: new Map(CLICK), roles: NETWORK }],
  ['transactions', { view: 'transactions', columns: new Map(CONVERSION), roles: EVERYONE }],
  ['invalid-traffic', { view: 'invalid_traffic', columns: new Map(CONVERSION), roles: NETWORK }],
  ['postbacks', { view: 'postbacks', columns: new Map(CONVERSION), roles: NETWORK }],
]);

/** What an affiliate never sees: what the network earns, and the advertiser's own data. */
export const HIDDEN_FROM_AFFILIATES: ReadonlySet<string> = new Set([
  'revenue',
  'profit',
  'adv_user_id',
  'adv_param1',
  'adv_param2',
  'adv_param3',
  'adv_param4',
  'adv_param5',
  'blocking_transaction_id',
  'detail',
  'query',
  'body',
  'cookies',
]);

/** Breakdowns of /reports/statistics: the SQL of each over clicks and conversion calls. `hour` and `day` are in the asked zone. */
export const BREAKDOWNS: ReadonlyMap<string, string> = new Map([
  ['day', 'toDate(hit_time, {tz:String})'],
  ['hour', "formatDateTime(toStartOfHour(toTimeZone(hit_time, {tz:String})), '%Y-%m-%d %H:00')"],
  ['offer', 'offer_id'],
  ['goal', 'goal_id'],
  ['affiliate', 'affiliate_id'],
  ['advertiser', 'advertiser_id'],
  ['country', 'country'],
  ['device', 'device'],
  ['promo_code', 'promo_code'],
  ['verdict', 'verdict'],
  ...[1, 2, 3, 4, 5].map((n): [string, string] => [`sub_id${n}`, `sub_id${n}`]),
]);
