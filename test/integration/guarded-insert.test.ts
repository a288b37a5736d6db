/** What is inserted comes back as it was, whether rows share a value, differ in it, or share one that SQL would choke on. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { insertGuarded, timeText, type Row } from '../../clickhouse/insert.ts';
import type { Column } from '../../clickhouse/tables.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';

const COLUMNS: readonly Column[] = [
  ['id', 'UInt32'],
  ['text', 'String'],
  ['time', "DateTime64(3, 'UTC')"],
  ['click_time', "Nullable(DateTime64(3, 'UTC'))"],
  ['money', 'Nullable(Decimal(18, 4))'],
  ['code', 'UInt16'],
  ['block_time', 'DateTime'],
];
const TIME = timeText(Date.UTC(2026, 10, 22, 1, 2, 3, 45));
const BLOCK_TIME_S = Date.UTC(2026, 10, 22, 1, 2, 4) / 1000;

let database: TestClickHouse;
let clickhouse: ClickHouse;
beforeAll(async () => {
  database = await startClickHouse();
  ({ clickhouse } = database);
  const columns = COLUMNS.map(([name, type]) => `${name} ${type}`).join(', ');
  await clickhouse.command(`CREATE TABLE inserted (${columns}) ENGINE = MergeTree ORDER BY id`);
}, 120_000);
afterAll(async () => {
  await clickhouse.command('DROP TABLE inserted');
  await database.close();
});

let inserts = 0;
async function stored(rows: readonly Row[], guard = '1'): Promise<readonly Row[]> {
  await clickhouse.command('TRUNCATE TABLE inserted');
  inserts += 1;
  const token = `test#${inserts}`;
  await insertGuarded(clickhouse, { table: 'inserted', columns: COLUMNS, rows, token, guard });
  const back = await clickhouse.query<Record<string, string | number | null>>(
    `SELECT id, text, toString(time) AS time, toString(click_time) AS click_time, toString(money) AS money, code,
       toUnixTimestamp(block_time) AS block_time FROM inserted ORDER BY id`,
  );
  return back.map((row) => COLUMNS.map(([name]) => row[name] ?? null));
}

const TEXTS = [
  '',
  'plain text, of 1/2: a+b-c',
  "it's",
  'back\\slash',
  "\\'); DROP TABLE inserted; --",
  'tab\tline\nreturn\r',
  'NUL \0 in it',
  'quotes "double"',
  '{name:String} ?',
  'ünïcode ☕ 😀',
  'x'.repeat(300),
];

it.each(TEXTS)('rows that share a text: %j', async (text) => {
  const rows = [1, 2, 3].map((id): Row => [id, text, TIME, null, null, 0, BLOCK_TIME_S]);
  expect(await stored(rows)).toEqual(rows);
});

it('rows that share nothing', async () => {
  const rows = TEXTS.map((text, id): Row => [
    id,
    text,
    timeText(Date.UTC(2026, 0, 1) + id),
    id % 2 === 0 ? null : TIME,
    id % 3 === 0 ? null : `${id}.5`,
    id,
    BLOCK_TIME_S + id,
  ]);
  expect(await stored(rows)).toEqual(rows);
});

it('rows that share all but their ids, or are alone', async () => {
  const row = (id: number): Row => [id, 'a', TIME, TIME, '49.9', 65_535, BLOCK_TIME_S];
  expect(await stored([row(1), row(2)])).toEqual([row(1), row(2)]);
  expect(await stored([row(7)])).toEqual([row(7)]);
});

it('rows of which the last alone differs', async () => {
  const rows = Array.from({ length: 500 }, (_, id): Row => [
    id,
    id === 499 ? 'other' : '',
    TIME,
    null,
    null,
    0,
    BLOCK_TIME_S,
  ]);
  expect(await stored(rows)).toEqual(rows);
});

it.each([
  ['money', 'much'],
  ['time', 'soon'],
  ['click_time', 'soon'],
])('rows that share a %s that the column can not hold are refused', async (column, value) => {
  const plain: Row = [0, '', TIME, null, null, 0, BLOCK_TIME_S];
  const at = COLUMNS.findIndex(([name]) => name === column);
  const rows = [1, 2].map((id): Row => [id, ...plain.slice(1).with(at - 1, value)]);
  await expect(stored(rows)).rejects.toMatchObject({ code: 'CLICKHOUSE_REFUSED' });
});

it('nothing is written when the guard does not hold', async () => {
  const rows = [1, 2].map((id): Row => [id, '', TIME, null, null, 0, BLOCK_TIME_S]);
  expect(await stored(rows, 'NOT EXISTS (SELECT 1)')).toEqual([]);
});
