/** Which cores a measurement uses, and what it leaves clean behind it. */
import type { Redis } from 'ioredis';
import { pinTo } from './processes.ts';

/** Where one server is measured alone. */
export const SERVER_CORE = '0';
/** Where everything else runs then: generator, Redis, ClickHouse. */
export const GENERATOR_CORE = '1';
/** The whole machine of the pipeline rows, also when there is more. */
export const TWO_CORES = '0,1';

/** Keeps this process and what it starts from then on off the core of a server that is measured alone. */
export async function besideServer<T>(work: () => Promise<T>): Promise<T> {
  pinTo(process.pid, GENERATOR_CORE);
  try {
    return await work();
  } finally {
    pinTo(process.pid, TWO_CORES);
  }
}

const SCAN_COUNT = 1_000;

/** Removes every queued job; the catalogue and the gate stay. */
export async function dropQueues(redis: Redis): Promise<void> {
  let cursor = '0';
  do {
    const [next, keys] = await redis.scan(cursor, 'MATCH', '*:q}*', 'COUNT', SCAN_COUNT);
    cursor = next;
    if (keys.length > 0) await redis.unlink(...keys);
  } while (cursor !== '0');
}
