/**
 * Resolving: which offer, goal, click, promo code and transaction a call means. It decides nothing: what can't be
 * found is left undefined, and the checks (`checks.ts`) say what that is worth.
 */
import type { Advertiser, CatalogueSnapshot, Goal, Offer, PromoCode } from '../catalogue.ts';
import type { ClickIdCodec, OpenedClickId } from '../click-id.ts';
import type { AcceptedConversion } from '../gate-request.ts';
import type { Endpoint } from '../hit.ts';
import { UUID } from '../uuid-v7.ts';
import { parseId } from '../values.ts';
import { parameterOf, type Call } from './call.ts';

/** A click as stored. */
export interface StoredClick {
  readonly click_id: string;
  readonly click_time_ms: number;
  readonly offer_id: number;
  readonly affiliate_id: number;
  readonly advertiser_id: number;
  readonly ip: string;
  readonly aff_click_id: string;
  readonly source: string;
  readonly sub_ids: readonly string[];
  readonly aff_params: readonly string[];
}

/** A transaction as created; its current state does not matter to a verdict. */
export interface StoredTransaction {
  readonly conversion: AcceptedConversion;
  /** Another call of the same chunk, not judged yet. */
  readonly inBlock?: boolean;
}

/**
 * What became of a look-up of a genuine click id. unknown: proven not to exist. pending: not stored yet after the wait.
 * not-asked: there was nothing to look up.
 */
export type ClickAnswer = StoredClick | 'unknown' | 'pending' | 'not-asked';

/** The click id that a call names, before any look-up. */
export interface ClickReference {
  readonly from: 'parameter' | 'cookie';
  /** As sent; '' when absent. */
  readonly id: string;
  /** Undefined: not minted here. */
  readonly opened: OpenedClickId | undefined;
}

export interface Lookups {
  /** A genuine click id to look up, or ''. */
  readonly clickId: string;
  readonly openedClickId: OpenedClickId | undefined;
  /** A transaction id to look up, or ''. */
  readonly transactionId: string;
}

export interface ResolveInput {
  readonly call: Call;
  readonly snapshot: CatalogueSnapshot;
  readonly codec: ClickIdCodec;
  readonly click: ClickAnswer;
  readonly transaction: StoredTransaction | undefined;
}

/** A call with everything it refers to. */
export interface Case extends ResolveInput {
  readonly isChange: boolean;
  readonly reference: ClickReference;
  readonly storedClick: StoredClick | undefined;
  /** Every entry of the promo code sent. */
  readonly promoEntries: readonly PromoCode[];
  readonly promo: PromoCode | undefined;
  readonly requestGoal: Goal | undefined;
  readonly requestOffer: Offer | undefined;
  readonly offer: Offer | undefined;
  readonly goal: Goal | undefined;
  readonly advertiser: Advertiser | undefined;
  readonly affiliateId: number;
}

const WITHOUT_CLICK: readonly Endpoint[] = ['promo', 'manual', 'unknown'];
const NO_CLICK: ClickReference = { from: 'parameter', id: '', opened: undefined };

function isChange(call: Call): boolean {
  return call.hit.endpoint === 'conv-change' || call.hit.endpoint === 'conv-addchange';
}

function requestOfferId(call: Call, snapshot: CatalogueSnapshot): number {
  const offerId = parseId(parameterOf(call, 'offer_id'));
  if (offerId !== 0) return offerId;
  return snapshot.goal(parseId(parameterOf(call, 'goal_id')))?.offer_id ?? 0;
}

/** The `slc_*` cookies of a hit: offer → click id. The first of a name counts. */
export function cookiesOf(call: Call): Map<number, string> {
  const cookies = new Map<number, string>();
  for (const pair of call.hit.cookies.split('; ')) {
    const match = /^slc_([0-9]+)=(.*)$/.exec(pair);
    if (match === null) continue;
    const offerId = parseId(match[1] ?? '');
    if (offerId !== 0 && !cookies.has(offerId)) cookies.set(offerId, match[2] ?? '');
  }
  return cookies;
}

function newestGenuine(cookies: ReadonlyMap<number, string>, codec: ClickIdCodec): ClickReference {
  let newest: ClickReference = { from: 'cookie', id: '', opened: undefined };
  for (const [offerId, id] of cookies) {
    const opened = codec.open(id);
    if (opened?.offerId !== offerId) {
      if (newest.id === '') newest = { from: 'cookie', id, opened: undefined };
    } else if (newest.opened === undefined || opened.ms > newest.opened.ms) {
      newest = { from: 'cookie', id, opened };
    }
  }
  return newest;
}

function referenceOf(call: Call, snapshot: CatalogueSnapshot, codec: ClickIdCodec): ClickReference {
  if (WITHOUT_CLICK.includes(call.hit.endpoint)) return NO_CLICK;
  const sent = parameterOf(call, 'click_id');
  if (call.hit.endpoint !== 'goal' || sent !== '') {
    return { from: 'parameter', id: sent, opened: codec.open(sent) };
  }
  const cookies = cookiesOf(call);
  const offerId = requestOfferId(call, snapshot);
  if (offerId === 0) return newestGenuine(cookies, codec);
  const id = cookies.get(offerId) ?? '';
  return { from: 'cookie', id, opened: codec.open(id) };
}

/** What must be looked up before the call can be judged. */
export function lookupsOf(call: Call, snapshot: CatalogueSnapshot, codec: ClickIdCodec): Lookups {
  const reference = referenceOf(call, snapshot, codec);
  const transactionId = isChange(call) ? parameterOf(call, 'transaction_id').toLowerCase() : '';
  // Of an offer that is out of a batch's sight no click is looked up: it is rejected whatever became of the click.
  const { opened } = reference;
  const seen =
    opened !== undefined &&
    (call.batch === undefined || snapshot.offer(opened.offerId) !== undefined);
  return {
    clickId: seen ? reference.id : '',
    openedClickId: opened,
    transactionId: UUID.test(transactionId) ? transactionId : '',
  };
}

function promoOf(entries: readonly PromoCode[], call: Call): PromoCode | undefined {
  const offerText = parameterOf(call, 'offer_id');
  // Without an offer the one where the code was first created decides (entries are in order of creation).
  if (offerText === '') return entries[0];
  const offerId = parseId(offerText);
  return entries.find((entry) => entry.offer_id === offerId);
}

function goalOf(
  call: Call,
  snapshot: CatalogueSnapshot,
  offerId: number,
  transaction: StoredTransaction | undefined,
): Goal | undefined {
  if (transaction !== undefined) return snapshot.goal(transaction.conversion.goalId);
  const idText = parameterOf(call, 'goal_id');
  if (idText !== '') return snapshot.goal(parseId(idText));
  const alias = parameterOf(call, 'goal_alias');
  return alias === '' ? snapshot.defaultGoal(offerId) : snapshot.goalByAlias(offerId, alias);
}

/** A batch can't change transactions of other advertisers' offers: to it there are none. */
function visibleTransaction({
  call,
  snapshot,
  transaction,
}: ResolveInput): StoredTransaction | undefined {
  if (transaction === undefined || call.batch === undefined) return transaction;
  return snapshot.offer(transaction.conversion.offerId) === undefined ? undefined : transaction;
}

/** Whom a conversion entered by hand is for. */
function namedAffiliate(call: Call): number | undefined {
  return call.hit.endpoint === 'manual' ? parseId(parameterOf(call, 'affiliate_id')) : undefined;
}

/** Puts a call together with what it refers to. Pure; O(1) but for the promo entries of one code. */
export function resolveCall(input: ResolveInput): Case {
  const { call, snapshot, codec, click } = input;
  const transaction = visibleTransaction(input);
  const reference = referenceOf(call, snapshot, codec);
  const storedClick = typeof click === 'string' ? undefined : click;
  const promoEntries =
    call.hit.endpoint === 'promo' ? snapshot.promoCodes(parameterOf(call, 'code').trim()) : [];
  const promo = promoOf(promoEntries, call);
  const requestGoal = snapshot.goal(parseId(parameterOf(call, 'goal_id')));
  const requestOffer = snapshot.offer(parseId(parameterOf(call, 'offer_id')));
  const offerId =
    promo?.offer_id ??
    transaction?.conversion.offerId ??
    storedClick?.offer_id ??
    requestOffer?.id ??
    requestGoal?.offer_id ??
    reference.opened?.offerId ??
    0;
  const offer = snapshot.offer(offerId);
  return {
    call,
    snapshot,
    codec,
    click,
    transaction,
    isChange: isChange(call),
    reference,
    storedClick,
    promoEntries,
    promo,
    requestGoal,
    requestOffer,
    offer,
    goal: goalOf(call, snapshot, offerId, transaction),
    advertiser: offer && snapshot.advertiser(offer.advertiser_id),
    affiliateId:
      namedAffiliate(call) ??
      promo?.affiliate_id ??
      transaction?.conversion.affiliateId ??
      storedClick?.affiliate_id ??
      0,
  };
}
