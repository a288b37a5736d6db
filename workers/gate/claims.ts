/**
 * The fields that a conversion has in the gate's hashes. The same spelling serves judging, applying and rebuilding, so
 * the three can't disagree.
 */
import type { AcceptedConversion, GateRequest } from '../../src/domain/gate-request.ts';
import type { UniqueIpWindow } from '../../src/domain/catalogue.ts';
import { bucketOf, isIn, type Bucket } from '../../src/domain/time-buckets.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';
import { shortClick } from './short-names.ts';

/** The rules that shape an offer's state: its zone and its Unique IP window. */
export interface RuleSignature {
  readonly timezone: string;
  readonly uniqueIpWindow: UniqueIpWindow | null;
}

/**
 * Which spelling the state has: a state in another one is rebuilt from the log. 4: IPv6 addresses are claimed, which
 * were left out before.
 */
const STATE_FORMAT = '4';

/** What the state of an offer was built under. `hashed`: addresses are compared by their hashes. */
export function signatureText(rules: RuleSignature, hashed: boolean): string {
  return `${rules.timezone}|${rules.uniqueIpWindow ?? 'off'}|${STATE_FORMAT}${hashed ? '|hashed' : ''}`;
}

export function parseSignature(text: string): RuleSignature {
  const [timezone = 'UTC', window = 'off'] = text.split('|');
  // Written by signatureText.
  return { timezone, uniqueIpWindow: window === 'off' ? null : (window as UniqueIpWindow) };
}

/** What changes the gate's state: a conversion claims, or a change frees what its transaction claimed. */
export interface GateEvent {
  readonly conversion: AcceptedConversion;
  /** The change that frees; '': the conversion itself, which claims. */
  readonly releasedBy: string;
  /** Of a claim that was accepted at the position right before: what was asked. What its rules look at was free then. */
  readonly judged?: Judged | undefined;
}

/** A request, and how the gate's state spells what it names: spelled for judging, and used again for applying. */
export interface Judged {
  readonly request: GateRequest;
  readonly names: ClaimNames;
}

export interface ClaimNames {
  /** '' without a click. */
  readonly click: string;
  /** '' when the offer's window is off or there is no address. */
  readonly address: string;
}

export const CAP_PERIODS = [
  ['daily', 'day'],
  ['monthly', 'month'],
  ['total', 'ever'],
] as const;
export const CAP_SCOPES = ['goal', 'affiliate'] as const;

/** The six counters of a conversion: goal and affiliate by day, month and ever. Counted whether or not a cap is set. */
function capFields(timezone: string, hitTimeMs: number, affiliateId: number): string[] {
  return CAP_SCOPES.flatMap((scope) =>
    CAP_PERIODS.map(
      ([, period]) =>
        `${scope === 'goal' ? 'g' : `a${affiliateId}`}:${bucketOf(period, timezone, hitTimeMs).key}`,
    ),
  );
}

/** Whose counters: those of one day in a zone are the same for all conversions of a goal and affiliate. */
export interface Counted {
  readonly goalId: number;
  readonly affiliateId: number;
  readonly hitTimeMs: number;
}

/** What `make` makes of the counters of a conversion; made anew only when the goal, the affiliate or the day is another. */
export function byCapFields<Made>(
  make: (goalId: number, fields: readonly string[]) => Made,
): (counted: Counted, timezone: string) => Made {
  const goals = new Map<number, Map<number, { timezone: string; day: Bucket; made: Made }>>();
  return ({ goalId, affiliateId, hitTimeMs }, timezone) => {
    let affiliates = goals.get(goalId);
    if (affiliates === undefined) goals.set(goalId, (affiliates = new Map()));
    const known = affiliates.get(affiliateId);
    if (known !== undefined && known.timezone === timezone && isIn(known.day, hitTimeMs))
      return known.made;
    const made = make(goalId, capFields(timezone, hitTimeMs, affiliateId));
    affiliates.set(affiliateId, { timezone, day: bucketOf('day', timezone, hitTimeMs), made });
    return made;
  };
}

/** The state keys of goals and offers of a lane, each spelled once: a key is named by every call of a block. */
export function createLaneKeys({ lane: spell }: RedisKeys, lane: number) {
  const goals = new Map<number, ReturnType<typeof spellGoal>>();
  const offers = new Map<number, string>();
  const spellGoal = (goalId: number) => ({
    clicks: spell.clicks(lane, goalId),
    orders: spell.orders(lane, goalId),
    tracks: spell.tracks(lane, goalId),
    caps: spell.caps(lane, goalId),
    released: spell.released(lane, goalId),
  });
  return {
    ofGoal(goalId: number): ReturnType<typeof spellGoal> {
      let known = goals.get(goalId);
      if (known === undefined) goals.set(goalId, (known = spellGoal(goalId)));
      return known;
    },
    ips(offerId: number): string {
      let known = offers.get(offerId);
      if (known === undefined) offers.set(offerId, (known = spell.ips(lane, offerId)));
      return known;
    },
  };
}
export type LaneKeys = ReturnType<typeof createLaneKeys>;

function addressName(rules: RuleSignature, hitTimeMs: number, uniqueIp: string): string {
  if (rules.uniqueIpWindow === null || uniqueIp === '') return '';
  return `${bucketOf(rules.uniqueIpWindow, rules.timezone, hitTimeMs).key}|${uniqueIp}`;
}

export function claimNames(
  claimant: Pick<AcceptedConversion, 'clickId' | 'hitTimeMs' | 'uniqueIp'>,
  rules: RuleSignature,
): ClaimNames {
  return {
    click: shortClick(claimant.clickId),
    address: addressName(rules, claimant.hitTimeMs, claimant.uniqueIp),
  };
}
