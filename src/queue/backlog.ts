/** What waits in a queue of live chunks: for the doctor, the metrics and the dashboard. */
import type { Redis } from 'ioredis';
import { openedAtMsOf, type ChunkKind } from '../domain/hit.ts';
import type { RedisKeys } from '../redis/keys.ts';
import { queueNameOf } from './chunk-job.ts';

export interface Backlog {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  /** How long ago the edge opened the oldest chunk that nobody has begun, ms; null: none waits. */
  readonly oldestMs: number | null;
}

export async function readBacklog(
  redis: Redis,
  keys: RedisKeys,
  kind: ChunkKind,
): Promise<Backlog> {
  const queue = queueNameOf(kind);
  const [waiting, active, delayed, oldest] = await Promise.all([
    redis.llen(keys.queue(queue, 'wait')),
    redis.llen(keys.queue(queue, 'active')),
    redis.zcard(keys.queue(queue, 'delayed')),
    redis.lindex(keys.queue(queue, 'wait'), -1),
  ]);
  const openedAtMs = oldest === null ? undefined : openedAtMsOf(oldest);
  const oldestMs = openedAtMs === undefined ? null : Math.max(0, Date.now() - openedAtMs);
  return { waiting, active, delayed, oldestMs };
}
