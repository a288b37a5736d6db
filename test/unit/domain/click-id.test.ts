/** The click id: what is minted opens, what is not minted here does not, and no two are alike. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  createClickIdCodec,
  EDGE_NUMBER_MAX,
  OFFER_ID_MAX,
  SEQUENCE_MAX,
  withOpened,
} from '../../../src/domain/click-id.ts';

const key = (id: number, byte: string) => ({ id, key: byte.repeat(16) });
const codec = createClickIdCodec([key(0, 'a1')]);
const EPOCH_MS = Date.UTC(2020, 0, 1);
/** The last ms that 42 bits hold. */
const LAST_MS = EPOCH_MS + 2 ** 42 - 1;

const ms = fc.integer({ min: EPOCH_MS, max: LAST_MS });
const parts = fc.tuple(
  ms,
  fc.integer({ min: 1, max: OFFER_ID_MAX }),
  fc.integer({ min: 0, max: EDGE_NUMBER_MAX }),
  fc.integer({ min: 0, max: SEQUENCE_MAX }),
);

test('what was minted opens to what went in', () => {
  fc.assert(
    fc.property(parts, ([at, offerId, edgeNumber, sequence]) => {
      const id = codec.mint(at, offerId, edgeNumber, sequence);
      expect(id).toMatch(/^[0-9a-f]{32}$/);
      expect(codec.open(id)).toEqual({ ms: at, offerId, edgeNumber, sequence });
    }),
    { numRuns: 2_000 },
  );
});

test('the limits of every field survive at once', () => {
  for (const at of [EPOCH_MS, EPOCH_MS + 1_023, EPOCH_MS + 1_024, LAST_MS]) {
    for (const offerId of [1, 3, 4, OFFER_ID_MAX]) {
      const id = codec.mint(at, offerId, EDGE_NUMBER_MAX, SEQUENCE_MAX);
      expect(codec.open(id)).toEqual({
        ms: at,
        offerId,
        edgeNumber: EDGE_NUMBER_MAX,
        sequence: SEQUENCE_MAX,
      });
    }
  }
});

test('ids differ whenever any part differs', () => {
  const ids = new Set<string>();
  let minted = 0;
  for (const at of [EPOCH_MS + 5, EPOCH_MS + 6]) {
    for (const offerId of [1, 2, 5]) {
      for (const edgeNumber of [0, 1, 1_023]) {
        for (let sequence = 0; sequence < 500; sequence++) {
          ids.add(codec.mint(at, offerId, edgeNumber, sequence));
          minted += 1;
        }
      }
    }
  }
  expect(ids.size).toBe(minted);
});

test('a single flipped bit makes an id that was not minted here', () => {
  fc.assert(
    fc.property(parts, fc.integer({ min: 0, max: 127 }), (fields, bit) => {
      const bytes = Buffer.from(codec.mint(...fields), 'hex');
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(codec.open(bytes.toString('hex'))).toBeUndefined();
    }),
    { numRuns: 2_000 },
  );
});

test('random text and ids of another installation do not open', () => {
  const other = createClickIdCodec([key(0, 'b2')]);
  fc.assert(
    fc.property(parts, (fields) => {
      expect(codec.open(other.mint(...fields))).toBeUndefined();
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      expect(codec.open(Buffer.from(bytes).toString('hex'))).toBeUndefined();
    }),
  );
});

test.each([
  ['empty', ''],
  ['capitals', codec.mint(EPOCH_MS, 1, 0, 0).toUpperCase()],
  ['a space behind it', `${codec.mint(EPOCH_MS, 1, 0, 0)} `],
  ['a line end behind it', `${codec.mint(EPOCH_MS, 1, 0, 0)}\n`],
  ['one character short', codec.mint(EPOCH_MS, 1, 0, 0).slice(1)],
  ['sent twice', codec.mint(EPOCH_MS, 1, 0, 0).repeat(2)],
  ['no hex', 'z'.repeat(32)],
])('%s is no click id', (_, text) => {
  expect(codec.open(text)).toBeUndefined();
});

test('after a rotation new ids are minted under the newest key and old ones still open', () => {
  const old = codec.mint(EPOCH_MS + 77, 9, 3, 4);
  const rotated = createClickIdCodec([key(0, 'a1'), key(1, 'b2')]);
  expect(rotated.open(old)).toEqual({ ms: EPOCH_MS + 77, offerId: 9, edgeNumber: 3, sequence: 4 });
  const fresh = rotated.mint(EPOCH_MS + 77, 9, 3, 4);
  expect(fresh).not.toBe(old);
  expect(codec.open(fresh)).toBeUndefined();
  expect(createClickIdCodec([key(1, 'b2')]).open(fresh)).toMatchObject({ offerId: 9 });
});

test('without a key nothing is minted and nothing opens', () => {
  const none = createClickIdCodec([]);
  expect(() => none.mint(EPOCH_MS, 1, 0, 0)).toThrow(/no click id key/);
  expect(none.open(codec.mint(EPOCH_MS, 1, 0, 0))).toBeUndefined();
});

test('the time inside sorts like the time it was minted at', () => {
  fc.assert(
    fc.property(fc.tuple(ms, ms), ([first, second]) => {
      const opened = [first, second].map((at) => codec.open(codec.mint(at, 1, 0, 0))?.ms ?? 0);
      expect(Math.sign((opened[0] ?? 0) - (opened[1] ?? 0))).toBe(Math.sign(first - second));
    }),
  );
});

test('many at once, of old keys and new, of strangers and none, each opens as it does alone', () => {
  const rotated = createClickIdCodec([key(0, 'a1'), key(1, 'b2')]);
  const minters = {
    old: codec,
    fresh: rotated,
    stranger: createClickIdCodec([key(0, 'c3')]),
  };
  const minted = fc
    .tuple(fc.constantFrom('old', 'fresh', 'stranger'), parts)
    .map(([whose, fields]) => {
      const [at, offerId, edgeNumber, sequence] = fields;
      return {
        id: minters[whose].mint(...fields),
        opened: whose === 'stranger' ? undefined : { ms: at, offerId, edgeNumber, sequence },
      };
    });
  const odd = fc
    .constantFrom('', 'x', 'F'.repeat(32), '0'.repeat(31), '0'.repeat(64))
    .map((id) => ({ id, opened: undefined }));
  fc.assert(
    fc.property(fc.array(fc.oneof(minted, odd)), fc.nat(5), minted, (some, twice, other) => {
      const all = [...some, ...some.slice(0, twice)];
      const ids = all.map(({ id }) => id);
      const expected = all.map(({ opened }) => opened);
      expect(rotated.openAll(ids)).toEqual(expected);
      const ready = withOpened(rotated, ids);
      expect(ids.map((id) => ready.open(id))).toEqual(expected);
      expect(ready.open(other.id)).toEqual(other.opened);
    }),
  );
});
