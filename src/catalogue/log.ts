/**
 * `catalogue_log` in ClickHouse: every version of every entity, and the authority for which version is which. All rows
 * of one version are one block under one token, so that of several writers of a version exactly one has it.
 */
import { randomUUID } from 'node:crypto';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { insertGuarded } from '../../clickhouse/insert.ts';
import type { Column } from '../../clickhouse/tables.ts';
import { AppError, messageOf } from '../domain/app-error.ts';
import { EMPTY_CATALOGUE, type CatalogueState } from '../domain/catalogue.ts';
import type { LoggedChange } from './diff.ts';
import type { NextId } from './edits.ts';
import { CATALOGUE_KINDS, sortState, type CatalogueKind } from './published.ts';

export interface CatalogueLog {
  newestVersion(): Promise<number>;
  /** The state that the versions up to this one make. */
  readState(version: number): Promise<CatalogueState>;
  readNextIds(): Promise<NextId>;
  /** Stores a version; false when another writer has it. Throws when it can't be told. */
  append(version: number, changes: readonly LoggedChange[], author: string): Promise<boolean>;
}

const COLUMNS: readonly Column[] = [
  ['version', 'UInt64'],
  ['kind', 'String'],
  ['id', 'String'],
  ['deleted', 'UInt8'],
  ['body', 'String'],
  ['writer', 'String'],
  ['author', 'String'],
  ['changed_at', "DateTime64(3, 'UTC')"],
];
/** A kill between the engine's note of a token and the rename of the part burns the token; the next one is free. */
const TOKENS_MAX = 5;
/** A dropped duplicate can be reported a moment before the block that it repeats is visible. */
const LOOKS = 5;
const LOOK_MS = 100;

interface LogRow {
  readonly kind: CatalogueKind;
  readonly id: string;
  readonly deleted: number;
  readonly body: string;
}

export function createCatalogueLog(clickhouse: ClickHouse): CatalogueLog {
  const table = `${clickhouse.privateDatabase}.catalogue_log`;

  async function newestVersion(): Promise<number> {
    const [row] = await clickhouse.query<{ version: number }>(
      `SELECT max(version) AS version FROM ${table}`,
    );
    return row?.version ?? 0;
  }

  async function ownerOf(version: number): Promise<string | undefined> {
    for (let look = 0; look < LOOKS; look++) {
      if (look > 0) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      const [row] = await clickhouse.query<{ writer: string }>(
        `SELECT any(writer) AS writer FROM ${table} WHERE version = {version:UInt64} HAVING count() > 0`,
        { version },
      );
      if (row !== undefined) return row.writer;
      if ((await newestVersion()) >= version) return '';
    }
    return undefined;
  }

  async function insertVersion(
    version: number,
    changes: readonly LoggedChange[],
    origin: { readonly writer: string; readonly author: string },
    token: number,
  ): Promise<void> {
    const changedAt = new Date().toISOString().replace('T', ' ').replace('Z', '');
    await insertGuarded(clickhouse, {
      table,
      columns: COLUMNS,
      rows: changes.map(({ change, body }) => [
        version,
        change.kind,
        change.id,
        change.what === 'deleted' ? 1 : 0,
        body,
        origin.writer,
        origin.author,
        changedAt,
      ]),
      token: `catalogue:${version}#${token}`,
      guard: `NOT EXISTS (SELECT 1 FROM ${table} WHERE version >= ${version})`,
    });
  }

  return {
    newestVersion,
    async readState(version) {
      if (version === 0) return EMPTY_CATALOGUE;
      const rows = await clickhouse.query<LogRow>(
        `SELECT kind, id, argMax(deleted, version) AS deleted, argMax(body, version) AS body
         FROM (SELECT kind, id, deleted, body, version FROM ${table} WHERE version <= {version:UInt64}) GROUP BY kind, id`,
        { version },
      );
      const kinds = new Map<CatalogueKind, object[]>(CATALOGUE_KINDS.map((kind) => [kind, []]));
      for (const row of rows) {
        if (row.deleted === 0) kinds.get(row.kind)?.push(JSON.parse(row.body) as object);
      }
      // The log holds what `append` stored from the same types.
      return sortState({ version, ...Object.fromEntries(kinds) } as unknown as CatalogueState);
    },
    async readNextIds() {
      const rows = await clickhouse.query<{ kind: string; highest: number }>(
        `SELECT kind, max(toUInt32OrZero(id)) AS highest FROM ${table} GROUP BY kind`,
      );
      const highest = new Map(rows.map((row) => [row.kind, row.highest]));
      return (kind) => (highest.get(kind) ?? 0) + 1;
    },
    async append(version, changes, author) {
      const origin = { writer: randomUUID(), author };
      let failure: unknown;
      for (let token = 0; token < TOKENS_MAX; token++) {
        try {
          await insertVersion(version, changes, origin, token);
        } catch (error) {
          // It may have landed all the same: ask, whatever the error says.
          failure = error;
        }
        const owner = await ownerOf(version);
        if (owner !== undefined) return owner === origin.writer;
        if (failure !== undefined) throw failure;
      }
      throw new AppError(
        'CLICKHOUSE_UNAVAILABLE',
        `version ${version} of the catalogue is not in the log after ${TOKENS_MAX} inserts: ${messageOf(failure)}`,
      );
    },
  };
}
