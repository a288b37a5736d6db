/** What apply.lua is given: the claims of accepted conversions, in the order of the log, summed up by field. */
import type { RedisKeys } from '../../src/redis/keys.ts';
import {
  capFields,
  ipField,
  type AcceptedConversion,
  type RuleSignature,
  type ScriptInput,
} from './claims.ts';
import { createFieldList, FIELD_KINDS, type FieldKind } from './field-list.ts';

/** Position before, position after, signatures, nonce, plan. */
const ARGUMENTS_BEFORE = 5;

/** Of a field's claims in this block: how many, the first and the last transaction, by number from 1. */
interface Claims {
  count: number;
  readonly first: number;
  last: number;
}

/** What apply.lua's header asks for each kind of field. */
const NUMBERS: Readonly<Record<FieldKind, (claims: Claims) => readonly number[]>> = {
  first: ({ first }) => [first],
  click: ({ first, last }) => [first, last],
  cap: ({ count, last }) => [count, last],
};

/** KEYS and ARGV of apply.lua after the positions, the signatures and the nonce. */
export function encodeClaims(
  accepted: readonly AcceptedConversion[],
  rulesOf: (offerId: number) => RuleSignature,
  keys: RedisKeys,
  lane: number,
): ScriptInput {
  const fields = createFieldList(keys.lane.meta(lane));
  const bySlot = new Map<number, Claims>();
  const claim = (key: string, field: string, kind: FieldKind, transaction: number): void => {
    if (field === '') return;
    const slot = fields.slot(key, field, kind);
    const claims = bySlot.get(slot);
    if (claims === undefined) {
      bySlot.set(slot, { count: 1, first: transaction, last: transaction });
      return;
    }
    claims.count += 1;
    claims.last = transaction;
  };
  for (const [index, conversion] of accepted.entries()) {
    const { goalId, offerId, hitTimeMs } = conversion;
    const rules = rulesOf(offerId);
    const number = index + 1;
    claim(keys.lane.clicks(lane, goalId), conversion.clickId, 'click', number);
    claim(keys.lane.orders(lane, goalId), conversion.orderId, 'first', number);
    claim(
      keys.lane.ips(lane, offerId),
      ipField(rules, hitTimeMs, conversion.uniqueIp),
      'first',
      number,
    );
    claim(keys.lane.tracks(lane, goalId), conversion.trackId, 'first', number);
    for (const field of capFields(rules.timezone, hitTimeMs, conversion.affiliateId))
      claim(keys.lane.caps(lane, goalId), field, 'cap', number);
  }
  const place = fields.place(ARGUMENTS_BEFORE + accepted.length);
  const plan = place.kinds.map((kind, index) => [
    FIELD_KINDS.indexOf(kind),
    ...(place.groups[index] ?? []),
    (place.slots[index] ?? []).flatMap((slot) => {
      const claims = bySlot.get(slot);
      return claims === undefined ? [] : NUMBERS[kind](claims);
    }),
  ]);
  const transactions = accepted.map(({ transactionId }) => transactionId);
  return { keys: fields.keys, args: [JSON.stringify(plan), ...transactions, ...place.fields] };
}
