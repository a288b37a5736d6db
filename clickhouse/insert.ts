/**
 * The one insert path of rows: a block is written whole, under a token, and only while its guard holds inside
 * ClickHouse. Success says nothing (a dropped duplicate also reports it) and an error proves nothing: read back.
 */
import { isRetryable } from '../src/domain/app-error.ts';
import type { ClickHouse } from './client.ts';
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
  /** Two inserts with one token write once, within the deduplication window. Letters, digits, `:`, `-`, `#` only. */
  readonly token: string;
  /** SQL condition; the rows are written only if it holds when the statement runs. */
  readonly guard: string;
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** A list for `IN (…)` in a guard. */
export function quotedList(values: readonly string[]): string {
  return values.map(quote).join(', ');
}

/** A ms time as a literal. */
export function timeLiteral(ms: number): string {
  return `fromUnixTimestamp64Milli(toInt64(${Math.trunc(ms)}))`;
}

const LONE_SURROGATE = /\\ud[89a-f]/i;

function encodeRow(row: Row): string {
  const line = JSON.stringify(row);
  if (!LONE_SURROGATE.test(line)) return line;
  // Half a character can't be stored as UTF-8; the rest of the row can.
  return JSON.stringify(
    row.map((value) => (typeof value === 'string' ? value.toWellFormed() : value)),
  );
}

export async function insertGuarded(clickhouse: ClickHouse, insert: GuardedInsert): Promise<void> {
  const names = insert.columns.map(([name]) => name).join(', ');
  await clickhouse.insert(
    `INSERT INTO ${insert.table} (${names})
     SETTINGS insert_deduplicate=1, insert_deduplication_token=${quote(insert.token)}, async_insert=0,
       max_insert_threads=1, max_threads=1, max_block_size=${ONE_BLOCK_ROWS}, min_insert_block_size_rows=${ONE_BLOCK_ROWS},
       min_insert_block_size_bytes=0, input_format_parallel_parsing=0, max_execution_time=${INSERT_SECONDS_MAX},
       date_time_input_format='best_effort'
     SELECT ${names} FROM input(${quote(structureOf(insert.columns))}) WHERE ${insert.guard} FORMAT JSONCompactEachRow`,
    insert.rows.map(encodeRow).join('\n'),
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
  const structure = quote(structureOf(columns));
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

/** `YYYY-MM-DD hh:mm:ss.mmm` in UTC, as ClickHouse reads it. Every row has several. */
export function timeText(ms: number): string {
  const day = Math.floor(ms / DAY_MS);
  if (date.day !== day) date = { day, text: new Date(ms).toISOString().slice(0, 10) };
  const rest = Math.floor(ms) - day * DAY_MS;
  const seconds = Math.floor(rest / 1_000);
  const clock = `${two[Math.floor(seconds / 3_600)]}:${two[Math.floor(seconds / 60) % 60]}:${two[seconds % 60]}`;
  return `${date.text} ${clock}.${String(rest % 1_000).padStart(3, '0')}`;
}
