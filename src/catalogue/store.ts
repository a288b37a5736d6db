/**
 * The catalogue's store. `catalogue_log` in ClickHouse is the authority for versions: a change is one guarded insert
 * of the next version, read back to know who owns it, and only then published to Redis. Redis lost is refilled.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { AppError, messageOf } from '../domain/app-error.ts';
import {
  createCatalogueSnapshot,
  EMPTY_CATALOGUE,
  type CatalogueSnapshot,
  type CatalogueState,
} from '../domain/catalogue.ts';
import type { RedisKeys } from '../redis/keys.ts';
import type { NextId } from './edits.ts';
import {
  CATALOGUE_KINDS,
  identityOf,
  publishState,
  sortState,
  type CatalogueKind,
} from './published.ts';
import { findFaults } from './rules.ts';
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

export interface EntityChange {
  readonly kind: CatalogueKind;
  readonly id: string;
  readonly what: 'created' | 'changed' | 'deleted';
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
const ATTEMPTS_MAX = 20;

interface LogRow {
  readonly kind: CatalogueKind;
  readonly id: string;
  readonly deleted: number;
  readonly body: string;
}

/** What differs between two states, as log rows' worth of changes. */
export function diffStates(
  before: CatalogueState,
  after: CatalogueState,
): { change: EntityChange; body: string }[] {
  return CATALOGUE_KINDS.flatMap((kind) => {
    const entities = (state: CatalogueState): Map<string, object> =>
      new Map(
        (state[kind] as readonly object[]).map((entity) => [identityOf(kind, entity), entity]),
      );
    const [old, now] = [entities(before), entities(after)];
    const changed = [...now].flatMap(([id, entity]) => {
      const previous = old.get(id);
      if (previous !== undefined && isDeepStrictEqual(previous, entity)) return [];
      const what = previous === undefined ? ('created' as const) : ('changed' as const);
      return [{ change: { kind, id, what }, body: JSON.stringify(entity) }];
    });
    const deleted = [...old.keys()]
      .filter((id) => !now.has(id))
      .map((id) => ({ change: { kind, id, what: 'deleted' as const }, body: '' }));
    return [...changed, ...deleted];
  });
}

export function createCatalogueStore(deps: {
  readonly clickhouse: ClickHouse;
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly logger: Logger;
}): CatalogueStore {
  const { clickhouse, redis, keys, logger } = deps;
  const table = `${clickhouse.privateDatabase}.catalogue_log`;
  const snapshots = new Map<number, CatalogueSnapshot>();

  function remember(state: CatalogueState): CatalogueSnapshot {
    const snapshot = createCatalogueSnapshot(state);
    snapshots.set(state.version, snapshot);
    if (snapshots.size > SNAPSHOTS_MAX) {
      const oldest = snapshots.keys().next().value;
      if (oldest !== undefined) snapshots.delete(oldest);
    }
    return snapshot;
  }

  async function newestVersion(): Promise<number> {
    const rows = await clickhouse.query<{ version: number }>(
      `SELECT max(version) AS version FROM ${table}`,
    );
    return rows[0]?.version ?? 0;
  }

  async function load(version: number): Promise<CatalogueSnapshot> {
    const known = snapshots.get(version);
    if (known !== undefined) return known;
    if (version === 0) return remember(EMPTY_CATALOGUE);
    const rows = await clickhouse.query<LogRow>(
      `SELECT kind, id, argMax(deleted, version) AS deleted, argMax(body, version) AS body
       FROM (SELECT kind, id, deleted, body, version FROM ${table} WHERE version <= {version:UInt64}) GROUP BY kind, id`,
      { version },
    );
    const kinds = new Map<CatalogueKind, object[]>(CATALOGUE_KINDS.map((kind) => [kind, []]));
    for (const row of rows) {
      if (row.deleted === 0) kinds.get(row.kind)?.push(JSON.parse(row.body) as object);
    }
    // The log holds what `write` stored from the same types.
    return remember(
      sortState({ version, ...Object.fromEntries(kinds) } as unknown as CatalogueState),
    );
  }

  /** Deleted entities count too: their rows and keys must not become another's. */
  async function readNextIds(): Promise<NextId> {
    const rows = await clickhouse.query<{ kind: string; highest: number }>(
      `SELECT kind, max(toUInt32OrZero(id)) AS highest FROM ${table} GROUP BY kind`,
    );
    const highest = new Map(rows.map((row) => [row.kind, row.highest]));
    return (kind) => (highest.get(kind) ?? 0) + 1;
  }

  /** Stores version + 1; false when another writer owns it. */
  async function write(version: number, rows: readonly object[], writer: string): Promise<boolean> {
    const columns = 'version, kind, id, deleted, body, writer, author, changed_at';
    await clickhouse.insert(
      `INSERT INTO ${table} (${columns}) SETTINGS insert_deduplication_token='catalogue:${version}:${writer}', async_insert=0
       SELECT ${columns} FROM input('version UInt64, kind String, id String, deleted UInt8, body String, writer String, author String, changed_at DateTime64(3)')
       WHERE NOT EXISTS (SELECT 1 FROM ${table} WHERE version >= ${version}) FORMAT JSONEachRow`,
      `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`,
    );
    const owner = await clickhouse.query<{ writer: string }>(
      `SELECT writer FROM ${table} WHERE version = {version:UInt64} ORDER BY writer LIMIT 1`,
      { version },
    );
    return owner[0]?.writer === writer;
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

  async function change(
    edit: (state: CatalogueState, nextId: NextId) => CatalogueState,
    author: string,
    dryRun = false,
  ): Promise<ChangeOutcome> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const before = (await load(await newestVersion())).state;
      const version = before.version + 1;
      const after = sortState({ ...edit(before, await readNextIds()), version });
      const faults = findFaults(after);
      if (faults.length > 0) throw new CatalogueFaults(faults);
      const diff = diffStates(before, after);
      const changes = diff.map((entry) => entry.change);
      if (diff.length === 0 || dryRun)
        return { version: before.version, changes, state: before, published: true };
      const writer = randomUUID();
      const changed_at = new Date().toISOString().replace('T', ' ').replace('Z', '');
      const rows = diff.map((entry) => ({
        version,
        kind: entry.change.kind,
        id: entry.change.id,
        deleted: entry.change.what === 'deleted' ? 1 : 0,
        body: entry.body,
        writer,
        author,
        changed_at,
      }));
      if (await write(version, rows, writer)) {
        remember(after);
        return { version, changes, state: after, published: await publish(after) };
      }
    }
    throw new AppError(
      'CLICKHOUSE_UNAVAILABLE',
      `the catalogue changed under ${ATTEMPTS_MAX} attempts: try again`,
    );
  }

  return {
    async current() {
      return load(await newestVersion());
    },
    async at(version) {
      const known = snapshots.get(version);
      if (known !== undefined) return known;
      if ((await newestVersion()) < version) {
        throw new AppError(
          'CATALOGUE_UNKNOWN_VERSION',
          `catalogue version ${version} is not in the log yet`,
        );
      }
      return load(version);
    },
    change,
    async refill() {
      const { state } = await load(await newestVersion());
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
