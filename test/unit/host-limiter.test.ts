import { expect, it } from 'vitest';
import { createHostLimiter } from '../../workers/outgoing/host-limiter.ts';

const LIMITS = { perHost: 2, perAffiliate: 3 };

/** Takes, holds the slot for some turns, gives it back; counts who holds one at once. */
async function useSlots(hosts: readonly string[]): Promise<{ most: number; put: number[] }> {
  const limiter = createHostLimiter(Date.now, LIMITS);
  const put: number[] = [];
  let [held, most] = [0, 0];
  await Promise.all(
    hosts.map(async (host) => {
      const slot = await limiter.take(host, 1);
      if (slot.kind === 'full') {
        put.push(slot.waitMs);
        return;
      }
      most = Math.max(most, ++held);
      await new Promise((resolve) => setImmediate(resolve));
      held -= 1;
      slot.release();
    }),
  );
  return { most, put };
}

it('never gives one host more than its slots, lets a few wait, and puts the others off', async () => {
  const { most, put } = await useSlots(Array.from({ length: 40 }, () => 'slow.example'));
  expect(most).toBe(2);
  // Two hold a slot, four wait for the next.
  expect(put).toHaveLength(34);
  for (const waitMs of put) expect(waitMs).toBeGreaterThan(0);
  expect(put.toSorted((a, b) => a - b)).toEqual(put);
});

it('gives one affiliate no more by more names', async () => {
  const { most } = await useSlots(Array.from({ length: 7 }, (_, at) => `n${at}.example`));
  expect(most).toBe(3);
});
