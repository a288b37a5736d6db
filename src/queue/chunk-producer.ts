/** Puts chunks into BullMQ. Never waits for Redis to come back: a failure is the caller's to repeat, the spool has the chunk. */
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { ChunkHeader, ChunkKind } from '../domain/hit.ts';
import { QUEUE_NAMES, queueNameOf, type ChunkJob, type QueueName } from './chunk-job.ts';
import { createChunkContent, type ChunkContent, type PiecePool } from './chunk-content.ts';

export interface ChunkProducer {
  /** Where the content of a chunk goes that is still open. */
  readonly openContent: (header: ChunkHeader) => ChunkContent;
  /** Sends the rest of the content and adds the job, unless one with the chunk's id is live. Rejects when Redis does not take them. */
  enqueue(job: ChunkJob, content: ChunkContent): Promise<void>;
  /**
   * Adds the job of a chunk that is not live. A Redis that came back with a torn log may hold a job that is in no list:
   * nobody would ever run it, and BullMQ would ignore an add while it is there, so it is removed first.
   */
  requeue(job: ChunkJob, content: Buffer): Promise<void>;
  /** True while a job of the chunk waits, runs or is delayed. Rejects when Redis does not answer. */
  isLive(kind: ChunkKind, chunkId: string): Promise<boolean>;
  close(): Promise<void>;
}

/** The event stream is for debugging only: a few thousand entries. */
const EVENTS_MAX = 1_000;

/** A producer of live chunks, or with `only` of that queue's. */
export function createChunkProducer(redis: Redis, prefix: string, only?: QueueName): ChunkProducer {
  const queues = new Map(
    QUEUE_NAMES.filter((name) => (only === undefined ? name !== 'batches' : name === only)).map(
      (name) => [
        name,
        new Queue<ChunkJob>(name, {
          connection: redis,
          prefix,
          skipVersionCheck: true,
          skipWaitingForReady: true,
          streams: { events: { maxLen: EVENTS_MAX } },
          // A finished job must go: BullMQ ignores an add whose id it still holds.
          defaultJobOptions: { removeOnComplete: true, removeOnFail: true, attempts: 1_000_000 },
        }),
      ],
    ),
  );
  for (const queue of queues.values()) {
    // The connection's own listener logs outages; BullMQ repeats them here.
    queue.on('error', () => undefined);
  }
  const queueOf = (kind: ChunkKind): Queue<ChunkJob> => {
    const queue = queues.get(only ?? queueNameOf(kind));
    if (queue === undefined) throw new Error(`no queue for ${kind}`);
    return queue;
  };
  const pool: PiecePool = [];
  const openContent = ({ chunkId }: ChunkHeader): ChunkContent =>
    createChunkContent(redis, prefix, chunkId, pool);

  async function enqueue(job: ChunkJob, content: ChunkContent): Promise<void> {
    const { chunkId, kind } = job.header;
    // One connection keeps the order: the job's content is there before the job is.
    await Promise.all([content.end(), queueOf(kind).add('chunk', job, { jobId: chunkId })]);
  }

  return {
    openContent,
    enqueue,
    async requeue(job, bytes) {
      await queueOf(job.header.kind).remove(job.header.chunkId);
      const content = openContent(job.header);
      content.add(bytes);
      await enqueue(job, content);
    },
    async isLive(kind, chunkId) {
      const state = await queueOf(kind).getJobState(chunkId);
      return state !== 'unknown' && state !== 'failed' && state !== 'completed';
    },
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
    },
  };
}
