/**
 * What a stretch of the log changes in its lane's state: the claims and releases of its events in their order, summed up
 * by field, and what becomes of each field. How the fields are spelled is in `src/redis/keys.ts`.
 */
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
} from './claims.ts';
import { createFieldList, type FieldList } from './field-list.ts';
import type { Changes, Held } from './lane-store.ts';
import { shortTransaction } from './short-names.ts';

/** What a field counts. */
type FieldKind = 'slot' | 'click' | 'cap' | 'mark';

/** What befalls a field in this stretch. Transactions as the state spells them; '': none. */
interface Claims {
  readonly kind: FieldKind;
  /** Found free by judging at the position before, and claimed once: it holds the claim, whatever it held. */
  sure: boolean;
  claims: number;
  releases: number;
  /** Of the claims, the last. */
  last: string;
  /** Of the claims that are not released within the stretch, the first and the last. */
  firstLive: string;
  lastLive: string;
}

export interface BlockChanges {
  /** What has to be read first. */
  readonly fields: FieldList;
  /** What is written, of what the fields hold by their numbers. */
  readonly changes: (held: readonly Held[]) => Changes;
}

function createClaims() {
  const byKey = new Map<string, Map<string, Claims>>();
  return {
    byKey,
    of(key: string, field: string, kind: FieldKind, sure: boolean): Claims {
      let fields = byKey.get(key);
      if (fields === undefined) byKey.set(key, (fields = new Map()));
      let claims = fields.get(field);
      if (claims === undefined) {
        claims = { kind, sure, claims: 0, releases: 0, last: '', firstLive: '', lastLive: '' };
        fields.set(field, claims);
      } else claims.sure = false;
      return claims;
    },
  };
}

function claim(claims: Claims, name: string, lives: boolean): void {
  claims.claims += 1;
  claims.last = name;
  if (!lives) return;
  if (claims.firstLive === '') claims.firstLive = name;
  claims.lastLive = name;
}

/** What befalls every field that a conversion has under an offer's rules. `judged`: see `GateEvent`. */
function createOwnClaims(
  claims: ReturnType<typeof createClaims>,
  keys: LaneKeys,
): (
  conversion: AcceptedConversion,
  rules: RuleSignature,
  judged: Judged | undefined,
) => readonly Claims[] {
  const capsOf = byCapFields((goalId, fields) =>
    fields.map((field) => claims.of(keys.ofGoal(goalId).caps, field, 'cap', false)),
  );
  return (conversion, rules, judged) => {
    const { clicks, orders, tracks } = keys.ofGoal(conversion.goalId);
    const { offerId, orderId, trackId } = conversion;
    const { click, address } = judged?.names ?? claimNames(conversion, rules);
    const asked = judged?.request;
    const ofClick = asked?.rules.oncePerClick === true;
    const ofOrder = asked?.rules.uniqueOrderId === true && asked.orderId === orderId;
    const ofTrack = asked?.rules.uniqueTrackId === true && asked.trackId === trackId;
    const own: Claims[] = [];
    if (click !== '') own.push(claims.of(clicks, click, 'click', ofClick));
    if (orderId !== '') own.push(claims.of(orders, orderId, 'slot', ofOrder));
    if (address !== '')
      own.push(claims.of(keys.ips(offerId), address, 'slot', asked !== undefined));
    if (trackId !== '') own.push(claims.of(tracks, trackId, 'slot', ofTrack));
    own.push(...capsOf(conversion, rules.timezone));
    return own;
  };
}

/** What holds after the stretch: the one before unless it was released, else the one given. */
type HolderAfter = (held: string, other: string) => string;

/** What becomes of a field: its new value; '': it goes; undefined: it stays. */
type NewValue = (held: Held, claims: Claims, holderAfter: HolderAfter) => string | undefined;

/** `holder`, or `holder|count` when several count or the holder's name is not known. */
const slotValue: NewValue = (held, { claims, releases, firstLive }, holderAfter) => {
  const [before = '', counted = '1'] = held?.split('|') ?? ['', '0'];
  const count = Math.max(0, Number(counted) + claims - releases);
  if (count === 0) return '';
  const holder = holderAfter(before, firstLive);
  return count === 1 && holder !== '' ? holder : `${holder}|${count}`;
};

/** `holder`, or `holder|last|count`: last is the newest transaction of the click, also when it was released. */
const clickValue: NewValue = (held, { claims, releases, firstLive, last }, holderAfter) => {
  const [before = '', lastBefore = before, counted = '1'] = held?.split('|') ?? ['', '', '0'];
  const count = Math.max(0, Number(counted) + claims - releases);
  const holder = count > 0 ? holderAfter(before, firstLive) : '';
  const newest = last === '' ? lastBefore : last;
  return count === 1 && holder === newest ? holder : `${holder}|${newest}|${count}`;
};

/** `count|last` */
const capValue: NewValue = (held, { claims, releases, lastLive }, holderAfter) => {
  const [counted = '0', before = ''] = held?.split('|') ?? [];
  const count = Math.max(0, Number(counted) + claims - releases);
  if (count === 0) return '';
  return `${count}|${holderAfter(lastLive === '' ? before : lastLive, '')}`;
};

/** The change that frees the transaction whose name the field is. */
const markValue: NewValue = (held, { last }) => (held === null ? last : undefined);

const NEW_VALUES: Readonly<Record<FieldKind, NewValue>> = {
  slot: slotValue,
  click: clickValue,
  cap: capValue,
  mark: markValue,
};

/** Sums up the events of a stretch. `rulesOf`: of an offer, those that its state has. */
export function blockChanges(
  events: readonly GateEvent[],
  rulesOf: (offerId: number) => RuleSignature,
  keys: RedisKeys,
  lane: number,
): BlockChanges {
  const claims = createClaims();
  const laneKeys = createLaneKeys(keys, lane);
  const ownClaims = createOwnClaims(claims, laneKeys);
  const released = new Set<string>();
  for (const { conversion, releasedBy } of events)
    if (releasedBy !== '') released.add(shortTransaction(conversion.transactionId));
  for (const { conversion, releasedBy, judged } of events) {
    const name = shortTransaction(conversion.transactionId);
    // A release may be of a field that is claimed here: then what is held is read.
    const sure = released.size === 0 ? judged : undefined;
    const own = ownClaims(conversion, rulesOf(conversion.offerId), sure);
    if (releasedBy === '') {
      const lives = !released.has(name);
      for (const one of own) claim(one, name, lives);
      continue;
    }
    for (const one of own) one.releases += 1;
    const marks = laneKeys.ofGoal(conversion.goalId).released;
    claim(claims.of(marks, name, 'mark', false), shortTransaction(releasedBy), true);
  }

  const fields = createFieldList();
  for (const [key, byField] of claims.byKey)
    for (const [field, { sure }] of byField) if (!sure) fields.numberOf(key, field);

  return {
    fields,
    changes(held) {
      const holderAfter: HolderAfter = (holder, other) =>
        holder === '' || released.has(holder) ? other : holder;
      return new Map(
        [...claims.byKey].map(([key, byField]) => {
          const set: string[] = [];
          const removed: string[] = [];
          const numbers = fields.byKey.get(key);
          for (const [field, befalls] of byField) {
            const value = befalls.sure
              ? befalls.last
              : NEW_VALUES[befalls.kind](
                  held[numbers?.get(field) ?? 0] ?? null,
                  befalls,
                  holderAfter,
                );
            if (value === '') removed.push(field);
            else if (value !== undefined) set.push(field, value);
          }
          return [key, { set, removed }] as const;
        }),
      );
    },
  };
}
