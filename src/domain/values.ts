/** Plain values of requests: ids, money, currencies. Undefined or 0 means: not such a value. */
import { CURRENCIES } from './currencies.ts';

/** Largest id the store's UInt32 holds. */
const ID_MAX = 2 ** 32 - 1;

/** A positive integer id, or 0 for anything else. */
export function parseId(text: string): number {
  if (!/^[0-9]{1,10}$/.test(text)) return 0;
  const id = Number(text);
  return id <= ID_MAX ? id : 0;
}

/** What money must be, as faults of it say. */
export const MONEY_RULE =
  'a plain decimal of 0 or more with up to 14 digits before the point and up to 4 after it';
const MONEY = /^[0-9]{1,14}(?:\.[0-9]{1,4})?$/;

/** A plain decimal ≥ 0 with up to 4 places (CONTRACT.md) and up to 14 digits before the point: the store's Decimal(18, 4). */
export function isMoney(text: string): boolean {
  return MONEY.test(text);
}

/** An ISO 4217 code in capitals or small letters. */
export function isCurrency(text: string): boolean {
  return /^[a-zA-Z]{3}$/.test(text) && CURRENCIES.has(text.toUpperCase());
}

const SHOWN_MAX = 100;

/** A text as evidence shows it: at most 100 characters, without control characters. */
export function short(text: string): string {
  return text.slice(0, SHOWN_MAX).replaceAll(/\p{Cc}/gu, '\u{fffd}');
}
