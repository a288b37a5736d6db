/**
 * Hit ids: UUIDv7 (RFC 9562), increasing within a process even when the clock steps back.
 * 48 bit ms, 12 bit counter within the ms (overflow borrows the next ms), 62 random bits.
 */
import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 8 * 512;
const COUNTER_MAX = 0xfff;
/** Every counter as text: thousands of ids share a ms. */
const HEX3 = Array.from({ length: COUNTER_MAX + 1 }, (_, count) =>
  count.toString(16).padStart(3, '0'),
);

/** How every UUIDv7 of that millisecond begins: the time and the version. */
export function headOfUuidV7(ms: number): string {
  const hex = ms.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
}

/** The ms of an id that is known to be one: what it begins with is not looked at. */
export function msOfHead(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

export function createHitIds(clock: () => number): () => string {
  const pool = Buffer.alloc(POOL_BYTES);
  let used = POOL_BYTES;
  let lastMs = 0;
  let counter = 0;
  let prefixMs = -1;
  let prefix = '';
  return () => {
    const now = clock();
    if (now > lastMs) {
      lastMs = now;
      counter = 0;
    } else if (++counter > COUNTER_MAX) {
      lastMs += 1;
      counter = 0;
    }
    if (used === POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    const random = pool.toString('hex', used, used + 8);
    const variant = '89ab'.charAt((pool[used] ?? 0) & 3);
    used += 8;
    if (lastMs !== prefixMs) {
      prefixMs = lastMs;
      prefix = headOfUuidV7(lastMs);
    }
    return `${prefix}${HEX3[counter] ?? ''}-${variant}${random.slice(1, 4)}-${random.slice(4)}`;
  };
}

/**
 * The time in a hit's id and its receipt time are read from the clock one after the other, and those of the hits of one
 * transaction may be apart: a look-up by time that is meant to find ids takes so much more on either side.
 */
export const TIME_SLACK_MS = 60_000;

/** Any UUID in its canonical text form. */
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** The ms inside a UUIDv7 in its canonical text form, or undefined for anything else. */
export function msOfUuidV7(id: string): number | undefined {
  if (!UUID_V7.test(id)) return undefined;
  return msOfHead(id);
}
