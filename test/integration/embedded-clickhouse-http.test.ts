/**
 * The embedded ClickHouse by plain HTTP, as curl and BI tools' drivers speak it: where statement and data may stand,
 * who is let in, status codes and headers, bodies that are broken, large or cut off.
 */
import { readdirSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { deflateSync, gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sendRaw } from '../support/raw-http.ts';
import {
  startEmbeddedClickHouse,
  type RunningEmbeddedClickHouse,
} from '../support/start-embedded-clickhouse.ts';
import { waitFor } from '../support/wait-for.ts';

let server: RunningEmbeddedClickHouse;

interface Asked {
  readonly method?: string;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Record<string, string>;
  /** Undefined: as `sluice`. Null: with no credentials. */
  readonly user?: readonly [string, string] | null;
}

function ask(query: Record<string, string>, asked: Asked = {}): Promise<Response> {
  const user = asked.user === undefined ? (['sluice', server.password] as const) : asked.user;
  return fetch(`${server.url}/?${new URLSearchParams(query).toString()}`, {
    method: asked.method ?? 'POST',
    ...(asked.body !== undefined && { body: asked.body }),
    headers: {
      ...(user !== null && { authorization: `Basic ${btoa(user.join(':'))}` }),
      ...asked.headers,
    },
  });
}

async function textOf(query: Record<string, string>, asked: Asked = {}): Promise<string> {
  const response = await ask(query, asked);
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  return text;
}

async function createTable(name: string, columns = 'id UInt32, name String'): Promise<string> {
  await textOf(
    {},
    { body: `CREATE TABLE ${name} (${columns}) ENGINE = MergeTree ORDER BY tuple()` },
  );
  return name;
}

const countOf = async (table: string): Promise<number> =>
  Number(await textOf({ query: `SELECT count() FROM ${table}` }));

beforeAll(async () => {
  server = await startEmbeddedClickHouse();
});
afterAll(() => server.stop());

describe('where the statement stands', () => {
  test('in the URL, by GET and by POST', async () => {
    expect(await textOf({ query: 'SELECT 1' }, { method: 'GET' })).toBe('1\n');
    expect(await textOf({ query: 'SELECT 1' })).toBe('1\n');
  });

  test('in the body, and begun in the URL and ended in the body', async () => {
    expect(await textOf({}, { body: 'SELECT 1' })).toBe('1\n');
    expect(await textOf({ query: 'SELECT' }, { body: '1 + 1' })).toBe('2\n');
  });

  test('with a semicolon, a comment or brackets around it', async () => {
    expect(await textOf({}, { body: '-- first\n SELECT 1 /* ; */ ; -- last' })).toBe('1\n');
    expect(await textOf({}, { body: '(SELECT 1) UNION ALL (SELECT 1);\n' })).toBe('1\n1\n');
    expect(await textOf({}, { body: "SELECT ';', $doc$ ; SELECT 2 $doc$ # end" })).toBe(
      ';\t ; SELECT 2 \n',
    );
  });

  test('a HEAD request answers with headers only', async () => {
    const response = await ask({ query: 'SELECT 1' }, { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(response.headers.get('x-clickhouse-format')).toBe('TabSeparated');
    expect(await response.text()).toBe('');
  });

  test('none at all is answered Ok, and /ping needs no password', async () => {
    expect(await textOf({})).toBe('Ok.\n');
    const ping = await fetch(`${server.url}/ping`);
    expect([ping.status, await ping.text()]).toEqual([200, 'Ok.\n']);
    expect((await fetch(`${server.url}/nothing-here`)).status).toBe(404);
  });
});

test.each(['//', '//?query=SELECT+1', '/\\\\', 'http://[', '*', '/%'])(
  'a request for %s is no end of the server',
  async (target) => {
    const port = Number(new URL(server.url).port);
    const raw = `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    const [answer] = await sendRaw(port, raw);
    expect(answer?.status).toBeGreaterThanOrEqual(400);
    expect(await textOf({ query: 'SELECT 1' })).toBe('1\n');
  },
);

describe('formats', () => {
  test('default_format, the header and FORMAT in the statement, in rising order', async () => {
    const header = { 'x-clickhouse-format': 'CSV' };
    expect(await textOf({ query: "SELECT 'a'" }, { headers: header })).toBe('"a"\n');
    expect(
      await textOf(
        { query: "SELECT 'a' AS x", default_format: 'JSONEachRow' },
        { headers: header },
      ),
    ).toBe('{"x":"a"}\n');
    const response = await ask({ query: "SELECT 'a' FORMAT TSVRaw", default_format: 'JSON' });
    expect(response.headers.get('x-clickhouse-format')).toBe('TSVRaw');
    expect(await response.text()).toBe('a\n');
  });

  test('SETTINGS after FORMAT count', async () => {
    expect(
      await textOf({
        query:
          'SELECT toUInt64(1) AS x FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 1',
      }),
    ).toBe('{"x":"1"}\n');
  });

  test.each([
    ['JSON', 'application/json; charset=UTF-8'],
    ['JSONEachRow', 'application/x-ndjson; charset=UTF-8'],
    ['CSV', 'text/csv; charset=UTF-8; header=absent'],
    ['CSVWithNames', 'text/csv; charset=UTF-8; header=present'],
    ['TabSeparated', 'text/tab-separated-values; charset=UTF-8'],
    ['Pretty', 'text/plain; charset=UTF-8'],
    ['Native', 'application/octet-stream'],
    ['XML', 'application/xml; charset=UTF-8'],
  ])('%s has the content type %s', async (format, contentType) => {
    const response = await ask({ query: 'SELECT 1', default_format: format });
    expect(response.headers.get('content-type')).toBe(contentType);
    await response.arrayBuffer();
  });

  test('SHOW, DESCRIBE, EXISTS and EXPLAIN take formats too', async () => {
    await createTable('shown');
    expect(await textOf({ query: "SHOW TABLES LIKE 'shown' FORMAT JSONEachRow" })).toBe(
      '{"name":"shown"}\n',
    );
    expect(await textOf({ query: 'EXISTS shown' })).toBe('1\n');
    expect(await textOf({ query: 'DESCRIBE TABLE shown FORMAT CSV' })).toContain('"id","UInt32"');
    expect(await textOf({ query: 'EXPLAIN SYNTAX SELECT 1' })).toContain('SELECT 1');
  });
});

describe('the summary header', () => {
  test('tells read and written rows and the time', async () => {
    const summaryOf = async (query: string): Promise<Record<string, string>> => {
      const response = await ask({ query });
      await response.arrayBuffer();
      // The server's own shape: an object of decimal strings.
      return JSON.parse(response.headers.get('x-clickhouse-summary') ?? '{}') as Record<
        string,
        string
      >;
    };
    const read = await summaryOf('SELECT sum(number) FROM numbers(1000)');
    expect(read).toMatchObject({ result_rows: '1', written_rows: '0' });
    expect(Number(read['elapsed_ns'])).toBeGreaterThan(0);
    await createTable('summed');
    const written = await summaryOf("INSERT INTO summed SELECT number, 'x' FROM numbers(5)");
    expect(written).toMatchObject({ written_rows: '5' });
    expect(Number(written['written_bytes'])).toBeGreaterThan(0);
  });
});

describe('who is let in', () => {
  const one = { query: 'SELECT 1' };

  test('Basic, the X-ClickHouse headers and the URL are all understood', async () => {
    const key = server.password;
    expect((await ask(one)).status).toBe(200);
    expect(
      (
        await ask(one, {
          user: null,
          headers: { 'x-clickhouse-user': 'sluice', 'x-clickhouse-key': key },
        })
      ).status,
    ).toBe(200);
    expect((await ask({ ...one, user: 'sluice', password: key }, { user: null })).status).toBe(200);
  });

  test.each([
    ['a wrong password', { user: ['sluice', 'wrong'] as const }],
    ['no password', { user: ['sluice', ''] as const }],
    ['an unknown user', { user: ['nobody', ''] as const }],
    ['a bearer token', { user: null, headers: { authorization: 'Bearer abc' } }],
  ])('%s is refused with 403 and code 516', async (_, asked) => {
    const response = await ask(one, asked);
    expect(response.status).toBe(403);
    expect(response.headers.get('x-clickhouse-exception-code')).toBe('516');
    expect(await response.text()).toMatch(
      /^Code: 516\. DB::Exception: .*\(AUTHENTICATION_FAILED\)/,
    );
  });

  test('without a name one is the analyst', async () => {
    const response = await ask(
      { query: 'CREATE TABLE x (a Int8) ENGINE = Memory' },
      { user: null },
    );
    expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([
      403,
      '497',
    ]);
  });
});

describe('status codes', () => {
  test.each([
    ['SELECT * FROM no_such_table', 404, '60'],
    ['SELECT * FROM no_such_database.t', 404, '81'],
    ['SELEC', 400, '62'],
    ["SELECT toUInt8('x')", 400, '6'],
    ['SELECT 1 FORMAT NoSuchFormat', 404, '73'],
    ['SELECT throwIf(1)', 500, '395'],
    [
      'SELECT sum(number) FROM numbers(1000000000000) SETTINGS max_execution_time = 0.2',
      408,
      '159',
    ],
  ])('%s: %i', async (query, status, code) => {
    const response = await ask({ query });
    expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([
      status,
      code,
    ]);
    expect(await response.text()).toMatch(new RegExp(`^Code: ${code}\\. DB::Exception: `));
  });

  test('an unknown database, setting or role of the request', async () => {
    const statusOf = async (query: Record<string, string>): Promise<unknown[]> => {
      const response = await ask({ query: 'SELECT 1', ...query });
      return [response.status, response.headers.get('x-clickhouse-exception-code')];
    };
    expect(await statusOf({ database: 'nowhere' })).toEqual([404, '81']);
    expect(await statusOf({ no_such_setting: '1' })).toEqual([404, '115']);
    expect(await statusOf({ role: 'admin' })).toEqual([403, '512']);
    expect(await statusOf({ session_id: 'a', session_check: '1' })).toEqual([404, '372']);
    expect(await statusOf({ compress: '1' })).toEqual([501, '48']);
  });

  test('GET writes nothing', async () => {
    await createTable('by_get');
    for (const query of [
      "INSERT INTO by_get VALUES (1, 'x')",
      "INSERT INTO by_get SELECT 1, 'x'",
      'DROP TABLE by_get',
    ]) {
      const response = await ask({ query }, { method: 'GET' });
      expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([
        500,
        '164',
      ]);
    }
    expect(await countOf('by_get')).toBe(0);
    expect(
      await textOf(
        { query: "SELECT getSetting('max_threads')", max_threads: '1' },
        { method: 'GET' },
      ),
    ).toBe('1\n');
  });
});

describe('inserts', () => {
  test('data in the body after a statement in the URL, in any format', async () => {
    const table = await createTable('formats');
    const cases: readonly (readonly [string, string | Uint8Array<ArrayBuffer>])[] = [
      ['FORMAT CSV', '1,"a"\n'],
      ['FORMAT CSVWithNames', 'name,id\n"b",2\n'],
      ['FORMAT TSV', '3\tc\\td\n'],
      ['FORMAT JSONEachRow', '{"id":4,"name":"d"}'],
      ['VALUES', "(5, 'e'), (2 * 3, concat('f', 'g'))"],
      ['(name, id) FORMAT JSONCompactEachRow', '["h",7]'],
      ['FORMAT RowBinary', new Uint8Array([8, 0, 0, 0, 1, 105])],
      ['(id) SETTINGS async_insert = 0 FORMAT JSONEachRow', '{"id":9}'],
    ];
    for (const [clause, body] of cases)
      await textOf({ query: `INSERT INTO ${table} ${clause}` }, { body });
    expect(await textOf({ query: `SELECT id, name FROM ${table} ORDER BY id FORMAT CSV` })).toBe(
      '1,"a"\n2,"b"\n3,"c\td"\n4,"d"\n5,"e"\n6,"fg"\n7,"h"\n8,"i"\n9,""\n',
    );
  });

  test('statement and data in one body, and a statement that goes on in the body', async () => {
    const table = await createTable('one_body');
    await textOf({}, { body: `INSERT INTO ${table} FORMAT CSV\n1,"FORMAT TSV; SELECT"\n` });
    await textOf({}, { body: `INSERT INTO ${table} VALUES (2, 'b;')` });
    await textOf(
      { query: `INSERT INTO ${table}` },
      { body: `FORMAT JSONEachRow {"id":3,"name":"é"}` },
    );
    await textOf({ query: `INSERT INTO ${table} VALUES (4, 'in the URL')` });
    await textOf({}, { body: `INSERT INTO ${table} (id, name) SELECT 5, 'FORMAT'` });
    expect(await textOf({ query: `SELECT id, name FROM ${table} ORDER BY id FORMAT CSV` })).toBe(
      '1,"FORMAT TSV; SELECT"\n2,"b;"\n3,"é"\n4,"in the URL"\n5,"FORMAT"\n',
    );
  });

  test('gzip and deflate bodies, also of a statement', async () => {
    const table = await createTable('packed');
    const gzip = { 'content-encoding': 'gzip' };
    await textOf(
      { query: `INSERT INTO ${table} FORMAT CSV` },
      { body: new Uint8Array(gzipSync('1,a\n')), headers: gzip },
    );
    await textOf(
      {},
      { body: new Uint8Array(gzipSync(`INSERT INTO ${table} FORMAT CSV\n2,b\n`)), headers: gzip },
    );
    await textOf(
      { query: `INSERT INTO ${table} FORMAT CSV` },
      { body: new Uint8Array(deflateSync('3,c\n')), headers: { 'content-encoding': 'deflate' } },
    );
    expect(await countOf(table)).toBe(3);
  });

  test.each([
    ['cut', gzipSync('1,a\n'.repeat(1000)).subarray(0, -10)],
    ['not gzip', Buffer.from('1,a\n')],
    ['spoilt inside', Buffer.concat([gzipSync('1,a\n'), Buffer.from('rubbish')])],
  ])('a gzip body that is %s is a 400, and nothing is written', async (name, body) => {
    const table = await createTable(`broken_${name.replaceAll(' ', '_')}`);
    const response = await ask(
      { query: `INSERT INTO ${table} FORMAT CSV` },
      { body: new Uint8Array(body), headers: { 'content-encoding': 'gzip' } },
    );
    expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([
      400,
      '354',
    ]);
    expect(await countOf(table)).toBe(0);
  });

  test('a long body that is refused at its beginning still gets its answer, and the connection goes on', async () => {
    const started = Date.now();
    const rubbish = new Uint8Array(20 * 1024 ** 2).fill(65);
    for (const asked of [
      { body: rubbish, headers: { 'content-encoding': 'gzip' } },
      { body: rubbish, user: ['sluice', 'wrong'] as const },
      { body: rubbish, user: ['analyst', ''] as const },
    ]) {
      const response = await ask({ query: 'INSERT INTO nowhere FORMAT CSV' }, asked);
      expect([400, 403, 413]).toContain(response.status);
      expect(await response.text()).toMatch(/^Code: /);
      expect(await textOf({ query: 'SELECT 1' })).toBe('1\n');
    }
    expect(Date.now() - started).toBeLessThan(4_000);
  });

  test('an unknown Content-Encoding is refused', async () => {
    expect(
      (await ask({}, { body: 'SELECT 1', headers: { 'content-encoding': 'nonsense' } })).status,
    ).toBe(501);
  });

  test('an upload that breaks off writes nothing', async () => {
    const table = await createTable('cut_off');
    const target = new URL(server.url);
    const socket = connect(Number(target.port), target.hostname);
    const credentials = btoa(`sluice:${server.password}`);
    socket.write(
      `POST /?query=${encodeURIComponent(`INSERT INTO ${table} FORMAT CSV`)}&query_id=cut HTTP/1.1\r\nHost: x\r\n` +
        `Authorization: Basic ${credentials}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n1,a\n\r\n`,
    );
    // The data waits in a private file until all of it is there.
    const files = (): string[] =>
      readdirSync(join(server.dataDir, 'clickhouse', 'tmp')).filter(
        (name) => !name.startsWith('result'),
      );
    await waitFor(() => files().length === 1, { timeoutMs: 5_000, what: 'the upload to begin' });
    socket.destroy();
    await waitFor(() => files().length === 0, { timeoutMs: 5_000, what: 'the upload to end' });
    expect(await countOf(table)).toBe(0);
  });
});

describe('large bodies', () => {
  const MIB = 1024 ** 2;

  test('an upload of 400 MB and the table in framed formats pass through with bounded memory', async () => {
    const table = await createTable('large', 'id UInt32, name String');
    const line = `1,"${'x'.repeat(95)}"\n`;
    const block = line.repeat(10_000);
    const before = server.peakBytes();
    const status = await new Promise<number>((resolve, reject) => {
      const upload = request(
        `${server.url}/?query=${encodeURIComponent(`INSERT INTO ${table} FORMAT CSV`)}`,
        {
          method: 'POST',
          headers: { authorization: `Basic ${btoa(`sluice:${server.password}`)}` },
        },
      );
      upload.on('error', reject).on('response', (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      });
      let sent = 0;
      const send = (): void => {
        while (sent < 400) {
          sent += 1;
          if (!upload.write(block)) {
            upload.once('drain', send);
            return;
          }
        }
        upload.end();
      };
      send();
    });
    expect(status).toBe(200);
    expect(await countOf(table)).toBe(4_000_000);
    for (const format of ['JSON', 'CSVWithNames', 'Parquet']) {
      const response = await ask({ query: `SELECT * FROM ${table}`, default_format: format });
      let bytes = 0;
      for await (const chunk of response.body ?? []) bytes += chunk.length;
      expect(bytes).toBeGreaterThan(format === 'Parquet' ? 5_000 : 400_000_000);
    }
    expect(server.peakBytes() - before).toBeLessThan(1_200 * MIB);
  });

  test('a slow reader slows the engine down instead of filling memory', async () => {
    const response = await ask({
      // Blocks of 8 MB, not 64: one of those more or less on its way would decide.
      query:
        "SELECT number, repeat('y', 1000) FROM numbers(100000000) SETTINGS max_block_size = 8192",
      query_id: 'slow',
    });
    const reader = response.body?.getReader();
    await reader?.read();
    const before = server.peakBytes();
    await waitFor(async () => Number(await textOf({ query: 'SELECT 1' })) === 1, {
      timeoutMs: 5_000,
      what: 'another client',
    });
    expect(server.peakBytes() - before).toBeLessThan(100 * MIB);
    await reader?.cancel();
    await waitFor(async () => (await ask({ query: 'SELECT 1', query_id: 'slow' })).status === 200, {
      timeoutMs: 10_000,
      what: 'the statement to end',
    });
  });
});

describe('compressed answers', () => {
  test('only when asked for twice: by setting and by header', async () => {
    const raw = (
      query: string,
      encoding: string,
    ): Promise<{ encoding: string | undefined; body: Buffer }> =>
      new Promise((resolve, reject) => {
        request(
          `${server.url}/?${query}`,
          {
            headers: {
              'accept-encoding': encoding,
              authorization: `Basic ${btoa(`sluice:${server.password}`)}`,
            },
          },
          (response) => {
            const chunks: Buffer[] = [];
            response
              .on('data', (chunk: Buffer) => chunks.push(chunk))
              .on('end', () =>
                resolve({
                  encoding: response.headers['content-encoding'],
                  body: Buffer.concat(chunks),
                }),
              );
          },
        )
          .on('error', reject)
          .end();
      });
    const query = 'query=SELECT+number+FROM+numbers(100000)';
    expect((await raw(query, 'gzip')).encoding).toBeUndefined();
    expect((await raw(`${query}&enable_http_compression=1`, 'identity')).encoding).toBeUndefined();
    const packed = await raw(`${query}&enable_http_compression=1`, 'gzip');
    expect(packed.encoding).toBe('gzip');
    expect(gunzipSync(packed.body).toString().split('\n').length).toBe(100_001);
  });
});
