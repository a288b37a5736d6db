/** Who is heard of: every process under a name of its own, and nobody any more once it has ended as it was asked to. */
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FULL_IPS } from '../../src/domain/ip-storage.ts';
import { readHeartbeats } from '../../src/redis/heartbeats.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { startWorkerRole, type WorkerRole } from '../../workers/ingest/role.ts';
import { catalogue } from '../support/catalogue.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startEdge } from '../support/start-edge.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import { waitFor } from '../support/wait-for.ts';

const keys = createRedisKeys();
let server: TestRedis;
let database: TestClickHouse;
beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
  await server.redis.del(keys.heartbeats);
}, 120_000);
afterAll(async () => {
  await Promise.all([server.close(), database.close()]);
});

async function names(role: string): Promise<string[]> {
  const heard = await readHeartbeats(server.redis, keys);
  return heard.filter(({ beat }) => beat.role === role).map(({ name }) => name);
}

async function untilHeard(role: string, count: number): Promise<void> {
  await waitFor(async () => (await names(role)).length === count, {
    timeoutMs: 10_000,
    what: `${count} of ${role} to be heard of`,
  });
}

const startWorker = (): Promise<WorkerRole> =>
  startWorkerRole({
    dataDir: '/nowhere',
    redisUrl: server.url,
    clickhouse: {
      url: database.url,
      user: 'sluice',
      password: database.password,
      database: database.clickhouse.database,
    },
    retention: { clicksDays: null, invalidDays: null, affiliatePostbacksDays: null },
    ips: FULL_IPS,
    outgoingAllow: [],
    logger: pino({ level: 'silent' }),
  });

it('workers of one host and one process id are told apart, and gone when they end', async () => {
  const workers = await Promise.all([startWorker(), startWorker()]);
  await untilHeard('worker', 2);
  await workers[0].close();
  expect(await names('worker')).toHaveLength(1);
  await workers[1].close();
  expect(await names('worker')).toEqual([]);
});

it('an edge that ends is not heard of any more', async () => {
  const edge = await startEdge(catalogue({}), { redisUrl: server.url });
  await untilHeard('edge', 1);
  await edge.close();
  expect(await names('edge')).toEqual([]);
});
