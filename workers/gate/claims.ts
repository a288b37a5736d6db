/**
 * The fields that a conversion has in the gate's hashes. The same spelling serves judging, applying and rebuilding, so
 * the three can't disagree.
 */
import type { UniqueIpWindow } from '../../src/domain/catalogue.ts';
import { bucketOf } from '../../src/domain/time-buckets.ts';

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

/** What a script call takes, the caller's first arguments excepted. */
export interface ScriptInput {
  readonly keys: readonly string[];
  readonly args: readonly string[];
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
