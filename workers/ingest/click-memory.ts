/**
 * Clicks that this worker stored lately: a conversion that follows its click within minutes costs ClickHouse
 * nothing. Kept outside of V8's heap, where each collection would walk them; the newest overwrite the oldest.
 */

/** Some 600,000 clicks with short parameters. */
const RING_BYTES = 64 * 1024 * 1024;
const ID_BYTES = 16;
const HEAD_BYTES = ID_BYTES + 2;
const TEXT_BYTES_MAX = 0xffff;
/** Places of ids that share their first bits; one too many pushes out the oldest. */
const WAYS = 4;
/** Hex digits of an id that choose its bucket, and how many of their bits don't. Ids are encrypted, so they spread evenly. */
const BUCKET_DIGITS = 5;
const BITS_LEFT_OUT = 1;
const BUCKETS = (16 ** BUCKET_DIGITS) >>> BITS_LEFT_OUT;

export interface ClickMemory {
  /** `clickId` is 32 hex digits. Forgets older ones; a text over 64 KiB is not kept. */
  remember(clickId: string, text: string): void;
  /** The text that was remembered last under the id, if it is still there. */
  recall(clickId: string): string | undefined;
}

export function createClickMemory(ringBytes = RING_BYTES): ClickMemory {
  const ring = Buffer.allocUnsafeSlow(ringBytes);
  /** Where records begin, counted from 1 over all rounds of the ring; 0: nowhere. What is more than a round behind is overwritten. */
  const places = new Float64Array(BUCKETS * WAYS);
  let end = 0;

  const firstPlaceOf = (clickId: string): number =>
    (Number.parseInt(clickId.slice(0, BUCKET_DIGITS), 16) >>> BITS_LEFT_OUT) * WAYS;

  return {
    remember(clickId, text) {
      const textBytes = Buffer.byteLength(text);
      const bytes = HEAD_BYTES + textBytes;
      if (textBytes > TEXT_BYTES_MAX || bytes > ringBytes) return;
      const left = ringBytes - (end % ringBytes);
      // A record lies in one piece.
      if (left < bytes) end += left;
      const at = end % ringBytes;
      ring.write(clickId, at, ID_BYTES, 'hex');
      ring.writeUInt16LE(textBytes, at + ID_BYTES);
      ring.write(text, at + HEAD_BYTES);
      const place = firstPlaceOf(clickId);
      places.copyWithin(place + 1, place, place + WAYS - 1);
      places[place] = end + 1;
      end += bytes;
    },
    recall(clickId) {
      const first = firstPlaceOf(clickId);
      for (let place = first; place < first + WAYS; place++) {
        const start = (places[place] ?? 0) - 1;
        if (start < 0 || start < end - ringBytes) continue;
        const at = start % ringBytes;
        if (ring.toString('hex', at, at + ID_BYTES) !== clickId) continue;
        const from = at + HEAD_BYTES;
        return ring.toString('utf8', from, from + ring.readUInt16LE(at + ID_BYTES));
      }
      return undefined;
    },
  };
}
