/** The columns of a `postback_log` row that follow from the call itself; lane, position and chunk are the writer's. */
import type { Channel } from '../hit.ts';
import { canonicalIp, uniqueIpOf } from '../ip-rules.ts';
import { blankToken, blankTokenOfBase64 } from '../parameters.ts';
import { isCurrency, isMoney } from '../values.ts';
import { verdictOf, type VerdictSlug } from '../verdicts.ts';
import { parameterOf, type Call } from './call.ts';
import { hasValidToken } from './checks.ts';
import type { Case } from './resolve.ts';

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
  readonly adv_params: readonly string[];
  readonly sub_ids: readonly string[];
  readonly aff_params: readonly string[];
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
}

const NUMBERS = [1, 2, 3, 4, 5] as const;
const ONLY_WITH_TOKEN = ['payout', 'revenue', 'conv_status'] as const;

/** The address that Unique IP compares, uncut; '' when the check is skipped. */
function visitorIpOf({ call, storedClick, reference }: Case): string {
  const { hit } = call;
  if (hit.endpoint === 'promo') {
    return canonicalIp(parameterOf(call, 'ip')) ?? (hit.fromBrowser ? hit.ip : '');
  }
  if (hit.fromBrowser || reference.from === 'cookie') return hit.ip;
  return storedClick?.ip ?? '';
}

/** The key that Unique IP compares: IPv6 by its /64. */
export function uniqueIpKeyOf(item: Case): string {
  return uniqueIpOf(visitorIpOf(item));
}

/** What was sent and does not count, in words; '' when everything counts. */
function ignoredParameters(item: Case): string {
  if (hasValidToken(item)) return '';
  const ignored = ONLY_WITH_TOKEN.filter((name) => parameterOf(item.call, name) !== '');
  return ignored.length === 0
    ? ''
    : `${ignored.join(', ')} ignored: they count only with a valid token`;
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

function labelsOf({ call, storedClick, promo, reference, transaction }: Case) {
  const sent = (name: string): string => parameterOf(call, name);
  return {
    click_id: transaction?.click_id ?? reference.id.slice(0, 200),
    click_time_ms: storedClick?.click_time_ms ?? reference.opened?.ms ?? null,
    promo_code: promo?.code ?? sent('code').slice(0, 200),
    track_id: sent('track_id'),
    adv_order_id: sent('adv_order_id'),
    adv_user_id: sent('adv_user_id'),
    adv_params: NUMBERS.map((n) => sent(`adv_param${n}`)),
    sub_ids: NUMBERS.map((n) => sent(`sub_id${n}`) || (storedClick?.sub_ids[n - 1] ?? '')),
    aff_params: NUMBERS.map((n) => sent(`aff_param${n}`) || (storedClick?.aff_params[n - 1] ?? '')),
    aff_click_id: storedClick?.aff_click_id ?? '',
    source: storedClick?.source ?? '',
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
    referer: hit.referer,
    method: hit.method,
    path: hit.path,
    query: blankToken(hit.query),
    body: hit.bodyIsBase64 ? blankTokenOfBase64(hit.body) : blankToken(hit.body),
    body_base64: hit.bodyIsBase64 ? 1 : 0,
    from_browser: hit.fromBrowser ? 1 : 0,
    content_type: hit.contentType,
    cookies: hit.cookies,
  };
}

/** Everything but the verdict. `outcome` says what the money columns mean. */
export function fieldsOf(
  item: Case,
  outcome: 'created' | 'changed' | 'invalid',
): Omit<
  PostbackFields,
  | 'verdict_code'
  | 'verdict'
  | 'title'
  | 'hint'
  | 'blocking_transaction_id'
  | 'row_kind'
  | 'transaction_id'
> {
  const { batch } = item.call;
  const money =
    outcome === 'invalid'
      ? { ...NO_MONEY, amount: moneyOf(item, false).amount }
      : moneyOf(item, outcome === 'created');
  return {
    ...requestOf(item.call),
    ...labelsOf(item),
    ...money,
    offer_id: item.offer?.id ?? (batch === undefined ? item.reference.opened?.offerId : 0) ?? 0,
    goal_id: item.goal?.id ?? item.requestGoal?.id ?? 0,
    affiliate_id: item.affiliateId,
    advertiser_id: item.offer?.advertiser_id ?? batch?.advertiserId ?? 0,
    visitor_ip: visitorIpOf(item),
    token_valid: hasValidToken(item) ? 1 : 0,
    click_pending: item.click === 'pending' ? 1 : 0,
    detail: outcome === 'invalid' ? '' : ignoredParameters(item),
  };
}

const NO_TEXTS = ['', '', '', '', ''];

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
  };
}
