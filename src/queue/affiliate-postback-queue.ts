/** The queue of affiliate postbacks: one job a postback, under its id, so that a second one for the same falls together. */
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { PostbackReference } from '../../clickhouse/affiliate-postback-log.ts';
import type { MacroTexts } from '../domain/affiliate-postback-url.ts';

export const AFFILIATE_POSTBACK_QUEUE = 'affiliate-postbacks';

export interface AffiliatePostbackJob extends PostbackReference {
  /** The attempt to be made, from 1. */
  readonly attempt: number;
  /** '' unless someone had it sent again. */
  readonly resentBy: string;
  /** Spares the first attempt a look-up; an attempt that waits does without, so that a backlog stays small in Redis. */
  readonly texts?: MacroTexts;
}

export interface QueuedPostback {
  readonly job: AffiliatePostbackJob;
  readonly delayMs: number;
}

/** A job that ended is remembered for so long: who still takes its postback for outstanding adds nothing. */
const REMEMBERED_S = 600;
const REMEMBERED_JOBS = 20_000;
const EVENTS_MAX = 1_000;
const LIVE = new Set(['waiting', 'active', 'delayed', 'prioritized', 'paused']);
const LIVE_OR_ENDED = new Set([...LIVE, 'completed']);

/** A resend is another job than what it repeats, which may still be remembered. */
const jobIdOf = ({ postbackId, resentBy }: AffiliatePostbackJob): string =>
  resentBy === '' ? postbackId : `${postbackId}-again`;

export interface AffiliatePostbackQueue {
  /** Adds jobs; those whose postback is queued already, or was a moment ago, change nothing. */
  add(postbacks: readonly QueuedPostback[]): Promise<void>;
  /** Adds a resend, unless one of its postback is on its way. */
  addResend(job: AffiliatePostbackJob): Promise<void>;
  /** Adds those that Redis has lost, also where it holds a job that is in no list. Resolves to how many that were. */
  restore(postbacks: readonly QueuedPostback[]): Promise<number>;
  close(): Promise<void>;
}

export function createAffiliatePostbackQueue(redis: Redis, prefix: string): AffiliatePostbackQueue {
  const queue = new Queue<AffiliatePostbackJob>(AFFILIATE_POSTBACK_QUEUE, {
    connection: redis,
    prefix,
    skipVersionCheck: true,
    skipWaitingForReady: true,
    streams: { events: { maxLen: EVENTS_MAX } },
    defaultJobOptions: {
      removeOnComplete: { age: REMEMBERED_S, count: REMEMBERED_JOBS },
      removeOnFail: true,
      attempts: 1_000_000,
    },
  });
  // The connection's own listener logs outages.
  queue.on('error', () => undefined);

  const add = async (postbacks: readonly QueuedPostback[]): Promise<void> => {
    await queue.addBulk(
      postbacks.map(({ job, delayMs }) => ({
        name: 'postback',
        data: job,
        opts: { jobId: jobIdOf(job), ...(delayMs > 0 && { delay: delayMs }) },
      })),
    );
  };
  /** Removed first: BullMQ ignores an add whose id it holds, in whatever list. */
  async function addUnless(
    states: ReadonlySet<string>,
    postbacks: readonly QueuedPostback[],
  ): Promise<number> {
    const found = await Promise.all(postbacks.map(({ job }) => queue.getJobState(jobIdOf(job))));
    const lost = postbacks.filter((_, index) => !states.has(found[index] ?? 'unknown'));
    await Promise.all(lost.map(({ job }) => queue.remove(jobIdOf(job))));
    await add(lost);
    return lost.length;
  }

  return {
    add,
    addResend: async (job) => void (await addUnless(LIVE, [{ job, delayMs: 0 }])),
    // One that ended has its row by now: it was looked up a moment too early.
    restore: (postbacks) => addUnless(LIVE_OR_ENDED, postbacks),
    async close() {
      await queue.close();
    },
  };
}
