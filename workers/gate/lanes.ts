/** Every lane of a worker, put together of its log, its state and its writer. */
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { ClickHouse } from '../../clickhouse/client.ts';
import type { CatalogueSnapshot } from '../../src/domain/catalogue.ts';
import type { Reach } from '../../src/domain/crash-points.ts';
import { LANE_COUNT } from '../../src/domain/gate-request.ts';
import type { IpStorage } from '../../src/domain/ip-storage.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';
import { createLaneLog } from './lane-log.ts';
import { createLaneState } from './lane-state.ts';
import { NO_TURNS, type LaneTurn } from './lane-turn.ts';
import { createLaneWriter, type LaneWriter } from './lane-writer.ts';

export interface LanesDeps {
  readonly clickhouse: ClickHouse;
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly ips: IpStorage;
  readonly snapshotAt: (version: number) => Promise<CatalogueSnapshot>;
  /** The worker's turns at a lane; without it the worker is alone. */
  readonly turnOf?: (lane: number) => LaneTurn;
  readonly clock: () => number;
  readonly reach?: Reach;
  readonly logger: Logger;
}

/** Writers by lane. */
export function createLanes(deps: LanesDeps): readonly LaneWriter[] {
  return Array.from({ length: LANE_COUNT }, (_, lane) => {
    const log = createLaneLog(deps.clickhouse, lane, deps.ips);
    const state = createLaneState({ ...deps, lane, log });
    const turn = deps.turnOf?.(lane) ?? NO_TURNS;
    return createLaneWriter({ ...deps, lane, log, state, turn });
  });
}
