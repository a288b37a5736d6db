/** How many statements run at once, and the threads that takes. Apart from the engine, so that `up` need not load it. */

/** More only share the same cores. Each kind has places of its own, so that none holds up another. */
export const PLACES = { ownerReads: 8, analystReads: 3, writes: 6 } as const;

/** Files, gzip and the statement that ends others. */
const OTHER_THREADS = 5;

/** A statement holds a thread of libuv's pool while it runs: with the default of 4, one report holds up everything. */
export const ENGINE_THREADS_MIN =
  PLACES.ownerReads + PLACES.analystReads + PLACES.writes + OTHER_THREADS;
