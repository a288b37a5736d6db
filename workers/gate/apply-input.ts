/** What apply.lua is given: the claims and releases of a stretch of the log, in its order, summed up by field. */
import type { AcceptedConversion } from '../../src/domain/gate-request.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';
import {
  byCapFields,
  claimNames,
  createLaneKeys,
  type GateEvent,
  type Judged,
  type LaneKeys,
  type RuleSignature,
  type ScriptInput,
} from './claims.ts';
import { shortTransaction } from './short-names.ts';
import {
  createFieldList,
  FIELD_KINDS,
  groupOf,
  placeOf,
  type FieldKind,
  type FieldList,
} from './field-list.ts';

/** Position before, position after, signatures, nonce, plan. */
const ARGUMENTS_BEFORE = 5;

/** What befalls a field in this stretch. Transactions are named by their number, from 1; 0: none. */
interface Claims {
  claims: number;
  releases: number;
  /** Of the claims, the last. */
  last: number;
  /** Of the claims that are not released within the stretch, the first and the last. */
  firstLive: number;
  lastLive: number;
}

/** What apply.lua's header asks for each kind of field. */
const NUMBERS: Readonly<Record<FieldKind, (claims: Claims) => readonly number[]>> = {
  slot: ({ claims, releases, firstLive }) => [claims, releases, firstLive],
  click: ({ claims, releases, firstLive, last }) => [claims, releases, firstLive, last],
  cap: ({ claims, releases, lastLive }) => [claims, releases, lastLive],
  mark: ({ last }) => [last],
  free: ({ last }) => [last],
};

function createClaims(fields: FieldList) {
  /** By the groups of the field list and the places in them. */
  const byGroup: Claims[][] = [];

  function claimsOf(key: string, field: string, kind: FieldKind): Claims {
    const slot = fields.slot(key, field, kind);
    const group = (byGroup[groupOf(slot)] ??= []);
    return (group[placeOf(slot)] ??= {
      claims: 0,
      releases: 0,
      last: 0,
      firstLive: 0,
      lastLive: 0,
    });
  }

  return { byGroup, claimsOf };
}

function claim(claims: Claims, number: number, lives: boolean): void {
  claims.claims += 1;
  claims.last = number;
  if (!lives) return;
  if (claims.firstLive === 0) claims.firstLive = number;
  claims.lastLive = number;
}

/** What befalls every field that a conversion has under an offer's rules. `judged`: see `GateEvent`. */
function createOwnClaims(
  { claimsOf }: ReturnType<typeof createClaims>,
  keys: LaneKeys,
): (
  conversion: AcceptedConversion,
  rules: RuleSignature,
  judged: Judged | undefined,
) => readonly Claims[] {
  const capsOf = byCapFields((goalId, fields) =>
    fields.map((field) => claimsOf(keys.ofGoal(goalId).caps, field, 'cap')),
  );
  return (conversion, rules, judged) => {
    const { clicks, orders, tracks } = keys.ofGoal(conversion.goalId);
    const { offerId, orderId, trackId } = conversion;
    const { click, address } = judged?.names ?? claimNames(conversion, rules);
    const asked = judged?.request;
    const ofClick = asked?.rules.oncePerClick === true ? 'free' : 'click';
    const ofOrder = asked?.rules.uniqueOrderId === true && asked.orderId === orderId;
    const ofTrack = asked?.rules.uniqueTrackId === true && asked.trackId === trackId;
    const own: Claims[] = [];
    if (click !== '') own.push(claimsOf(clicks, click, ofClick));
    if (orderId !== '') own.push(claimsOf(orders, orderId, ofOrder ? 'free' : 'slot'));
    if (address !== '')
      own.push(claimsOf(keys.ips(offerId), address, asked === undefined ? 'slot' : 'free'));
    if (trackId !== '') own.push(claimsOf(tracks, trackId, ofTrack ? 'free' : 'slot'));
    own.push(...capsOf(conversion, rules.timezone));
    return own;
  };
}

/** KEYS and ARGV of apply.lua after the positions, the signatures and the nonce. */
export function encodeEvents(
  events: readonly GateEvent[],
  rulesOf: (offerId: number) => RuleSignature,
  keys: RedisKeys,
  lane: number,
): ScriptInput {
  const fields = createFieldList(keys.lane.meta(lane));
  const claims = createClaims(fields);
  const laneKeys = createLaneKeys(keys, lane);
  const ownClaims = createOwnClaims(claims, laneKeys);
  const names: string[] = [];
  const gone: number[] = [];
  const released = new Set<string>();
  for (const { conversion, releasedBy } of events)
    if (releasedBy !== '') released.add(conversion.transactionId);
  const numberOf = (id: string): number => names.push(shortTransaction(id));
  for (const { conversion, releasedBy, judged } of events) {
    const { transactionId, offerId, goalId } = conversion;
    const number = numberOf(transactionId);
    // A release may be of a field that is claimed here: then what is held is read.
    const sure = released.size === 0 ? judged : undefined;
    const own = ownClaims(conversion, rulesOf(offerId), sure);
    if (releasedBy === '') {
      const lives = !released.has(transactionId);
      for (const claims of own) claim(claims, number, lives);
      continue;
    }
    gone.push(number);
    for (const claims of own) claims.releases += 1;
    const freed = shortTransaction(transactionId);
    const mark = claims.claimsOf(laneKeys.ofGoal(goalId).released, freed, 'mark');
    claim(mark, numberOf(releasedBy), true);
  }
  const place = fields.place(ARGUMENTS_BEFORE + names.length);
  const groups = place.kinds.map((kind, index) => {
    const numbers: number[] = [];
    for (const befalls of claims.byGroup[index] ?? []) numbers.push(...NUMBERS[kind](befalls));
    return [FIELD_KINDS.indexOf(kind), ...(place.groups[index] ?? []), numbers];
  });
  return {
    keys: fields.keys,
    args: [JSON.stringify([groups, gone]), ...names, ...place.fields],
  };
}
