/** Redis' copy of the catalogue: looked at every second, sent only when it is missing or behind. */
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CATALOGUE_KINDS, readPublished } from '../../src/catalogue/published.ts';
import { createCatalogueStore, type CatalogueStore } from '../../src/catalogue/store.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { catalogue } from '../support/catalogue.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';

const keys = createRedisKeys('refill');
let server: TestRedis;
let database: TestClickHouse;
let store: CatalogueStore;
beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
  store = createCatalogueStore({
    clickhouse: database.clickhouse,
    redis: server.redis,
    keys,
    logger: pino({ level: 'silent' }),
  });
  await store.change(() => catalogue({}), 'test');
}, 120_000);
afterAll(async () => {
  await Promise.all([server.close(), database.close()]);
});

/** How often a catalogue was sent since the server started: nothing else here runs a script. */
async function sent(): Promise<number> {
  const stats = await server.redis.info('commandstats');
  return Number(/cmdstat_eval:calls=([0-9]+)/.exec(stats)?.[1] ?? 0);
}

const held = async (): Promise<unknown> => readPublished(server.redis, keys);

it('a catalogue that Redis holds is not sent again', async () => {
  const before = await sent();
  await store.refill();
  await store.refill();
  expect(await sent()).toBe(before);
});

it('a catalogue that Redis lost is sent', async () => {
  await server.redis.del(keys.catalogueVersion, ...CATALOGUE_KINDS.map(keys.catalogue));
  await store.refill();
  expect(await held()).toEqual((await store.current()).state);
});

it('a catalogue of which Redis holds an earlier version is sent', async () => {
  const { state } = await store.current();
  await server.redis.set(keys.catalogueVersion, String(state.version - 1));
  await server.redis.del(keys.catalogue('offers'));
  await store.refill();
  expect(await held()).toEqual(state);
});

it('a newer version than the log has stays in Redis: readers never go back', async () => {
  const { state } = await store.current();
  await server.redis.set(keys.catalogueVersion, String(state.version + 1));
  await store.refill();
  expect(await held()).toEqual({ ...state, version: state.version + 1 });
});
