/**
 * The one insert path of rows: a block is written whole, under a token, and only while its guard holds inside
 * ClickHouse. Success says nothing (a dropped duplicate also reports it) and an error proves nothing: read back.
 */
import { isRetryable } from '../src/domain/app-error.ts';
import { remembering } from '../src/domain/remembering.ts';
import type { ClickHouse } from './client.ts';
import { quoteString } from './quote-string.ts';
import type { Column } from './tables.ts';

/** Larger than any block: one insert is one part, so it is there whole or not at all. */
const ONE_BLOCK_ROWS = 10_000_000;
/** A statement that takes longer has lost its client: it must not land much later. */
const INSERT_SECONDS_MAX = 25;

export type Row = readonly (string | number | null)[];

export interface GuardedInsert {
  readonly table: string;
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  /**
   * Two inserts with one token write once, within the deduplication window and one partition: the partition must follow from
   * what the token names (`partitions.ts`). Letters, digits, `:`, `-`, `#` only.
   */
  readonly token: string;
  /** SQL condition; the rows are written only if it holds when the statement runs. */
  readonly guard: string;
}

/** A list for `IN (…)` in a guard. */
export function quotedList(values: readonly string[]): string {
  return values.map(quoteString).join(', ');
}

/** A ms time as a literal. */
export function timeLiteral(ms: number): string {
  return `fromUnixTimestamp64Milli(toInt64(${Math.trunc(ms)}))`;
}

/** How `JSON.stringify` begins half a character; a text that spells it out itself is whole. */
const HALF = '\\ud';

function encodeRow(row: Row): string {
  const line = JSON.stringify(row);
  if (!line.includes(HALF)) return line;
  // Half a character can't be stored as UTF-8; the rest of the row can.
  return JSON.stringify(
    row.map((value) => (typeof value === 'string' ? value.toWellFormed() : value)),
  );
}

/** Encodes these columns of a row. All rows are picked into one list: a new one each was a fifteenth of a worker's garbage. */
function encodeColumns(indexes: readonly number[]): (row: Row) => string {
  const picked: (string | number | null)[] = indexes.map(() => null);
  return (row) => {
    let to = 0;
    for (const index of indexes) picked[to++] = row[index] ?? null;
    return encodeRow(picked);
  };
}

/** Needs no escaping, and is short enough to stand in a statement. */
const PLAIN = /^[\w .:,/+-]{0,64}$/;

const NULLABLE = /^Nullable\((.*)\)$/;

/** The value as SQL; undefined when it is not plain. What the type can't hold is refused: as a Nullable it would be NULL. */
function literalOf(value: string | number | null, type: string): string | undefined {
  if (value === null) return 'NULL';
  if (typeof value === 'string' && !PLAIN.test(value)) return undefined;
  const literal = typeof value === 'string' ? `'${value}'` : String(value);
  return type === 'String'
    ? literal
    : `CAST(${literal}, ${quoteString(NULLABLE.exec(type)?.[1] ?? type)})`;
}

/** Index → value as SQL of the columns that hold the same in all rows; one at least is left out. */
function sharedLiterals(
  columns: readonly Column[],
  rows: readonly Row[],
): ReadonlyMap<number, string> {
  const [first = [], ...others] = rows;
  // A row alone shares nothing.
  if (others.length === 0) return new Map();
  let shared = columns.map((_, index) => index).slice(1);
  for (const row of others) {
    if (shared.some((index) => row[index] !== first[index]))
      shared = shared.filter((index) => row[index] === first[index]);
  }
  return new Map(
    shared.flatMap((index) => {
      const literal = literalOf(first[index] ?? null, columns[index]?.[1] ?? '');
      return literal === undefined ? [] : [[index, literal] as const];
    }),
  );
}

/**
 * Half of a block's columns hold one value, most of them none: these go as literals, which neither side has to write and
 * read for each row. Skip indexes wait for the first merge: of a part as small as a block they save no reading, and are
 * half of its files.
 */
export async function insertGuarded(clickhouse: ClickHouse, insert: GuardedInsert): Promise<void> {
  const { columns, rows } = insert;
  const shared = sharedLiterals(columns, rows);
  const sent = columns.flatMap((_, index) => (shared.has(index) ? [] : [index]));
  const names = columns.map(([name]) => name).join(', ');
  const values = columns.map(([name], index) => shared.get(index) ?? name).join(', ');
  const structure = structureOf(columns.filter((_, index) => !shared.has(index)));
  await clickhouse.insert(
    `INSERT INTO ${insert.table} (${names})
     SETTINGS insert_deduplicate=1, insert_deduplication_token=${quoteString(insert.token)}, async_insert=0,
       max_insert_threads=1, max_threads=1, max_block_size=${ONE_BLOCK_ROWS}, min_insert_block_size_rows=${ONE_BLOCK_ROWS},
       min_insert_block_size_bytes=0, input_format_parallel_parsing=0, max_execution_time=${INSERT_SECONDS_MAX},
       date_time_input_format='best_effort', materialize_skip_indexes_on_insert=0
     SELECT ${values} FROM input(${quoteString(structure)}) WHERE ${insert.guard} FORMAT JSONCompactEachRow`,
    rows.map(encodeColumns(sent)).join('\n'),
  );
}

function structureOf(columns: readonly Column[]): string {
  return columns.map(([name, type]) => `${name} ${type}`).join(', ');
}

/** Whether ClickHouse can read the rows as the columns' types. Writes nothing. */
async function isReadable(
  clickhouse: ClickHouse,
  columns: readonly Column[],
  rows: readonly Row[],
): Promise<boolean> {
  const structure = quoteString(structureOf(columns));
  try {
    await clickhouse.insert(
      `INSERT INTO FUNCTION null(${structure}) SELECT * FROM input(${structure})
       SETTINGS date_time_input_format='best_effort' FORMAT JSONCompactEachRow`,
      rows.map(encodeRow).join('\n'),
    );
    return true;
  } catch (error) {
    if (isRetryable(error)) throw error;
    return false;
  }
}

/** Indexes of the rows that ClickHouse refuses, found by halving. Rejects when ClickHouse does not answer. */
export async function refusedRows(
  clickhouse: ClickHouse,
  columns: readonly Column[],
  rows: readonly Row[],
  offset = 0,
): Promise<readonly number[]> {
  if (rows.length === 0 || (await isReadable(clickhouse, columns, rows))) return [];
  if (rows.length === 1) return [offset];
  const middle = Math.ceil(rows.length / 2);
  return [
    ...(await refusedRows(clickhouse, columns, rows.slice(0, middle), offset)),
    ...(await refusedRows(clickhouse, columns, rows.slice(middle), offset + middle)),
  ];
}

const DAY_MS = 86_400_000;
const two = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'));
/** The date of the last time that was written: nearly always that of the next one. */
let date = { day: Number.NaN, text: '' };
/** Calls that come close together share their millisecond, and those of a chunk its time. */
const TIMES_MAX = 1_000;

/** `YYYY-MM-DD hh:mm:ss.mmm` in UTC, as ClickHouse reads it. Every row has several. */
export const timeText = remembering(TIMES_MAX, textOf);

function textOf(ms: number): string {
  const day = Math.floor(ms / DAY_MS);
  if (date.day !== day) date = { day, text: new Date(ms).toISOString().slice(0, 10) };
  const rest = Math.floor(ms) - day * DAY_MS;
  const seconds = Math.floor(rest / 1_000);
  const clock = `${two[Math.floor(seconds / 3_600)]}:${two[Math.floor(seconds / 60) % 60]}:${two[seconds % 60]}`;
  return `${date.text} ${clock}.${String(rest % 1_000).padStart(3, '0')}`;
}
