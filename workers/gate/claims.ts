/**
 * What requests ask of the gate's keys, and what accepted conversions claim of them. The same spelling serves judging,
 * applying and rebuilding, so the three can't disagree.
 */
import type { Caps, UniqueIpWindow } from '../../src/domain/catalogue.ts';
import type { GateReply, GateRequest } from '../../src/domain/gate-request.ts';
import { bucketOf } from '../../src/domain/time-buckets.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';
import type { JudgeAnswer } from './scripts.ts';

/** The rules that shape an offer's state: its zone and its Unique IP window. */
export interface RuleSignature {
  readonly timezone: string;
  readonly uniqueIpWindow: UniqueIpWindow | null;
}

export function signatureText(rules: RuleSignature): string {
  return `${rules.timezone}|${rules.uniqueIpWindow ?? 'off'}`;
}

export function parseSignature(text: string): RuleSignature {
  const [timezone = 'UTC', window = 'off'] = text.split('|');
  // Written by signatureText.
  return { timezone, uniqueIpWindow: window === 'off' ? null : (window as UniqueIpWindow) };
}

/** A conversion with verdict 0, as the log holds it. */
export interface AcceptedConversion {
  readonly transactionId: string;
  readonly hitTimeMs: number;
  readonly offerId: number;
  readonly goalId: number;
  readonly affiliateId: number;
  readonly clickId: string;
  readonly orderId: string;
  readonly trackId: string;
  readonly uniqueIp: string;
}

/** Collects the state keys of a script call; scripts name them by index, 1-based, after the meta key. */
export function createKeyList(keys: RedisKeys, lane: number) {
  const names = [keys.lane.meta(lane)];
  const indexes = new Map<string, number>();
  const indexOf = (name: string): number => {
    let index = indexes.get(name);
    if (index === undefined) {
      names.push(name);
      index = names.length;
      indexes.set(name, index);
    }
    return index;
  };
  return {
    names,
    clicks: (goalId: number) => indexOf(keys.lane.clicks(lane, goalId)),
    orders: (goalId: number) => indexOf(keys.lane.orders(lane, goalId)),
    tracks: (goalId: number) => indexOf(keys.lane.tracks(lane, goalId)),
    ips: (offerId: number) => indexOf(keys.lane.ips(lane, offerId)),
    caps: (goalId: number) => indexOf(keys.lane.caps(lane, goalId)),
  };
}
export type KeyList = ReturnType<typeof createKeyList>;

const CAP_PERIODS = [
  ['daily', 'day'],
  ['monthly', 'month'],
  ['total', 'ever'],
] as const;
const CAP_SCOPES = ['goal', 'affiliate'] as const;

/** The six counters of a conversion: goal and affiliate by day, month and ever. Counted whether or not a cap is set. */
function capFields(timezone: string, hitTimeMs: number, affiliateId: number): string[] {
  return CAP_SCOPES.flatMap((scope) =>
    CAP_PERIODS.map(
      ([, period]) =>
        `${scope === 'goal' ? 'g' : `a${affiliateId}`}:${bucketOf(period, timezone, hitTimeMs).key}`,
    ),
  );
}

function ipField(rules: RuleSignature, hitTimeMs: number, uniqueIp: string): string {
  if (rules.uniqueIpWindow === null || uniqueIp === '') return '';
  return `${bucketOf(rules.uniqueIpWindow, rules.timezone, hitTimeMs).key}|${uniqueIp}`;
}

function limitsOf(caps: Caps | null): number[] {
  return CAP_PERIODS.map(([name]) => caps?.[name] ?? -1);
}

/** A request as judge.lua reads it. */
export function encodeRequest(request: GateRequest, list: KeyList): unknown[] {
  const { rules } = request;
  const limits = [...limitsOf(rules.caps), ...limitsOf(rules.affiliateCaps)];
  const fields = capFields(rules.timezone, request.hitTimeMs, request.affiliateId);
  return [
    request.mode,
    request.hitId,
    request.targetTransactionId,
    list.clicks(request.goalId),
    request.clickId,
    rules.oncePerClick,
    list.orders(request.goalId),
    request.orderId,
    rules.uniqueOrderId,
    list.ips(request.offerId),
    ipField(rules, request.hitTimeMs, request.uniqueIp),
    list.tracks(request.goalId),
    request.trackId,
    rules.uniqueTrackId,
    list.caps(request.goalId),
    fields.map((field, index) => [field, limits[index] ?? -1]),
    request.targetInBlock,
  ];
}

/** A claim as apply.lua reads it. */
export function encodeClaim(
  accepted: AcceptedConversion,
  rules: RuleSignature,
  list: KeyList,
): unknown[] {
  return [
    accepted.transactionId,
    list.clicks(accepted.goalId),
    accepted.clickId,
    list.orders(accepted.goalId),
    accepted.orderId,
    list.ips(accepted.offerId),
    ipField(rules, accepted.hitTimeMs, accepted.uniqueIp),
    list.tracks(accepted.goalId),
    accepted.trackId,
    list.caps(accepted.goalId),
    capFields(rules.timezone, accepted.hitTimeMs, accepted.affiliateId),
  ];
}

/** What judge.lua answered about a request. */
export function parseAnswer(answer: JudgeAnswer, request: GateRequest): GateReply {
  const [code, value, blocking] = answer;
  switch (code) {
    case 0:
      return { kind: 'accepted' };
    case 1:
      return { kind: 'changed', transactionId: String(value) };
    case 119:
      return { kind: 'transaction-not-found' };
    case 101:
    case 102:
    case 103:
    case 122:
      return { kind: 'rejected', code, blockingTransactionId: String(value ?? '') };
    case 107: {
      const index = Number(value);
      const scope = CAP_SCOPES[Math.floor(index / CAP_PERIODS.length)] ?? 'goal';
      const period = (CAP_PERIODS[index % CAP_PERIODS.length] ?? CAP_PERIODS[0])[0];
      const caps = scope === 'goal' ? request.rules.caps : request.rules.affiliateCaps;
      return {
        kind: 'cap-reached',
        scope,
        period,
        limit: caps?.[period] ?? 0,
        blockingTransactionId: String(blocking ?? ''),
      };
    }
    default:
      throw new Error(`the gate answered ${JSON.stringify(answer)}`);
  }
}
