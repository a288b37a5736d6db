/**
 * `catalogue_log` in ClickHouse: every version of every entity, and the authority for which version is which. All rows
 * of one version are one block under one token, so that of several writers of a version exactly one has it.
 */
import { randomUUID } from 'node:crypto';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { timeText } from '../../clickhouse/insert.ts';
import type { Column } from '../../clickhouse/tables.ts';
import { appendVersion } from '../../clickhouse/version-log.ts';
import { EMPTY_CATALOGUE, type CatalogueState } from '../domain/catalogue.ts';
import type { LoggedChange } from './diff.ts';
import type { NextId } from './edits.ts';
import { CATALOGUE_KINDS, sortState, type CatalogueKind } from './published.ts';
import { idMaxOf } from './schema.ts';

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
      const rows = await clickhouse.query<{ kind: string; highest: number; gap: number }>(
        `WITH arraySort(groupUniqArray(toUInt32OrZero(id))) AS ids
         SELECT kind, ids[-1] AS highest, arrayFirstIndex((id, place) -> id != place, ids, arrayEnumerate(ids)) AS gap
         FROM ${table} WHERE toUInt32OrZero(id) > 0 GROUP BY kind`,
      );
      const used = new Map(rows.map((row) => [row.kind, row]));
      return (kind) => {
        const { highest = 0, gap = 0 } = used.get(kind) ?? {};
        // Someone chose the highest id there is: then the lowest that was never used.
        return highest >= idMaxOf(kind) && gap > 0 ? gap : highest + 1;
      };
    },
    append(version, changes, author) {
      const writer = randomUUID();
      const changedAt = timeText(Date.now());
      const rows = changes.map(({ change, body }) => {
        const deleted = change.what === 'deleted' ? 1 : 0;
        return [version, change.kind, change.id, deleted, body, writer, author, changedAt];
      });
      const entry = { name: 'catalogue', table, columns: COLUMNS, version, writer, rows };
      return appendVersion(clickhouse, entry);
    },
  };
}
