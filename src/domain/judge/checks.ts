/**
 * The stateless checks of a conversion call, as data, in the contract's order. The first that fails decides.
 * What needs the state of earlier conversions (101, 122, 102, 103, 107) is the gate's; it comes after all of these.
 */
import {
  hintOfClickId,
  hintOfCookie,
  hintOfId,
  hintOfMissingClickId,
  hintOfText,
} from '../hints.ts';
import { matchingCidr } from '../ip-rules.ts';
import {
  judgeAffiliate,
  judgeDeployment,
  judgeOfferActive,
  type Failure,
} from '../participants.ts';
import { dateInZone, formatInZone } from '../time-buckets.ts';
import { parseId, short } from '../values.ts';
import type { VerdictSlug } from '../verdicts.ts';
import { parameterOf } from './call.ts';
import { cookiesOf, type Case } from './resolve.ts';

export interface Check {
  /** Stable name, shown by explain. */
  readonly name: string;
  /** It is asked of what would create a transaction: a change goes through whatever became of its offer since. */
  readonly ofCreations?: true;
  /** Why the check says nothing about this call, or undefined when it applies. */
  readonly skipped: (item: Case) => string | undefined;
  readonly judge: (item: Case) => Failure | undefined;
  /** What was compared, when it passed. */
  readonly evidence: (item: Case) => string;
}

const DAY_MS = 86_400_000;
const CODE_SHAPE = /^[0-9A-Za-z]{1,100}$/;

const always = (): undefined => undefined;
/** Why checks of creations say nothing of a call. */
export const CHANGES = 'a change of a stored transaction';

function fail(slug: VerdictSlug, detail: string, hint = ''): Failure {
  return hint === '' ? { slug, detail } : { slug, detail, hint };
}

const onlyPromo = (item: Case): string | undefined =>
  item.call.hit.endpoint === 'promo' ? undefined : 'not a promo code call';

function needsClick(item: Case): string | undefined {
  if (item.call.hit.endpoint === 'promo') return 'a promo code needs no click';
  if (item.call.hit.endpoint === 'manual') return 'entered by hand, without a click';
  const byId =
    item.call.hit.endpoint === 'conv-change' && parameterOf(item.call, 'transaction_id') !== '';
  return byId || item.transaction !== undefined ? 'the transaction is named by its id' : undefined;
}

function judgeNamedIds(item: Case): Failure | undefined {
  const offerText = parameterOf(item.call, 'offer_id');
  const goalText = parameterOf(item.call, 'goal_id');
  if (offerText !== '' && item.requestOffer === undefined) {
    return fail(
      'offer_not_found',
      `no offer has the id ${short(offerText)}`,
      hintOfId('offer_id', offerText),
    );
  }
  if (goalText !== '' && item.requestGoal === undefined) {
    return fail(
      'goal_not_found',
      `no goal has the id ${short(goalText)}`,
      hintOfId('goal_id', goalText),
    );
  }
  return judgeBatchClick(item);
}

/** To a batch, other advertisers' offers do not exist: nothing of their clicks may show in its rows. */
function judgeBatchClick({ call, reference, snapshot }: Case): Failure | undefined {
  if (call.batch === undefined || call.batch.advertiserId === 0) return undefined;
  if (reference.opened === undefined) return undefined;
  if (snapshot.offer(reference.opened.offerId) !== undefined) return undefined;
  return fail(
    'offer_not_found',
    `the click ${short(reference.id)} belongs to no offer of advertiser ${call.batch.advertiserId}, whose key sent the batch`,
  );
}

/** An offer beside one of the call, by its id only where both are of one advertiser: they see the row. */
function nameOffer({ snapshot }: Case, offerId: number, besideId: number): string {
  const owner = snapshot.offer(offerId)?.advertiser_id;
  const isTheirs = owner !== undefined && owner === snapshot.offer(besideId)?.advertiser_id;
  return isTheirs ? `offer ${offerId}` : 'another offer';
}

function judgePromoCode(item: Case): Failure | undefined {
  if (item.promo !== undefined) return undefined;
  const code = parameterOf(item.call, 'code');
  if (code === '')
    return fail(
      'promo_code_not_found',
      'the call names no code',
      'Send the code the buyer typed as code=.',
    );
  if (!CODE_SHAPE.test(code.trim())) {
    const detail = `${short(code)} is no promo code: codes have 1 to 100 Latin letters and digits`;
    return fail('promo_code_not_found', detail, hintOfText('code', code));
  }
  const wanted = item.requestOffer;
  // A code of other advertisers' offers alone does not exist for this one.
  const offers = item.promoEntries
    .map((entry) => entry.offer_id)
    .filter((id) => item.snapshot.offer(id)?.advertiser_id === wanted?.advertiser_id);
  if (wanted !== undefined && offers.length > 0) {
    const detail = `the code ${code} exists for offer ${offers.join(', ')}, not for offer ${wanted.id}`;
    return fail(
      'promo_code_not_found',
      detail,
      'Send the offer_id of the offer that has the code, or none.',
    );
  }
  return fail(
    'promo_code_not_found',
    `no promo code ${short(code)} exists${wanted === undefined ? '' : ` for offer ${wanted.id}`}`,
    hintOfText('code', code),
  );
}

function judgePromoDates(item: Case): Failure | undefined {
  const { promo, offer } = item;
  if (promo === undefined || offer === undefined) return undefined;
  const today = dateInZone(offer.timezone, item.call.hit.receivedAtMs);
  if (promo.start_date !== null && today < promo.start_date) {
    return fail(
      'promo_code_not_valid_now',
      `${promo.code} starts on ${promo.start_date}; it was ${today} in ${offer.timezone}`,
    );
  }
  if (promo.end_date !== null && today > promo.end_date) {
    return fail(
      'promo_code_not_valid_now',
      `${promo.code} ended on ${promo.end_date}; it was ${today} in ${offer.timezone}`,
    );
  }
  return undefined;
}

/** `came`: offers of the cookies that the browser sent. */
function judgeMissingCookie(came: readonly number[], wanted: number | undefined): Failure {
  const [first] = came;
  const empty = wanted === undefined ? first : came.find((offerId) => offerId === wanted);
  if (empty !== undefined) return fail('invalid_cookie', `the cookie slc_${empty} came empty`);
  const missing = `no slc_ cookie${wanted === undefined ? '' : ` of offer ${wanted}`} came with the call`;
  if (first === undefined)
    return fail(
      'invalid_cookie',
      missing,
      'The browser sent no cookie of a click: it may block third-party cookies, or the visitor came by no tracking link.',
    );
  return fail(
    'invalid_cookie',
    // Not of which: the row is shown to the wanted offer's advertiser.
    `${missing}, only of other offers`,
    'The visitor clicked on another offer: name its goal, or leave offer_id and goal_id out to take the newest click.',
  );
}

function judgeCookie(item: Case): Failure | undefined {
  const { id, opened } = item.reference;
  const wanted = item.requestOffer?.id ?? item.requestGoal?.offer_id;
  if (id === '') return judgeMissingCookie([...cookiesOf(item.call).keys()], wanted);
  if (opened === undefined) {
    // No offer is named, and the cookie's own is not its click's.
    const what =
      item.codec.open(id) === undefined
        ? 'which is no click id of ours'
        : "the click id of another offer than the cookie's name says";
    return fail('invalid_cookie', `the cookie holds ${short(id)}, ${what}`, hintOfCookie(id));
  }
  if (wanted !== undefined && opened.offerId !== wanted) {
    return fail(
      'invalid_cookie',
      `the cookie's click belongs to ${nameOffer(item, opened.offerId, wanted)}, the call to offer ${wanted}`,
    );
  }
  return undefined;
}

function judgeClickId(item: Case): Failure | undefined {
  const { id, opened } = item.reference;
  const sent = short(id);
  if (id === '') {
    const transaction = short(parameterOf(item.call, 'transaction_id'));
    const what =
      item.isChange && transaction === ''
        ? 'the call names neither transaction_id nor click_id'
        : item.isChange
          ? `no transaction has the id ${transaction}, and the call names no click_id to create one`
          : 'the call names no click_id';
    return fail('invalid_click_id', what, hintOfMissingClickId(item.call.parameters));
  }
  if (opened === undefined) {
    const hint = hintOfClickId(id, (text) => item.codec.open(text) !== undefined);
    return fail('invalid_click_id', `click_id=${sent} was not minted here`, hint);
  }
  if (item.click === 'pending') {
    const hint =
      'The id is genuine, but its click has not arrived yet. This call is replayed by itself when it does.';
    return fail('invalid_click_id', `the click ${sent} is not stored yet`, hint);
  }
  if (item.storedClick === undefined) {
    return fail('invalid_click_id', `no click has the id ${sent}, though its form is genuine`);
  }
  const wanted = parameterOf(item.call, 'offer_id');
  if (wanted !== '' && item.requestOffer?.id !== item.storedClick.offer_id) {
    const owner = nameOffer(item, item.storedClick.offer_id, parseId(wanted));
    const detail = `the click belongs to ${owner}, the call names offer ${wanted}`;
    return fail(
      'invalid_click_id',
      detail,
      "This is another offer's click id: send the id of the click on this offer, or leave offer_id out.",
    );
  }
  return undefined;
}

function judgeClickAge(item: Case): Failure | undefined {
  const { storedClick, offer } = item;
  if (storedClick === undefined || offer === undefined) return undefined;
  const lifetimeDays = offer.click_lifetime_days;
  const expiresAtMs = storedClick.click_time_ms + lifetimeDays * DAY_MS;
  // 0 days: not even in the click's own ms (docs/adr/0005).
  if (lifetimeDays > 0 && item.call.hit.receivedAtMs <= expiresAtMs) return undefined;
  const detail = `the click of ${formatInZone(offer.timezone, storedClick.click_time_ms)} could convert until ${formatInZone(offer.timezone, expiresAtMs)} (${lifetimeDays} days)`;
  return fail('click_expired', detail);
}

function judgeOfferFound({
  offer,
  requestOffer,
  reference,
  transaction,
}: Case): Failure | undefined {
  if (offer === undefined) {
    const offerId = transaction?.conversion.offerId ?? reference.opened?.offerId;
    const detail =
      offerId === undefined ? 'no offer belongs to the call' : `offer ${offerId} exists no more`;
    return fail('offer_not_found', detail);
  }
  if (transaction === undefined || requestOffer === undefined || requestOffer.id === offer.id)
    return undefined;
  return fail(
    'offer_not_found',
    `transaction ${transaction.conversion.transactionId} is of offer ${offer.id}, the call names offer ${requestOffer.id}`,
  );
}

/** Whether a call that names its transaction names another goal beside it. */
function namesOtherGoal({ call, snapshot, offer, goal, requestGoal }: Case): boolean {
  const alias = parameterOf(call, 'goal_alias');
  const named = requestGoal ?? (alias === '' ? goal : snapshot.goalByAlias(offer?.id ?? 0, alias));
  return named?.id !== goal?.id;
}

function judgeGoalFound(item: Case): Failure | undefined {
  const offerId = item.offer?.id ?? 0;
  const alias = parameterOf(item.call, 'goal_alias');
  if (item.transaction !== undefined && item.goal !== undefined && namesOtherGoal(item)) {
    const { transactionId } = item.transaction.conversion;
    const named = parameterOf(item.call, 'goal_id') || alias;
    return fail(
      'goal_not_found',
      `transaction ${transactionId} is of goal ${item.goal.id}, the call names goal ${short(named)}`,
    );
  }
  if (item.goal === undefined) {
    const detail =
      alias === ''
        ? `offer ${offerId} has no default goal and the call names none`
        : `offer ${offerId} has no goal with the alias ${short(alias)}`;
    return fail('goal_not_found', detail, hintOfText('goal_alias', alias));
  }
  if (item.goal.offer_id !== offerId) {
    const owner = nameOffer(item, item.goal.offer_id, offerId);
    const detail = `goal ${item.goal.id} belongs to ${owner}, the call to offer ${offerId}`;
    return fail(
      'goal_not_found',
      detail,
      'This is the goal id of another offer: use one of this offer, or none for its default goal.',
    );
  }
  return undefined;
}

/**
 * A valid token came with the call (or with the call that this one replays). What is compared are hashes: how long that
 * takes tells nothing of a token.
 */
export function hasValidToken(item: Case): boolean {
  if (item.call.tokenVerifiedBefore) return true;
  const { tokenHash, batch } = item.call;
  // The advertiser's API key proves more than the token does; only their own offers are in sight.
  if (batch !== undefined && tokenHash === '') return true;
  if (tokenHash === '') return false;
  if (item.advertiser !== undefined) {
    return item.advertiser.token === tokenHash;
  }
  // No offer is known: a change that matches nothing. Any advertiser's token lets it see 119.
  return item.snapshot.state.advertisers.some(({ token }) => token === tokenHash);
}

function judgeToken(item: Case): Failure | undefined {
  if (hasValidToken(item)) return undefined;
  const name =
    item.advertiser === undefined ? 'any advertiser' : `advertiser ${item.advertiser.id}`;
  if (item.call.tokenHash !== '') {
    const none = item.advertiser !== undefined && item.advertiser.token === null;
    return fail(
      'invalid_token',
      none ? `${name} has no security token set` : `the token is not that of ${name}`,
      hintOfText('token', parameterOf(item.call, 'token')),
    );
  }
  if (item.isChange)
    return fail(
      'invalid_token',
      `${item.call.hit.endpoint} always needs the token of ${name}; none was sent`,
    );
  if (item.advertiser?.require_token === true) {
    return fail('invalid_token', `${name} requires its token on every call; none was sent`);
  }
  return undefined;
}

function judgeCallerIp(item: Case): Failure | undefined {
  const { offer } = item;
  if (offer === undefined) return undefined;
  const { ip } = item.call.hit;
  const denied = matchingCidr(ip, offer.postback_ips.deny);
  if (denied !== undefined)
    return fail('ip_not_allowed', `${ip} is in ${denied}, which offer ${offer.id} denies`);
  const { allow } = offer.postback_ips;
  if (allow.length === 0 || matchingCidr(ip, allow) !== undefined) return undefined;
  return fail(
    'ip_not_allowed',
    `${ip} is in none of the ranges offer ${offer.id} allows: ${allow.join(', ')}`,
  );
}

function judgeTransaction({ call, transaction }: Case): Failure | undefined {
  const sent = parameterOf(call, 'transaction_id');
  if (transaction === undefined)
    return fail(
      'transaction_not_found',
      `no transaction has the id ${short(sent)}`,
      hintOfText('transaction_id', sent),
    );
  const clickId = parameterOf(call, 'click_id');
  const { clickId: own, transactionId } = transaction.conversion;
  if (clickId === '' || clickId === own) return undefined;
  const whose = own === '' ? 'no click' : `click ${own}`;
  return fail(
    'transaction_not_found',
    `transaction ${transactionId} is of ${whose}, the call names click ${short(clickId)}`,
    'Send the transaction_id alone, or the click_id alone.',
  );
}

/** A change is a server's, whatever its headers say: it always carries the advertiser's token. */
const fromBrowser = ({ call, reference, isChange }: Case): boolean =>
  !isChange && (call.hit.fromBrowser || reference.from === 'cookie');

export const CHECKS: readonly Check[] = [
  {
    name: 'well-formed',
    skipped: always,
    judge: ({ call }) =>
      call.malformed && fail('malformed', call.malformed.detail, call.malformed.hint),
    evidence: () => 'every value is what it must be',
  },
  {
    name: 'named ids exist',
    skipped: ({ call }) =>
      call.batch === undefined &&
      parameterOf(call, 'offer_id') + parameterOf(call, 'goal_id') === ''
        ? 'the call names no offer_id or goal_id'
        : undefined,
    judge: judgeNamedIds,
    evidence: ({ requestOffer, requestGoal }) =>
      [
        requestOffer && `offer ${requestOffer.id} exists`,
        requestGoal && `goal ${requestGoal.id} exists`,
      ]
        .filter(Boolean)
        .join(', ') || 'the call names nothing that the sender of the batch may not see',
  },
  {
    name: 'promo code',
    skipped: onlyPromo,
    judge: judgePromoCode,
    evidence: ({ promo }) => `${promo?.code} of offer ${promo?.offer_id}`,
  },
  {
    name: 'promo code dates',
    skipped: onlyPromo,
    judge: judgePromoDates,
    evidence: ({ promo }) => `from ${promo?.start_date ?? 'ever'} to ${promo?.end_date ?? 'ever'}`,
  },
  {
    name: 'promo codes enabled',
    skipped: onlyPromo,
    judge: ({ offer }) =>
      offer !== undefined && !offer.promo_codes_enabled
        ? fail('promo_codes_disabled', `promo codes are off for offer ${offer.id} (${offer.title})`)
        : undefined,
    evidence: ({ offer }) => `on for offer ${offer?.id}`,
  },
  {
    name: 'cookie',
    skipped: ({ reference, call }) =>
      call.hit.endpoint === 'goal' && reference.from === 'cookie'
        ? undefined
        : 'the click is not named by a cookie',
    judge: judgeCookie,
    evidence: ({ reference }) => `slc_${reference.opened?.offerId} holds ${reference.id}`,
  },
  {
    name: 'click id',
    skipped: needsClick,
    judge: judgeClickId,
    evidence: ({ reference }) => `click ${reference.id} is stored`,
  },
  {
    name: 'click lifetime',
    ofCreations: true,
    skipped: needsClick,
    judge: judgeClickAge,
    evidence: ({ offer }) => `younger than ${offer?.click_lifetime_days} days`,
  },
  {
    name: 'offer exists',
    skipped: (item) =>
      item.call.hit.endpoint === 'conv-change' && item.offer === undefined
        ? 'no transaction tells the offer'
        : undefined,
    judge: judgeOfferFound,
    evidence: ({ offer }) => `offer ${offer?.id} (${offer?.title})`,
  },
  {
    name: 'offer active',
    ofCreations: true,
    skipped: always,
    judge: ({ offer, snapshot }) => offer && judgeOfferActive(snapshot, offer),
    evidence: ({ offer }) => `status ${offer?.status}`,
  },
  {
    name: 'goal exists',
    skipped: (item) =>
      item.isChange && item.offer === undefined ? 'no transaction tells the offer' : undefined,
    judge: judgeGoalFound,
    evidence: ({ goal }) => `goal ${goal?.id} (${goal?.alias})`,
  },
  {
    name: 'goal active',
    ofCreations: true,
    skipped: always,
    judge: ({ goal }) =>
      goal !== undefined && goal.status !== 'active'
        ? fail('goal_not_active', `goal ${goal.id} (${goal.title}) is ${goal.status}`)
        : undefined,
    evidence: ({ goal }) => `status ${goal?.status}`,
  },
  {
    name: 'token',
    skipped: always,
    judge: judgeToken,
    evidence: (item) =>
      hasValidToken(item) ? 'the token is right' : 'none was sent, none is required',
  },
  {
    name: 'caller address',
    skipped: (item) =>
      item.call.batch !== undefined
        ? 'an API key or a signed-in user brought it, from wherever'
        : fromBrowser(item)
          ? 'a browser called; only servers are checked'
          : item.call.keptVisitorIp !== undefined
            ? 'the address of the call that is replayed was not kept whole'
            : undefined,
    judge: judgeCallerIp,
    evidence: ({ call }) => `${call.hit.ip} may call`,
  },
  {
    name: 'affiliate exists and is active',
    ofCreations: true,
    skipped: always,
    judge: ({ snapshot, affiliateId, call }) =>
      call.hit.endpoint === 'manual'
        ? judgeAffiliate(snapshot, affiliateId, parameterOf(call, 'affiliate_id'))
        : judgeAffiliate(snapshot, affiliateId),
    evidence: ({ affiliateId }) => `affiliate ${affiliateId} is active`,
  },
  {
    name: 'offer deployed',
    ofCreations: true,
    skipped: always,
    judge: ({ snapshot, offer, affiliateId }) =>
      offer && judgeDeployment(snapshot, offer, affiliateId),
    evidence: ({ offer }) => `offer is ${offer?.availability}`,
  },
  {
    name: 'transaction exists',
    skipped: ({ call, transaction }) =>
      transaction !== undefined ||
      (call.hit.endpoint === 'conv-change' && parameterOf(call, 'transaction_id') !== '')
        ? undefined
        : 'the call names no transaction that must exist',
    judge: judgeTransaction,
    evidence: ({ transaction }) => `transaction ${transaction?.conversion.transactionId}`,
  },
];

/** Why a check says nothing about a call, or undefined. */
export function skippedBecause(check: Check, item: Case): string | undefined {
  const changes = item.transaction !== undefined || item.call.hit.endpoint === 'conv-change';
  if (check.ofCreations && changes) return CHANGES;
  return check.skipped(item);
}

export interface Failed extends Failure {
  /** Only a creation is refused: if the call's click has a transaction, the call changes it. */
  readonly unlessChange: boolean;
}

/** What decides about a call before the gate: the first check that fails. */
export function firstFailure(item: Case): Failed | undefined {
  // conv-addchange by click: whether there is a transaction to change is known only at the gate.
  const mayChange = item.isChange && item.storedClick !== undefined;
  let ofCreation: Failure | undefined;
  for (const check of CHECKS) {
    if (skippedBecause(check, item) !== undefined) continue;
    const failure = check.judge(item);
    if (failure === undefined) continue;
    if (!mayChange || !check.ofCreations)
      return { ...(ofCreation ?? failure), unlessChange: false };
    ofCreation ??= failure;
  }
  return ofCreation && { ...ofCreation, unlessChange: true };
}
