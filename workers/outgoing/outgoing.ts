/** Affiliate postbacks in a worker: the look for what is to be sent, and a consumer of their queue. */
import { DelayedError, Worker, type Job } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { messageOf } from '../../src/domain/app-error.ts';
import type { RetryPace } from '../../src/domain/affiliate-postbacks.ts';
import {
  AFFILIATE_POSTBACK_QUEUE,
  createAffiliatePostbackQueue,
  type AffiliatePostbackJob,
} from '../../src/queue/affiliate-postback-queue.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';
import { createAttemptWriter } from './attempt-writer.ts';
import { startDispatcher } from './dispatcher.ts';
import { createPostbackEntries } from './entries.ts';
import { readHistories, standingEvent } from './events.ts';
import { isSent } from './outstanding.ts';
import { createHostLimiter } from './host-limiter.ts';
import { createOutgoingRequest, type OutgoingLimits } from './request.ts';
import { createHostResolver, type ResolveHost } from './resolver.ts';
import { createPostbackSender } from './sender.ts';

/** Calls in flight at once: they wait for others, not for us. */
const CONCURRENCY = 64;
/** A job whose worker died is another's after the lock and two looks, at the latest. */
const LOCK_MS = 8_000;
const STALLED_LOOK_MS = 4_000;
const PUT_BACK_MS = 1_000;
/** Calls that are still out when the process ends get this long; then they are cut off, and made again. */
const END_MS = 3_000;

export interface OutgoingDeps {
  readonly redis: Redis;
  /** A connection of its own: the consumer blocks on it. */
  readonly consumerRedis: Redis;
  readonly keys: RedisKeys;
  readonly clickhouse: ClickHouse;
  /** CIDRs that are called though they are not public. */
  readonly allowed: readonly string[];
  readonly clock: () => number;
  readonly logger: Logger;
  readonly resolve?: ResolveHost;
  readonly limits?: OutgoingLimits;
  readonly pace?: RetryPace;
}

export function startOutgoing(deps: OutgoingDeps) {
  const { redis, keys, clickhouse, clock, logger } = deps;
  const entries = createPostbackEntries({ clickhouse, redis, keys, clock });
  const queue = createAffiliatePostbackQueue(redis, keys.queuePrefix);
  const attempts: Record<string, number> = {};
  const ending = new AbortController();

  const deliver = createPostbackSender({
    entries,
    async loadEvent({ transactionId, hitId }) {
      const histories = await readHistories(clickhouse, [transactionId]);
      return standingEvent(histories.get(transactionId) ?? [], hitId);
    },
    isSent: (job) => isSent(clickhouse, job),
    send: createOutgoingRequest({
      resolve: deps.resolve ?? createHostResolver(),
      allowed: deps.allowed,
      ...(deps.limits && { limits: deps.limits }),
      clock,
    }),
    limiter: createHostLimiter(clock),
    attempts: createAttemptWriter({ clickhouse, clock, logger }),
    clock,
    random: Math.random,
    ...(deps.pace && { pace: deps.pace }),
    onAttempt: (outcome) => {
      attempts[outcome] = (attempts[outcome] ?? 0) + 1;
    },
  });

  async function deliverJob(job: Job<AffiliatePostbackJob>, token?: string): Promise<void> {
    let waitMs = PUT_BACK_MS;
    try {
      const delivery = await deliver(job.data, ending.signal);
      if (delivery.kind === 'done') return;
      ({ waitMs } = delivery);
      if (delivery.job !== job.data) await job.updateData(delivery.job);
    } catch (error) {
      logger.warn({ job: job.id, error: messageOf(error) }, 'an affiliate postback was put back');
    }
    await job.moveToDelayed(clock() + waitMs, token);
    throw new DelayedError();
  }

  const worker = new Worker<AffiliatePostbackJob>(AFFILIATE_POSTBACK_QUEUE, deliverJob, {
    connection: deps.consumerRedis,
    prefix: keys.queuePrefix,
    concurrency: CONCURRENCY,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_LOOK_MS,
    maxStalledCount: 1_000_000,
    skipVersionCheck: true,
    drainDelay: 1,
  });
  worker.on('error', (error) => logger.debug({ error: error.message }, 'BullMQ'));
  const dispatcher = startDispatcher({ redis, keys, clickhouse, entries, queue, clock, logger });

  return {
    /** Attempts of this process by outcome. */
    attempts,
    async close(): Promise<void> {
      await dispatcher.close();
      const timer = setTimeout(() => ending.abort(), END_MS);
      await worker.close();
      clearTimeout(timer);
      await queue.close();
    },
  };
}
export type Outgoing = ReturnType<typeof startOutgoing>;
