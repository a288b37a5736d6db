/**
 * Batches through a whole Sluice, from outside: receipts, verdicts of every line, who may send what, one key one batch,
 * cut connections, and kills of the edge, its batch process, the worker and ClickHouse at any moment.
 */
import { randomInt } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

let sluice: RunningSluice;
let ownKey = '';
let otherKey = '';

interface Answer {
  readonly status: number;
  readonly replayed: boolean;
  readonly body: Record<string, unknown>;
}

interface Line {
  readonly line: number;
  readonly hit_id: string;
  readonly verdict_code: number;
  readonly offer_id: number;
  readonly transaction_id: string;
}

beforeAll(async () => {
  sluice = await startSluice({ SLUICE_WORKERS: '2' });
  await sluice.run(['catalogue', 'apply', projectPath('test/e2e/contract-catalogue.yaml')]);
  ownKey = await makeKey({ role: 'advertiser', advertiser_id: 1, name: 'shop' });
  otherKey = await makeKey({ role: 'advertiser', advertiser_id: 2, name: 'other shop' });
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

async function makeKey(key: object): Promise<string> {
  const response = await fetch(`${sluice.apiUrl}/api/v1/api-keys`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${sluice.adminKey}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(key),
  });
  return ((await response.json()) as { key: string }).key;
}

async function click(offer = 16): Promise<string> {
  const response = await fetch(`${sluice.edgeUrl}/click?o=${offer}&a=1&return=click_id`);
  return ((await response.json()) as { click_id: string }).click_id;
}

async function send(
  content: string | Buffer,
  options: {
    key?: string;
    idempotencyKey?: string;
    query?: string;
    headers?: Record<string, string>;
  } = {},
): Promise<Answer> {
  const { key = ownKey, idempotencyKey, query = '' } = options;
  const response = await fetch(`${sluice.edgeUrl}/track/batch${query}`, {
    method: 'POST',
    headers: {
      ...(key !== '' && { Authorization: `Bearer ${key}` }),
      ...(idempotencyKey !== undefined && { 'Idempotency-Key': idempotencyKey }),
      ...options.headers,
    },
    body: content,
  });
  return {
    status: response.status,
    replayed: response.headers.has('idempotent-replay'),
    body: (await response.json()) as Record<string, unknown>,
  };
}

async function api(path: string, key = ownKey): Promise<Response> {
  return fetch(`${sluice.apiUrl}${path}`, { headers: { Authorization: `Bearer ${key}` } });
}

interface Status {
  readonly state: string;
  readonly hits: number;
  readonly judged: number;
  readonly verdicts: Record<string, number>;
}

async function done(batchId: unknown, key = ownKey): Promise<Status> {
  return waitFor(
    async () => {
      const response = await api(`/api/v1/batches/${String(batchId)}`, key).catch(() => undefined);
      if (response?.status !== 200) return undefined;
      const status = (await response.json()) as Status;
      return status.state === 'done' && status;
    },
    { timeoutMs: 120_000, what: `batch ${String(batchId)} to be judged`, intervalMs: 200 },
  );
}

async function linesOf(batchId: unknown, query = '', key = ownKey): Promise<Line[]> {
  const response = await api(`/api/v1/batches/${String(batchId)}/lines${query}`, key);
  return ((await response.json()) as { rows: Line[] }).rows;
}

async function sql<T>(query: string): Promise<T[]> {
  const response = await fetch(`${sluice.clickhouseUrl}/?user=analyst`, {
    method: 'POST',
    body: `${query} FORMAT JSONEachRow`,
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

/** Rows of calls whose order id begins so. */
async function ordersLike(prefix: string): Promise<number> {
  const [row] = await sql<{ n: number }>(
    `SELECT count() AS n FROM postbacks WHERE startsWith(adv_order_id, '${prefix}')`,
  );
  return row?.n ?? 0;
}

/** What the edges hold of batches: part files, folders. */
function onDisk(): string[] {
  const spool = join(sluice.dataDir, 'spool');
  return readdirSync(spool)
    .map((edge) => join(spool, edge, 'batches'))
    .filter((dir) => existsSync(dir))
    .flatMap((dir) => readdirSync(dir));
}

const emptyDisk = (): Promise<true> =>
  waitFor(() => onDisk().length === 0, { timeoutMs: 60_000, what: 'the spool to hold no batch' });

it('judges every line of a file by the rules of single calls, and says so line by line', async () => {
  const [one, two, strict, ranged] = await Promise.all([click(), click(), click(50), click(60)]);
  const csv = [
    'adv_order_id;click_id;goal_alias;amount;endpoint;code;payout;ip;notes',
    `a;${one};sale;10.5;;;7;;first`,
    `b;${two};many;abc;;;;;`,
    `c;${strict};sale;1;;;;;another advertiser's click`,
    `d;${ranged};;2;;;;;offer with an address list`,
    `e;;;;promo;SPRING;;192.0.2.7;`,
    `f;${one};sale;1;;;;;"twice`,
    `on this click"`,
    `g;"broken`,
    `h;${one};nope;1;conv;;;;`,
  ].join('\r\n');
  const { status, body } = await send(`\ufeff${csv}`, { idempotencyKey: 'rules' });
  expect(status).toBe(202);
  expect(body).toMatchObject({ lines: 8, hits: 8, rejected_lines: 2, ignored_columns: ['notes'] });
  expect(body['rejected']).toMatchObject([
    { line: 3, column: 'amount' },
    { line: 9, column: 'click_id' },
  ]);
  const status2 = await done(body['batch_id']);
  expect(status2.verdicts).toEqual({
    accepted: 3,
    malformed: 2,
    offer_not_found: 1,
    multiple_conversions: 1,
    goal_not_found: 1,
  });
  const lines = await linesOf(body['batch_id']);
  expect(lines.map(({ line, verdict_code }) => [line, verdict_code])).toEqual([
    [2, 0],
    [3, 120],
    [4, 105],
    [5, 0],
    [6, 0],
    [7, 101],
    [9, 120],
    [10, 106],
  ]);
  expect(lines[2]?.offer_id).toBe(0);
  const rows = await sql<Record<string, unknown>>(
    `SELECT channel, payout, advertiser_id, sub_id1, affiliate_id, body FROM postbacks WHERE hit_id = '${lines[0]?.hit_id ?? ''}'`,
  );
  // The key stands for the token: payout counts.
  expect(rows).toMatchObject([{ channel: 'batch', payout: 7, advertiser_id: 1, affiliate_id: 1 }]);
  expect(await linesOf(body['batch_id'], '?verdict=multiple_conversions')).toMatchObject([
    { line: 7 },
  ]);
  expect(await linesOf(body['batch_id'], '?verdict=105&verdict=106')).toMatchObject([
    { line: 4 },
    { line: 10 },
  ]);
  const asCsv = await (
    await api(`/api/v1/batches/${String(body['batch_id'])}/lines?format=csv`)
  ).text();
  expect(asCsv.split('\n')[0]).toMatch(/^line,hit_id,verdict_code/);
  expect((await api(`/api/v1/batches/${String(body['batch_id'])}`, otherKey)).status).toBe(404);
  expect((await api(`/api/v1/batches/${String(body['batch_id'])}/lines`, otherKey)).status).toBe(
    404,
  );
  const explained = (await (
    await api(`/api/v1/explain?hit_id=${lines[2]?.hit_id ?? ''}`)
  ).json()) as {
    checks: { check: string; outcome: string }[];
  };
  expect(explained.checks.find(({ outcome }) => outcome === 'failed')?.check).toBe(
    'named ids exist',
  );
  await emptyDisk();
}, 120_000);

it("kinds other than postbacks are a manager's, of all offers, and say who asked", async () => {
  const line = '{"transaction_id":"x","conv_status":"approved"}';
  const query = '?kind=corrections&author=Ada%20L.&suppress_postbacks=1';
  expect((await send(line, { query })).status).toBe(403);
  expect((await send(line, { query: '?kind=gifts', key: sluice.adminKey })).status).toBe(400);
  const stored = await send(line, { query, key: sluice.adminKey });
  expect(stored.status).toBe(202);
  const { verdicts } = await done(stored.body['batch_id'], sluice.adminKey);
  expect(verdicts).toEqual({ transaction_not_found: 1 });
  expect((await api(`/api/v1/batches/${String(stored.body['batch_id'])}`)).status).toBe(404);
  const hits = await linesOf(stored.body['batch_id'], '', sluice.adminKey);
  const explained = await api(`/api/v1/explain?hit_id=${hits[0]?.hit_id}`, sluice.adminKey);
  expect(await explained.json()).toMatchObject({
    row: { channel: 'manual', author: 'Ada L.', suppress_postbacks: 1 },
  });
});

it('takes NDJSON and JSON arrays, plain and gzip; tokens in lines hold as in calls and are not kept', async () => {
  const ids = await Promise.all([click(), click(), click()]);
  const objects = [
    { click_id: ids[0], amount: 1.5, adv_order_id: 'n1' },
    { click_id: ids[1], token: 'wrong', adv_order_id: 'n2' },
    { click_id: ids[2], token: 's3cret', adv_order_id: 'n3' },
  ];
  for (const [index, content] of [
    objects.map((item) => JSON.stringify(item)).join('\n'),
    gzipSync(JSON.stringify(objects)),
  ].entries()) {
    const { status, body } = await send(content);
    expect(status).toBe(202);
    await done(body['batch_id']);
    const codes = (await linesOf(body['batch_id'])).map(({ verdict_code }) => verdict_code);
    expect(codes).toEqual(index === 0 ? [0, 117, 0] : [101, 117, 101]);
  }
  expect(
    await sql(`SELECT hit_id FROM postbacks WHERE body LIKE '%s3cret%' OR body LIKE '%wrong%'`),
  ).toEqual([]);
}, 120_000);

it('refuses who may not, and files that are none; nothing is stored then', async () => {
  const affiliate = await makeKey({ role: 'affiliate', affiliate_id: 1, name: 'blogger' });
  const before = await sql('SELECT count() AS n FROM postbacks');
  const good = 'click_id\nx\n';
  const statuses = [
    await send(good, { key: '' }),
    await send(good, { key: 'slk_nope' }),
    await send(good, { key: affiliate }),
    await send(good, { query: '?advertiser_id=2' }),
    await send(good, { key: sluice.adminKey }),
    await send(good, { key: sluice.adminKey, query: '?advertiser_id=999' }),
    await send('', {}),
    await send('a;b\n1;2\n'),
    await send('[{"click_id":"x"}'),
    await send(gzipSync('click_id\nx\n').subarray(0, 20)),
    await send(good, { headers: { 'Content-Encoding': 'br' } }),
    await send(good, { idempotencyKey: 'x'.repeat(201) }),
    await send('click_id;amount\nx;1\ny;z\n', { query: '?dry_run=1' }),
  ];
  expect(statuses.map(({ status }) => status)).toEqual([
    401, 401, 403, 403, 400, 404, 400, 400, 400, 400, 415, 400, 200,
  ]);
  expect(statuses.at(-1)?.body).toMatchObject({
    dry_run: true,
    lines: 2,
    rejected_lines: 1,
    rejected: [{ line: 3, column: 'amount' }],
  });
  expect(onDisk()).toEqual([]);
  expect(await sql('SELECT count() AS n FROM postbacks')).toEqual(before);
  expect((await fetch(`${sluice.edgeUrl}/track/batch`)).status).toBe(405);
}, 60_000);

it('one key is one batch: sent again, by two at once, from two connections; another file under it is a conflict', async () => {
  const id = await click();
  const file = (tag: string): string =>
    `click_id;goal_alias;adv_order_id\n${Array.from({ length: 3_000 }, (_, index) => `${id};many;${tag}${index}\n`).join('')}`;
  const together = await Promise.all(
    Array.from({ length: 4 }, (_, index) =>
      send(index % 2 === 0 ? file('same') : gzipSync(file('same')), { idempotencyKey: 'once' }),
    ),
  );
  expect(together.map(({ status }) => status)).toEqual([202, 202, 202, 202]);
  expect(new Set(together.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  expect(together.filter(({ replayed }) => !replayed).length).toBe(1);
  const again = await send(file('same'), { idempotencyKey: 'once' });
  expect([again.status, again.replayed, again.body]).toEqual([202, true, together[0]?.body]);
  const other = await send(file('differs'), { idempotencyKey: 'once' });
  expect([other.status, other.body['batch_id']]).toEqual([409, again.body['batch_id']]);
  // Another advertiser's key of the same text is another key.
  expect((await send(file('foreign'), { idempotencyKey: 'once', key: otherKey })).replayed).toBe(
    false,
  );
  await done(again.body['batch_id']);
  expect(await ordersLike('same')).toBe(3_000);
  expect(await ordersLike('differs')).toBe(0);
  await emptyDisk();
}, 120_000);

it('a connection that is cut at any byte leaves nothing', async () => {
  const id = await click();
  const content = Buffer.from(
    `click_id;goal_alias;adv_order_id\n${Array.from({ length: 20_000 }, (_, index) => `${id};many;cut${index}\n`).join('')}`,
  );
  const head = Buffer.from(
    `POST /track/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ownKey}\r\nIdempotency-Key: cut\r\nContent-Length: ${content.length}\r\n\r\n`,
  );
  const whole = Buffer.concat([head, content]);
  for (let turn = 0; turn < 25; turn++) {
    const at = turn === 0 ? whole.length - 1 : randomInt(1, whole.length);
    await new Promise<void>((resolve) => {
      const socket = connect(Number(new URL(sluice.edgeUrl).port), '127.0.0.1');
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
      socket.write(whole.subarray(0, at), () =>
        turn % 2 === 0 ? socket.destroy() : socket.end(() => socket.destroy()),
      );
    });
  }
  await emptyDisk();
  // Of that many at once some are still being found gone: the edge takes eight.
  await done(await sendUntilStored(content, 'cut'));
  expect(await ordersLike('cut')).toBe(20_000);
}, 120_000);

function childrenNamed(parent: number, part: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const isChild = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent;
        return isChild && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(part);
      } catch {
        // It ended while we looked.
        return false;
      }
    })
    .map(Number);
}

type Victim = 'edge' | 'batch process' | 'worker' | 'clickhouse' | 'redis-server';

function kill(victim: Victim): void {
  const pids =
    victim === 'batch process'
      ? sluice.pidsOf('edge').flatMap((pid) => childrenNamed(pid, 'batch/process'))
      : sluice.pidsOf(victim);
  for (const pid of pids.slice(0, 1)) process.kill(pid, 'SIGKILL');
}

/** Sends until it is answered 202, as a client does who keeps the key. */
async function sendUntilStored(content: Buffer, idempotencyKey: string): Promise<string> {
  return waitFor(
    async () => {
      const answer = await send(content, { idempotencyKey }).catch(() => undefined);
      if (answer !== undefined && answer.status !== 202 && answer.status !== 503)
        throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
      return answer?.status === 202 && String(answer.body['batch_id']);
    },
    { timeoutMs: 120_000, what: 'a receipt', intervalMs: 200 },
  );
}

it('a kill at any moment of upload, chunking or judging: the batch is there once and whole', async () => {
  const id = await click();
  const lines = 12_000;
  const victims: readonly Victim[] = [
    'edge',
    'batch process',
    'worker',
    'edge',
    'clickhouse',
    'batch process',
    'redis-server',
    'edge',
  ];
  for (const [round, victim] of victims.entries()) {
    const tag = `kill${round}x`;
    const content = Buffer.from(
      `click_id;goal_alias;adv_order_id\n${Array.from({ length: lines }, (_, index) => `${id};many;${tag}${index}\n`).join('')}`,
    );
    const stored = sendUntilStored(content, tag);
    // Between the first byte and the last verdict of a quiet machine; at worst before or after all of it.
    const moment = new Promise((resolve) => setTimeout(resolve, randomInt(0, 1_500)));
    await moment;
    kill(victim);
    const batchId = await stored;
    const { verdicts } = await done(batchId);
    expect(verdicts, `${victim} killed`).toEqual({ accepted: lines });
    const [row] = await sql<{ n: number; ids: number; orders: number }>(
      `SELECT count() AS n, uniqExact(hit_id) AS ids, uniqExact(adv_order_id) AS orders FROM postbacks WHERE startsWith(adv_order_id, '${tag}')`,
    );
    expect(row, `${victim} killed`).toEqual({ n: lines, ids: lines, orders: lines });
    await emptyDisk();
    // Killed late, the edge may be on its way back still when all is judged.
    await sluice.edgeReady();
  }
}, 480_000);

it('an edge that dies for good leaves its batches to another, which sees them through', async () => {
  const id = await click();
  const content = Buffer.from(
    `click_id;goal_alias;adv_order_id\n${Array.from({ length: 30_000 }, (_, index) => `${id};many;left${index}\n`).join('')}`,
  );
  const batchId = await sendUntilStored(content, 'left');
  kill('edge');
  await done(batchId);
  expect(await ordersLike('left')).toBe(30_000);
  await emptyDisk();
  await sluice.edgeReady();
}, 180_000);

it('receives a large file in bounded memory, and answers others meanwhile', async () => {
  const [edge = 0] = await waitFor(
    () => sluice.pidsOf('edge').length > 0 && sluice.pidsOf('edge'),
    { timeoutMs: 20_000, what: 'an edge' },
  );
  const rssMiB = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${edge}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  await click();
  const before = rssMiB();
  const piece = Buffer.from(
    `{"click_id":"x","amount":1,"adv_order_id":"${'o'.repeat(60_000)}"}\n`.repeat(16),
  );
  const pieces = Math.ceil((300 * 2 ** 20) / piece.length);
  let peak = before;
  let answered = 0;
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const request = httpRequest(
      `${sluice.edgeUrl}/track/batch?dry_run=1`,
      { method: 'POST', headers: { Authorization: `Bearer ${ownKey}` } },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    ).on('error', reject);
    let left = pieces;
    const push = (): void => {
      while (left-- > 0) {
        peak = Math.max(peak, rssMiB());
        if (left % 50 === 0) void click().then(() => (answered += 1));
        if (!request.write(piece)) {
          request.once('drain', push);
          return;
        }
      }
      request.end();
    };
    push();
  });
  peak = Math.max(peak, rssMiB());
  expect(status).toBe(200);
  expect(answered).toBeGreaterThan(0);
  expect(peak - before).toBeLessThan(100);
}, 180_000);

it('sluice batch sends a file and prints what became of it; the same file again is the same batch', async () => {
  const id = await click();
  const file = join(sluice.dataDir, 'orders.csv');
  writeFileSync(
    file,
    `click_id;goal_alias;adv_order_id\n${id};many;cli1\n${id};nope;cli2\n;;\n"${id}\n`,
  );
  const first = await sluice.run(['batch', file, '--advertiser', '1']);
  expect(first).toMatch(/4 lines, 1 of them/);
  expect(first).toMatch(/line 5, column click_id: the quote that opens is never closed/);
  expect(first).toMatch(/1 {2}Accepted/);
  expect(first).toMatch(/1 {2}Goal Not Found/);
  const again = await sluice.run(['batch', file, '--advertiser', '1']);
  expect(again.split('\n')[0]).toBe(first.split('\n')[0]);
  expect(await ordersLike('cli')).toBe(2);
  expect(await sluice.run(['batch', file, '--advertiser', '1', '--dry-run'])).toMatch(
    /dry run: 4 lines/,
  );
  writeFileSync(file, 'nonsense\n');
  expect(await sluice.run(['batch', file, '--advertiser', '1'], 1)).toMatch(
    /refused \(400\): line 1, column 1/,
  );
  await sluice.run(['doctor']);
}, 120_000);
