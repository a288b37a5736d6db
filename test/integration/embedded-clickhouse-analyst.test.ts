/**
 * The analyst's door of the embedded ClickHouse: what a BI tool needs is let in, every attack we know of is refused,
 * and whatever an analyst does, the server and its other clients go on.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrate } from '../../clickhouse/migrate.ts';
import {
  startEmbeddedClickHouse,
  type RunningEmbeddedClickHouse,
} from '../support/start-embedded-clickhouse.ts';
import { waitFor } from '../support/wait-for.ts';

const VIEWS = [
  'affiliate_postbacks',
  'chunks',
  'clicks',
  'invalid_clicks',
  'invalid_traffic',
  'postbacks',
  'statistics_hourly',
  'transaction_events',
  'transactions',
];
const SECRET = 'the-secret-nobody-may-read';

let server: RunningEmbeddedClickHouse;
let folder: string;
/** Counts what reaches it: the engine must not be made to call anyone. */
let outside: Server;
let outsideUrl: string;
let calls = 0;

interface Answer {
  readonly status: number;
  readonly code: string | null;
  readonly text: string;
}

async function ask(
  sql: string,
  query: Record<string, string> = {},
  method = 'POST',
): Promise<Answer> {
  const inUrl = method === 'GET' ? { query: sql } : {};
  const response = await fetch(
    `${server.url}/?${new URLSearchParams({ ...query, ...inUrl }).toString()}`,
    {
      method,
      ...(method === 'POST' && { body: sql }),
      headers: { 'x-clickhouse-user': 'analyst' },
    },
  );
  return {
    status: response.status,
    code: response.headers.get('x-clickhouse-exception-code'),
    text: await response.text(),
  };
}

async function read(sql: string, query: Record<string, string> = {}): Promise<string> {
  const answer = await ask(sql, query);
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.text;
}

/** Attacks name places of the machine: {file}, {new}, {url} stand for them. */
function aim(attack: string): string {
  return attack
    .replaceAll('{file}', join(folder, 'secret.csv'))
    .replaceAll('{new}', join(folder, 'made-by-attack'))
    .replaceAll('{url}', outsideUrl);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-attack-'));
  writeFileSync(join(folder, 'secret.csv'), `${SECRET}\n`);
  outside = createServer((_, response) => {
    calls += 1;
    response.end('1\n');
  });
  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
  // A TCP server's address is always an object.
  outsideUrl = `http://127.0.0.1:${(outside.address() as AddressInfo).port}/`;
  server = await startEmbeddedClickHouse();
  await migrate(server.owner);
  await server.owner.command(
    `INSERT INTO sluice_private.api_keys (id, hash, name) VALUES ('1', '${SECRET}', '${SECRET}')`,
  );
  await server.owner.command(
    `INSERT INTO sluice.click_log (hit_id, hit_time, click_time, offer_id, sub_id1, chunk_id)
     SELECT toString(number), now(), now(), number % 3, 'a', '${SECRET}' FROM numbers(300)`,
  );
});
afterAll(async () => {
  await server.stop();
  await new Promise((resolve) => outside.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

describe('what analysts are let in for', () => {
  test.each([
    ['SELECT count() FROM clicks', '300\n'],
    [
      'SELECT offer_id, count() FROM sluice.clicks GROUP BY offer_id ORDER BY offer_id',
      '0\t100\n1\t100\n2\t100\n',
    ],
    [
      'WITH top AS (SELECT offer_id, count() AS n FROM clicks GROUP BY ALL) SELECT max(n) FROM top',
      '100\n',
    ],
    [
      'SELECT countIf(offer_id = 1), uniqExact(sub_id1), quantile(0.5)(offer_id) FROM clicks',
      '100\t1\t1\n',
    ],
    [
      'SELECT sumIf(1, offer_id IN (SELECT offer_id FROM clicks WHERE offer_id > 1)) FROM clicks',
      '100\n',
    ],
    [
      "SELECT formatDateTime(toDate('2026-01-02'), '%d.%m.%Y'), toTypeName(1), if(1, 'a', 'b'), 1 BETWEEN 0 AND 2",
      '02.01.2026\tUInt8\ta\t1\n',
    ],
    [
      "SELECT arrayMap(x -> x + 1, [1, 2]), tuple(1, 2).1, CAST(5, 'String'), 3::UInt8, -1, NOT 1",
      '[2,3]\t1\t5\t3\t-1\t0\n',
    ],
    [
      "SELECT domain('https://a.example/b?c=1'), extractURLParameter('https://a.example/?c=1', 'c'), lower('AB')",
      'a.example\t1\tab\n',
    ],
    [
      'SELECT row_number() OVER (PARTITION BY offer_id ORDER BY hit_id) AS n FROM clicks ORDER BY n DESC LIMIT 1',
      '100\n',
    ],
    ['SELECT number FROM numbers(2)', '0\n1\n'],
    ['SELECT a FROM view(SELECT 1 AS a)', '1\n'],
    ['(SELECT 1) UNION ALL (SELECT 1)', '1\n1\n'],
    ['SELECT 1 EXCEPT SELECT 2', '1\n'],
    [
      'SELECT clicks.offer_id FROM clicks JOIN (SELECT 1 AS offer_id) AS one USING (offer_id) LIMIT 1',
      '1\n',
    ],
    ['FROM clicks SELECT min(offer_id)', '0\n'],
    ['SELECT 1 -- a comment\n;', '1\n'],
    [
      "SELECT 'SETTINGS a = 1; DROP TABLE x; INTO OUTFILE'",
      'SETTINGS a = 1; DROP TABLE x; INTO OUTFILE\n',
    ],
    ["SELECT version() != '', currentDatabase(), timezone()", '1\tsluice\tUTC\n'],
    ['EXISTS TABLE clicks', '1\n'],
  ])('%s', async (sql, expected) => {
    expect(await read(sql)).toBe(expected);
  });

  test('parameters, formats and harmless settings', async () => {
    expect(
      await read('SELECT {n:UInt8} + 1, {s:String}', { param_n: '4', param_s: "it\\'s" }),
    ).toBe("5\tit\\'s\n");
    expect(
      await read('SELECT toUInt64(1) AS a FORMAT JSONEachRow', {
        output_format_json_quote_64bit_integers: '1',
      }),
    ).toBe('{"a":"1"}\n');
    expect(
      await read('SELECT 1 AS a', { default_format: 'CSVWithNames', database: 'sluice' }),
    ).toBe('"a"\n1\n');
    expect((await ask('SELECT 1', {}, 'GET')).text).toBe('1\n');
  });

  test('settings that are not on the list are dropped, so that clients which send them work', async () => {
    const limits = "SELECT getSetting('max_memory_usage')";
    const asked = {
      max_memory_usage: '0',
      readonly: '0',
      allow_ddl: '1',
      max_execution_time: '0',
      log_queries: '1',
    };
    expect((await ask(limits, asked)).code).toBe('497');
    expect(
      await read(
        "SELECT value FROM system.settings WHERE name IN ('max_memory_usage', 'readonly', 'max_execution_time') ORDER BY name",
        asked,
      ),
    ).toBe(`60\n${2 * 1024 ** 3}\n1\n`);
  });

  test('the lists of tables and columns hold the documented views and nothing else', async () => {
    const lines = (text: string): string[] => text.trim().split('\n').toSorted();
    expect(lines(await read('SHOW TABLES'))).toEqual(VIEWS);
    expect(lines(await read("SHOW TABLES FROM sluice LIKE '%c%'"))).toEqual(
      VIEWS.filter((name) => name.includes('c')),
    );
    expect(
      lines(
        await read(
          "SELECT name FROM system.tables WHERE database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema')",
        ),
      ),
    ).toEqual(VIEWS);
    expect(
      lines(await read("SELECT DISTINCT table FROM system.columns WHERE database = 'sluice'")),
    ).toEqual(VIEWS);
    expect(
      lines(
        await read(
          "SELECT table_name FROM information_schema.tables WHERE table_schema = 'sluice'",
        ),
      ),
    ).toEqual(VIEWS);
    expect(lines(await read('SHOW DATABASES'))).not.toContain('sluice_private');
    expect(await read("SELECT count() FROM system.databases WHERE name = 'sluice_private'")).toBe(
      '0\n',
    );
    expect(await read('SHOW COLUMNS FROM click_log')).toBe('');
    expect(await read('SHOW TABLES FROM sluice_private')).toBe('');
    expect(await read('DESCRIBE TABLE clicks')).toContain('offer_id\tUInt32');
    expect(await read('SHOW COLUMNS FROM clicks')).toContain('offer_id');
    expect(
      await read(
        "SELECT comment != '' FROM system.columns WHERE table = 'clicks' AND name = 'nothing'",
      ),
    ).toBe('');
  });

  test('every view can be read by @clickhouse/client with no password', async () => {
    const client = createClient({ url: server.url });
    for (const view of VIEWS) {
      const result = await client.query({ query: `SELECT * FROM ${view} LIMIT 1`, format: 'JSON' });
      const json = await result.json();
      expect(json.meta?.length).toBeGreaterThan(0);
    }
    await client.close();
  });
});

const ATTACKS: readonly string[] = [
  // More than one statement, and comments that would hide it.
  'SELECT 1; SELECT 2',
  'SELECT 1; DROP VIEW clicks',
  "SELECT 1; SELECT * FROM file('{file}', LineAsString)",
  'SELECT 1 /* */; /* */ SELECT 2',
  'SELECT 1 -- \n; SELECT 2',
  'SELECT 1 # \n; SELECT 2',
  'SELECT $a$ $a$; SELECT 2',
  'SELECT \u2018;\u2019; SELECT 2',
  "SELECT 'a\\'; SELECT 1 /*'; SELECT * FROM click_log -- */",
  'SELECT 1 PARALLEL WITH DROP VIEW clicks',
  // Files, servers, programs.
  "SELECT * FROM file('{file}', LineAsString)",
  "SELECT * FROM file('{file}')",
  "SELECT file('{file}')",
  "DESCRIBE TABLE file('{file}')",
  "DESCRIBE file('{file}', CSV)",
  "DESC (SELECT * FROM file('{file}', LineAsString))",
  "EXPLAIN SELECT * FROM file('{file}')",
  "EXPLAIN QUERY TREE SELECT (SELECT * FROM file('{file}', LineAsString))",
  "SELECT * FROM clicks WHERE sub_id1 IN (SELECT * FROM file('{file}', LineAsString))",
  "SELECT 1 IN file('{file}', LineAsString)",
  "SELECT (SELECT (SELECT any(line) FROM file('{file}', LineAsString)))",
  "WITH (SELECT any(line) FROM file('{file}', LineAsString)) AS x SELECT x",
  "WITH x AS (SELECT * FROM file('{file}', LineAsString)) SELECT * FROM x",
  "SELECT * FROM view(SELECT * FROM file('{file}', LineAsString))",
  "SELECT * FROM viewIfPermitted(SELECT * FROM click_log ELSE null('a Int8'))",
  "SELECT * FROM fileCluster('default', '{file}')",
  "SELECT * FROM filesystem('/')",
  "SELECT * FROM url('{url}', LineAsString)",
  "SELECT * FROM urlCluster('default', '{url}', LineAsString)",
  "DESCRIBE TABLE url('{url}')",
  "SELECT * FROM s3('{url}a.csv', NOSIGN)",
  "SELECT * FROM gcs('{url}a.csv', NOSIGN)",
  "SELECT * FROM azureBlobStorage('{url}', 'a', 'b')",
  "SELECT * FROM hdfs('hdfs://127.0.0.1:1/a', CSV)",
  "SELECT * FROM iceberg('{url}')",
  "SELECT * FROM deltaLake('{url}')",
  "SELECT * FROM remote('127.0.0.1', system.one)",
  "SELECT * FROM remoteSecure('127.0.0.1', system.one)",
  "SELECT * FROM cluster('default', system.one)",
  "SELECT * FROM clusterAllReplicas('default', sluice, click_log)",
  "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
  "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
  "SELECT * FROM mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'e Int8')",
  "SELECT * FROM redis('127.0.0.1:1', 'key', 'key String, v String')",
  "SELECT * FROM sqlite('{file}', 'a')",
  "SELECT * FROM odbc('DSN=a', 'b', 'c')",
  "SELECT * FROM jdbc('a', 'b', 'c')",
  "SELECT * FROM executable('cat {file}', LineAsString, 'a String')",
  'SELECT * FROM Python(os)',
  "SELECT * FROM input('a String')",
  "SELECT * FROM format(LineAsString, 'a')",
  "SELECT * FROM dictionary('a')",
  "SELECT * FROM generateRandom('a Int8') LIMIT 1",
  'SELECT * FROM loop(numbers(1))',
  "SELECT 1 INTO OUTFILE '{new}'",
  "SELECT 1 INTO OUTFILE '{new}' TRUNCATE FORMAT CSV",
  "SELECT 1 INTO\nOUTFILE '{new}' AND STDOUT",
  "SELECT 1 into/**/outfile '{new}'",
  "(SELECT 1) UNION ALL SELECT 2 INTO OUTFILE '{new}'",
  "SHOW TABLES INTO OUTFILE '{new}'",
  "EXPLAIN SELECT 1 INTO OUTFILE '{new}'",
  "SELECT 1 INTO OUTFILE '{new}' /*",
  "SELECT 1 INTO OUTFILE '{new}'; -- ",
  "BACKUP TABLE sluice.clicks TO File('{new}')",
  // Functions that reach outside the rows.
  "SELECT dictGet('a', 'b', 1)",
  "SELECT joinGet('click_log', 'chunk_id', 1)",
  "SELECT catboostEvaluate('{file}', 1)",
  'SELECT sleep(3)',
  'SELECT sleepEachRow(1) FROM numbers(60)',
  'SELECT addressToLine(1)',
  'SELECT hostName()',
  "SELECT getServerSetting('path')",
  "SELECT getMacro('shard')",
  'SELECT showCertificate()',
  'SELECT serverUUID()',
  'SELECT filesystemAvailable()',
  "SELECT hasColumnInTable('sluice_private', 'api_keys', 'hash')",
  "SELECT aiGenerate('a', 'b')",
  "SELECT formatQuery('SELECT 1')",
  'SELECT arrayMap(x -> sleep(1), [1])',
  "SELECT initializeAggregation('sumState', 1)",
  // Rows of others.
  'SELECT * FROM click_log',
  'SELECT * FROM sluice.click_log',
  'SELECT * FROM `sluice`.`click_log`',
  'SELECT * FROM "click_log"',
  'SELECT count() FROM postback_log',
  'SELECT * FROM sluice_private.api_keys',
  'SELECT hash FROM clicks JOIN sluice_private.api_keys ON 1',
  'SELECT * FROM clicks WHERE sub_id1 IN sluice_private.api_keys',
  'SELECT sub_id1 IN click_log FROM clicks',
  'SELECT (SELECT any(hash) FROM sluice_private.api_keys)',
  'WITH click_log AS (SELECT 1) SELECT * FROM sluice.click_log',
  'WITH 1 AS a SELECT * FROM click_log WHERE 1 IN (WITH click_log AS (SELECT 1) SELECT 1)',
  "SELECT * FROM merge('sluice', '.*_log')",
  "SELECT * FROM merge('sluice_private', '.*')",
  "SELECT * FROM merge('.*', '^api_keys$')",
  "SELECT * FROM mergeTreeIndex('sluice', 'click_log')",
  'SELECT * FROM {table:Identifier}',
  'TABLE click_log',
  'EXPLAIN SELECT * FROM click_log',
  'EXPLAIN ESTIMATE SELECT * FROM click_log',
  'EXPLAIN PIPELINE SELECT * FROM sluice_private.api_keys',
  'EXPLAIN indexes = 1 SELECT * FROM click_log',
  'EXPLAIN TABLE OVERRIDE INSERT INTO clicks',
  'DESCRIBE click_log',
  'DESCRIBE TABLE sluice_private.api_keys',
  'SHOW CREATE TABLE click_log',
  'SHOW CREATE TABLE sluice_private.api_keys',
  'SHOW INDEX FROM click_log',
  'EXISTS TABLE sluice_private.api_keys',
  'CHECK TABLE click_log',
  // System tables with secrets, other people's statements, the machine.
  'SELECT * FROM system.processes',
  'SELECT * FROM system.query_log',
  'SELECT * FROM system.users',
  'SELECT * FROM system.grants',
  'SELECT * FROM system.server_settings',
  'SELECT * FROM system.disks',
  'SELECT * FROM system.parts',
  'SELECT * FROM system.errors',
  'SELECT * FROM system.stack_trace',
  'SELECT * FROM system.build_options',
  'SELECT * FROM `system`.`processes`',
  'SELECT * FROM SYSTEM.processes',
  'SELECT 1 IN system.processes',
  'SELECT * FROM view(SELECT * FROM system.processes)',
  'SELECT (SELECT any(query) FROM system.processes)',
  'SHOW PROCESSLIST',
  'SHOW GRANTS',
  'SHOW ACCESS',
  'SHOW USERS',
  'SHOW CLUSTERS',
  'SHOW CREATE USER default',
  // Writing, and changing how statements run.
  'INSERT INTO clicks (offer_id) VALUES (1)',
  'INSERT INTO click_log SELECT * FROM click_log',
  "INSERT INTO FUNCTION file('{new}', CSV) SELECT 1",
  "INSERT INTO FUNCTION url('{url}', CSV) SELECT 1",
  'CREATE TABLE made (a Int8) ENGINE = Memory',
  'CREATE TEMPORARY TABLE made (a Int8)',
  'CREATE VIEW made AS SELECT * FROM click_log',
  'CREATE FUNCTION made AS x -> x',
  'CREATE USER made',
  'DROP VIEW clicks',
  'DROP DATABASE sluice',
  'TRUNCATE TABLE click_log',
  'ALTER TABLE click_log DELETE WHERE 1',
  'DELETE FROM click_log WHERE 1',
  'UPDATE click_log SET offer_id = 1 WHERE 1',
  'OPTIMIZE TABLE click_log FINAL',
  'RENAME TABLE clicks TO cl',
  'DETACH TABLE clicks',
  'SYSTEM FLUSH LOGS',
  'SYSTEM SHUTDOWN',
  'KILL QUERY WHERE 1',
  'SET readonly = 0',
  'SET ROLE owner',
  'SET param_a = 1',
  'USE sluice_private',
  'EXECUTE AS default SELECT 1',
  'GRANT ALL ON *.* TO default',
  'SELECT 1 SETTINGS readonly = 0',
  'SELECT 1 SETTINGS max_memory_usage = 0',
  'SELECT 1 FORMAT JSON SETTINGS max_execution_time = 0',
  'SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)',
  "SELECT 1 FORMAT Template SETTINGS format_template_row = '{file}'",
  'SELECT 1 FORMAT Protobuf',
  'BEGIN TRANSACTION',
];

describe('attacks', () => {
  test.each(ATTACKS)('is refused: %s', async (attack) => {
    const before = calls;
    for (const method of ['POST', 'GET']) {
      const answer = await ask(aim(attack), { param_table: 'click_log' }, method);
      expect(answer.status, answer.text).toBeGreaterThanOrEqual(400);
      expect(answer.text).toMatch(/^Code: \d+\. DB::Exception/);
      expect(answer.text).not.toContain(SECRET);
    }
    expect(existsSync(aim('{new}'))).toBe(false);
    expect(calls).toBe(before);
  });

  test('other databases are unknown, and the URL gives no rights', async () => {
    for (const database of ['sluice_private', 'system', 'information_schema', "x'; --"]) {
      expect((await ask('SELECT 1', { database })).code).toBe('81');
    }
    expect((await ask('SELECT 1', { role: 'owner' })).code).toBe('512');
    expect((await ask('DROP VIEW clicks', { readonly: '0', allow_ddl: '1' })).status).toBe(403);
    expect((await ask('SELECT 1', { 'readonly=0, x': '1' })).code).toBe('115');
    expect((await ask('SELECT 1', { "param_a='1', readonly": '0' })).code).toBe('115');
    expect(await read('SELECT {a:String}', { param_a: "', readonly = 0, a = '" })).toContain(
      'readonly = 0',
    );
  });

  test('nothing of it changed anything', async () => {
    expect(await read('SELECT count() FROM clicks')).toBe('300\n');
    const [row] = await server.owner.query<{ n: number }>(
      "SELECT toUInt32(count()) AS n FROM system.tables WHERE name = 'made'",
    );
    expect(row?.n).toBe(0);
  });
});

describe('statements without measure', () => {
  test.each([
    ['brackets', `SELECT ${'('.repeat(20_000)}1${')'.repeat(20_000)}`],
    ['sub-queries', `${'SELECT * FROM ('.repeat(2_000)}SELECT 1${')'.repeat(2_000)}`],
    ['functions', `SELECT ${'abs('.repeat(5_000)}1${')'.repeat(5_000)}`],
    ['unions', Array.from({ length: 30_000 }, () => 'SELECT 1').join(' UNION ALL ')],
    ['a text beyond the limit', `SELECT '${'x'.repeat(3 * 1024 ** 2)}'`],
    [
      'expressions that double',
      `WITH 1 AS a0, ${Array.from({ length: 40 }, (_, n) => `a${n} + a${n} AS a${n + 1}`).join(', ')} SELECT a40`,
    ],
  ])('%s beyond any use are refused', async (_, sql) => {
    const answer = await ask(sql);
    expect(answer.status, answer.text.slice(0, 200)).toBeGreaterThanOrEqual(400);
    expect(await read('SELECT 1')).toBe('1\n');
  });

  test('memory is limited', async () => {
    const answer = await ask(
      'SELECT length(groupArray(repeat(toString(number), 100))) FROM numbers(1000000000)',
    );
    expect([answer.code, answer.status]).toEqual(['241', 500]);
    expect(answer.text).toContain('MEMORY_LIMIT_EXCEEDED');
  });

  test('time is limited, a shorter limit of the client counts, and a longer one does not', async () => {
    const endless = 'SELECT sum(cityHash64(number)) FROM numbers(1000000000000)';
    expect((await ask(endless, { max_execution_time: '1' })).code).toBe('159');
    expect(
      await read("SELECT value FROM system.settings WHERE name = 'max_execution_time'", {
        max_execution_time: '600',
      }),
    ).toBe('60\n');
  });

  test('endless statements of analysts keep nobody else waiting, and end with their clients', async () => {
    const abort = new AbortController();
    const endless = Array.from({ length: 12 }, () =>
      fetch(`${server.url}/`, {
        method: 'POST',
        body: 'SELECT sum(cityHash64(number)) FROM numbers(1000000000000)',
        signal: abort.signal,
      }).then(
        (response) => response.status,
        () => 'aborted',
      ),
    );
    const running = async (): Promise<number> => {
      const [row] = await server.owner.query<{ n: number }>(
        "SELECT toUInt32(count()) AS n FROM system.processes WHERE query LIKE '%cityHash64%' AND query NOT LIKE '%system.processes%'",
      );
      return row?.n ?? -1;
    };
    await waitFor(async () => (await running()) === 3, {
      timeoutMs: 20_000,
      what: 'three of them to run, no more',
    });
    await server.owner.command("INSERT INTO sluice.click_log (hit_id, verdict_code) SELECT 'x', 1");
    abort.abort();
    expect(new Set(await Promise.all(endless))).toEqual(new Set(['aborted']));
    await waitFor(async () => (await running()) === 0, {
      timeoutMs: 20_000,
      what: 'all of them to end',
    });
    expect(await read('SELECT 1')).toBe('1\n');
  });
});

describe('a password', () => {
  test('set for the analyst is asked for, also from loopback', async () => {
    const guarded = await startEmbeddedClickHouse({ SLUICE_ANALYST_PASSWORD: 'open sesame' });
    try {
      const statusOf = async (headers: Record<string, string>): Promise<number> =>
        (await fetch(`${guarded.url}/?query=SELECT+1`, { headers })).status;
      expect(await statusOf({})).toBe(403);
      expect(await statusOf({ 'x-clickhouse-user': 'analyst', 'x-clickhouse-key': 'wrong' })).toBe(
        403,
      );
      expect(
        await statusOf({ 'x-clickhouse-user': 'analyst', 'x-clickhouse-key': 'open sesame' }),
      ).toBe(200);
      expect(await statusOf({ authorization: `Basic ${btoa('analyst:open sesame')}` })).toBe(200);
    } finally {
      await guarded.stop();
    }
  });
});
