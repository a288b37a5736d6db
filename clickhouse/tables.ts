/** Columns of the base tables, as the workers write them. A test holds them against the migrations. */

type Column = readonly [name: string, type: string];

const TIME = "DateTime64(3, 'UTC')";
const MONEY = 'Nullable(Decimal(18, 4))';
const numbered = (prefix: string): Column[] =>
  [1, 2, 3, 4, 5].map((n) => [`${prefix}${n}`, 'String'] as const);

const CHUNK_COLUMNS: readonly Column[] = [
  ['chunk_id', 'String'],
  ['chunk_time', TIME],
  ['chunk_hits', 'UInt32'],
  ['catalogue_version', 'UInt64'],
  ['block_time', 'DateTime'],
];
const CLIENT_COLUMNS: readonly Column[] = [
  ['ip', 'String'],
  ['user_agent', 'String'],
  ['referer', 'String'],
  ['country', 'String'],
  ['device', 'String'],
  ['os', 'String'],
  ['browser', 'String'],
];
const VERDICT_COLUMNS: readonly Column[] = [
  ['verdict_code', 'UInt16'],
  ['verdict', 'String'],
  ['title', 'String'],
  ['detail', 'String'],
  ['hint', 'String'],
];

export const CLICK_COLUMNS: readonly Column[] = [
  ['hit_id', 'String'],
  ['hit_time', TIME],
  ['click_id', 'String'],
  ['click_time', TIME],
  ['offer_id', 'UInt32'],
  ['affiliate_id', 'UInt32'],
  ['advertiser_id', 'UInt32'],
  ...VERDICT_COLUMNS,
  ['aff_click_id', 'String'],
  ...numbered('sub_id'),
  ...numbered('aff_param'),
  ['deep_link', 'String'],
  ['link_id', 'String'],
  ['creative_id', 'String'],
  ['idfa', 'String'],
  ['gaid', 'String'],
  ['source', 'String'],
  ...CLIENT_COLUMNS,
  ['method', 'String'],
  ['path', 'String'],
  ['query', 'String'],
  ['ip_key', 'String'],
  ...CHUNK_COLUMNS,
];

export const POSTBACK_COLUMNS: readonly Column[] = [
  ['lane', 'UInt16'],
  ['position', 'UInt64'],
  ['block_row', 'UInt32'],
  ['writer', 'String'],
  ['hit_id', 'String'],
  ['hit_time', TIME],
  ['row_kind', 'String'],
  ['endpoint', 'String'],
  ['channel', 'String'],
  ['transaction_id', 'String'],
  ['click_id', 'String'],
  ['click_time', `Nullable(${TIME})`],
  ['offer_id', 'UInt32'],
  ['affiliate_id', 'UInt32'],
  ['advertiser_id', 'UInt32'],
  ['goal_id', 'UInt32'],
  ...VERDICT_COLUMNS,
  ['blocking_transaction_id', 'String'],
  ['click_pending', 'UInt8'],
  ['token_valid', 'UInt8'],
  ['conv_status', 'String'],
  ['payout', MONEY],
  ['revenue', MONEY],
  ['amount', MONEY],
  ['currency', 'String'],
  ['promo_code', 'String'],
  ['track_id', 'String'],
  ['adv_order_id', 'String'],
  ['adv_user_id', 'String'],
  ...numbered('adv_param'),
  ...numbered('sub_id'),
  ...numbered('aff_param'),
  ['aff_click_id', 'String'],
  ['source', 'String'],
  ['visitor_ip', 'String'],
  ...CLIENT_COLUMNS,
  ['replayed_from', 'String'],
  ['method', 'String'],
  ['path', 'String'],
  ['query', 'String'],
  ['body', 'String'],
  ['body_base64', 'UInt8'],
  ['from_browser', 'UInt8'],
  ['content_type', 'String'],
  ['cookies', 'String'],
  ...CHUNK_COLUMNS,
  ['batch_id', 'String'],
  ['batch_line', 'UInt32'],
  ['author', 'String'],
  ['notes', 'String'],
  ['released', 'UInt8'],
  ['suppress_postbacks', 'UInt8'],
];

export const BATCH_COLUMNS: readonly Column[] = [
  ['batch_id', 'String'],
  ['claim', 'String'],
  ['advertiser_id', 'UInt32'],
  ['content_hash', 'String'],
  ['received_at', TIME],
  ['format', 'String'],
  ['lines', 'UInt32'],
  ['hits', 'UInt32'],
  ['rejected_lines', 'UInt32'],
  ['receipt', 'String'],
  ['uploaded_by', 'String'],
  ['kind', 'String'],
  ['author', 'String'],
];

export const REPLAY_LANE_COLUMNS: readonly Column[] = [
  ['position', 'UInt64'],
  ['original', 'String'],
  ['lane', 'UInt16'],
];

export const AFFILIATE_POSTBACK_COLUMNS: readonly Column[] = [
  ['attempt_id', 'String'],
  ['attempt_time', TIME],
  ['postback_id', 'String'],
  ['attempt', 'UInt16'],
  ['outcome', 'String'],
  ['final', 'UInt8'],
  ['resent_by', 'String'],
  ['entry_id', 'UInt32'],
  ['fanout', 'UInt16'],
  ['transaction_id', 'String'],
  ['hit_id', 'String'],
  ['event_time', 'DateTime'],
  ['offer_id', 'UInt32'],
  ['goal_id', 'UInt32'],
  ['affiliate_id', 'UInt32'],
  ['conv_status', 'String'],
  ['method', 'String'],
  ['url', 'String'],
  ['status_code', 'UInt16'],
  ['duration_ms', 'UInt32'],
  ['answer', 'String'],
  ['error', 'String'],
  ['next_attempt_time', `Nullable(${TIME})`],
  ['block_time', 'DateTime'],
];

export type { Column };
