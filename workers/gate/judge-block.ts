/**
 * What would become of each call of a block, in order, against the state that the lane has in Redis. Conflicts inside the
 * block are settled too: a call sees what earlier ones would claim. What they would release it still sees as held: that
 * is free from the next block on. Nothing is written.
 */
import type { Caps } from '../../src/domain/catalogue.ts';
import type { GateReply, GateRequest } from '../../src/domain/gate-request.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';
import {
  byCapFields,
  CAP_PERIODS,
  CAP_SCOPES,
  claimNames,
  createLaneKeys,
  type ClaimNames,
  type LaneKeys,
} from './claims.ts';
import { createFieldList, type FieldList } from './field-list.ts';
import type { Held } from './lane-store.ts';
import { longTransaction, shortTransaction } from './short-names.ts';

/** The caps that calls of one goal, affiliate and day share, in their order. */
interface CapSet {
  /** Numbers of the counters' fields. */
  readonly counters: readonly number[];
  /** null: none. */
  readonly limits: readonly (number | null)[];
}

/** A request and the numbers of the fields that it looks at; 0: it does not. */
interface Asked {
  readonly request: GateRequest;
  /** Of the request in its block, from 1. */
  readonly number: number;
  readonly click: number;
  readonly order: number;
  readonly address: number;
  readonly track: number;
  /** Of a change: whether its transaction was released. */
  readonly mark: number;
  readonly caps: CapSet;
}

export interface BlockQuestion {
  /** What has to be read. */
  readonly fields: FieldList;
  /** Of each request, how the state spells what it names. */
  readonly names: readonly ClaimNames[];
  /** One reply a request, of what the fields hold by their numbers. */
  readonly judge: (held: readonly Held[]) => GateReply[];
}

const ACCEPTED: GateReply = { kind: 'accepted' };
const NOT_FOUND: GateReply = { kind: 'transaction-not-found' };

function limitsOf(caps: Caps | null): (number | null)[] {
  return CAP_PERIODS.map(([name]) => caps?.[name] ?? null);
}

function createCapSets(keys: LaneKeys, fields: FieldList): (request: GateRequest) => CapSet {
  // The rules of a goal are the same throughout a block, which is of one catalogue version.
  const setOf = byCapFields((goalId, names): CapSet & { limits: (number | null)[] } => ({
    counters: names.map((name) => fields.numberOf(keys.ofGoal(goalId).caps, name)),
    limits: [],
  }));
  return (request) => {
    const { rules } = request;
    const set = setOf(request, rules.timezone);
    if (set.limits.length === 0)
      set.limits.push(...limitsOf(rules.caps), ...limitsOf(rules.affiliateCaps));
    return set;
  };
}

/** What a block of requests asks of its lane. */
export function askBlock(
  requests: readonly GateRequest[],
  keys: RedisKeys,
  lane: number,
): BlockQuestion {
  const fields = createFieldList();
  const laneKeys = createLaneKeys(keys, lane);
  const capsOf = createCapSets(laneKeys, fields);
  const names: ClaimNames[] = [];
  const asked = requests.map((request, index): Asked => {
    const { rules, offerId, goalId } = request;
    const claimed = claimNames(request, rules);
    names.push(claimed);
    const { clicks, orders, tracks, released } = laneKeys.ofGoal(goalId);
    return {
      request,
      number: index + 1,
      click: fields.numberOf(clicks, claimed.click),
      order: rules.uniqueOrderId ? fields.numberOf(orders, request.orderId) : 0,
      address: fields.numberOf(laneKeys.ips(offerId), claimed.address),
      track: rules.uniqueTrackId ? fields.numberOf(tracks, request.trackId) : 0,
      mark:
        request.mode === 'create'
          ? 0
          : fields.numberOf(released, shortTransaction(request.targetTransactionId)),
      caps: capsOf(request),
    };
  });
  return { fields, names, judge: (held) => judgeBlock(asked, held) };
}

/** Who holds a field: a transaction as the state spells it, or the number of a request of the block that would. */
type Holder = string | number | null;

/** `holder`, `holder|count` or `holder|last|count` → holder */
function holderOf(value: Holder): Holder {
  if (typeof value !== 'string') return value;
  const bar = value.indexOf('|');
  return bar < 0 ? value : value.slice(0, bar);
}

/** The transactions of a click may all be released: then it is known, but free. */
function isHeld(value: Holder | undefined): boolean {
  if (value === null || value === undefined) return false;
  return typeof value === 'number' || !value.endsWith('|0');
}

/** `holder`, or `holder|last|count` → last */
function lastOf(value: Holder): Holder {
  if (typeof value !== 'string') return value;
  const from = value.indexOf('|');
  return from < 0 ? value : value.slice(from + 1, value.lastIndexOf('|'));
}

interface Counter {
  count: number;
  last: Holder;
}

/** `count|last` */
function counterOf(value: Held | undefined): Counter {
  if (value === null || value === undefined) return { count: 0, last: '' };
  const bar = value.indexOf('|');
  return { count: Number(value.slice(0, bar)), last: value.slice(bar + 1) };
}

function createCounters(held: readonly Held[]): (field: number) => Counter {
  const counters = new Map<number, Counter>();
  return (field) => {
    let counter = counters.get(field);
    if (counter === undefined) counters.set(field, (counter = counterOf(held[field])));
    return counter;
  };
}

/** Whether any cap could be reached if every request of the block were accepted: nearly never, and then none is counted. */
function canReachCaps(
  asked: readonly Asked[],
  counterOfField: (field: number) => Counter,
): boolean {
  const sets = new Set(asked.map(({ caps }) => caps));
  return [...sets].some(({ counters, limits }) =>
    counters.some((field, index) => {
      const limit = limits[index] ?? null;
      return limit !== null && limit - counterOfField(field).count < asked.length;
    }),
  );
}

function judgeBlock(asked: readonly Asked[], held: readonly Held[]): GateReply[] {
  /** What the fields hold, after the requests that were judged. */
  const state: Holder[] = [...held];
  /** By a click's field: the last request of this block that would claim it. */
  const lastClaims = new Map<number, number>();
  const counter = createCounters(held);
  const countsCaps = canReachCaps(asked, counter);
  /** Hits of requests that would be accepted, for changes of them. Few blocks hold any. */
  const accepted = new Set<string>();
  const changesOwn = asked.some(({ request }) => request.targetInBlock);

  const idOf = (holder: Holder): string =>
    typeof holder === 'number'
      ? (asked[holder - 1]?.request.hitId ?? '')
      : longTransaction(holder ?? '');

  const rejected = (code: 101 | 102 | 103 | 122, field: number): GateReply => ({
    kind: 'rejected',
    code,
    blockingTransactionId: idOf(holderOf(state[field] ?? null)),
  });

  /** What a change does; undefined: there is nothing to change, and it may create. */
  function changeOf({ request, number, click, mark }: Asked): GateReply | undefined {
    const { targetTransactionId, targetInBlock, mode } = request;
    if (targetTransactionId !== '') {
      // A target in the block counts only if it comes as far as that.
      if (targetInBlock && !accepted.has(targetTransactionId)) return NOT_FOUND;
      const changed = { kind: 'changed', transactionId: targetTransactionId } as const;
      if (isHeld(state[mark])) return { ...changed, released: 'before' };
      if (request.release === undefined) return { ...changed, released: 'no' };
      state[mark] = number;
      return { ...changed, released: 'now' };
    }
    const known = lastClaims.get(click) ?? lastOf(state[click] ?? null);
    if (known !== null) return { kind: 'changed', transactionId: idOf(known), released: 'no' };
    return mode === 'change' ? NOT_FOUND : undefined;
  }

  /** Which claim of others is in the way, in the order of the contract. */
  function conflictOf({ request, click, order, address, track }: Asked): GateReply | undefined {
    const { rules } = request;
    if (rules.oncePerClick && isHeld(state[click])) return rejected(101, click);
    if (isHeld(state[order])) return rejected(122, order);
    if (isHeld(state[address])) return rejected(102, address);
    // Field 0, of a track id that is asked for and missing, is held by nobody.
    if (rules.uniqueTrackId && (track === 0 || isHeld(state[track]))) return rejected(103, track);
    return undefined;
  }

  function capReached({ caps: { counters, limits } }: Asked): GateReply | undefined {
    for (const [index, field] of counters.entries()) {
      const limit = limits[index] ?? null;
      if (limit === null || counter(field).count < limit) continue;
      const { count, last } = counter(field);
      return {
        kind: 'cap-reached',
        scope: CAP_SCOPES[Math.floor(index / CAP_PERIODS.length)] ?? 'goal',
        period: (CAP_PERIODS[index % CAP_PERIODS.length] ?? CAP_PERIODS[0])[0],
        limit,
        used: count,
        blockingTransactionId: idOf(last),
      };
    }
    return undefined;
  }

  function claim({ request, number, click, order, address, track, caps }: Asked): void {
    if (changesOwn) accepted.add(request.hitId);
    if (click > 0) {
      state[click] = number;
      lastClaims.set(click, number);
    }
    if (order > 0) state[order] = number;
    if (address > 0) state[address] = number;
    if (track > 0) state[track] = number;
    if (!countsCaps) return;
    for (const field of caps.counters) {
      const counted = counter(field);
      counted.count += 1;
      counted.last = number;
    }
  }

  return asked.map((one) => {
    const changed = one.request.mode === 'create' ? undefined : changeOf(one);
    const reply = changed ?? conflictOf(one) ?? (countsCaps ? capReached(one) : undefined);
    if (reply !== undefined) return reply;
    claim(one);
    return ACCEPTED;
  });
}
