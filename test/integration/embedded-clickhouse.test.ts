/**
 * The embedded ClickHouse held to the documented behaviour of `@clickhouse/client`: its formats, parameters, settings,
 * streams, compression, errors and cancelling, against the released role as a process.
 */
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  ClickHouseLogLevel,
  createClient,
  type ClickHouseClient,
  type Row,
  type StreamReadable,
} from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  startEmbeddedClickHouse,
  type RunningEmbeddedClickHouse,
} from '../support/start-embedded-clickhouse.ts';
import { waitFor } from '../support/wait-for.ts';

let server: RunningEmbeddedClickHouse;
let client: ClickHouseClient;
let tables = 0;

function connect(extra: Parameters<typeof createClient>[0] = {}): ClickHouseClient {
  return createClient({
    url: server.url,
    username: 'sluice',
    password: server.password,
    database: 'sluice',
    log: { level: ClickHouseLogLevel.OFF },
    ...extra,
  });
}

async function createTable(
  columns = 'id UInt32, name String, tags Array(String)',
): Promise<string> {
  const name = `t${(tables += 1)}`;
  await client.command({
    query: `CREATE TABLE ${name} (${columns}) ENGINE = MergeTree ORDER BY tuple()`,
  });
  return name;
}

async function countOf(table: string): Promise<number> {
  const result = await client.query({
    query: `SELECT count() AS n FROM ${table}`,
    format: 'JSONEachRow',
  });
  const [row] = await result.json<{ n: string }>();
  return Number(row?.n);
}

async function streamed(rows: StreamReadable<Row[]>): Promise<string[]> {
  const texts: string[] = [];
  for await (const batch of rows) for (const row of batch) texts.push(row.text);
  return texts;
}

beforeAll(async () => {
  server = await startEmbeddedClickHouse();
  client = connect();
});
afterAll(async () => {
  await client.close();
  await server.stop();
});

describe('queries', () => {
  test('ping succeeds, with and without a SELECT', async () => {
    expect(await client.ping()).toEqual({ success: true });
    expect(await client.ping({ select: true })).toEqual({ success: true });
  });

  test('a JSON result has meta, data, rows and statistics', async () => {
    const result = await client.query({ query: 'SELECT 1 AS a, toUInt64(2) AS b', format: 'JSON' });
    const json = await result.json();
    expect(json.meta).toEqual([
      { name: 'a', type: 'UInt8' },
      { name: 'b', type: 'UInt64' },
    ]);
    expect(json.data).toEqual([{ a: 1, b: 2 }]);
    expect(json.rows).toBe(1);
    expect(json.statistics?.rows_read).toBe(1);
  });

  test.each([
    'JSONCompact',
    'JSONStrings',
    'JSONCompactStrings',
    'JSONColumnsWithMetadata',
    'JSONObjectEachRow',
  ] as const)('the single-document format %s is one JSON document', async (format) => {
    const result = await client.query({ query: 'SELECT number FROM numbers(3)', format });
    expect(JSON.stringify(await result.json())).toContain('number');
  });

  test.each([
    'JSONEachRow',
    'JSONStringsEachRow',
    'JSONCompactEachRow',
    'JSONCompactStringsEachRow',
    'JSONCompactEachRowWithNames',
    'JSONCompactEachRowWithNamesAndTypes',
    'JSONCompactStringsEachRowWithNames',
    'JSONCompactStringsEachRowWithNamesAndTypes',
  ] as const)('every row of %s arrives through a stream, its header once', async (format) => {
    const result = await client.query({ query: 'SELECT number FROM numbers(200000)', format });
    const rows = await streamed(result.stream());
    const headers = format.endsWith('Types') ? 2 : format.endsWith('Names') ? 1 : 0;
    expect(rows.length).toBe(200_000 + headers);
    expect(rows.filter((row) => row.includes('UInt64')).length).toBe(headers === 2 ? 1 : 0);
  });

  test.each([
    ['CSV', 0],
    ['CSVWithNames', 1],
    ['CSVWithNamesAndTypes', 2],
    ['TabSeparated', 0],
    ['TabSeparatedRaw', 0],
    ['TabSeparatedWithNames', 1],
    ['TabSeparatedWithNamesAndTypes', 2],
    ['CustomSeparated', 0],
    ['CustomSeparatedWithNames', 1],
  ] as const)(
    'every row of %s arrives through a stream, its header once',
    async (format, headers) => {
      const result = await client.query({
        query: "SELECT number, 'some text' AS b FROM numbers(200000)",
        format,
      });
      const rows = await streamed(result.stream());
      expect(rows.length).toBe(200_000 + headers);
      expect(rows.at(-1)).toContain('199999');
    },
  );

  test('Parquet streams as a whole file', async () => {
    const result = await client.exec({
      query: 'SELECT number FROM numbers(3000000) FORMAT Parquet',
    });
    const chunks: Buffer[] = [];
    for await (const chunk of result.stream as AsyncIterable<Buffer>) chunks.push(chunk);
    const file = Buffer.concat(chunks);
    expect(file.subarray(0, 4).toString()).toBe('PAR1');
    expect(file.subarray(-4).toString()).toBe('PAR1');
    const table = await createTable('number UInt64');
    await client.exec({
      query: `INSERT INTO ${table} FORMAT Parquet`,
      values: Readable.from([file], { objectMode: false }),
    });
    const check = await client.query({
      query: `SELECT sum(number) FROM ${table}`,
      format: 'TabSeparated',
    });
    expect((await check.text()).trim()).toBe(String((3_000_000 * 2_999_999) / 2));
  });

  test('RowBinary comes byte for byte', async () => {
    const { stream } = await client.exec({ query: "SELECT toUInt16(258), 'ab' FORMAT RowBinary" });
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    expect(Buffer.concat(chunks)).toEqual(Buffer.from([2, 1, 2, 97, 98]));
  });

  test('parameters of every kind are bound, however they must be escaped', async () => {
    const result = await client.query({
      query: `SELECT {s:String} AS s, {n:Int64} AS n, {a:Array(String)} AS a, {d:DateTime64(3)} AS d,
              {m:Map(String, UInt8)} AS m, {nothing:Nullable(String)} AS nothing, {column:Identifier} AS c
              FROM {database:Identifier}.{table:Identifier}`,
      format: 'JSONEachRow',
      query_params: {
        s: "quote ' back\\slash\nnew line\ttab ? ; -- {x:String}",
        n: -5,
        a: ["it's", 'b\\', ''],
        d: new Date('2026-01-02T03:04:05.678Z'),
        m: { k: 1 },
        nothing: null,
        column: 'dummy',
        database: 'system',
        table: 'one',
      },
    });
    const [row] = await result.json();
    expect(row).toMatchObject({
      s: "quote ' back\\slash\nnew line\ttab ? ; -- {x:String}",
      n: -5,
      a: ["it's", 'b\\', ''],
      d: '2026-01-02 03:04:05.678',
      m: { k: 1 },
      nothing: null,
    });
  });

  test('a parameter too long for the URL goes as a multipart body', async () => {
    const ids = Array.from({ length: 50_000 }, (_, index) => `id-${index}-é`);
    const result = await client.query({
      query: 'SELECT length({ids:Array(String)}) AS n, {ids:Array(String)}[50000] AS last',
      format: 'JSONEachRow',
      query_params: { ids },
      use_multipart_params: true,
    });
    expect(await result.json()).toEqual([{ n: 50000, last: 'id-49999-é' }]);
  });

  test('the query id is the one asked for, and a second statement may not run under it meanwhile', async () => {
    const query_id = 'my-own-id';
    // It has begun when its answer has, and can't end before that is read.
    const result = await client.query({
      query: 'SELECT number FROM numbers(100000000)',
      format: 'TabSeparated',
      query_id,
    });
    const again = await client.query({ query: 'SELECT 1', format: 'TabSeparated', query_id }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(again).toMatchObject({ code: '216', type: 'QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING' });
    expect(result.query_id).toBe(query_id);
    expect(result.response_headers['x-clickhouse-query-id']).toBe(query_id);
    result.close();
  });
});

describe('inserts', () => {
  test('rows from an array, with a summary of what was written', async () => {
    const table = await createTable();
    const result = await client.insert({
      table,
      values: [
        { id: 1, name: 'o\'hara "é" \n', tags: ['a', 'b'] },
        { id: 2, name: '', tags: [] },
      ],
      format: 'JSONEachRow',
    });
    expect(result.executed).toBe(true);
    expect(result.summary?.written_rows).toBe('2');
    const rows = await client.query({
      query: `SELECT * FROM ${table} ORDER BY id`,
      format: 'JSONEachRow',
    });
    expect(await rows.json()).toEqual([
      { id: 1, name: 'o\'hara "é" \n', tags: ['a', 'b'] },
      { id: 2, name: '', tags: [] },
    ]);
  });

  test.each(['JSONEachRow', 'JSONCompactEachRow', 'JSONStringsEachRow'] as const)(
    'rows from an object stream as %s',
    async (format) => {
      const table = await createTable('id UInt32, name String');
      const rows = Array.from({ length: 50_000 }, (_, id) =>
        format === 'JSONCompactEachRow'
          ? [id, 'n']
          : { id: format === 'JSONEachRow' ? id : String(id), name: 'n' },
      );
      await client.insert({ table, values: Readable.from(rows), format });
      expect(await countOf(table)).toBe(50_000);
    },
  );

  test('chosen columns, left out columns and defaults', async () => {
    const table = await createTable("id UInt32, name String DEFAULT concat('n', toString(id))");
    await client.insert({ table, values: [{ id: 5 }], format: 'JSONEachRow', columns: ['id'] });
    await client.insert({
      table,
      values: [{ id: 6 }],
      format: 'JSONEachRow',
      columns: { except: ['name'] },
    });
    await client.insert({ table, values: [{ id: 7 }], format: 'JSONEachRow' });
    const rows = await client.query({
      query: `SELECT name FROM ${table} ORDER BY id`,
      format: 'CSV',
    });
    expect(await rows.text()).toBe('"n5"\n"n6"\n"n7"\n');
  });

  test('a CSV file, by stream', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-csv-'));
    const file = join(folder, 'rows.csv');
    writeFileSync(file, 'id,name\n1,"two\nlines"\n2,"a ""quote"""\n');
    const table = await createTable('id UInt32, name String');
    await client.insert({ table, values: createReadStream(file), format: 'CSVWithNames' });
    const rows = await client.query({
      query: `SELECT name FROM ${table} ORDER BY id`,
      format: 'JSONCompactEachRow',
    });
    expect(await rows.json()).toEqual([['two\nlines'], ['a "quote"']]);
    rmSync(folder, { recursive: true });
  });

  test('INSERT … SELECT and INSERT … VALUES by command', async () => {
    const table = await createTable('id UInt32, name String');
    const selected = await client.command({
      query: `INSERT INTO ${table} SELECT number, 'x' FROM numbers(10)`,
    });
    expect(selected.summary?.written_rows).toBe('10');
    await client.command({
      query: `INSERT INTO ${table} (id, name) VALUES (1, 'a;b'), (2, 'FORMAT CSV')`,
    });
    await client.command({
      query: `INSERT INTO ${table} SELECT {id:UInt32}, {name:String}`,
      query_params: { id: 99, name: "it's" },
    });
    expect(await countOf(table)).toBe(13);
  });

  test('a bad row refuses the insert with its code, and no row of it stays', async () => {
    const table = await createTable('id UInt32');
    const values = Readable.from(['{"id":1}\n{"id":"no number"}\n'], { objectMode: false });
    const sent = client.exec({ query: `INSERT INTO ${table} FORMAT JSONEachRow`, values });
    await expect(sent).rejects.toMatchObject({
      code: '27',
      type: 'CANNOT_PARSE_INPUT_ASSERTION_FAILED',
    });
    expect(await countOf(table)).toBe(0);
  });

  test('a token writes a block once, also through input() with a guard', async () => {
    const table = await createTable('id UInt32, name String');
    await client.command({
      query: `ALTER TABLE ${table} MODIFY SETTING non_replicated_deduplication_window = 100`,
    });
    for (let time = 0; time < 2; time++) {
      await client.insert({
        table,
        values: [{ id: 1, name: 'a' }],
        format: 'JSONEachRow',
        clickhouse_settings: { insert_deduplication_token: 'token-1', async_insert: 0 },
      });
      await server.owner.insert(
        `INSERT INTO ${table} (id, name) SETTINGS insert_deduplication_token='token-2', async_insert=0
         SELECT id, name FROM input('id UInt32, name String') WHERE (SELECT count() FROM ${table}) < 5 FORMAT JSONCompactEachRow`,
        '[2,"b"]\n[3,"c"]',
      );
    }
    expect(await countOf(table)).toBe(3);
  });
});

describe('compression', () => {
  test('gzip both ways, by the client', async () => {
    const gzip = connect({ compression: { request: true, response: true } });
    try {
      const table = await createTable('id UInt32');
      const rows = Array.from({ length: 100_000 }, (_, id) => ({ id }));
      await gzip.insert({ table, values: rows, format: 'JSONEachRow' });
      const result = await gzip.query({ query: `SELECT id FROM ${table}`, format: 'JSONEachRow' });
      expect(result.response_headers['content-encoding']).toBe('gzip');
      expect((await streamed(result.stream())).length).toBe(100_000);
    } finally {
      await gzip.close();
    }
  });

  test('an error of a compressed request is readable', async () => {
    const gzip = connect({ compression: { request: true, response: true } });
    await expect(gzip.query({ query: 'SELECT nope' })).rejects.toMatchObject({ code: '47' });
    await gzip.close();
  });
});

describe('errors', () => {
  test.each([
    ['SELECT * FROM no_such_table', '60', 'UNKNOWN_TABLE'],
    ['SELECT nope', '47', 'UNKNOWN_IDENTIFIER'],
    ['selec 1', '62', 'SYNTAX_ERROR'],
    ['SELECT 1; SELECT 2', '62', 'SYNTAX_ERROR'],
    ['SELECT noSuchFunction(1)', '46', 'UNKNOWN_FUNCTION'],
    ["SELECT toUInt8('x')", '6', 'CANNOT_PARSE_TEXT'],
    ["SELECT throwIf(1, 'my own words')", '395', 'FUNCTION_THROW_IF_VALUE_IS_NON_ZERO'],
    ['SELECT {missing:String}', '456', 'UNKNOWN_QUERY_PARAMETER'],
    ['DROP TABLE no_such_table', '60', 'UNKNOWN_TABLE'],
  ])('%s is refused with code %s', async (query, code, type) => {
    await expect(client.query({ query })).rejects.toMatchObject({ code, type });
  });

  test('an unknown setting and an unknown format are refused', async () => {
    await expect(
      client.command({ query: 'SELECT 1', clickhouse_settings: { no_such_setting: 1 } }),
    ).rejects.toMatchObject({ code: '115' });
    await expect(client.exec({ query: 'SELECT 1 FORMAT NoSuchFormat' })).rejects.toMatchObject({
      code: '73',
    });
  });

  test('a failure after the first bytes reaches the reader of the stream as an error', async () => {
    const result = await client.query({
      query: "SELECT number, throwIf(number = 300000, 'late') AS x FROM numbers(500000)",
      format: 'JSONEachRow',
      clickhouse_settings: { max_block_size: '10000' },
    });
    await expect(streamed(result.stream())).rejects.toThrow(/late/);
  });

  test('with wait_end_of_query a late failure is an error of the request', async () => {
    await expect(
      client.query({
        query: "SELECT number, throwIf(number = 300000, 'late') AS x FROM numbers(500000)",
        format: 'JSONEachRow',
        clickhouse_settings: { wait_end_of_query: 1, max_block_size: '10000' },
      }),
    ).rejects.toMatchObject({ code: '395' });
    const whole = await client.query({
      query: 'SELECT number FROM numbers(1000000)',
      format: 'JSONEachRow',
      clickhouse_settings: { wait_end_of_query: 1 },
    });
    expect(whole.response_headers['x-clickhouse-summary']).toContain('"read_rows":"1000000"');
    expect((await streamed(whole.stream())).length).toBe(1_000_000);
  });

  test('a limit of time or memory ends the statement with its code', async () => {
    await expect(
      client.query({
        query: 'SELECT sum(cityHash64(number)) FROM numbers(1000000000000)',
        clickhouse_settings: { max_execution_time: 1 },
      }),
    ).rejects.toMatchObject({ code: '159', type: 'TIMEOUT_EXCEEDED' });
    await expect(
      client.query({
        query: 'SELECT groupArray(number) FROM numbers(100000000)',
        clickhouse_settings: { max_memory_usage: '10000000' },
      }),
    ).rejects.toMatchObject({ code: '241', type: 'MEMORY_LIMIT_EXCEEDED' });
  });
});

describe('concurrency', () => {
  async function runningStatements(part: string): Promise<number> {
    const rows = await server.owner.query<{ n: number }>(
      "SELECT toUInt32(count()) AS n FROM system.processes WHERE position(query, {part:String}) > 0 AND query NOT LIKE '%system.processes%'",
      { part },
    );
    return rows[0]?.n ?? -1;
  }

  test('an aborted query ends in the engine too', async () => {
    const abort = new AbortController();
    const asked = client.query({
      query: 'SELECT sum(cityHash64(number, 4711)) FROM numbers(1000000000000)',
      abort_signal: abort.signal,
    });
    const outcome = asked.then(
      () => 'answered',
      () => 'aborted',
    );
    await waitFor(() => runningStatements('4711').then((n) => n === 1), {
      timeoutMs: 10_000,
      what: 'the query to run',
    });
    abort.abort();
    expect(await outcome).toBe('aborted');
    await waitFor(() => runningStatements('4711').then((n) => n === 0), {
      timeoutMs: 10_000,
      what: 'the query to end',
    });
  });

  test('KILL QUERY by the id that a client gave ends its statement', async () => {
    const query_id = 'to-be-killed';
    const asked = client
      .query({
        query: 'SELECT sum(cityHash64(number, 4712)) FROM numbers(1000000000000)',
        query_id,
      })
      .then(
        () => 'answered',
        (error: unknown) => error,
      );
    await waitFor(() => runningStatements('4712').then((n) => n === 1), {
      timeoutMs: 20_000,
      what: 'the query to run',
    });
    const killed = await client.query({
      query: `KILL QUERY WHERE query_id = '${query_id}'`,
      format: 'JSONEachRow',
    });
    expect(await killed.json()).toMatchObject([{ kill_status: 'waiting', query_id }]);
    expect(await asked).toMatchObject({ code: '394', type: 'QUERY_WAS_CANCELLED' });
    const again = await client.query({
      query: `KILL QUERY WHERE query_id = '${query_id}' SYNC`,
      format: 'JSONEachRow',
    });
    expect(await again.json()).toEqual([]);
  });

  test('a stream that is left half way ends in the engine too', async () => {
    const result = await client.query({
      query: "SELECT number, 'left-half-way' FROM numbers(1000000000000)",
      format: 'JSONEachRow',
    });
    for await (const _ of result.stream()) break;
    await waitFor(() => runningStatements('left-half-way').then((n) => n === 0), {
      timeoutMs: 10_000,
      what: 'the query to end',
    });
  });

  test('long reports on every place hold up neither inserts nor look-ups of others', async () => {
    const table = await createTable('id UInt32');
    const abort = new AbortController();
    const analyst = connect({ username: 'analyst', password: '', max_open_connections: 20 });
    const owner = connect({ max_open_connections: 20 });
    const long = 'SELECT sum(cityHash64(number)) FROM numbers(1000000000000)';
    const reports = [analyst, analyst, analyst, analyst, owner, owner, owner, owner, owner].map(
      (from) =>
        from
          .query({
            query: long,
            abort_signal: abort.signal,
            clickhouse_settings: { max_threads: 1 },
          })
          .catch(() => 'ended'),
    );
    await waitFor(() => runningStatements('1000000000000').then((n) => n >= 8), {
      timeoutMs: 20_000,
      what: 'the reports to run',
    });
    const started = Date.now();
    for (let id = 0; id < 10; id++)
      await client.insert({ table, values: [{ id }], format: 'JSONEachRow' });
    expect(await countOf(table)).toBe(10);
    expect(Date.now() - started).toBeLessThan(30_000);
    abort.abort();
    expect(new Set(await Promise.all(reports))).toEqual(new Set(['ended']));
    await Promise.all([analyst.close(), owner.close()]);
  });
});
