/**
 * Judging a conversion call: runs the checks in order, and either rejects or asks the gate.
 * The same list serves `judgeCall` (stops at the first failure) and `traceCall` (shows all, for explain).
 */
import type { GateReply, GateRequest } from '../gate-request.ts';
import { laneOf } from '../gate-request.ts';
import { hintOfText } from '../hints.ts';
import { bucketOf, formatInZone } from '../time-buckets.ts';
import { short } from '../values.ts';
import type { VerdictSlug } from '../verdicts.ts';
import { CHANGES, CHECKS, firstFailure, skippedBecause } from './checks.ts';
import { parameterOf } from './call.ts';
import {
  fieldsOf,
  ignoredParameters,
  uniqueIpKeyOf,
  wantsRelease,
  type PostbackFields,
} from './fields.ts';
import { resolveCall, type Case, type ResolveInput } from './resolve.ts';

export type Judged =
  | { readonly kind: 'invalid'; readonly lane: number; readonly fields: PostbackFields }
  | {
      readonly kind: 'candidate';
      readonly lane: number;
      readonly request: GateRequest;
      readonly item: Case;
    };

export interface TracedCheck {
  readonly check: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly evidence: string;
}

interface Rejection {
  readonly slug: VerdictSlug;
  readonly detail: string;
  readonly hint?: string | undefined;
  readonly blocking?: string;
}

function invalidFields(item: Case, rejection: Rejection): PostbackFields {
  return fieldsOf(item, {
    kind: 'invalid',
    transactionId: '',
    slug: rejection.slug,
    detail: rejection.detail,
    hint: rejection.hint ?? '',
    blocking: rejection.blocking ?? '',
    released: false,
  });
}

function modeOf(item: Case, mayCreate: boolean): GateRequest['mode'] {
  if (!item.isChange) return 'create';
  if (item.transaction !== undefined || item.call.hit.endpoint === 'conv-change') return 'change';
  return mayCreate ? 'change-or-create' : 'change';
}

function gateRequestOf(item: Case, mayCreate: boolean): GateRequest | undefined {
  const { call, offer, goal, affiliateId, transaction } = item;
  if (offer === undefined || goal === undefined) return undefined;
  const text = (name: string): string => call.parameters.get(name) ?? '';
  return {
    hitId: call.hit.hitId,
    hitTimeMs: call.hit.receivedAtMs,
    offerId: offer.id,
    goalId: goal.id,
    affiliateId,
    clickId: item.storedClick?.click_id ?? '',
    orderId: text('adv_order_id'),
    trackId: text('track_id'),
    uniqueIp: uniqueIpKeyOf(item),
    rules: {
      oncePerClick: !goal.multiple_conversions,
      uniqueOrderId: goal.unique_order_id,
      uniqueIpWindow: offer.unique_ip.enabled ? offer.unique_ip.window : null,
      uniqueTrackId: goal.unique_track_id,
      caps: goal.caps,
      affiliateCaps: goal.affiliate_caps[String(affiliateId)] ?? null,
      timezone: offer.timezone,
    },
    mode: modeOf(item, mayCreate),
    targetTransactionId: transaction?.conversion.transactionId ?? '',
    targetInBlock: transaction?.inBlock === true,
    release: wantsRelease(item) ? transaction?.conversion : undefined,
  };
}

/**
 * The same at every delivery of the call, so that none of its chunk's rows is missing or there twice: a click id names its
 * offer whether the click is stored by now or not. A transaction's id does not (`workers/ingest/conversions.ts`).
 */
function laneOfCase({ transaction, reference, offer }: Case): number {
  const named = transaction === undefined ? reference.opened?.offerId : undefined;
  return laneOf(named ?? offer?.id ?? 0);
}

/** Judges a call against the catalogue and what was looked up. Pure; claims nothing. */
export function judgeCall(input: ResolveInput): Judged {
  const item = resolveCall(input);
  const lane = laneOfCase(item);
  const failure = firstFailure(item);
  if (failure?.unlessChange === false)
    return { kind: 'invalid', lane, fields: invalidFields(item, failure) };
  const request = gateRequestOf(item, failure === undefined);
  // Of a click that is not stored the offer that a change names may be another one: there is nothing of it to change.
  if (request === undefined || laneOf(request.offerId) !== lane) {
    const detail = 'no stored transaction tells which offer and goal to change';
    return {
      kind: 'invalid',
      lane,
      fields: invalidFields(item, { slug: 'transaction_not_found', detail }),
    };
  }
  return { kind: 'candidate', lane, request, item };
}

/** The row of a change that was judged before the transaction that it names was stored, and keeps the lane of then. */
export function lateChangeFields(input: ResolveInput): PostbackFields {
  const detail = 'the transaction was not stored yet when this call was judged first';
  const item = resolveCall({ ...input, transaction: undefined });
  return invalidFields(item, { slug: 'transaction_not_found', detail });
}

/** The row of a replay whose original counts already, or stands in the same replay twice. */
export function repeatedFields(
  input: ResolveInput,
  detail: string,
  transactionId: string,
): PostbackFields {
  return invalidFields(resolveCall(input), {
    slug: 'multiple_conversions',
    detail,
    blocking: transactionId,
  });
}

const PERIOD_BUCKETS = { daily: 'day', monthly: 'month', total: 'ever' } as const;
const GATE_SLUGS = {
  101: 'multiple_conversions',
  102: 'unique_ip',
  103: 'unique_track_id',
  122: 'duplicate_order_id',
} as const;

function uniquenessDetail(request: GateRequest, code: 101 | 102 | 103 | 122): string {
  const { goalId, offerId, rules } = request;
  if (code === 101)
    return `goal ${goalId} allows one conversion a click; click ${request.clickId} has one`;
  if (code === 122)
    return `goal ${goalId} wants unique order ids; ${short(request.orderId)} was counted before`;
  if (code === 103) {
    if (request.trackId === '') return `goal ${goalId} wants a unique track_id; none was sent`;
    return `goal ${goalId} wants unique track ids; ${short(request.trackId)} was counted before`;
  }
  const window = rules.uniqueIpWindow ?? 'ever';
  const { endsAtMs } = bucketOf(window, rules.timezone, request.hitTimeMs);
  const until =
    endsAtMs === Infinity ? 'for ever' : `until ${formatInZone(rules.timezone, endsAtMs)}`;
  const often = window === 'ever' ? '' : ` in a ${window}`;
  return `offer ${offerId} allows one conversion of an address${often}; ${request.uniqueIp} is taken ${until}`;
}

/** A macro that nobody replaced is the same id in every call: the first counts, all others are repeated. */
function uniquenessHint({ orderId, trackId }: GateRequest, code: 101 | 102 | 103 | 122): string {
  if (code === 122) return hintOfText('adv_order_id', orderId);
  if (code !== 103) return '';
  return trackId === ''
    ? "Send the lead's or user's id as track_id: this goal counts each only once."
    : hintOfText('track_id', trackId);
}

function rejectionOf(
  item: Case,
  request: GateRequest,
  reply: Exclude<GateReply, { kind: 'accepted' | 'changed' }>,
): Rejection {
  if (reply.kind === 'transaction-not-found') {
    // Nothing to change, and this is why nothing is created.
    const failure = firstFailure(item);
    if (failure !== undefined) return failure;
    const detail = `click ${request.clickId} has no transaction of goal ${request.goalId} to change`;
    return { slug: 'transaction_not_found', detail };
  }
  if (reply.kind === 'rejected') {
    return {
      slug: GATE_SLUGS[reply.code],
      detail: uniquenessDetail(request, reply.code),
      hint: uniquenessHint(request, reply.code),
      blocking: reply.blockingTransactionId,
    };
  }
  const { endsAtMs } = bucketOf(
    PERIOD_BUCKETS[reply.period],
    request.rules.timezone,
    request.hitTimeMs,
  );
  const until =
    endsAtMs === Infinity ? '' : `, until ${formatInZone(request.rules.timezone, endsAtMs)}`;
  const whose = reply.scope === 'goal' ? '' : ` for affiliate ${request.affiliateId}`;
  return {
    slug: 'goal_cap_reached',
    detail: `the ${reply.period} cap of goal ${request.goalId}${whose} is ${reply.limit}, and ${reply.used} are used${until}`,
    blocking: reply.blockingTransactionId,
  };
}

/** What a change says of a release: that it was one, that there was nothing left to free, or what that means now. */
function releaseDetail(item: Case, released: 'no' | 'now' | 'before'): string {
  if (released === 'now') return 'released: what the transaction claimed is free again';
  if (released === 'no') return '';
  if (wantsRelease(item)) return 'released before: there is nothing left to free';
  const status = parameterOf(item.call, 'conv_status');
  return status === '' || status === 'rejected'
    ? ''
    : `the transaction was released before: ${status} again, it counts in no cap and holds no click, order id, track id or address`;
}

/** The row of a candidate, once the gate has answered. */
export function settleCall(item: Case, request: GateRequest, reply: GateReply): PostbackFields {
  if (reply.kind !== 'accepted' && reply.kind !== 'changed') {
    return invalidFields(item, rejectionOf(item, request, reply));
  }
  const created = reply.kind === 'accepted';
  const released = created ? 'no' : reply.released;
  return fieldsOf(item, {
    kind: created ? 'conversion' : 'change',
    transactionId: created ? request.hitId : reply.transactionId,
    slug: 'accepted',
    detail: [ignoredParameters(item), releaseDetail(item, released)].filter(Boolean).join('; '),
    hint: '',
    blocking: '',
    released: released === 'now',
  });
}

/** The gate's checks, in order, for explain. */
export const GATE_CHECKS: readonly { readonly name: string; readonly slug: VerdictSlug }[] = [
  { name: 'transaction to change', slug: 'transaction_not_found' },
  { name: 'one conversion a click', slug: 'multiple_conversions' },
  { name: 'unique order id', slug: 'duplicate_order_id' },
  { name: 'unique address', slug: 'unique_ip' },
  { name: 'unique track id', slug: 'unique_track_id' },
  { name: 'caps', slug: 'goal_cap_reached' },
];

/** Why a gate check has nothing to say about a request, or undefined. */
function gateCheckSkipped(request: GateRequest, slug: VerdictSlug): string | undefined {
  const { rules } = request;
  if (slug === 'transaction_not_found')
    return request.mode === 'change' ? undefined : 'the call creates a transaction';
  if (request.mode === 'change')
    return request.release === undefined
      ? 'changes claim nothing'
      : 'a release claims nothing: it frees what the transaction claimed';
  switch (slug) {
    case 'multiple_conversions':
      if (request.clickId === '') return 'no click';
      return rules.oncePerClick ? undefined : 'the goal allows multiple conversions';
    case 'duplicate_order_id':
      return rules.uniqueOrderId && request.orderId !== ''
        ? undefined
        : 'the goal does not ask for it, or no order id was sent';
    case 'unique_ip':
      return rules.uniqueIpWindow !== null && request.uniqueIp !== ''
        ? undefined
        : 'off for the offer, or no address to compare';
    case 'unique_track_id':
      return rules.uniqueTrackId ? undefined : 'off for the goal';
    default:
      return undefined;
  }
}

/** Every check with its outcome, up to the gate; those after a failure are skipped. `verdict`: what the call ended with. */
export function traceCall(input: ResolveInput, verdict: string): readonly TracedCheck[] {
  const item = resolveCall(input);
  const checks: TracedCheck[] = [];
  let failed = false;
  for (const check of CHECKS) {
    const skipped = failed ? 'not reached' : skippedBecause(check, item);
    if (skipped !== undefined) {
      checks.push({ check: check.name, outcome: 'skipped', evidence: skipped });
      continue;
    }
    const failure = check.judge(item);
    if (failure !== undefined && check.ofCreations && verdict === 'accepted') {
      checks.push({ check: check.name, outcome: 'skipped', evidence: CHANGES });
      continue;
    }
    failed = failure !== undefined;
    checks.push({
      check: check.name,
      outcome: failed ? 'failed' : 'passed',
      evidence: failure?.detail ?? check.evidence(item),
    });
  }
  return checks;
}

/** The gate's checks of a traced call, given the verdict it ended with and that verdict's detail. */
export function traceGate(
  judged: Judged,
  verdict: VerdictSlug,
  detail: string,
): readonly TracedCheck[] {
  if (judged.kind === 'invalid') {
    return GATE_CHECKS.map(({ name }) => ({
      check: name,
      outcome: 'skipped',
      evidence: 'not reached',
    }));
  }
  let failed = false;
  return GATE_CHECKS.map(({ name, slug }) => {
    const skipped = failed ? 'not reached' : gateCheckSkipped(judged.request, slug);
    if (slug === verdict && !failed) {
      failed = true;
      return { check: name, outcome: 'failed', evidence: detail };
    }
    if (skipped !== undefined) return { check: name, outcome: 'skipped', evidence: skipped };
    return { check: name, outcome: 'passed', evidence: 'free when judged' };
  });
}
