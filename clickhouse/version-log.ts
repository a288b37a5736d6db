/**
 * Logs whose versions have one writer each (catalogue, users): all rows of a version are one block under one token, so of
 * several writers of a version exactly one has it. Who, is read back: neither success nor an error of an insert says.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { AppError, messageOf } from '../src/domain/app-error.ts';
import type { ClickHouse } from './client.ts';
import { insertGuarded, type Row } from './insert.ts';
import type { Column } from './tables.ts';

/** A kill between the engine's note of a token and the rename of the part burns the token; the next one is free. */
const TOKENS_MAX = 5;
/** A dropped duplicate can be reported a moment before the block that it repeats is visible. */
const LOOKS = 5;
const LOOK_MS = 100;
/** A slow writer loses to each of many fast ones before it gets its version. */
const ATTEMPTS_MAX = 200;
const REST_MS_MAX = 200;

export interface VersionOfLog {
  /** What the log is of, for tokens and errors: letters only. */
  readonly name: string;
  /** Has the columns `version` and `writer`. */
  readonly table: string;
  readonly columns: readonly Column[];
  readonly version: number;
  /** Unique for this call; every row holds it. */
  readonly writer: string;
  readonly rows: readonly Row[];
}

/** The writer of a version; '' when the log has gone past it without one, undefined when nobody has it. */
async function ownerOf(
  clickhouse: ClickHouse,
  { table, version }: VersionOfLog,
): Promise<string | undefined> {
  for (let look = 0; look < LOOKS; look++) {
    if (look > 0) await pause(LOOK_MS);
    const [row] = await clickhouse.query<{ writer: string }>(
      `SELECT any(writer) AS writer FROM ${table} WHERE version = {version:UInt64} HAVING count() > 0`,
      { version },
    );
    if (row !== undefined) return row.writer;
    const [newest] = await clickhouse.query<{ version: number }>(
      `SELECT max(version) AS version FROM ${table}`,
    );
    if ((newest?.version ?? 0) >= version) return '';
  }
  return undefined;
}

/** Stores a version; false when another writer has it. Throws when it can't be told. */
export async function appendVersion(clickhouse: ClickHouse, entry: VersionOfLog): Promise<boolean> {
  const { name, table, columns, version, rows } = entry;
  let failure: unknown;
  for (let token = 0; token < TOKENS_MAX; token++) {
    try {
      await insertGuarded(clickhouse, {
        table,
        columns,
        rows,
        token: `${name}:${version}#${token}`,
        guard: `NOT EXISTS (SELECT 1 FROM ${table} WHERE version >= ${version})`,
      });
    } catch (error) {
      // It may have landed all the same: ask, whatever the error says.
      failure = error;
    }
    const owner = await ownerOf(clickhouse, entry);
    if (owner !== undefined) return owner === entry.writer;
    if (failure !== undefined) throw failure;
  }
  throw new AppError(
    'CLICKHOUSE_UNAVAILABLE',
    `version ${version} of the ${name} is not in the log after ${TOKENS_MAX} inserts: ${messageOf(failure)}`,
  );
}

/**
 * Repeats an attempt to write the next version until it has it; undefined means that another writer was first. Losers
 * rest for a growing while, so that many writers at once do not keep each other from writing.
 */
export async function untilAppended<T>(
  name: string,
  attempt: () => Promise<T | undefined>,
): Promise<T> {
  for (let lost = 0; lost < ATTEMPTS_MAX; lost++) {
    const written = await attempt();
    if (written !== undefined) return written;
    await pause(randomInt(Math.min(REST_MS_MAX, 10 * (lost + 1))));
  }
  throw new AppError(
    'CLICKHOUSE_UNAVAILABLE',
    `the ${name} changed under ${ATTEMPTS_MAX} attempts: try again`,
  );
}
