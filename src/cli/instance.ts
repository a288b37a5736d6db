/** Connections of one-shot tools to the running instance, with the same settings. */
import type { Redis } from 'ioredis';
import { createClickHouse, type ClickHouse } from '../../clickhouse/client.ts';
import { createCatalogueStore, type CatalogueStore } from '../catalogue/store.ts';
import type { Config } from '../config.ts';
import { connectRedis } from '../redis/connect.ts';
import { createRedisKeys, type RedisKeys } from '../redis/keys.ts';
import { clickhouseAccessOf, openSecrets, redisUrlOf } from '../secrets.ts';
import { createLogger } from './process.ts';

export interface Instance {
  readonly clickhouse: ClickHouse;
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly store: CatalogueStore;
  close(): Promise<void>;
}

/** Waits at most this long for Redis; a tool that needs it then fails with its own words. */
const CONNECT_MS = 2_000;

export async function openInstance(config: Config): Promise<Instance> {
  const logger = createLogger({ ...config, logLevel: 'error' }, 'tool');
  const secrets = openSecrets(config);
  const clickhouse = createClickHouse(clickhouseAccessOf(config, secrets));
  const redis = connectRedis(redisUrlOf(config, secrets), 'state', () => undefined);
  const keys = createRedisKeys();
  if (redis.status !== 'ready') {
    await Promise.race([
      new Promise<void>((resolve) => redis.once('ready', resolve)),
      new Promise<void>((resolve) => setTimeout(resolve, CONNECT_MS)),
    ]);
  }
  return {
    clickhouse,
    redis,
    keys,
    store: createCatalogueStore({
      clickhouse,
      redis,
      keys,
      outgoingAllow: config.outgoingAllow,
      logger,
    }),
    async close() {
      redis.disconnect();
      await clickhouse.close();
    },
  };
}
