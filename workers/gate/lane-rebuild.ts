/**
 * Builds a lane's state in Redis anew from the log. The lane is closed meanwhile; what is half loaded is never judged
 * against. Steps are counted in Redis: one that comes back from before a step takes no further one (invariant 6).
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { RedisKeys } from '../../src/redis/keys.ts';
import type { LaneLog, LoggedEvent } from './lane-log.ts';
import { rebuildBeginScript, rebuildClearScript, rebuildEndScript } from './scripts.ts';

/** A rebuild that made no progress for so long is taken over. */
const TAKE_OVER_MS = 10_000;
/** Conversions loaded by one transaction: it blocks Redis while it runs. */
const CLAIMS_A_STEP = 2_000;
const SCAN_COUNT = 500;

/** One rebuild, as far as it has come. */
export interface RebuildStep {
  readonly nonce: string;
  readonly step: number;
}

/** Loads some events and counts the step; false: the rebuild is another's by now, or Redis has rolled it back. */
export type LoadStep = (events: readonly LoggedEvent[], at: RebuildStep) => Promise<boolean>;

/** Of all workers one clock, so that who is silent is so for each of them. */
async function redisNowMs(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}

export function createLaneRebuild(deps: {
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly lane: number;
  readonly log: LaneLog;
  readonly onCleared: () => void;
}) {
  const { redis, keys, lane, log } = deps;
  const metaKey = keys.lane.meta(lane);

  /** Removes keys, none too, and counts the step. */
  async function clear(names: readonly string[], { nonce, step }: RebuildStep): Promise<boolean> {
    const now = String(await redisNowMs(redis));
    return rebuildClearScript.run(redis, [metaKey, ...names], [nonce, String(step), now]);
  }

  async function* steps(nonce: string, last: number, load: LoadStep): AsyncGenerator<boolean> {
    let step = 0;
    const next = (): RebuildStep => ({ nonce, step: step++ });
    const pattern = keys.lane.pattern(lane).replaceAll(/[[\]?]/g, '\\$&');
    let cursor = '0';
    do {
      const [following, found] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT);
      cursor = following;
      const state = found.filter((name) => name !== metaKey);
      if (state.length > 0) yield clear(state, next());
    } while (cursor !== '0');
    deps.onCleared();
    for (let from = 0; from < last;) {
      const { events, upTo } = await log.eventsAfter(from, last);
      from = upTo;
      for (let at = 0; at < events.length; at += CLAIMS_A_STEP)
        yield load(events.slice(at, at + CLAIMS_A_STEP), next());
      // Says that the rebuild lives.
      yield clear([], next());
    }
    yield rebuildEndScript.run(redis, [metaKey], [nonce, String(step), String(last)]);
  }

  /** Resolves to the position that the state then has; undefined: another one is at it, or took over. */
  return async function rebuild(load: LoadStep): Promise<number | undefined> {
    const nonce = randomUUID();
    const now = String(await redisNowMs(redis));
    if (!(await rebuildBeginScript.run(redis, [metaKey], [nonce, now, String(TAKE_OVER_MS)])))
      return undefined;
    const last = await log.lastPosition();
    for await (const done of steps(nonce, last, load)) if (!done) return undefined;
    return last;
  };
}
