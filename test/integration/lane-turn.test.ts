/** Turns at a lane: one worker at a time, the one that waited comes next, and nobody waits for a dead one for long. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { createLaneTurn, type LaneTurn } from '../../workers/gate/lane-turn.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';

const KEY = createRedisKeys('turns').laneTurn(1);
/** Of a worker that holds the turn and does not give it back. */
const TURN_MS = 3_000;

let server: TestRedis;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(async () => {
  await server.close();
});

const turnOf = (me: string, redis = server.redis): LaneTurn =>
  createLaneTurn({ redis, key: KEY, me, clock: Date.now });
let one: LaneTurn;
let other: LaneTurn;
beforeEach(async () => {
  one = turnOf('one');
  other = turnOf('other');
  // Redis knows both scripts from here on: the first use of one takes two commands.
  await one.take();
  one.release();
  await expect.poll(() => server.redis.hget(KEY, 'holder')).toBe(null);
  await server.redis.del(KEY);
});

/** Has `turn` take the turn, and notes when it has it. */
function noted(turn: LaneTurn, who: string, order: string[]): Promise<void> {
  return turn.take().then(() => void order.push(who));
}

test('is one worker’s until it gives it back, and then goes to the one that waited', async () => {
  const order: string[] = [];
  await noted(one, 'one', order);
  const waits = noted(other, 'other', order);
  // Once the other has asked, it is next.
  await expect.poll(() => server.redis.hget(KEY, 'next')).toBe('other');
  order.push('one gives back');
  one.release();
  const again = noted(one, 'one', order);
  await waits;
  other.release();
  await again;
  expect(order).toEqual(['one', 'one gives back', 'other', 'one']);
});

test('is renewed by its holder, also while another waits', async () => {
  await one.take();
  const waits = other.take();
  await expect.poll(() => server.redis.hget(KEY, 'next')).toBe('other');
  const began = performance.now();
  await one.take();
  expect(performance.now() - began).toBeLessThan(TURN_MS / 2);
  expect(await server.redis.hget(KEY, 'holder')).toBe('one');
  one.release();
  await waits;
});

test('of a dead worker ends by itself', async () => {
  await one.take();
  const began = performance.now();
  await other.take();
  expect(performance.now() - began).toBeLessThan(TURN_MS + 1_000);
  expect(await server.redis.hget(KEY, 'holder')).toBe('other');
});

test('given back late takes nothing from the one who has it', async () => {
  await one.take();
  await server.redis.hset(KEY, 'holder', 'other');
  one.release();
  expect(await server.redis.hget(KEY, 'holder')).toBe('other');
});

test('is not waited for when Redis does not answer', async () => {
  const gone = server.redis.duplicate({ maxRetriesPerRequest: 0, retryStrategy: () => null });
  gone.on('error', () => undefined);
  gone.disconnect();
  await turnOf('gone', gone).take();
});
