/**
 * How many calls of this process go to one host, and for one affiliate, at once: a slow endpoint holds its own slots, not
 * everyone's. Who finds none is told when to look again, spread over the time that those before it will take.
 */
export interface HostLimits {
  readonly perHost: number;
  readonly perAffiliate: number;
}
/** Names are free: without the second limit one affiliate could hold all slots by as many names. */
export const HOST_LIMITS: HostLimits = { perHost: 4, perAffiliate: 16 };

const WAIT_MIN_MS = 50;
const WAIT_MAX_MS = 30_000;
const CALL_MS_FIRST = 200;
/** Weight of the newest call in the average. */
const SMOOTHING = 0.2;

interface Slots {
  busy: number;
  callMs: number;
  /** When everyone who was sent away will have had a turn. */
  bookedUntilMs: number;
}

export type Slot =
  | { readonly kind: 'taken'; readonly release: () => void }
  | { readonly kind: 'full'; readonly waitMs: number };

export function createHostLimiter(clock: () => number, limits: HostLimits = HOST_LIMITS) {
  const slots = new Map<string, Slots>();

  function slotsOf(key: string): Slots {
    const known = slots.get(key);
    if (known !== undefined) return known;
    const made = { busy: 0, callMs: CALL_MS_FIRST, bookedUntilMs: 0 };
    slots.set(key, made);
    return made;
  }

  function book(found: Slots, places: number): number {
    const now = clock();
    found.bookedUntilMs = Math.min(
      Math.max(found.bookedUntilMs, now) + found.callMs / places,
      now + WAIT_MAX_MS,
    );
    return Math.round(Math.max(WAIT_MIN_MS, found.bookedUntilMs - now));
  }

  function release(keys: readonly string[], startedAtMs: number): void {
    const tookMs = clock() - startedAtMs;
    for (const key of keys) {
      const found = slotsOf(key);
      found.busy -= 1;
      found.callMs += SMOOTHING * (tookMs - found.callMs);
      // Kept while there is anything to remember; hosts come and go.
      if (found.busy === 0 && found.bookedUntilMs <= clock()) slots.delete(key);
    }
  }

  return {
    take(host: string, affiliateId: number): Slot {
      const wanted = [
        [`host ${host}`, limits.perHost],
        [`affiliate ${affiliateId}`, limits.perAffiliate],
      ] as const;
      for (const [key, places] of wanted) {
        const found = slotsOf(key);
        if (found.busy >= places) return { kind: 'full', waitMs: book(found, places) };
      }
      const keys = wanted.map(([key]) => key);
      for (const key of keys) slotsOf(key).busy += 1;
      const startedAtMs = clock();
      return { kind: 'taken', release: () => release(keys, startedAtMs) };
    },
  };
}
export type HostLimiter = ReturnType<typeof createHostLimiter>;
