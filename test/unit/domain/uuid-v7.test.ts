/** Hit ids: UUIDv7 that only grow, whatever the clock does. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createHitIds, msOfUuidV7 } from '../../../src/domain/uuid-v7.ts';

const NOW = Date.UTC(2026, 5, 15);
const SHAPE = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test('ids are UUIDv7 text, grow, and never repeat through any movement of the clock', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.integer({ min: 0, max: 3 }),
          fc.integer({ min: -5_000, max: -1 }),
          fc.integer({ min: 1_000, max: 3_600_000 }),
        ),
        { minLength: 2, maxLength: 300 },
      ),
      (steps) => {
        let now = NOW;
        let at = 0;
        const ids = createHitIds(() => (now += steps[at++] ?? 0));
        let before = '';
        while (at < steps.length) {
          const id = ids();
          expect(id).toMatch(SHAPE);
          expect(id > before).toBe(true);
          before = id;
        }
      },
    ),
  );
});

test('the ms inside is the clock while the clock runs forward', () => {
  let now = NOW;
  const ids = createHitIds(() => now);
  expect(msOfUuidV7(ids())).toBe(NOW);
  now += 12_345;
  expect(msOfUuidV7(ids())).toBe(NOW + 12_345);
});

test('a clock that steps back does not take the ids back', () => {
  let now = NOW;
  const ids = createHitIds(() => now);
  const first = ids();
  now -= 3_600_000;
  const second = ids();
  expect(second > first).toBe(true);
  expect(msOfUuidV7(second)).toBe(NOW);
});

test('more ids than a ms holds borrow the next ms and stay unique', () => {
  const ids = createHitIds(() => NOW);
  const made = Array.from({ length: 10_000 }, ids);
  expect(new Set(made).size).toBe(10_000);
  expect(made).toEqual(made.toSorted());
  // 4,096 a ms: three ms are used.
  expect(msOfUuidV7(made.at(-1) ?? '')).toBe(NOW + 2);
});

test('two processes at the same instant make different ids', () => {
  const [one, two] = [createHitIds(() => NOW), createHitIds(() => NOW)];
  const made = [...Array.from({ length: 1_000 }, one), ...Array.from({ length: 1_000 }, two)];
  expect(new Set(made).size).toBe(2_000);
});

test.each([
  '',
  'x',
  '0190a5b0-0000-4000-8000-000000000000',
  '0190A5B0-0000-7000-8000-000000000000',
  '0190a5b0-0000-7000-c000-000000000000',
  '0190a5b0000070008000000000000000',
  ' 0190a5b0-0000-7000-8000-000000000000',
])('%j is no UUIDv7 in canonical form', (text) => {
  expect(msOfUuidV7(text)).toBeUndefined();
});
