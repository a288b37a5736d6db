/** Reports as files: whole, streamed, harmless in a spreadsheet; and what attackers put into parameters. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiClient, type ApiClient } from '../support/api-client.ts';
import { createHistory, timeText } from '../support/report-history.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { insertCalls, insertClicks, runSql } from '../support/stored-rows.ts';

let sluice: RunningSluice;
let api: ApiClient;

beforeAll(async () => {
  sluice = await startSluice();
  api = createApiClient(sluice, sluice.adminKey);
  const history = createHistory(7, 50);
  await insertClicks(sluice, history.clicks);
  await insertCalls(sluice, history.calls);
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

describe('attacks through parameters', () => {
  const PAYLOADS = [
    "' OR 1=1 --",
    "') UNION ALL SELECT * FROM sluice_private.api_keys --",
    '1; DROP TABLE click_log',
    '{tenant:UInt32}',
    '`hit_id`, (SELECT 1)',
    "\\' OR '1'='1",
    '%00',
    'hit_id) FROM clicks --',
    '0 OR 1',
    '1e9',
    '-1',
    "a', 'b",
    '["x"]',
    '${7*7}',
    '/*',
  ];
  const COMMON = ['from', 'to', 'tz', 'sort', 'limit', 'cursor', 'format', 'breakdown'];

  it('no payload in any parameter does anything but match nothing or be refused', async () => {
    const before = await runSql(sluice, 'SELECT count() FROM click_log');
    const columns = Object.keys((await api.get('/reports/transactions?limit=1')).rows[0] ?? {});
    expect(columns.length).toBeGreaterThan(40);
    const queries = [
      // Several values of one column are one list: each column meets every payload at once.
      ...columns.map(
        (name) => new URLSearchParams(PAYLOADS.map((payload): [string, string] => [name, payload])),
      ),
      ...COMMON.flatMap((name) =>
        PAYLOADS.map((payload) => new URLSearchParams([[name, payload]])),
      ),
      ...PAYLOADS.map((payload) => new URLSearchParams([[payload, 'x']])),
    ];
    for (const report of ['transactions', 'statistics']) {
      for (const query of queries) {
        const answer = await api.get(`/reports/${report}?${query.toString()}`);
        expect([200, 400], `${query.toString()} ${answer.text}`).toContain(answer.status);
        if (answer.status === 200) expect(answer.rows, query.toString()).toEqual([]);
        expect(answer.text).not.toMatch(/DB::Exception|slk_|api_keys.*hash/);
      }
    }
    expect(await runSql(sluice, 'SELECT count() FROM click_log')).toBe(before);
    const log = readFileSync(join(sluice.dataDir, 'log', 'api.log'), 'utf8');
    expect(log).not.toContain('a request failed');
  });
});

/** Cells of a CSV file: quoted, commas and line ends inside, doubled quotes. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  for (const match of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n)/g)) {
    rows.at(-1)?.push((match[1] ?? match[2] ?? '').replaceAll('""', '"'));
    if (match[3] === '\n') rows.push([]);
  }
  return rows.slice(0, -1);
}

describe('files', () => {
  const MANY = 120_000;
  const NASTY = [
    '=1+1',
    '+1',
    '-1',
    '@SUM(A1)',
    '\t=1',
    '\r=1',
    '\n=1',
    '＝1',
    'a=1',
    '"quoted", and\nbroken',
    "'",
    'ümläut 🙂',
    '\\',
    '',
  ];
  beforeAll(async () => {
    await insertClicks(
      sluice,
      NASTY.map((sub_id1, n) => ({
        hit_id: `00000000-nasty-${String(n).padStart(2, '0')}`,
        hit_time: timeText(Date.parse('2025-05-05T00:00:00Z') + n),
        click_time: '2025-05-05 00:00:00.000',
        offer_id: 77,
        sub_id1,
      })),
    );
    await runSql(
      sluice,
      `INSERT INTO click_log (hit_id, hit_time, click_time, offer_id, sub_id1)
       SELECT concat('many-', leftPad(toString(number), 7, '0')), toDateTime64('2025-06-01 00:00:00', 3, 'UTC') + number AS at, at, 78, toString(number)
       FROM numbers(${MANY})`,
    );
  });

  it('a CSV cell can’t become a formula, and loses nothing else', async () => {
    const { text } = await api.get('/reports/clicks?offer_id=77&sort=hit_time&format=csv');
    const [header = [], ...rows] = parseCsv(text);
    const cells = rows.map((row) => row[header.indexOf('sub_id1')]);
    expect(cells).toEqual(NASTY.map((value, n) => (n <= 7 ? `'${value}` : value)));
    for (const row of rows) {
      expect(row.length).toBe(header.length);
      for (const cell of row) expect(cell).not.toMatch(/^[=+\-@\t\r\n＝]/);
    }
    const json = (await api.get('/reports/clicks?offer_id=77&limit=1')).rows[0] ?? {};
    expect(header).toEqual(Object.keys(json));
  });

  it.each(['csv', 'ndjson'])(
    '%s holds every row, however many, and is streamed',
    async (format) => {
      const response = await fetch(
        `${sluice.apiUrl}/api/v1/reports/clicks?offer_id=78&sort=hit_time&format=${format}`,
        {
          headers: { authorization: `Bearer ${sluice.adminKey}` },
        },
      );
      expect(response.status).toBe(200);
      expect(response.headers.get('content-disposition')).toBe(
        `attachment; filename="clicks.${format}"`,
      );
      // Not known before it is made: nothing holds the file whole.
      expect(response.headers.get('content-length')).toBeNull();
      const lines = (await response.text()).trimEnd().split('\n');
      const rows = format === 'csv' ? lines.slice(1) : lines;
      expect(rows.length).toBe(MANY);
      expect(rows[0]).toContain('many-0000000');
      expect(rows.at(-1)).toContain(`many-${String(MANY - 1).padStart(7, '0')}`);
    },
  );

  it('Parquet holds every row with its types', async () => {
    const response = await fetch(
      `${sluice.apiUrl}/api/v1/reports/clicks?offer_id=78&format=parquet`,
      {
        headers: { authorization: `Bearer ${sluice.adminKey}` },
      },
    );
    const file = join(sluice.dataDir, 'clicks.parquet');
    writeFileSync(file, Buffer.from(await response.arrayBuffer()));
    const { query } = await import('chdb');
    const counted = query(
      `SELECT count(), uniqExact(hit_id), sum(offer_id), toTypeName(any(hit_time)) LIKE '%DateTime64%' FROM file('${file}', 'Parquet')`,
      'TSV',
    );
    expect(counted.trim()).toBe(`${MANY}\t${MANY}\t${78 * MANY}\t1`);
  });

  it('statistics come as files too', async () => {
    const { text } = await api.get('/reports/statistics?breakdown=offer&sort=offer&format=csv');
    const [header = [], ...rows] = parseCsv(text);
    expect(header.slice(0, 3)).toEqual(['offer', 'clicks', 'invalid_clicks']);
    expect(rows.map((row) => row[0])).toEqual(['10', '20', '77', '78']);
    expect(rows[3]?.[1]).toBe(String(MANY));
  });

  it('a client that goes away ends the query', async () => {
    const gone = new AbortController();
    const response = await fetch(
      `${sluice.apiUrl}/api/v1/reports/clicks?offer_id=78&format=ndjson`,
      {
        headers: { authorization: `Bearer ${sluice.adminKey}` },
        signal: gone.signal,
      },
    );
    await response.body?.getReader().read();
    gone.abort();
    expect((await api.get('/reports/clicks?offer_id=78&limit=1')).status).toBe(200);
  });
});
