/** What apply.lua is given: the claims and releases of a stretch of the log, in its order, summed up by field. */
import type { AcceptedConversion } from '../../src/domain/gate-request.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';
import {
  capFields,
  ipField,
  type GateEvent,
  type RuleSignature,
  type ScriptInput,
} from './claims.ts';
import { createFieldList, FIELD_KINDS, type FieldKind, type FieldList } from './field-list.ts';

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
};

function createClaims(fields: FieldList) {
  const bySlot = new Map<number, Claims>();

  function claimsOf(key: string, field: string, kind: FieldKind): Claims {
    const slot = fields.slot(key, field, kind);
    let claims = bySlot.get(slot);
    if (claims === undefined) {
      claims = { claims: 0, releases: 0, last: 0, firstLive: 0, lastLive: 0 };
      bySlot.set(slot, claims);
    }
    return claims;
  }

  return {
    bySlot,
    claim(key: string, field: string, kind: FieldKind, number: number, lives: boolean): void {
      const claims = claimsOf(key, field, kind);
      claims.claims += 1;
      claims.last = number;
      if (!lives) return;
      if (claims.firstLive === 0) claims.firstLive = number;
      claims.lastLive = number;
    },
    release(key: string, field: string, kind: FieldKind): void {
      claimsOf(key, field, kind).releases += 1;
    },
  };
}

/** Every field that a conversion has under an offer's rules. */
function fieldsOf(
  conversion: AcceptedConversion,
  rules: RuleSignature,
  keys: RedisKeys,
  lane: number,
): readonly (readonly [key: string, field: string, kind: FieldKind])[] {
  const { goalId, offerId, hitTimeMs, affiliateId } = conversion;
  const ip = ipField(rules, hitTimeMs, conversion.uniqueIp);
  const fields: [string, string, FieldKind][] = [];
  if (conversion.clickId !== '')
    fields.push([keys.lane.clicks(lane, goalId), conversion.clickId, 'click']);
  if (conversion.orderId !== '')
    fields.push([keys.lane.orders(lane, goalId), conversion.orderId, 'slot']);
  if (ip !== '') fields.push([keys.lane.ips(lane, offerId), ip, 'slot']);
  if (conversion.trackId !== '')
    fields.push([keys.lane.tracks(lane, goalId), conversion.trackId, 'slot']);
  for (const field of capFields(rules.timezone, hitTimeMs, affiliateId))
    fields.push([keys.lane.caps(lane, goalId), field, 'cap']);
  return fields;
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
  const names: string[] = [];
  const gone: number[] = [];
  const released = new Set(
    events.flatMap(({ conversion, releasedBy }) =>
      releasedBy === '' ? [] : conversion.transactionId,
    ),
  );
  const numberOf = (name: string): number => names.push(name);
  for (const { conversion, releasedBy } of events) {
    const { transactionId, offerId, goalId } = conversion;
    const number = numberOf(transactionId);
    const own = fieldsOf(conversion, rulesOf(offerId), keys, lane);
    if (releasedBy === '') {
      const lives = !released.has(transactionId);
      for (const [key, field, kind] of own) claims.claim(key, field, kind, number, lives);
      continue;
    }
    gone.push(number);
    for (const [key, field, kind] of own) claims.release(key, field, kind);
    const mark = numberOf(releasedBy);
    claims.claim(keys.lane.released(lane, goalId), transactionId, 'mark', mark, true);
  }
  const place = fields.place(ARGUMENTS_BEFORE + names.length);
  const groups = place.kinds.map((kind, index) => [
    FIELD_KINDS.indexOf(kind),
    ...(place.groups[index] ?? []),
    (place.slots[index] ?? []).flatMap((slot) => {
      const befalls = claims.bySlot.get(slot);
      return befalls === undefined ? [] : NUMBERS[kind](befalls);
    }),
  ]);
  return {
    keys: fields.keys,
    args: [JSON.stringify([groups, gone]), ...names, ...place.fields],
  };
}
