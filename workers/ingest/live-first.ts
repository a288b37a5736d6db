/**
 * Lets live chunks go before those of batches: a batch chunk is not begun while live ones wait in their queues. What is
 * counted are lists that BullMQ keeps; a Redis that does not answer holds batches back.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { QUEUE_NAMES, type QueueName } from '../../src/queue/chunk-job.ts';

const LIVE: readonly QueueName[] = QUEUE_NAMES.filter((name) => name !== 'batches');
/** So few are taken within moments; more mean that every place is busy. */
const WAITING_MAX = 2;
const LOOK_MS = 100;

export interface LiveFirst {
  /** Resolves when no live chunks wait, or when the worker ends. */
  turn(): Promise<void>;
  close(): Promise<void>;
}

export function createLiveFirst(redis: Redis, prefix: string): LiveFirst {
  const queues = LIVE.map((name) => {
    const queue = new Queue(name, {
      connection: redis,
      prefix,
      skipVersionCheck: true,
      skipWaitingForReady: true,
      skipMetasUpdate: true,
    });
    // The connection's own listener logs outages.
    queue.on('error', () => undefined);
    return queue;
  });
  let closed = false;
  let looking: Promise<boolean> | undefined;

  async function isBusy(): Promise<boolean> {
    const counts = await Promise.all(queues.map((queue) => queue.getWaitingCount()));
    return counts.some((waiting) => waiting > WAITING_MAX);
  }

  return {
    async turn() {
      for (;;) {
        // Batch chunks that ask together share one look.
        looking ??= isBusy()
          .catch(() => true)
          .finally(() => {
            looking = undefined;
          });
        if (!(await looking) || closed) return;
        await pause(LOOK_MS);
      }
    },
    async close() {
      closed = true;
      await Promise.all(queues.map((queue) => queue.close()));
    },
  };
}
