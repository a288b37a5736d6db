/** Who lives: edges and workers write their heartbeats to one hash every few seconds. */
import type { Redis } from 'ioredis';
import type { RedisKeys } from './keys.ts';

/** A role that did not say it lives for so long is taken for dead. */
const HEARTBEAT_MAX_MS = 10_000;

export interface Heartbeat {
  readonly role: string;
  /** ms since 1970. */
  readonly atMs: number;
  readonly unconfirmedChunks?: number;
  /** Of a worker: verdict → how often it gave it. */
  readonly verdicts?: Readonly<Record<string, number>>;
  /** Of a worker: attempts of affiliate postbacks by outcome. */
  readonly affiliatePostbacks?: Readonly<Record<string, number>>;
}

export interface HeardOf {
  /** `edge-<edge number>`, `worker-<host>-<random id>`. */
  readonly name: string;
  readonly beat: Heartbeat;
  readonly silentMs: number;
  readonly alive: boolean;
}

/** Every process that was ever heard of and did not say goodbye, by name. */
export async function readHeartbeats(redis: Redis, keys: RedisKeys): Promise<HeardOf[]> {
  const now = Date.now();
  return Object.entries(await redis.hgetall(keys.heartbeats))
    .map(([name, text]) => {
      // Written by our roles alone.
      const beat = JSON.parse(text) as Heartbeat;
      const silentMs = now - beat.atMs;
      return { name, beat, silentMs, alive: silentMs < HEARTBEAT_MAX_MS };
    })
    .toSorted((a, b) => a.name.localeCompare(b.name));
}
