/** A memory that is too small for what it is given: what it says is what was said to it last, or nothing. */
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createClickMemory } from '../../workers/ingest/click-memory.ts';

const RING_BYTES = 4_096;
const newId = (): string => randomBytes(16).toString('hex');

/** With so few it counts anew every ten rounds of the ring. */
const UNITS_MAX = 10_000;

test.each([
  ['', undefined],
  [', also when it counts anew', UNITS_MAX],
])('recalls the newest, forgets the oldest, and never takes one text for another%s', (_, units) => {
  const memory = createClickMemory(RING_BYTES, units);
  const told = new Map<string, string>();
  const order: string[] = [];
  let recalled = 0;
  for (let round = 0; round < 5_000; round++) {
    const again = round % 7 === 0 ? order.at(-1 - (round % 30)) : undefined;
    const id = again ?? newId();
    const text = `${round}:${'ä€x'.repeat(round % 60)}`;
    memory.remember(id, text);
    told.set(id, text);
    order.push(id);
    expect(memory.recall(id), `round ${round}`).toBe(text);
    for (const old of order.slice(-50)) {
      const found = memory.recall(old);
      if (found === undefined) continue;
      expect(found).toBe(told.get(old));
      recalled += 1;
    }
  }
  expect(recalled).toBeGreaterThan(5_000);
  expect(memory.recall(order[0] ?? '')).toBeUndefined();
});

test('ids that share a bucket stand side by side, and the oldest of too many gives way', () => {
  const memory = createClickMemory(RING_BYTES);
  const ids = Array.from({ length: 9 }, () => `00000${newId().slice(5)}`);
  for (const [index, id] of ids.entries()) memory.remember(id, `text ${index}`);
  const known = ids.map((id) => memory.recall(id));
  expect(known).toEqual([undefined, ...ids.slice(1).map((_, index) => `text ${index + 1}`)]);
});

test('keeps no text that does not fit, and an id whose text was replaced by such a one keeps the old', () => {
  const memory = createClickMemory(RING_BYTES);
  const id = newId();
  memory.remember(id, 'small');
  memory.remember(id, 'x'.repeat(RING_BYTES));
  expect(memory.recall(id)).toBe('small');
  expect(memory.recall(newId())).toBeUndefined();
});

test('a text that looks like a record, where one was before, is not taken for it', () => {
  const memory = createClickMemory(RING_BYTES);
  const victim = '41'.repeat(16);
  memory.remember(newId(), 'ten bytes.');
  memory.remember(victim, 'mine');
  // Whole rounds of the ring later a text lies where the victim's record lay.
  for (let record = 0; record < 40; record++) memory.remember(newId(), 'x'.repeat(300));
  for (let record = 0; record < 20; record++)
    memory.remember(newId(), `ten bytes.${'A'.repeat(16)}\u0006\u0000forged${'x'.repeat(270)}`);
  expect(memory.recall(victim)).toBeUndefined();
});

test('nearly all of the clicks that its bytes have room for are recalled, the oldest too', () => {
  const CLICKS = 1_000_000;
  const memory = createClickMemory();
  const ids = Array.from({ length: CLICKS }, newId);
  for (const id of ids) memory.remember(id, 'a click with short parameters');
  const known = (some: readonly string[]): number =>
    some.filter((id) => memory.recall(id) !== undefined).length / some.length;
  expect(known(ids)).toBeGreaterThan(0.999);
  expect(known(ids.slice(0, CLICKS / 20))).toBeGreaterThan(0.995);
  // A million clicks: a machine with other work takes its time.
}, 60_000);
