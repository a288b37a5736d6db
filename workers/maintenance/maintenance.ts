/**
 * The periodic work of the workers: replays of calls whose click came late, roll-ups, the catalogue in an emptied Redis.
 * One worker does it at a time, by an advisory lock; that two should do it at once costs work, not correctness.
 */
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { ClickHouse } from '../../clickhouse/client.ts';
import type { Rollups } from '../../clickhouse/rollups.ts';
import type { CatalogueStore } from '../../src/catalogue/store.ts';
import { messageOf } from '../../src/domain/app-error.ts';
import type { IpStorage } from '../../src/domain/ip-storage.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';
import type { IngestConversions } from '../ingest/conversions.ts';
import { replayLateClicks } from './late-clicks.ts';

const PERIOD_MS = 5_000;
const LOCK_MS = 30_000;

export function startMaintenance(deps: {
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly clickhouse: ClickHouse;
  readonly store: CatalogueStore;
  readonly ingestConversions: IngestConversions;
  readonly ips: IpStorage;
  readonly rollups: Rollups;
  readonly clock: () => number;
  readonly logger: Logger;
}) {
  const { redis, keys, logger } = deps;
  const me = `${process.pid}-${deps.clock()}`;
  let running: Promise<void> | undefined;

  async function round(): Promise<void> {
    const taken = await redis.set(keys.maintenanceLock, me, 'PX', LOCK_MS, 'NX');
    if (taken === null && (await redis.get(keys.maintenanceLock)) !== me) return;
    // Emptied: an edge that starts now would know no catalogue.
    if ((await redis.exists(keys.catalogueVersion)) === 0) await deps.store.refill();
    const replayed = await replayLateClicks(deps, () =>
      redis.pexpire(keys.maintenanceLock, LOCK_MS),
    );
    if (replayed > 0) logger.info({ replayed }, 'replayed calls whose click came late');
    await deps.rollups.round();
  }

  const timer = setInterval(() => {
    running ??= round()
      .catch((error: unknown) =>
        logger.warn({ error: messageOf(error) }, 'the periodic work failed; it is done again'),
      )
      .finally(() => {
        running = undefined;
      });
  }, PERIOD_MS);

  return {
    async close(): Promise<void> {
      clearInterval(timer);
      await running;
      const holder = await redis.get(keys.maintenanceLock).catch(() => null);
      if (holder === me) await redis.del(keys.maintenanceLock).catch(() => undefined);
    },
  };
}
