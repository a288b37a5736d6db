/** The columns of a `postback_log` row that follow from the call itself; lane, position and chunk are the writer's. */
import type { Channel } from '../hit.ts';
import { canonicalIp, uniqueIpOf } from '../ip-rules.ts';
import type { IpStorage } from '../ip-storage.ts';
import { blankToken, blankTokenOfBase64, blankTokenOfUrl } from '../parameters.ts';
import { isCurrency, isMoney } from '../values.ts';
import { verdictOf, type VerdictSlug } from '../verdicts.ts';
import { isRelease, parameterOf, takesNotes, type Call } from './call.ts';
import { hasValidToken } from './checks.ts';
import type { Case } from './resolve.ts';

/** Values of five numbered parameters. */
export type FiveTexts = readonly [string, string, string, string, string];

/** Empty means '' for strings, 0 for ids and codes, null for times and money (CONTRACT.md). Money is decimal text. */
export interface PostbackFields {
  readonly hit_id: string;
  readonly hit_time_ms: number;
  readonly row_kind: 'conversion' | 'change' | 'invalid';
  readonly endpoint: string;
  readonly channel: Channel;
  readonly transaction_id: string;
  readonly click_id: string;
  readonly click_time_ms: number | null;
  readonly offer_id: number;
  readonly goal_id: number;
  readonly affiliate_id: number;
  readonly advertiser_id: number;
  readonly verdict_code: number;
  readonly verdict: VerdictSlug;
  readonly title: string;
  readonly detail: string;
  readonly hint: string;
  readonly blocking_transaction_id: string;
  readonly click_pending: 0 | 1;
  readonly token_valid: 0 | 1;
  readonly conv_status: string;
  readonly payout: string | null;
  readonly revenue: string | null;
  readonly amount: string | null;
  readonly currency: string;
  readonly promo_code: string;
  readonly track_id: string;
  readonly adv_order_id: string;
  readonly adv_user_id: string;
  readonly adv_params: FiveTexts;
  readonly sub_ids: FiveTexts;
  readonly aff_params: FiveTexts;
  readonly aff_click_id: string;
  readonly source: string;
  readonly visitor_ip: string;
  readonly ip: string;
  readonly user_agent: string;
  readonly referer: string;
  readonly replayed_from: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly body: string;
  readonly body_base64: 0 | 1;
  readonly from_browser: 0 | 1;
  readonly content_type: string;
  readonly cookies: string;
  readonly notes: string;
  readonly released: 0 | 1;
}

const ONLY_WITH_TOKEN = ['payout', 'revenue', 'conv_status'] as const;

/** The address that Unique IP compares, uncut; '' when the check is skipped. */
function visitorIpOf({ call, storedClick, reference }: Case): string {
  const { hit, keptVisitorIp } = call;
  if (hit.endpoint === 'manual') return keptVisitorIp ?? canonicalIp(parameterOf(call, 'ip')) ?? '';
  if (hit.endpoint === 'promo') {
    if (keptVisitorIp !== undefined) return keptVisitorIp;
    return canonicalIp(parameterOf(call, 'ip')) ?? (hit.fromBrowser ? hit.ip : '');
  }
  if (hit.fromBrowser || reference.from === 'cookie') return keptVisitorIp ?? hit.ip;
  return storedClick?.ip ?? '';
}

/** The key that Unique IP compares: IPv6 by its /64. */
export function uniqueIpKeyOf(item: Case): string {
  return uniqueIpOf(visitorIpOf(item));
}

/** The call asks to free what the transaction that it names claimed, and may. */
export function wantsRelease(item: Case): boolean {
  const asked = isRelease(parameterOf(item.call, 'release'));
  return asked && item.isChange && item.transaction !== undefined && hasValidToken(item);
}

/** What was sent and does not count, in words; '' when everything counts. */
export function ignoredParameters(item: Case): string {
  if (hasValidToken(item)) {
    const asked = item.isChange && isRelease(parameterOf(item.call, 'release'));
    return asked && !wantsRelease(item)
      ? 'release ignored: it goes with a change that names its transaction_id'
      : '';
  }
  const ignored = ONLY_WITH_TOKEN.filter((name) => parameterOf(item.call, name) !== '');
  return ignored.length === 0
    ? ''
    : `${ignored.join(', ')} ignored: counted only with a valid token`;
}

interface Money {
  readonly payout: string | null;
  readonly revenue: string | null;
  readonly amount: string | null;
  readonly currency: string;
  readonly conv_status: string;
}

/** Money and status of a created transaction; of a change only what it sets. */
function moneyOf(item: Case, creates: boolean): Money {
  const trusted = hasValidToken(item);
  const sent = (name: string): string => parameterOf(item.call, name);
  const money = (name: string): string | null => (isMoney(sent(name)) ? sent(name) : null);
  const currency = isCurrency(sent('currency')) ? sent('currency').toUpperCase() : '';
  const { goal } = item;
  return {
    amount: money('amount'),
    payout: (trusted ? money('payout') : null) ?? (creates ? (goal?.payout ?? null) : null),
    revenue: (trusted ? money('revenue') : null) ?? (creates ? (goal?.revenue ?? null) : null),
    currency: currency !== '' || !creates ? currency : (goal?.currency ?? ''),
    conv_status:
      (trusted ? sent('conv_status') : '') || (creates ? (goal?.conversion_status ?? '') : ''),
  };
}

const NO_MONEY: Money = {
  payout: null,
  revenue: null,
  amount: null,
  currency: '',
  conv_status: '',
};

/** What a call ended as: the part of its row that the judge and the gate decide. */
export interface Ending {
  readonly kind: PostbackFields['row_kind'];
  readonly transactionId: string;
  readonly slug: VerdictSlug;
  readonly detail: string;
  readonly hint: string;
  readonly blocking: string;
  /** It frees what the transaction claimed. */
  readonly released: boolean;
}

const MONEY_OUTCOME = { conversion: true, change: false, invalid: false } as const;

/** What a call rejected says of money: the amount it reported. */
function moneyOfEnding(item: Case, kind: Ending['kind']): Money {
  const money = moneyOf(item, MONEY_OUTCOME[kind]);
  return kind === 'invalid' ? { ...NO_MONEY, amount: money.amount } : money;
}

/** Five numbered parameters: the call's, else the click's. */
function numbered(call: Call, names: FiveTexts, ofClick: readonly string[] | undefined): FiveTexts {
  const value = (index: 0 | 1 | 2 | 3 | 4): string =>
    parameterOf(call, names[index]) || (ofClick?.[index] ?? '');
  return [value(0), value(1), value(2), value(3), value(4)];
}

const namesOf = (prefix: string): FiveTexts => [
  `${prefix}1`,
  `${prefix}2`,
  `${prefix}3`,
  `${prefix}4`,
  `${prefix}5`,
];
const ADV_PARAMS = namesOf('adv_param');
const SUB_IDS = namesOf('sub_id');
const AFF_PARAMS = namesOf('aff_param');

/**
 * The row of a judged call. One literal on purpose: objects put together by spreading have no fixed shape in V8, and
 * made this the larger part of a worker's time (66 µs a call by spreads, see ADR 0007).
 */
export function fieldsOf(item: Case, ending: Ending): PostbackFields {
  const { call, storedClick, reference, transaction, offer } = item;
  const { hit, batch } = call;
  const verdict = verdictOf(ending.slug);
  const money = moneyOfEnding(item, ending.kind);
  return {
    hit_id: hit.hitId,
    hit_time_ms: hit.receivedAtMs,
    row_kind: ending.kind,
    endpoint: hit.endpoint,
    channel: call.channel,
    transaction_id: ending.transactionId,
    click_id: transaction?.conversion.clickId ?? blankTokenOfUrl(reference.id).slice(0, 200),
    click_time_ms: storedClick?.click_time_ms ?? reference.opened?.ms ?? null,
    offer_id: offer?.id ?? (batch === undefined ? reference.opened?.offerId : 0) ?? 0,
    goal_id: item.goal?.id ?? item.requestGoal?.id ?? 0,
    affiliate_id: item.affiliateId,
    advertiser_id: offer?.advertiser_id ?? batch?.advertiserId ?? 0,
    verdict_code: verdict.code,
    verdict: verdict.slug,
    title: verdict.title,
    // It quotes what was sent.
    detail: blankTokenOfUrl(ending.detail),
    hint: ending.hint,
    blocking_transaction_id: ending.blocking,
    click_pending: item.click === 'pending' ? 1 : 0,
    token_valid: hasValidToken(item) ? 1 : 0,
    conv_status: money.conv_status,
    payout: money.payout,
    revenue: money.revenue,
    amount: money.amount,
    currency: money.currency,
    promo_code: item.promo?.code ?? parameterOf(call, 'code').slice(0, 200),
    track_id: parameterOf(call, 'track_id'),
    adv_order_id: parameterOf(call, 'adv_order_id'),
    adv_user_id: parameterOf(call, 'adv_user_id'),
    adv_params: numbered(call, ADV_PARAMS, undefined),
    sub_ids: numbered(call, SUB_IDS, storedClick?.sub_ids),
    aff_params: numbered(call, AFF_PARAMS, storedClick?.aff_params),
    aff_click_id: storedClick?.aff_click_id ?? '',
    source: storedClick?.source ?? '',
    visitor_ip: visitorIpOf(item),
    ip: hit.ip,
    user_agent: hit.userAgent,
    referer: blankTokenOfUrl(hit.referer),
    replayed_from: call.replayedFrom,
    method: hit.method,
    path: blankTokenOfUrl(hit.path),
    query: blankToken(hit.query),
    body: hit.bodyIsBase64 ? blankTokenOfBase64(hit.body) : blankToken(hit.body),
    body_base64: hit.bodyIsBase64 ? 1 : 0,
    from_browser: hit.fromBrowser ? 1 : 0,
    content_type: hit.contentType,
    cookies: hit.cookies,
    notes: takesNotes(hit.endpoint) && hasValidToken(item) ? parameterOf(call, 'notes') : '',
    released: ending.released ? 1 : 0,
  };
}

type RequestColumn =
  | 'hit_id'
  | 'hit_time_ms'
  | 'endpoint'
  | 'channel'
  | 'replayed_from'
  | 'ip'
  | 'user_agent'
  | 'referer'
  | 'method'
  | 'path'
  | 'query'
  | 'body'
  | 'body_base64'
  | 'from_browser'
  | 'content_type'
  | 'cookies';

function requestOf(call: Call): Pick<PostbackFields, RequestColumn> {
  const { hit } = call;
  return {
    hit_id: hit.hitId,
    hit_time_ms: hit.receivedAtMs,
    endpoint: hit.endpoint,
    channel: call.channel,
    replayed_from: call.replayedFrom,
    ip: hit.ip,
    user_agent: hit.userAgent,
    referer: blankTokenOfUrl(hit.referer),
    method: hit.method,
    path: blankTokenOfUrl(hit.path),
    query: blankToken(hit.query),
    body: hit.bodyIsBase64 ? blankTokenOfBase64(hit.body) : blankToken(hit.body),
    body_base64: hit.bodyIsBase64 ? 1 : 0,
    from_browser: hit.fromBrowser ? 1 : 0,
    content_type: hit.contentType,
    cookies: hit.cookies,
  };
}

const NO_TEXTS: FiveTexts = ['', '', '', '', ''];

/**
 * The row of a call that can't be judged or stored as it is (invariant 9): the request as it came, nothing derived from
 * it, so that nothing derived can be at fault again.
 */
export function bareFields(call: Call, reason: string): PostbackFields {
  const verdict = verdictOf('malformed');
  return {
    ...requestOf(call),
    ...NO_MONEY,
    row_kind: 'invalid',
    transaction_id: '',
    click_id: '',
    click_time_ms: null,
    offer_id: 0,
    goal_id: 0,
    affiliate_id: 0,
    advertiser_id: call.batch?.advertiserId ?? 0,
    verdict_code: verdict.code,
    verdict: verdict.slug,
    title: verdict.title,
    detail: reason,
    hint: '',
    blocking_transaction_id: '',
    click_pending: 0,
    token_valid: 0,
    promo_code: '',
    track_id: '',
    adv_order_id: '',
    adv_user_id: '',
    adv_params: NO_TEXTS,
    sub_ids: NO_TEXTS,
    aff_params: NO_TEXTS,
    aff_click_id: '',
    source: '',
    visitor_ip: '',
    notes: '',
    released: 0,
  };
}

/** The fields with addresses as they are to be stored; verdicts are given on whole ones. */
export function withStoredIps(fields: PostbackFields, ips: IpStorage): PostbackFields {
  if (!ips.hashes) return fields;
  const known = [fields.ip, fields.visitor_ip];
  return {
    ...fields,
    ip: ips.shown(fields.ip),
    visitor_ip: ips.key(fields.visitor_ip),
    query: ips.blank(fields.query, known),
    // What is kept as base64 could not be read; it may hold anything.
    body: fields.body_base64 === 1 ? '' : ips.blank(fields.body, known),
    detail: ips.blank(fields.detail, known),
  };
}
