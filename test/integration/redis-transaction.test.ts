/** Commands as one, under a condition: nothing is done of a transaction whose ground was moved, whatever happens on the way. */
import { Command, type Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  createWatchingConnections,
  transact,
  type WatchingConnections,
} from '../../src/redis/transaction.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import { waitFor } from '../support/wait-for.ts';

let server: TestRedis;
let redis: Redis;
let connections: WatchingConnections;

beforeAll(async () => {
  server = await startRedis();
  redis = server.redis;
});
afterAll(async () => {
  await server.close();
});
beforeEach(async () => {
  await redis.flushall();
  await redis.set('ground', '1');
  connections = createWatchingConnections(redis);
});
afterEach(() => connections.close());

const set = (key: string, value: string): Command => new Command('set', [key, value]);
const idOf = async (connection: Redis): Promise<string> => String(await connection.client('ID'));
const clientIds = async (): Promise<string[]> =>
  [...String(await redis.client('LIST')).matchAll(/^id=(\d+)/gm)].map(([, id = '']) => id);

test('resolves to the replies, in their order, as text', async () => {
  await redis.hset('hash', 'a', 'ä');
  const commands = [new Command('hmget', ['hash', 'a', 'b']), new Command('hlen', ['hash'])];
  expect(await transact(redis, commands)).toEqual([['ä', null], 1]);
});

test('a command that Redis refuses leaves all of them undone', async () => {
  const refused = transact(redis, [set('a', '1'), new Command('no-such-command'), set('b', '1')]);
  await expect(refused).rejects.toThrow(/unknown command|EXECABORT/);
  expect(await redis.exists('a', 'b')).toBe(0);
});

test('a command that fails while they are done is told', async () => {
  await redis.hset('hash', 'a', '1');
  await expect(transact(redis, [new Command('incr', ['hash'])])).rejects.toThrow('WRONGTYPE');
});

test('nothing is done once the watched key has changed, even to what it was', async () => {
  const outcome = await connections.watching('ground', async (connection) => {
    expect(await connection.get('ground')).toBe('1');
    await redis.set('ground', '1');
    return transact(connection, [set('a', '1')]);
  });
  expect(outcome).toBeUndefined();
  expect(await redis.exists('a')).toBe(0);
});

test('nothing is done when Redis was emptied meanwhile', async () => {
  const outcome = await connections.watching('ground', async (connection) => {
    await redis.flushall();
    return transact(connection, [set('a', '1')]);
  });
  expect(outcome).toBeUndefined();
  expect(await redis.exists('a')).toBe(0);
});

test('a connection that is lost while it watches does nothing, then or later', async () => {
  const lost = connections.watching('ground', async (connection) => {
    await redis.client('KILL', 'ID', await idOf(connection));
    await redis.set('ground', '2');
    await waitFor(async () => connection.status === 'end', { timeoutMs: 5_000, what: 'the end' });
    return transact(connection, [set('a', '1')]);
  });
  await expect(lost).rejects.toThrow('Connection is closed');
  const again = await connections.watching('ground', (connection) =>
    transact(connection, [set('b', '1')]),
  );
  expect(again).toEqual(['OK']);
  expect(await redis.mget('a', 'b')).toEqual([null, '1']);
});

test('what one use watched does not hinder the next', async () => {
  await connections.watching('ground', async () => undefined);
  await redis.set('ground', '2');
  const outcome = await connections.watching('other', (connection) =>
    transact(connection, [set('a', '1')]),
  );
  expect(outcome).toEqual(['OK']);
});

test('uses one after the other share a connection, uses at once do not, and close ends all', async () => {
  const [first, second] = [
    await connections.watching('ground', idOf),
    await connections.watching('ground', idOf),
  ];
  expect(second).toBe(first);
  let meet = (): void => undefined;
  const met = new Promise<void>((resolve) => (meet = resolve));
  const both = await Promise.all([
    connections.watching('ground', async (connection) => {
      await met;
      return idOf(connection);
    }),
    connections.watching('ground', async (connection) => {
      meet();
      return idOf(connection);
    }),
  ]);
  expect(new Set(both).size).toBe(2);
  connections.close();
  await waitFor(async () => (await clientIds()).every((id) => !both.includes(id)), {
    timeoutMs: 5_000,
    what: 'the connections to close',
  });
});
