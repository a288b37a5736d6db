/** What waits in a queue of chunks, or of affiliate postbacks: for the doctor, the metrics and the dashboard. */
import type { Redis } from 'ioredis';
import { openedAtMsOf } from '../domain/hit.ts';
import type { RedisKeys } from '../redis/keys.ts';
import { AFFILIATE_POSTBACK_QUEUE } from './affiliate-postback-queue.ts';
import type { QueueName } from './chunk-job.ts';

export interface Backlog {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  /** Of a chunk that nobody has begun: how long ago its edge opened it; of a chunk of a batch: not known; of a postback: since when it is due; ms. Null: none waits. */
  readonly oldestMs: number | null;
}

/** The counts of a queue, and the id of the job that waits longest. */
async function readQueue(redis: Redis, keys: RedisKeys, queue: string) {
  const [waiting, active, delayed, oldest] = await Promise.all([
    redis.llen(keys.queue(queue, 'wait')),
    redis.llen(keys.queue(queue, 'active')),
    redis.zcard(keys.queue(queue, 'delayed')),
    redis.lindex(keys.queue(queue, 'wait'), -1),
  ]);
  return { counts: { waiting, active, delayed }, oldest };
}

export async function readBacklog(
  redis: Redis,
  keys: RedisKeys,
  queue: QueueName,
): Promise<Backlog> {
  const { counts, oldest } = await readQueue(redis, keys, queue);
  const openedAtMs = oldest === null ? undefined : openedAtMsOf(oldest);
  const oldestMs = openedAtMs === undefined ? null : Math.max(0, Date.now() - openedAtMs);
  return { ...counts, oldestMs };
}

export async function readPostbackBacklog(redis: Redis, keys: RedisKeys): Promise<Backlog> {
  const { counts, oldest } = await readQueue(redis, keys, AFFILIATE_POSTBACK_QUEUE);
  if (oldest === null) return { ...counts, oldestMs: null };
  const fields = ['timestamp', 'processedOn', 'delay'];
  const found = await redis.hmget(keys.job(AFFILIATE_POSTBACK_QUEUE, oldest), ...fields);
  const [added = 0, tried = 0, delay = 0] = found.map(Number);
  // One that was put off is due that much after it was last looked at, not after it was added.
  return { ...counts, oldestMs: Math.max(0, Date.now() - Math.max(added, tried) - delay) };
}
