/**
 * Finds what is to be sent and queues it. New events by position, as soon as a lane has one; what Redis or a process may
 * have lost by looking at all that is outstanding: at the start, after Redis was emptied, and now and then. One worker
 * does it at a time by an advisory lock; that two should do it at once costs work: a postback has one job.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { messageOf } from '../../src/domain/app-error.ts';
import { entriesFor, postbackIdOf } from '../../src/domain/affiliate-postbacks.ts';
import { LANE_COUNT } from '../../src/domain/gate-request.ts';
import {
  AFFILIATE_POSTBACK_QUEUE,
  type AffiliatePostbackQueue,
  type QueuedPostback,
} from '../../src/queue/affiliate-postback-queue.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';
import type { PostbackEntries } from './entries.ts';
import { readHistories, standingEvent, type EventRow } from './events.ts';
import {
  eventsBetween,
  eventsNotAttempted,
  postbacksUnended,
  readHeads,
  WINDOW_S,
  type Positions,
} from './outstanding.ts';

const PERIOD_MS = 250;
/** While there is nothing to do here: no entries, another leader, a store that does not answer. */
const REST_MS = 1_000;
const LOCK_MS = 10_000;
/** Redis may say less than the log has: the log itself is asked this often. */
const LOOK_MS = 15_000;
const SWEEP_MS = 600_000;
/** What was written while a sweep ran is looked at by the next one again. */
const SWEEP_OVERLAP_S = 600;
/** Events of one transaction in one look go out in their order, this far apart. */
const SPREAD_MS = 1_000;
const WARN_MS = 60_000;
/**
 * Postbacks in Redis at most, about: a batch of millions must not fill the memory that ingestion needs. The rest stays
 * outstanding in ClickHouse until there is room. Waiting ones are whole (1.5 kB), delayed ones mostly not (0.5 kB).
 */
const WAITING_MAX = 20_000;
const DELAYED_MAX = 200_000;

export interface DispatcherDeps {
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly clickhouse: ClickHouse;
  readonly entries: PostbackEntries;
  readonly queue: AffiliatePostbackQueue;
  readonly clock: () => number;
  readonly logger: Logger;
}

/** The postbacks of events: those that an entry of the event's own catalogue version wants. */
export async function postbacksOf(
  { clickhouse, entries }: Pick<DispatcherDeps, 'clickhouse' | 'entries'>,
  rows: readonly EventRow[],
): Promise<readonly QueuedPostback[]> {
  const changed = rows.filter(({ row_kind }) => row_kind === 'change');
  const histories = await readHistories(clickhouse, [
    ...new Set(changed.map(({ transaction_id }) => transaction_id)),
  ]);
  const before = new Map<string, number>();
  return rows.flatMap((row) => {
    const event = standingEvent(histories.get(row.transaction_id) ?? [row], row.hit_id);
    if (event === undefined || event.convStatus === event.previousStatus) return [];
    const { convStatus, texts } = event;
    const { offer_id: offerId, goal_id: goalId, affiliate_id: affiliateId } = event.row;
    const about = { affiliateId, offerId, goalId, convStatus };
    const chosen = entriesFor(entries.at(row.catalogue_version), about);
    if (chosen.length === 0) return [];
    const earlier = before.get(row.transaction_id) ?? 0;
    before.set(row.transaction_id, earlier + 1);
    return chosen.map(({ id }) => ({
      delayMs: earlier * SPREAD_MS,
      job: {
        ...about,
        postbackId: postbackIdOf(id, row.transaction_id, row.hit_id),
        entryId: id,
        fanout: chosen.length,
        transactionId: row.transaction_id,
        hitId: row.hit_id,
        eventTimeS: row.block_s,
        attempt: 1,
        resentBy: '',
        texts,
      },
    }));
  });
}

export function startDispatcher(deps: DispatcherDeps) {
  const { redis, keys, clickhouse, entries, queue, clock, logger } = deps;
  const me = randomUUID();
  let scanned: Positions | undefined;
  let sweptAtMs = 0;
  /** Everything stored before has been queued, or is wanted by nobody. */
  let queuedUntilS = 0;
  let lookedAtMs = 0;
  let warnedAtMs = 0;
  const closing = new AbortController();

  const rest = (ms: number): Promise<void> =>
    // Rejects when it is cut short, which is fine.
    setTimeout(ms, undefined, { signal: closing.signal }).catch(() => undefined);

  async function lead(): Promise<boolean> {
    const taken = await redis.set(keys.outgoingLock, me, 'PX', LOCK_MS, 'NX');
    if (taken === null && (await redis.get(keys.outgoingLock)) !== me) return false;
    await redis.pexpire(keys.outgoingLock, LOCK_MS);
    return true;
  }

  /** Resolves when Redis may take another page; this worker goes on leading meanwhile. */
  async function untilRoom(): Promise<void> {
    for (;;) {
      await redis.pexpire(keys.outgoingLock, LOCK_MS);
      const [waiting, delayed] = await Promise.all([
        redis.llen(keys.queue(AFFILIATE_POSTBACK_QUEUE, 'wait')),
        redis.zcard(keys.queue(AFFILIATE_POSTBACK_QUEUE, 'delayed')),
      ]);
      if (waiting < WAITING_MAX && delayed < DELAYED_MAX) return;
      if (closing.signal.aborted) throw new Error('the worker ends');
      await rest(REST_MS);
    }
  }

  /** Queues all that is outstanding and not queued. Afterwards positions say what is new. */
  async function sweep(): Promise<void> {
    const startedAtMs = clock();
    const nowS = Math.floor(startedAtMs / 1000);
    const heads = scanned ?? (await readHeads(clickhouse, new Map()));
    let restored = 0;
    let oldestS = nowS - SWEEP_OVERLAP_S;
    const sinceS = Math.max(queuedUntilS, nowS - WINDOW_S);
    for await (const rows of eventsNotAttempted(clickhouse, entries, sinceS)) {
      await untilRoom();
      const postbacks = await postbacksOf(deps, rows);
      oldestS = Math.min(oldestS, ...postbacks.map(({ job }) => job.eventTimeS));
      restored += await queue.restore(postbacks);
    }
    for await (const unended of postbacksUnended(clickhouse, nowS - WINDOW_S)) {
      await untilRoom();
      restored += await queue.restore(
        unended.map(({ job, dueMs }) => ({ job, delayMs: Math.max(0, dueMs - clock()) })),
      );
    }
    await redis.set(keys.outgoingQueued, String(startedAtMs));
    scanned = heads;
    queuedUntilS = oldestS;
    sweptAtMs = startedAtMs;
    if (restored > 0) logger.info({ restored }, 'queued affiliate postbacks that were outstanding');
  }

  /** Whether the log may have more than was looked at: Redis' word is cheap, the log is asked now and then. */
  async function hasNews(known: Positions): Promise<boolean> {
    if (clock() - lookedAtMs > LOOK_MS) return true;
    const pipeline = redis.pipeline();
    for (let lane = 0; lane < LANE_COUNT; lane++) pipeline.hget(keys.lane.meta(lane), 'applied');
    const replies = (await pipeline.exec()) ?? [];
    return replies.some(([, applied], lane) => Number(applied ?? 0) > (known.get(lane) ?? 0));
  }

  async function scan(known: Positions): Promise<void> {
    lookedAtMs = clock();
    const heads = await readHeads(clickhouse, known);
    for await (const rows of eventsBetween(clickhouse, entries, known, heads)) {
      await untilRoom();
      await queue.add(await postbacksOf(deps, rows));
    }
    scanned = heads;
  }

  async function round(): Promise<number> {
    await entries.refresh();
    if (entries.none || !(await lead())) {
      scanned = undefined;
      return REST_MS;
    }
    // Emptied, or put back to what it was earlier: jobs are lost.
    const lost = (await redis.get(keys.outgoingQueued)) !== String(sweptAtMs);
    if (lost) queuedUntilS = 0;
    if (scanned === undefined || lost || clock() - sweptAtMs > SWEEP_MS) await sweep();
    if (scanned !== undefined && (await hasNews(scanned))) await scan(scanned);
    return PERIOD_MS;
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      const restMs = await round().catch((error: unknown) => {
        if (clock() - warnedAtMs > WARN_MS) {
          warnedAtMs = clock();
          logger.warn({ error: messageOf(error) }, 'no look for affiliate postbacks; tried again');
        }
        return REST_MS;
      });
      await rest(restMs);
    }
  }
  const running = run();

  return {
    async close(): Promise<void> {
      closing.abort();
      await running;
      const holder = await redis.get(keys.outgoingLock).catch(() => null);
      if (holder === me) await redis.del(keys.outgoingLock).catch(() => undefined);
    },
  };
}
