/**
 * Partition keys of the logs, which no statement can alter. ClickHouse drops a repeated token only within one partition, so the
 * partition of a block must follow from what its token names, and not from when or by whom it is written (ADR 0004). A table
 * with another key is copied into one that differs from it in nothing else, and the two are exchanged. Nobody may write meanwhile.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '../src/domain/app-error.ts';
import type { ClickHouse } from './client.ts';

/**
 * A block of clicks is a chunk, one of calls a position of its lane. What `ignore()` names splits nothing, but gives each part bounds
 * that questions are pruned by. Calls have no time that two writers of a position share, and positions come by the hundred a day or by
 * the hundred thousand: the ranges grow with the root of the position, so that a lane of either has some ten or some hundred a year.
 */
const KEYS = [
  { name: 'click_log', splits: 'toYYYYMM(chunk_time)', bounds: 'block_time, click_time, hit_time' },
  {
    name: 'postback_log',
    splits: 'toUInt32(sqrt(intDiv(position, 1000)))',
    bounds: 'lane, chunk_time, hit_time, block_time',
  },
] as const;
type Key = (typeof KEYS)[number];

/** Some seconds of copying, so that no statement takes as long as its client waits; each makes a part in each of its partitions. */
const ROWS_A_COPY = 200_000;
const LOOK_MS = 50;

interface Table {
  readonly name: string;
  readonly key: string;
  readonly created: string;
}

async function readTable(clickhouse: ClickHouse, name: string): Promise<Table> {
  const [table] = await clickhouse.query<Table>(
    `SELECT name, partition_key AS key, create_table_query AS created
     FROM system.tables WHERE database = currentDatabase() AND name = {name:String}`,
    { name },
  );
  if (table === undefined)
    throw new AppError('MIGRATION_REFUSED', `the database has no table ${name}`);
  return table;
}

const isSplitBy = (table: Table, key: Key): boolean => table.key.includes(key.splits);

const stagingPrefix = (table: string): string => `${table}_moving_`;

/** What a move that was killed left behind: a copy that is not whole, or the table that was exchanged. */
async function dropLeftovers(clickhouse: ClickHouse, table: string): Promise<void> {
  const left = await clickhouse.query<{ name: string }>(
    'SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {prefix:String})',
    { prefix: stagingPrefix(table) },
  );
  if (left.length > 0) await clickhouse.command(`SYSTEM START TTL MERGES ${table}`);
  for (const { name } of left) await drop(clickhouse, name);
}

async function drop(clickhouse: ClickHouse, name: string): Promise<void> {
  await clickhouse.command(`DROP TABLE IF EXISTS ${name} SYNC SETTINGS max_table_size_to_drop = 0`);
}

async function countRows(clickhouse: ClickHouse, table: string): Promise<number> {
  const [row] = await clickhouse.query<{ rows: number }>(`SELECT count() AS rows FROM ${table}`);
  return row?.rows ?? 0;
}

/** Its parts, which stay as they are: merges have been stopped, and those that ran have ended. */
async function standingParts(
  clickhouse: ClickHouse,
  table: string,
): Promise<readonly { readonly name: string; readonly rows: number }[]> {
  const ofTable = 'database = currentDatabase() AND table = {table:String}';
  for (;;) {
    const merging = await clickhouse.query(`SELECT 1 FROM system.merges WHERE ${ofTable}`, {
      table,
    });
    if (merging.length === 0) break;
    await pause(LOOK_MS);
  }
  return clickhouse.query(`SELECT name, rows FROM system.parts WHERE active AND ${ofTable}`, {
    table,
  });
}

/** Part by part, in the order of their rows, so that each row is read once. Two equal blocks are two blocks: no token, no hash. */
async function copyRows(
  clickhouse: ClickHouse,
  of: { readonly from: string; readonly to: string; readonly rowsACopy: number },
): Promise<void> {
  const { from, to, rowsACopy } = of;
  for (const part of await standingParts(clickhouse, from)) {
    for (let at = 0; at < part.rows; at += rowsACopy) {
      await clickhouse.command(
        `INSERT INTO ${to}
         SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_insert_threads = 1, max_threads = 1
         SELECT * FROM ${from}
         WHERE _part = {part:String} AND _part_offset >= {at:UInt64} AND _part_offset < {end:UInt64}`,
        { part: part.name, at, end: at + rowsACopy },
      );
    }
  }
}

async function exchange(clickhouse: ClickHouse, table: Table, staging: string): Promise<void> {
  const [live, copied] = [
    await countRows(clickhouse, table.name),
    await countRows(clickhouse, staging),
  ];
  const { key } = await readTable(clickhouse, table.name);
  if (live !== copied || key !== table.key) {
    throw new AppError(
      'MIGRATION_REFUSED',
      `${table.name} was written to while it was copied (${copied} rows of ${live}): stop every worker, then migrate again`,
    );
  }
  await clickhouse.command(`EXCHANGE TABLES ${table.name} AND ${staging}`);
}

/** What makes a table as this one, but for its key. */
function createStatement(table: Table, staging: string, { splits, bounds }: Key): string {
  return table.created
    .replace(/^CREATE TABLE \S+ /, `CREATE TABLE ${staging} `)
    .replace(`PARTITION BY ${table.key} `, `PARTITION BY (${splits}, ignore(${bounds})) `);
}

/** What retention removes goes on going once the tables are exchanged, as rows are counted before. */
async function move(
  clickhouse: ClickHouse,
  table: Table,
  key: Key,
  rowsACopy: number,
): Promise<void> {
  const staging = `${stagingPrefix(table.name)}${randomBytes(4).toString('hex')}`;
  await clickhouse.command(createStatement(table, staging, key));
  if (!isSplitBy(await readTable(clickhouse, staging), key))
    throw new AppError('MIGRATION_REFUSED', `${table.name} can't be split by ${key.splits}`);
  await clickhouse.command(`SYSTEM STOP TTL MERGES ${staging}`);
  await clickhouse.command(`SYSTEM STOP MERGES ${table.name}`);
  try {
    await copyRows(clickhouse, { from: table.name, to: staging, rowsACopy });
    await exchange(clickhouse, table, staging);
  } catch (error) {
    await clickhouse.command(`SYSTEM START MERGES ${table.name}`);
    throw error;
  }
  await dropLeftovers(clickhouse, table.name);
}

/**
 * Gives tables that have another partition key theirs; names them. A kill at any moment costs the copy that was being made: what
 * is to be done follows from the tables alone. `tell` hears of each before it is copied.
 */
export async function repartition(
  clickhouse: ClickHouse,
  tell: (what: string) => void,
  rowsACopy = ROWS_A_COPY,
): Promise<readonly string[]> {
  const moved: string[] = [];
  for (const key of KEYS) {
    const { name } = key;
    const table = await readTable(clickhouse, name);
    await dropLeftovers(clickhouse, name);
    if (isSplitBy(table, key)) continue;
    const rows = await countRows(clickhouse, name);
    if (rows > 0) tell(`${name}: copying ${rows} rows into new partitions`);
    await move(clickhouse, table, key, rowsACopy);
    moved.push(name);
  }
  return moved;
}
