/** The reports: which view each reads, its columns, who may read it. The allow-list for every dynamic part of a query. */
import { ROLES, type Principal } from './principal.ts';

/** Values as the API shows them: DateTime is a UTC time with milliseconds or null, Decimal is money or null, Total a sum of it. */
export type ColumnType =
  | 'String'
  | 'Enum'
  | 'UInt16'
  | 'UInt32'
  | 'UInt64'
  | 'DateTime'
  | 'Date'
  | 'Decimal'
  | 'Total'
  | 'Float64';

export interface Report {
  readonly view: string;
  readonly columns: ReadonlyMap<string, ColumnType>;
  readonly roles: readonly Principal['role'][];
  /** What periods and the order of rows go by. */
  readonly time: string;
  /** A column of the same value, by which the table is ordered: what asks for times asks for both, and reads less. */
  readonly timeInOrder?: string;
  /** Tells rows of one time apart. */
  readonly id: string;
  /** The view joins each row with its changes: which rows are on a page is then found before all of their columns are read. */
  readonly findsPageFirst?: true;
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
  ...strings('aff_click_id', 'source', 'endpoint'),
  ['channel', 'Enum'],
  ...strings('replayed_from', 'visitor_ip'),
  ...CLIENT,
  ...CHUNK,
  ...strings('method', 'path', 'query', 'body', 'content_type', 'cookies'),
];

/** Who entered it, their notes, and whether what it claimed was freed. */
const BY_HAND: readonly [string, ColumnType][] = [
  ...strings('author', 'notes'),
  ['released', 'UInt16'],
];
const JUDGED: readonly [string, ColumnType][] = [
  ...CONVERSION,
  ...BY_HAND,
  ['replayed_as', 'String'],
];

/** A call may have created a transaction, changed one, or become nothing. */
const POSTBACK: readonly [string, ColumnType][] = [...CONVERSION, ['row_kind', 'Enum']];

const AFFILIATE_POSTBACK: readonly [string, ColumnType][] = [
  ['attempt_time', 'DateTime'],
  ...strings('attempt_id', 'postback_id'),
  ['attempt', 'UInt16'],
  ['outcome', 'String'],
  ['status_code', 'UInt16'],
  ['duration_ms', 'UInt32'],
  ...strings('url', 'method', 'answer', 'error'),
  ['next_attempt_time', 'DateTime'],
  ['affiliate_id', 'UInt32'],
  ['offer_id', 'UInt32'],
  ['goal_id', 'UInt32'],
  ...strings('conv_status', 'transaction_id', 'hit_id'),
  ['event_time', 'DateTime'],
  ['entry_id', 'UInt32'],
  ['final', 'UInt16'],
  ['resent_by', 'String'],
];

const NETWORK = ['manager', 'advertiser'] as const;
const OF_HITS = { time: 'hit_time', id: 'hit_id' } as const;

export const REPORTS: ReadonlyMap<string, Report> = new Map<string, Report>([
  [
    'clicks',
    {
      view: 'clicks',
      columns: new Map(CLICK),
      roles: ROLES,
      ...OF_HITS,
      // The edge gives a click its id and its receipt of one reading of the clock.
      timeInOrder: 'click_time',
    },
  ],
  [
    'invalid-clicks',
    { view: 'invalid_clicks', columns: new Map(CLICK), roles: NETWORK, ...OF_HITS },
  ],
  [
    'transactions',
    {
      view: 'transactions',
      columns: new Map(JUDGED),
      roles: ROLES,
      ...OF_HITS,
      findsPageFirst: true,
    },
  ],
  [
    'invalid-traffic',
    { view: 'invalid_traffic', columns: new Map(JUDGED), roles: NETWORK, ...OF_HITS },
  ],
  ['postbacks', { view: 'postbacks', columns: new Map(POSTBACK), roles: NETWORK, ...OF_HITS }],
  [
    'affiliate-postbacks',
    {
      view: 'affiliate_postbacks',
      columns: new Map(AFFILIATE_POSTBACK),
      roles: ['manager', 'affiliate'],
      time: 'attempt_time',
      id: 'attempt_id',
    },
  ],
]);

/** Breakdowns of /reports/statistics: the SQL of each over clicks and conversion calls. `hour` and `day` are wall time of the asked zone. */
export const BREAKDOWNS: ReadonlyMap<string, { readonly sql: string; readonly type: ColumnType }> =
  new Map([
    ['day', { sql: 'toDate(hit_time, {tz:String})', type: 'Date' }],
    [
      'hour',
      {
        sql: "formatDateTime(toStartOfHour(toTimeZone(hit_time, {tz:String})), '%Y-%m-%d %H:00')",
        type: 'String',
      },
    ],
    ['offer', { sql: 'offer_id', type: 'UInt32' }],
    ['goal', { sql: 'goal_id', type: 'UInt32' }],
    ['affiliate', { sql: 'affiliate_id', type: 'UInt32' }],
    ['advertiser', { sql: 'advertiser_id', type: 'UInt32' }],
    ...strings(
      'country',
      'device',
      'promo_code',
      'currency',
      'verdict',
      'sub_id1',
      'sub_id2',
      'sub_id3',
      'sub_id4',
      'sub_id5',
    ).map(([name, type]) => [name, { sql: name, type }] as const),
  ]);

/** What statistics count, in the order of their columns. */
export const MEASURES: readonly (readonly [string, ColumnType])[] = [
  ['clicks', 'UInt64'],
  ['invalid_clicks', 'UInt64'],
  ['conversions', 'UInt64'],
  ['approved', 'UInt64'],
  ['pending', 'UInt64'],
  ['rejected', 'UInt64'],
  ['invalid_traffic', 'UInt64'],
  ['payout', 'Total'],
  ['revenue', 'Total'],
  ['profit', 'Total'],
  ['cr', 'Float64'],
];

/** Columns that both clicks and conversion calls can be filtered by. */
export const STATISTICS_FILTERS: ReadonlyMap<string, ColumnType> = new Map([
  ['offer_id', 'UInt32'],
  ['goal_id', 'UInt32'],
  ['affiliate_id', 'UInt32'],
  ['advertiser_id', 'UInt32'],
  ...strings('country', 'device', 'promo_code', 'currency', 'verdict'),
  ...numbered('sub_id'),
]);
