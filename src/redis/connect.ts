/** Redis connections, every option set on purpose (DESIGN: a producer once came back 15 s late by the default back-off). */
import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { makeStringMethodsFast } from './string-methods.ts';

makeStringMethodsFast();

export type RedisPurpose = 'producer' | 'worker' | 'state' | 'subscriber';

/** Flat and short: an outage ends for us when it ends for Redis. */
const RETRY_MS = 250;

interface PurposeOptions {
  readonly enableOfflineQueue?: boolean;
  readonly maxRetriesPerRequest: number | null;
  readonly commandTimeout?: number;
}

const BY_PURPOSE: Readonly<Record<RedisPurpose, PurposeOptions>> = {
  // The edge must never wait: a command without a connection fails at once, the spool has the chunk.
  producer: { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: 5_000 },
  // BullMQ's blocking consumer requires endless retries; its own commands are conditional.
  worker: { maxRetriesPerRequest: null },
  state: { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: 30_000 },
  subscriber: { maxRetriesPerRequest: null },
};

const OUTAGE_LOG_MS = 60_000;

/** For the logs of roles: an outage is told once a minute, not with every try. */
export function createRedisErrorLog(
  logger: Pick<Logger, 'warn'>,
  clock: () => number = Date.now,
): (error: Error) => void {
  let saidAtMs = -Infinity;
  return (error) => {
    if (clock() - saidAtMs < OUTAGE_LOG_MS) return;
    saidAtMs = clock();
    logger.warn({ error: error.message }, 'Redis does not answer; it is tried again all the time');
  };
}

/** Connects in the background; the caller sees failures as rejected commands. Errors must be listened to by the caller's logger. */
export function connectRedis(
  url: string,
  purpose: RedisPurpose,
  onError: (error: Error) => void,
): Redis {
  const redis = new Redis(url, {
    ...BY_PURPOSE[purpose],
    retryStrategy: () => RETRY_MS,
    connectTimeout: 2_000,
    // A write in flight when the connection broke may have been done: never send it again unasked.
    autoResendUnfulfilledCommands: purpose === 'subscriber' || purpose === 'worker',
    connectionName: `sluice-${purpose}`,
  });
  redis.on('error', onError);
  return redis;
}
