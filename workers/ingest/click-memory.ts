/**
 * Clicks that this worker stored lately: a conversion that follows its click within minutes costs ClickHouse
 * nothing. Kept outside of V8's heap, where each collection would walk them; the newest overwrite the oldest.
 */

/** Some 450,000 clicks, 800,000 with short parameters. A worker under full load is to stay below 500 MB. */
const RING_BYTES = 48 * 1024 * 1024;
const ID_BYTES = 16;
/** Of an id, as many as one read compares. */
const HEAD_DIGITS = 8;
const HEAD_BYTES = ID_BYTES + 2;
const TEXT_BYTES_MAX = 0xffff;
/**
 * Places of ids that share their first bits; one too many pushes out the oldest. Of a million clicks in half a million
 * buckets the oldest shares its own with two newer ones on average: four places lost every seventh such click, eight one of
 * a thousand, and a chunk that misses a few pays for a look-up nearly as if it missed all.
 */
const WAYS = 8;
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

/** Records begin at multiples of so many bytes, so that 32 bits count the places of 16 GiB of them. */
const UNIT_BYTES = 4;
const UNITS_MAX = 2 ** 32 - 1;

/** `ringBytes`: a multiple of 4. `unitsMax`: after so many units all is forgotten and counted anew; a smaller one in tests. */
export function createClickMemory(ringBytes = RING_BYTES, unitsMax = UNITS_MAX): ClickMemory {
  const ring = Buffer.allocUnsafeSlow(ringBytes);
  const ringUnits = ringBytes / UNIT_BYTES;
  /** Where records begin, counted in units from 1 over all rounds of the ring; 0: nowhere. What is more than a round behind is overwritten. */
  const places = new Uint32Array(BUCKETS * WAYS);
  let end = 0;

  const firstPlaceOf = (clickId: string): number =>
    (Number.parseInt(clickId.slice(0, BUCKET_DIGITS), 16) >>> BITS_LEFT_OUT) * WAYS;

  return {
    remember(clickId, text) {
      const textBytes = Buffer.byteLength(text);
      const units = Math.ceil((HEAD_BYTES + textBytes) / UNIT_BYTES);
      if (textBytes > TEXT_BYTES_MAX || units > ringUnits) return;
      const left = ringUnits - (end % ringUnits);
      // A record lies in one piece.
      if (left < units) end += left;
      if (end + units > unitsMax) {
        places.fill(0);
        end = 0;
      }
      const at = (end % ringUnits) * UNIT_BYTES;
      ring.write(clickId, at, ID_BYTES, 'hex');
      ring.writeUInt16LE(textBytes, at + ID_BYTES);
      ring.write(text, at + HEAD_BYTES);
      const place = firstPlaceOf(clickId);
      places.copyWithin(place + 1, place, place + WAYS - 1);
      places[place] = end + 1;
      end += units;
    },
    recall(clickId) {
      const first = firstPlaceOf(clickId);
      const head = Number.parseInt(clickId.slice(0, HEAD_DIGITS), 16);
      for (let place = first; place < first + WAYS; place++) {
        const start = (places[place] ?? 0) - 1;
        if (start < 0 || start < end - ringUnits) continue;
        const at = (start % ringUnits) * UNIT_BYTES;
        // Nearly every other id differs here already, and this makes no string.
        if (ring.readUInt32BE(at) !== head) continue;
        if (ring.toString('hex', at, at + ID_BYTES) !== clickId) continue;
        const from = at + HEAD_BYTES;
        return ring.toString('utf8', from, from + ring.readUInt16LE(at + ID_BYTES));
      }
      return undefined;
    },
  };
}
