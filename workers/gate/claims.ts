/**
 * The fields that a conversion has in the gate's hashes. The same spelling serves judging, applying and rebuilding, so
 * the three can't disagree.
 */
import type { AcceptedConversion } from '../../src/domain/gate-request.ts';
import type { UniqueIpWindow } from '../../src/domain/catalogue.ts';
import { bucketOf } from '../../src/domain/time-buckets.ts';

/** The rules that shape an offer's state: its zone and its Unique IP window. */
export interface RuleSignature {
  readonly timezone: string;
  readonly uniqueIpWindow: UniqueIpWindow | null;
}

/** Which spelling the state's values have: a state in another one is rebuilt from the log. */
const STATE_FORMAT = '2';

/** What the state of an offer was built under. `hashed`: addresses are compared by their hashes. */
export function signatureText(rules: RuleSignature, hashed: boolean): string {
  return `${rules.timezone}|${rules.uniqueIpWindow ?? 'off'}|${STATE_FORMAT}${hashed ? '|hashed' : ''}`;
}

export function parseSignature(text: string): RuleSignature {
  const [timezone = 'UTC', window = 'off'] = text.split('|');
  // Written by signatureText.
  return { timezone, uniqueIpWindow: window === 'off' ? null : (window as UniqueIpWindow) };
}

/** What a script call takes, the caller's first arguments excepted. */
export interface ScriptInput {
  readonly keys: readonly string[];
  readonly args: readonly string[];
}

/** What changes the gate's state: a conversion claims, or a change frees what its transaction claimed. */
export interface GateEvent {
  readonly conversion: AcceptedConversion;
  /** The change that frees; '': the conversion itself, which claims. */
  readonly releasedBy: string;
}

export const CAP_PERIODS = [
  ['daily', 'day'],
  ['monthly', 'month'],
  ['total', 'ever'],
] as const;
export const CAP_SCOPES = ['goal', 'affiliate'] as const;

/** The six counters of a conversion: goal and affiliate by day, month and ever. Counted whether or not a cap is set. */
export function capFields(timezone: string, hitTimeMs: number, affiliateId: number): string[] {
  return CAP_SCOPES.flatMap((scope) =>
    CAP_PERIODS.map(
      ([, period]) =>
        `${scope === 'goal' ? 'g' : `a${affiliateId}`}:${bucketOf(period, timezone, hitTimeMs).key}`,
    ),
  );
}

/** '' when the offer's window is off or there is no address. */
export function ipField(rules: RuleSignature, hitTimeMs: number, uniqueIp: string): string {
  if (rules.uniqueIpWindow === null || uniqueIp === '') return '';
  return `${bucketOf(rules.uniqueIpWindow, rules.timezone, hitTimeMs).key}|${uniqueIp}`;
}
