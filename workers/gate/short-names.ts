/**
 * Ids as the gate's state in Redis spells them: 22 characters of base64url for the 16 bytes that a transaction id or a
 * click id is. Every conversion that counts is named in several fields; short names are a sixth less memory.
 */
import { UUID } from '../../src/domain/uuid-v7.ts';

const CLICK = /^[0-9a-f]{32}$/;
const SHORT = /^[A-Za-z0-9_-]{22}$/;

const shorten = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url');

/** A UUID shortened; anything else stays as it is. */
export function shortTransaction(id: string): string {
  return UUID.test(id) ? shorten(id.replaceAll('-', '')) : id;
}

/** What `shortTransaction` made short, long again. */
export function longTransaction(name: string): string {
  if (!SHORT.test(name)) return name;
  const hex = Buffer.from(name, 'base64url').toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A click id shortened; anything else stays as it is. */
export function shortClick(id: string): string {
  return CLICK.test(id) ? shorten(id) : id;
}
