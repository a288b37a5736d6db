/**
 * What judge.lua is given and what it answers. Fields go as arguments of their own, each once: Lua reads many by one
 * command, and what a block asks of one counter is asked once.
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
  type ScriptInput,
} from './claims.ts';
import { createFieldList, type FieldList } from './field-list.ts';
import type { JudgeAnswer } from './scripts.ts';
import { longTransaction, shortTransaction } from './short-names.ts';

/** Position, signatures, plan. */
const ARGUMENTS_BEFORE = 3;
const NUMBERS_A_REQUEST = 9;
/** Of a request's numbers, those that name a field: click, order, address, track, mark of a release. */
const SLOT_POSITIONS = [2, 4, 5, 6, 8] as const;

function limitsOf(caps: Caps | null): number[] {
  return CAP_PERIODS.map(([name]) => caps?.[name] ?? -1);
}

const MODES = { create: 0, change: 1, 'change-or-create': 2 } as const;
const RELEASE_MODE = 3;
/** A target that is another call of the chunk and did not come as far as the gate. */
const TARGET_REJECTED = -2;
const TARGET_STORED = -1;
/** A track id that is asked for and missing. */
const TRACK_MISSING = -1;

function targetOf(request: GateRequest, numbers: ReadonlyMap<string, number>): number {
  if (request.targetTransactionId === '') return 0;
  if (!request.targetInBlock) return TARGET_STORED;
  return numbers.get(request.targetTransactionId) ?? TARGET_REJECTED;
}

/** The cap sets of a block: calls of one goal, affiliate and period share one. */
function createCapSets(keys: LaneKeys, fields: FieldList) {
  const sets: (readonly number[])[] = [];
  const setOf = byCapFields((goalId, names) => ({ goalId, names, number: 0 }));
  return {
    sets,
    /** Number of the set, from 1. */
    numberOf(request: GateRequest): number {
      const { rules } = request;
      const set = setOf(request, rules.timezone);
      if (set.number > 0) return set.number;
      const limits = [...limitsOf(rules.caps), ...limitsOf(rules.affiliateCaps)];
      const { caps } = keys.ofGoal(set.goalId);
      set.number = sets.push(
        set.names.flatMap((name, index) => [fields.slot(caps, name), limits[index] ?? -1]),
      );
      return set.number;
    },
  };
}

/** Numbers of the requests by hit, from 1. */
function numbersOf(requests: readonly GateRequest[]): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  // Few blocks hold a call that changes another of the same block.
  if (!requests.some(({ targetInBlock }) => targetInBlock)) return numbers;
  for (const [index, { hitId }] of requests.entries()) numbers.set(hitId, index + 1);
  return numbers;
}

/** KEYS and ARGV of judge.lua after the position and the signatures; and of each request how its names are spelled. */
export function encodeRequests(
  requests: readonly GateRequest[],
  keys: RedisKeys,
  lane: number,
): ScriptInput & { readonly names: readonly ClaimNames[] } {
  const fields = createFieldList(keys.lane.meta(lane));
  const laneKeys = createLaneKeys(keys, lane);
  const capSets = createCapSets(laneKeys, fields);
  const numbers = numbersOf(requests);
  const slotOf = (key: string, field: string): number =>
    field === '' ? 0 : fields.slot(key, field);
  // One list from the start: V8's flat() takes a runtime call an element.
  const encoded: number[] = [];
  const names: ClaimNames[] = [];
  for (const request of requests) {
    const { rules, offerId, trackId } = request;
    const claimed = claimNames(request, rules);
    names.push(claimed);
    const { clicks, orders, tracks, released } = laneKeys.ofGoal(request.goalId);
    const track = trackId === '' ? TRACK_MISSING : slotOf(tracks, trackId);
    encoded.push(
      request.release === undefined ? MODES[request.mode] : RELEASE_MODE,
      targetOf(request, numbers),
      slotOf(clicks, claimed.click),
      rules.oncePerClick ? 1 : 0,
      rules.uniqueOrderId ? slotOf(orders, request.orderId) : 0,
      slotOf(laneKeys.ips(offerId), claimed.address),
      rules.uniqueTrackId ? track : 0,
      capSets.numberOf(request),
      request.mode === 'create'
        ? 0
        : slotOf(released, shortTransaction(request.targetTransactionId)),
    );
  }
  const place = fields.place(ARGUMENTS_BEFORE);
  for (let first = 0; first < encoded.length; first += NUMBERS_A_REQUEST) {
    for (const position of SLOT_POSITIONS) {
      const at = first + position;
      encoded[at] = place.argument(encoded[at] ?? 0);
    }
  }
  const caps = capSets.sets.map((set) =>
    set.map((value, index) => (index % 2 === 0 ? place.argument(value) : value)),
  );
  const plan = JSON.stringify([place.groups.flat(), caps, encoded]);
  return { keys: fields.keys, args: [plan, ...place.fields], names };
}

const ACCEPTED: GateReply = { kind: 'accepted' };
const RELEASED = { 1: 'no', 2: 'now', 3: 'before' } as const;

/** What judge.lua answered about a request, if anything. A number in place of a transaction id names a request of the block. */
export function parseAnswer(
  answer: JudgeAnswer | undefined,
  request: GateRequest,
  requests: readonly GateRequest[],
): GateReply {
  if (answer === undefined) return ACCEPTED;
  const [code, value, blocking, used] = answer;
  const idOf = (holder: number | string | undefined): string =>
    typeof holder === 'number'
      ? (requests[holder - 1]?.hitId ?? '')
      : longTransaction(holder ?? '');
  switch (code) {
    case 1:
    case 2:
    case 3:
      return {
        kind: 'changed',
        transactionId: value === undefined ? request.targetTransactionId : idOf(value),
        released: RELEASED[code],
      };
    case 119:
      return { kind: 'transaction-not-found' };
    case 101:
    case 102:
    case 103:
    case 122:
      return { kind: 'rejected', code, blockingTransactionId: idOf(value) };
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
        used: Number(used),
        blockingTransactionId: idOf(blocking),
      };
    }
    default:
      throw new Error(`the gate answered ${JSON.stringify(answer)}`);
  }
}
