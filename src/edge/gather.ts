/**
 * Lets requests gather under load. Woken for every single one, the edge pays for the switch and for caches that others
 * have used meanwhile: at 10,000 clicks/s beside a worker and ClickHouse a click costs it 60 µs, gathered 48, and who
 * sends them a quarter less (docs/performance.md). So after a tick of few hits it looks for the next ones only half a
 * millisecond later. Clients that send their next request once they have the answer to their last would be slowed down:
 * whether they are shows in the rate, and then it does not wait.
 */

/** The event loop stands still for so long; an answer comes later by no more. */
const GATHER_MS = 0.5;
/** So many hits in a tick have gathered by themselves. */
const FULL_TICK = 6;
/** Rates are taken over such stretches. */
const WINDOW_MS = 500;
/** Hits a ms; with fewer there is time for each. */
const BUSY_RATE = 2;
/** Part of the rate before that must be left. */
const KEPT_RATE = 0.75;
/** After so long the rate without waiting is taken anew. */
const COMPARE_AFTER_MS = 10_000;
/** So long it does not wait when waiting made clients slower. */
const BACK_OFF_MS = 5_000;

export interface Gather {
  /** After each tick that had hits. */
  afterTick(hits: number): void;
}

/** `now`: ms of any epoch. `wait` holds the thread for so many ms. */
export function createGather(
  now: () => number = () => performance.now(),
  wait: (ms: number) => void = holdThread,
): Gather {
  let windowStartedMs = now();
  let windowHits = 0;
  let gathering = false;
  let rateBefore = 0;
  /** Gathering: when to compare again. Not gathering: when to begin at the earliest. */
  let changeAtMs = 0;

  function endWindow(rate: number, atMs: number): void {
    if (!gathering) {
      if (rate < BUSY_RATE || atMs < changeAtMs) return;
      gathering = true;
      rateBefore = rate;
      changeAtMs = atMs + COMPARE_AFTER_MS;
    } else if (rate < rateBefore * KEPT_RATE) {
      gathering = false;
      changeAtMs = atMs + BACK_OFF_MS;
    } else if (atMs >= changeAtMs) {
      gathering = false;
    }
  }

  return {
    afterTick(hits) {
      windowHits += hits;
      const atMs = now();
      const elapsedMs = atMs - windowStartedMs;
      if (elapsedMs >= WINDOW_MS) {
        // After a pause there is nothing to compare with.
        if (elapsedMs >= 2 * WINDOW_MS) gathering = false;
        else endWindow(windowHits / elapsedMs, atMs);
        windowStartedMs = atMs;
        windowHits = 0;
      }
      if (gathering && hits < FULL_TICK) wait(GATHER_MS);
    },
  };
}

const nothing = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

function holdThread(ms: number): void {
  Atomics.wait(nothing, 0, 0, ms);
}
