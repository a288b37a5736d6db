/** Which cores a measurement uses, and what it leaves clean behind it. */
import type { Redis } from 'ioredis';

/** Where one server is measured alone. */
export const SERVER_CORE = '0';
/** Where everything else runs then: generator, Redis, ClickHouse. */
export const GENERATOR_CORE = '1';
/** The whole machine of the pipeline rows, also when there is more. */
export const TWO_CORES = '0,1';

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
