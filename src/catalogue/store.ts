/**
 * The catalogue's store. `catalogue_log` in ClickHouse is the authority for versions: a change is the next version in
 * the log, and only then published to Redis. Redis lost is refilled.
 */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { untilAppended } from '../../clickhouse/version-log.ts';
import { AppError, messageOf } from '../domain/app-error.ts';
import {
  createCatalogueSnapshot,
  type CatalogueSnapshot,
  type CatalogueState,
} from '../domain/catalogue.ts';
import type { RedisKeys } from '../redis/keys.ts';
import { diffStates, type EntityChange } from './diff.ts';
import type { NextId } from './edits.ts';
import { createCatalogueLog } from './log.ts';
import { publishState, sortState } from './published.ts';
import { findFaults, findHostFaults, findMoves } from './rules.ts';
import type { Fault } from './schema.ts';

export class CatalogueFaults extends AppError {
  readonly faults: readonly Fault[];
  constructor(faults: readonly Fault[]) {
    super(
      'CATALOGUE_INVALID',
      faults.map(({ field, message }) => `${field}: ${message}`).join('\n'),
    );
    this.faults = faults;
  }
}

export interface ChangeOutcome {
  readonly version: number;
  readonly changes: readonly EntityChange[];
  readonly state: CatalogueState;
  /** False: stored, but Redis could not be told; in force as soon as it is back. */
  readonly published: boolean;
}

export interface CatalogueStore {
  /** The newest stored state. */
  current(): Promise<CatalogueSnapshot>;
  /** The state of a version; cached. Throws CATALOGUE_UNKNOWN_VERSION when the log does not hold it yet. */
  readonly at: (version: number) => Promise<CatalogueSnapshot>;
  /**
   * Applies `edit` to the newest state, validates the whole, stores it as the next version, publishes it. All or
   * nothing; repeats `edit` when another writer was faster. Throws CatalogueFaults. With `dryRun` nothing is stored.
   */
  change(
    edit: (state: CatalogueState, nextId: NextId) => CatalogueState,
    author: string,
    dryRun?: boolean,
  ): Promise<ChangeOutcome>;
  /** Publishes the newest state when Redis holds an older one or none. Creates the first click id key. */
  refill(): Promise<void>;
}

const SNAPSHOTS_MAX = 8;

export function createCatalogueStore(deps: {
  readonly clickhouse: ClickHouse;
  readonly redis: Redis;
  readonly keys: RedisKeys;
  /** CIDRs that affiliate postbacks may name beside public addresses. */
  readonly outgoingAllow?: readonly string[];
  readonly logger: Logger;
}): CatalogueStore {
  const { redis, keys, logger } = deps;
  const log = createCatalogueLog(deps.clickhouse);
  const snapshots = new Map<number, CatalogueSnapshot>();
  let last: Promise<unknown> = Promise.resolve();

  function remember(state: CatalogueState): CatalogueSnapshot {
    const snapshot = createCatalogueSnapshot(state);
    snapshots.set(state.version, snapshot);
    if (snapshots.size > SNAPSHOTS_MAX) {
      const oldest = snapshots.keys().next().value;
      if (oldest !== undefined) snapshots.delete(oldest);
    }
    return snapshot;
  }

  async function load(version: number): Promise<CatalogueSnapshot> {
    return snapshots.get(version) ?? remember(await log.readState(version));
  }

  async function publish(state: CatalogueState): Promise<boolean> {
    try {
      await publishState(redis, keys, state);
      return true;
    } catch (error) {
      logger.warn(
        { error: messageOf(error), version: state.version },
        'the catalogue is stored, but Redis could not be told yet',
      );
      return false;
    }
  }

  function changeNow(
    edit: (state: CatalogueState, nextId: NextId) => CatalogueState,
    author: string,
    dryRun: boolean,
  ): Promise<ChangeOutcome> {
    return untilAppended('catalogue', async () => {
      const before = (await load(await log.newestVersion())).state;
      const version = before.version + 1;
      const after = sortState({ ...edit(before, await log.readNextIds()), version });
      const faults = [
        ...findFaults(after),
        ...findMoves(before, after),
        ...findHostFaults(before, after, deps.outgoingAllow ?? []),
      ];
      if (faults.length > 0) throw new CatalogueFaults(faults);
      const diff = diffStates(before, after);
      const changes = diff.map((entry) => entry.change);
      if (diff.length === 0 || dryRun)
        return { version: before.version, changes, state: before, published: true };
      if (await log.append(version, diff, author)) {
        remember(after);
        return { version, changes, state: after, published: await publish(after) };
      }
      return undefined;
    });
  }

  /** One after the other: writers of one process need not race each other for a version. */
  function change(
    edit: (state: CatalogueState, nextId: NextId) => CatalogueState,
    author: string,
    dryRun = false,
  ): Promise<ChangeOutcome> {
    const mine = last.then(() => changeNow(edit, author, dryRun));
    last = mine.catch(() => undefined);
    return mine;
  }

  return {
    async current() {
      return load(await log.newestVersion());
    },
    async at(version) {
      const known = snapshots.get(version);
      if (known !== undefined) return known;
      if ((await log.newestVersion()) < version) {
        throw new AppError(
          'CATALOGUE_UNKNOWN_VERSION',
          `catalogue version ${version} is not in the log yet`,
        );
      }
      return load(version);
    },
    change,
    async refill() {
      const { state } = await load(await log.newestVersion());
      if (state.click_id_keys.length === 0) {
        const key = { id: 0, key: randomBytes(16).toString('hex') };
        await change(
          (held) => (held.click_id_keys.length > 0 ? held : { ...held, click_id_keys: [key] }),
          'sluice',
        );
        return;
      }
      await publishState(redis, keys, state);
    },
  };
}
