/** Addresses that are not kept whole: nothing whole is left in any row, and Unique IP is as exact as ever. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { createClickIdCodec } from '../../src/domain/click-id.ts';
import {
  createIpStorage,
  IP_STORAGE_MODES,
  type IpStorageMode,
} from '../../src/domain/ip-storage.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import { createRedisKeys, type RedisKeys } from '../../src/redis/keys.ts';
import { catalogue, goal, offer, TEST_KEY } from '../support/catalogue.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import {
  clickChunk,
  clickHit,
  conversionChunk,
  conversionHit,
  createTestWorker,
  type TestWorker,
} from '../support/test-worker.ts';

const CATALOGUE = catalogue({
  offers: [offer({ unique_ip: { enabled: true, window: 'ever' } })],
  goals: [goal({ multiple_conversions: true })],
});
const V4 = '198.51.100.77';
const V6 = '2001:db8:aaaa:bbbb:1:2:3:4';
const V6_SAME_NETWORK = '2001:db8:aaaa:bbbb:9:9:9:9';
const codec = createClickIdCodec([TEST_KEY]);
const hitIds = createHitIds(Date.now);

let server: TestRedis;
let database: TestClickHouse;
let clickhouse: ClickHouse;
let keys: RedisKeys;
let sequence = 0;

beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
  clickhouse = database.clickhouse;
}, 120_000);
afterAll(async () => {
  await Promise.all([server.close(), database.close()]);
});
beforeEach(() => {
  sequence += 1;
  keys = createRedisKeys(`ips-${process.pid}-${sequence}`);
});
afterEach(async () => {
  await clickhouse.command('TRUNCATE TABLE postback_log');
  await clickhouse.command('TRUNCATE TABLE click_log');
});

const worker = (mode: IpStorageMode): TestWorker =>
  createTestWorker({
    clickhouse,
    redis: server.redis,
    keys,
    catalogue: CATALOGUE,
    ips: createIpStorage(mode, 'a secret of the test'),
  });

/** A click from the address and a call of its server, or of the visitor's browser; resolves to the verdict. */
async function convert(
  by: TestWorker,
  ip: string,
  from: 'server' | 'browser' = 'server',
): Promise<number | undefined> {
  sequence += 1;
  const at = Date.now();
  const clickId = codec.mint(at, 16, 1, sequence);
  const click = { ...clickHit(hitIds(), clickId, 16, at), ip };
  await by.clicks.storeChunk(clickChunk(`1-${at}-${sequence}-c`, [click]), codec);
  const hitId = hitIds();
  const call = conversionHit(hitId, at, {
    endpoint: 'goal-by-click-id',
    query: `click_id=${clickId}&ip=${ip}`,
    ip: from === 'server' ? '192.0.2.200' : ip,
    fromBrowser: from === 'browser',
  });
  await by.ingest(conversionChunk(`1-${at}-${sequence}-t`, [call]));
  const [row] = await clickhouse.query<{ verdict_code: number }>(
    'SELECT verdict_code FROM postback_log WHERE hit_id = {hitId:String}',
    { hitId },
  );
  return row?.verdict_code;
}

async function everythingStored(): Promise<string> {
  const clicks = await clickhouse.query('SELECT * FROM click_log');
  const calls = await clickhouse.query('SELECT * FROM postback_log');
  const names = await server.redis.keys(`*${keys.prefix}:l:*`);
  const state = await Promise.all(names.map((name) => server.redis.hgetall(name)));
  return JSON.stringify([clicks, calls, state]);
}

for (const mode of ['truncated', 'hashed'] as const) {
  it(`${mode}: keeps no whole address, and an address converts once`, async () => {
    const one = worker(mode);
    expect(await convert(one, V4)).toBe(0);
    expect(await convert(one, V4)).toBe(102);
    expect(await convert(one, '198.51.100.78')).toBe(0);
    expect(await convert(one, V6)).toBe(0);
    expect(await convert(one, V6_SAME_NETWORK)).toBe(102);
    const stored = await everythingStored();
    for (const ip of [V4, '198.51.100.78', V6, V6_SAME_NETWORK, '192.0.2.200', 'bbbb'])
      expect(stored).not.toContain(ip);
    if (mode === 'truncated') expect(stored).toContain('198.51.100.0');
  });
}

it.each(IP_STORAGE_MODES)('%s: an IPv6 network converts once, whoever calls', async (mode) => {
  const one = worker(mode);
  expect(await convert(one, V6, 'browser')).toBe(0);
  expect(await convert(one, V6_SAME_NETWORK, 'browser')).toBe(102);
  expect(await convert(one, V6_SAME_NETWORK)).toBe(102);
  expect(await convert(one, '2001:db8:aaaa:cccc::1')).toBe(0);
  // What Redis is rebuilt from says the same.
  await server.redis.flushall();
  expect(await convert(worker(mode), V6_SAME_NETWORK, 'browser')).toBe(102);
});

it('recognises addresses that were stored whole before the setting was changed', async () => {
  expect(await convert(worker('full'), V4)).toBe(0);
  const hashed = worker('hashed');
  expect(await convert(hashed, V4)).toBe(102);
  expect(await convert(hashed, V6)).toBe(0);
  expect(await convert(worker('truncated'), V6_SAME_NETWORK)).toBe(102);
});

it('says the same after Redis has lost everything', async () => {
  expect(await convert(worker('hashed'), V4)).toBe(0);
  await server.redis.flushall();
  expect(await convert(worker('hashed'), V4)).toBe(102);
});
