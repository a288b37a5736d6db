/**
 * What a statement leaves for the next in the embedded ClickHouse: nothing, though both may run in one Session of the
 * engine (`clickhouse/embedded/sessions.ts`). Against the released role as a process.
 */
import {
  ClickHouseLogLevel,
  createClient,
  type ClickHouseClient,
  type QueryParams,
} from '@clickhouse/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  startEmbeddedClickHouse,
  type RunningEmbeddedClickHouse,
} from '../support/start-embedded-clickhouse.ts';

let server: RunningEmbeddedClickHouse;
let client: ClickHouseClient;

beforeAll(async () => {
  server = await startEmbeddedClickHouse();
  client = createClient({
    url: server.url,
    username: 'sluice',
    password: server.password,
    database: 'sluice',
    log: { level: ClickHouseLogLevel.OFF },
  });
});
afterAll(async () => {
  await client.close();
  await server.stop();
});

const textOf = async (
  query: string,
  options: Omit<QueryParams, 'query' | 'format'> = {},
): Promise<string> => {
  const result = await client.query({ query, format: 'TabSeparated', ...options });
  return (await result.text()).trim();
};
const SETTING = "SELECT getSetting('max_block_size')";

test('settings hold for one statement and do not leak into the next', async () => {
  const ask = (settings: Record<string, number>): Promise<string> =>
    textOf(SETTING, { clickhouse_settings: settings });
  const before = await ask({});
  expect(await ask({ max_block_size: 4242 })).toBe('4242');
  expect(
    await Promise.all([ask({ max_block_size: 7 }), ask({}), ask({ max_block_size: 9 })]),
  ).toEqual(['7', before, '9']);
});

test('the next statement sees no value of a parameter', async () => {
  const add = (a: number, b: string): Promise<string> =>
    textOf('SELECT {a:UInt8} + 1, {b:String}', { query_params: { a, b } });
  expect(await add(4, 'x')).toBe('5\tx');
  expect(await add(9, "it's")).toBe("10\tit\\'s");
  const missing = await textOf('SELECT {a:UInt8} + 1', { query_params: { b: 'x' } }).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(missing).toMatchObject({ code: '456' });
  expect(await add(1, 'y')).toBe('2\ty');
});

test('the next statement sees no setting that a read or an insert named in its text', async () => {
  const before = await textOf(SETTING);
  await textOf('SELECT 1 SETTINGS max_block_size = 77');
  expect(await textOf(SETTING)).toBe(before);
  const table = 'kept';
  await client.command({
    query: `CREATE TABLE ${table} (id UInt32) ENGINE = MergeTree ORDER BY tuple()`,
  });
  await client.command({
    query: `INSERT INTO ${table} (id) SETTINGS max_block_size = 78 SELECT 1`,
  });
  expect(await textOf(SETTING)).toBe(before);
  await client.insert({
    table,
    values: [{ id: 2 }],
    format: 'JSONEachRow',
    clickhouse_settings: { max_block_size: '79' },
  });
  expect(await textOf(SETTING)).toBe(before);
});

test('the next statement sees no setting, database or temporary table that a command left', async () => {
  const before = await textOf(SETTING);
  await client.command({ query: 'SET max_block_size = 80' });
  await client.command({ query: 'CREATE TEMPORARY TABLE passing (id UInt8)' });
  await client.command({ query: 'USE system' });
  expect(await textOf(SETTING)).toBe(before);
  expect(await textOf('SELECT currentDatabase()')).not.toBe('system');
  await expect(textOf('SELECT * FROM passing')).rejects.toMatchObject({ code: '60' });
});

test('the next statement sees nothing of one that failed or was ended', async () => {
  const before = await textOf(SETTING);
  await expect(textOf('SELECT throwIf(1) SETTINGS max_block_size = 81')).rejects.toThrow();
  const gone = new AbortController();
  const endless = textOf('SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1', {
    abort_signal: gone.signal,
  });
  setImmediate(() => gone.abort());
  await expect(endless).rejects.toThrow();
  expect(await Promise.all([textOf(SETTING), textOf(SETTING), textOf(SETTING)])).toEqual([
    before,
    before,
    before,
  ]);
});

test('a session id is accepted, and requests share nothing', async () => {
  const session = { session_id: 'a-session' };
  await client.command({ query: 'SET max_block_size = 77', ...session });
  expect(await textOf(`${SETTING} = 77`, session)).toBe('0');
});
