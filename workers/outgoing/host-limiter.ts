/**
 * How many calls of this process go to one host, and for one affiliate, at once: a slow endpoint holds its own slots, not
 * everyone's. A few wait here for the next free slot, so that slots do not stand empty; who finds no room for that either
 * is told when to look again, spread over the time that those before it will take.
 */
export interface HostLimits {
  readonly perHost: number;
  readonly perAffiliate: number;
}
/** Names are free: without the second limit one affiliate could hold all slots by as many names. */
export const HOST_LIMITS: HostLimits = { perHost: 4, perAffiliate: 16 };

/** Who waits here holds one of the process's places: few, and not for long. */
const WAITERS_MAX = 4;
const WAIT_HERE_MS = 1_000;
const PUT_OFF_MIN_MS = 50;
const PUT_OFF_MAX_MS = 30_000;
/** Taken for the length of a call until one has shown it. */
const CALL_MS_FIRST = 20;
/** Weight of the newest call in the average. */
const SMOOTHING = 0.2;
/** What is remembered of hosts that are idle goes above this. */
const REMEMBERED_MAX = 1_000;

interface Slots {
  readonly places: number;
  readonly waiters: Set<() => void>;
  busy: number;
  callMs: number;
  /** When everyone who was put off will have had a turn. */
  bookedUntilMs: number;
}

export type Slot =
  | { readonly kind: 'taken'; readonly release: () => void }
  | { readonly kind: 'full'; readonly waitMs: number };

export function createHostLimiter(clock: () => number, limits: HostLimits = HOST_LIMITS) {
  const known = new Map<string, Slots>();

  function slotsOf(key: string, places: number): Slots {
    const found = known.get(key);
    if (found !== undefined) return found;
    if (known.size >= REMEMBERED_MAX)
      for (const [idle, { busy, waiters }] of known)
        if (busy === 0 && waiters.size === 0) known.delete(idle);
    const made = {
      places,
      waiters: new Set<() => void>(),
      busy: 0,
      callMs: CALL_MS_FIRST,
      bookedUntilMs: 0,
    };
    known.set(key, made);
    return made;
  }

  function putOff(slots: Slots): Slot {
    const now = clock();
    const until = Math.max(slots.bookedUntilMs, now) + slots.callMs / slots.places;
    slots.bookedUntilMs = Math.min(until, now + PUT_OFF_MAX_MS);
    return {
      kind: 'full',
      waitMs: Math.round(Math.max(PUT_OFF_MIN_MS, slots.bookedUntilMs - now)),
    };
  }

  function takeAll(wanted: readonly Slots[]): Slot {
    const startedAtMs = clock();
    for (const slots of wanted) slots.busy += 1;
    return {
      kind: 'taken',
      release() {
        for (const slots of wanted) {
          slots.busy -= 1;
          slots.callMs += SMOOTHING * (clock() - startedAtMs - slots.callMs);
          const [next] = slots.waiters;
          next?.();
        }
      },
    };
  }

  /** Resolves when a slot may be free, or the time is up. */
  function someFree({ waiters }: Slots, forMs: number): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        waiters.delete(go);
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(go, forMs);
      waiters.add(go);
    });
  }

  return {
    async take(host: string, affiliateId: number): Promise<Slot> {
      const wanted = [
        slotsOf(`host ${host}`, limits.perHost),
        slotsOf(`affiliate ${affiliateId}`, limits.perAffiliate),
      ];
      const untilMs = clock() + WAIT_HERE_MS;
      for (;;) {
        const full = wanted.find(({ busy, places }) => busy >= places);
        if (full === undefined) return takeAll(wanted);
        const leftMs = untilMs - clock();
        if (leftMs <= 0 || full.waiters.size >= WAITERS_MAX) return putOff(full);
        await someFree(full, leftMs);
      }
    },
  };
}
export type HostLimiter = ReturnType<typeof createHostLimiter>;
