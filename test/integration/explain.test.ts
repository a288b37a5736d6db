/** Explain on hits whose ids and receipts are of different times: those of an edge whose clock was set back. */
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { explain } from '../../src/api/explain/stored.ts';
import { createCatalogueStore } from '../../src/catalogue/store.ts';
import { createClickIdCodec } from '../../src/domain/click-id.ts';
import { FULL_IPS } from '../../src/domain/ip-storage.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { catalogue } from '../support/catalogue.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import { clickChunk, clickHit, createTestWorker } from '../support/test-worker.ts';

const STEP_MS = 2 * 3_600_000;
const CATALOGUE = catalogue();
const keys = createRedisKeys();

let server: TestRedis;
let database: TestClickHouse;
beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
}, 120_000);
afterAll(async () => {
  await Promise.all([server.close(), database.close()]);
});

it('finds a click by its hit id that came after the clock of its edge was set back by hours', async () => {
  const { clickhouse } = database;
  const { redis } = server;
  const store = createCatalogueStore({
    clickhouse,
    redis,
    keys,
    logger: pino({ level: 'silent' }),
  });
  await store.change(() => CATALOGUE, 'test');
  let clock = Date.now();
  const hitIds = createHitIds(() => clock);
  hitIds();
  clock -= STEP_MS;
  const hitId = hitIds();
  // Of an invalid click: it has no id of its own, and its receipt is what the clock showed.
  const hit = { ...clickHit(hitId, '', 16, clock), verdictCode: 115 };
  const { clicks } = createTestWorker({ clickhouse, redis, keys, catalogue: CATALOGUE });
  await clicks.storeChunk(
    clickChunk('set-back', [hit]),
    createClickIdCodec(CATALOGUE.click_id_keys),
  );
  const explainHit = (id: string) =>
    explain({ clickhouse, store, ips: FULL_IPS }, { role: 'manager', name: 'test' }, 'hit_id', id);
  expect(await explainHit(hitId)).toMatchObject({
    hit_id: hitId,
    calls: [],
    clicks: [{ hit_id: hitId }],
  });
  await expect(explainHit(hitIds())).rejects.toMatchObject({ status: 404 });
}, 60_000);
