/** `sluice api`: the API process. Also keeps Redis' copy of the catalogue filled. */
import { createClickHouse } from '../../clickhouse/client.ts';
import { createAccounts, FIRST_LOGIN } from '../accounts/accounts.ts';
import { createApiKeys } from '../api/keys.ts';
import { createApiServer } from '../api/server.ts';
import { createCatalogueStore } from '../catalogue/store.ts';
import type { Config } from '../config.ts';
import { messageOf } from '../domain/app-error.ts';
import { connectRedis, createRedisErrorLog } from '../redis/connect.ts';
import { createRedisKeys } from '../redis/keys.ts';
import { clickhouseAccessOf, ipStorageOf, openSecrets, redisUrlOf } from '../secrets.ts';
import { announceReady, createLogger, untilAskedToEnd } from './process.ts';

/** Redis may lose the catalogue at any time: it is looked at this often. */
const REFILL_MS = 1_000;

export async function runApi(config: Config): Promise<number> {
  const logger = createLogger(config, 'api');
  const secrets = openSecrets(config);
  const keys = createRedisKeys();
  const redisUrl = redisUrlOf(config, secrets);
  const onRedisError = createRedisErrorLog(logger);
  const redis = connectRedis(redisUrl, 'state', onRedisError);
  const clickhouse = createClickHouse(clickhouseAccessOf(config, secrets));
  const { outgoingAllow } = config;
  const store = createCatalogueStore({ clickhouse, redis, keys, outgoingAllow, logger });
  const trackingUrl = config.trackingUrl?.replace(/\/+$/, '') ?? null;
  const accounts = createAccounts({ clickhouse, clock: Date.now });
  const app = await createApiServer({
    clickhouse,
    redis,
    createSubscriber: () => connectRedis(redisUrl, 'subscriber', onRedisError),
    keys,
    store,
    apiKeys: createApiKeys(clickhouse, secrets.adminKey, Date.now),
    accounts,
    tracking: { url: trackingUrl, port: config.edgePort },
    batchGate: {
      edgeUrl: config.edgeUrl,
      key: secrets.adminKey,
    },
    trustedProxies: config.trustedProxies,
    ips: ipStorageOf(config, secrets),
    logger,
  });
  await app.listen({ host: config.host, port: config.apiPort });
  let hasManager = false;
  async function ensureManager(): Promise<void> {
    if (hasManager) return;
    if (await accounts.ensureFirstManager(secrets.adminKey))
      logger.info({ login: FIRST_LOGIN }, 'first manager created; its password is the admin key');
    hasManager = true;
  }
  await ensureManager().catch((error: unknown) =>
    logger.warn({ error: messageOf(error) }, 'no first manager yet; tried again'),
  );
  let refilling = false;
  const refill = setInterval(() => {
    if (refilling) return;
    refilling = true;
    ensureManager()
      .then(() => store.refill())
      .catch((error: unknown) =>
        logger.debug({ error: messageOf(error) }, 'the catalogue was not refilled'),
      )
      .finally(() => {
        refilling = false;
      });
  }, REFILL_MS);
  logger.info({ port: config.apiPort }, 'API listens');
  announceReady();
  const why = await untilAskedToEnd();
  logger.info({ why }, 'API ends');
  clearInterval(refill);
  await app.close();
  redis.disconnect();
  await clickhouse.close();
  return 0;
}
