/** `sluice rebuild`: Redis from ClickHouse: the catalogue and the gate's lanes. Safe while the instance runs. */
import { createLaneLog } from '../../workers/gate/lane-log.ts';
import { createLaneState } from '../../workers/gate/lane-state.ts';
import type { Config } from '../config.ts';
import { LANE_COUNT } from '../domain/gate-request.ts';
import { ipStorageOf, openSecrets } from '../secrets.ts';
import { openInstance } from './instance.ts';
import { createLogger } from './process.ts';

export async function runRebuild(config: Config): Promise<number> {
  const instance = await openInstance(config);
  const { clickhouse, redis, keys, store } = instance;
  const logger = createLogger({ ...config, logLevel: 'error' }, 'rebuild');
  try {
    await redis.del(keys.catalogueVersion);
    await store.refill();
    console.log('catalogue: published');
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      const log = createLaneLog(clickhouse, lane, ipStorageOf(config, openSecrets(config)));
      const state = createLaneState({
        redis,
        keys,
        lane,
        log,
        snapshotAt: store.at,
        logger,
      });
      try {
        if (!(await state.rebuild())) {
          console.error(`lane ${lane}: another rebuild is at it; try again when it has ended`);
          return 1;
        }
        await state.catchUp();
      } finally {
        state.close();
      }
      console.log(
        `lane ${lane} (${lane + 1} of ${LANE_COUNT}): rebuilt up to position ${await log.lastPosition()}`,
      );
    }
    return 0;
  } finally {
    await instance.close();
  }
}
