/**
 * Turns at a lane among workers: two that write at once both pay for a block and one of them for nothing. Advisory, for
 * speed alone: who gets no turn in time, or no answer from Redis, writes all the same, and the log decides.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { turnReleaseScript, turnTakeScript } from './scripts.ts';

/** Longer than a block takes; a worker that died holds the others up for so long. */
const TURN_MS = 3_000;
const PLACE_MS = 100;
const ASK_AGAIN_MS = 10;
const PATIENCE_MS = 5_000;

export interface LaneTurn {
  /** Resolves when it is our turn, or we have waited long enough. Never rejects. */
  take(): Promise<void>;
  release(): void;
}

/** Every worker writes as soon as it can. */
export const NO_TURNS: LaneTurn = { take: () => Promise.resolve(), release: () => undefined };

/** `me` tells the workers apart. Clocks that differ make turns longer or shorter, no more. */
export function createLaneTurn(deps: {
  readonly redis: Redis;
  readonly key: string;
  readonly me: string;
  readonly clock: () => number;
}): LaneTurn {
  const { redis, key, me, clock } = deps;
  return {
    async take() {
      const end = performance.now() + PATIENCE_MS;
      const ask = (): Promise<boolean> =>
        turnTakeScript
          .run(redis, [key], [me, String(clock()), String(TURN_MS), String(PLACE_MS)])
          .catch(() => true);
      while (!(await ask())) {
        if (performance.now() > end) return;
        await pause(ASK_AGAIN_MS);
      }
    },
    release: () => void turnReleaseScript.run(redis, [key], [me]).catch(() => undefined),
  };
}
