/**
 * Corrections and conversions by hand through a whole Sluice, from outside: what PATCH answers, files, who may, retries
 * and races under one key, releases while the worker is killed at every point, and what explain says of it all.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import type { CrashPoint } from '../../src/domain/crash-points.ts';
import {
  createApiClient,
  createKey,
  sendCall,
  sendClick,
  type ApiClient,
  type Row,
} from '../support/api-client.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

const WORKER_POINTS: readonly CrashPoint[] = [
  'judged',
  'inserting',
  'inserted',
  'committed',
  'applied',
];
const crashFile = join(tmpdir(), `sluice-corrections-${process.pid}`);

let sluice: RunningSluice;
let manager: ApiClient;
let advertiser: ApiClient;
let stranger: ApiClient;
let affiliate: ApiClient;

beforeAll(async () => {
  sluice = await startSluice({ SLUICE_CRASH_FILE: crashFile });
  await sluice.run(['catalogue', 'apply', projectPath('test/e2e/contract-catalogue.yaml')]);
  manager = createApiClient(sluice, sluice.adminKey);
  const keyOf = async (asked: Row): Promise<ApiClient> =>
    (await createKey(manager, sluice, asked)).client;
  advertiser = await keyOf({ role: 'advertiser', advertiser_id: 1, name: 'shop' });
  stranger = await keyOf({ role: 'advertiser', advertiser_id: 2, name: 'strict' });
  affiliate = await keyOf({ role: 'affiliate', affiliate_id: 1, name: 'blog' });
  await waitFor(
    async () => (await fetch(`${sluice.edgeUrl}/click?o=16&a=1&return=click_id`)).status === 200,
    { timeoutMs: 10_000, what: 'the catalogue to be in force' },
  );
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

async function conversion(goal = 'many', more = ''): Promise<string> {
  const click = await sendClick(sluice, 'o=16&a=1');
  const row = await sendCall(sluice, manager, `conv?click_id=${click}&goal_alias=${goal}${more}`);
  expect(row['verdict_code'], JSON.stringify(row)).toBe(0);
  return String(row['transaction_id']);
}

interface Sent {
  readonly status: number;
  readonly repeated: boolean;
  readonly body: Row;
}

/** As clients of another kind send, with content and headers of their choice. */
async function raw(
  method: string,
  path: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
  client = manager,
): Promise<Sent> {
  const response = await fetch(client.urlOf(path), {
    method,
    headers: {
      authorization: `Bearer ${client.key}`,
      'content-type': 'application/json',
      ...headers,
    },
    body: new Uint8Array(Buffer.from(body)),
  });
  const text = await response.text();
  return {
    status: response.status,
    repeated: response.headers.has('idempotent-replay'),
    body: JSON.parse(text) as Row,
  };
}

async function batchDone(batchId: unknown, client = manager): Promise<Row> {
  return waitFor(
    async () => {
      const { body } = await client.get(`/batches/${String(batchId)}`);
      return body['state'] === 'done' && body;
    },
    { timeoutMs: 60_000, what: `batch ${String(batchId)}`, intervalMs: 200 },
  );
}

async function linesOf(batchId: unknown): Promise<readonly Row[]> {
  return (await manager.get(`/batches/${String(batchId)}/lines`)).rows;
}

async function sql<T>(query: string): Promise<T[]> {
  const response = await fetch(`${sluice.clickhouseUrl}/?user=analyst`, {
    method: 'POST',
    body: `${query} FORMAT JSONEachRow`,
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as T);
}

const eventsOf = (id: string): Promise<Row[]> =>
  sql(`SELECT * FROM transaction_events WHERE transaction_id = '${id}' ORDER BY hit_id`);

it('PATCH answers with the transaction as it is then, and the event says who changed what from what', async () => {
  const id = await conversion();
  const patched = await manager.send('PATCH', `/transactions/${id}`, {
    conv_status: 'rejected',
    payout: '0.5',
    notes: 'chargeback',
  });
  expect(patched.status, patched.text).toBe(200);
  expect(patched.body).toMatchObject({
    transaction_id: id,
    conv_status: 'rejected',
    payout: 0.5,
    revenue: 2.5,
    notes: 'chargeback',
    released: 0,
  });
  const own = await advertiser.send('PATCH', `/transactions/${id}`, { amount: 7 });
  expect([own.status, own.body['amount']]).toEqual([200, 7]);
  expect(await eventsOf(id)).toMatchObject([
    { author: 'admin key', previous_conv_status: 'approved', conv_status: 'rejected' },
    { author: 'shop', previous_amount: null, amount: 7, previous_payout: 0.5 },
  ]);
  expect((await affiliate.get(`/transactions/${id}`)).body).not.toHaveProperty('notes');
});

it('says who may not, what is not there, and which field is wrong', async () => {
  const id = await conversion();
  const path = `/transactions/${id}`;
  const change = { conv_status: 'rejected' };
  expect((await affiliate.send('PATCH', path, change)).status).toBe(403);
  expect((await stranger.send('PATCH', path, change)).status).toBe(404);
  expect((await stranger.get(path)).status).toBe(404);
  expect((await manager.send('PATCH', '/transactions/nothing', change)).status).toBe(404);
  const wrong: readonly (readonly [object, readonly string[]])[] = [
    [{ conv_status: 'paid', payout: -1 }, ['conv_status', 'payout']],
    [{ amount: '1.23456' }, ['amount']],
    [{ currency: 'EURO' }, ['currency']],
    [{ release: 'yes' }, ['release']],
    [{ release: true, conv_status: 'approved' }, ['release']],
    [{ status: 'approved', payout: 1 }, ['status']],
    [{}, ['(whole)']],
    [{ notes: 'x'.repeat(2_001) }, ['notes']],
  ];
  for (const [body, fields] of wrong) {
    const refused = await manager.send('PATCH', path, body);
    expect([refused.status, refused.fields], refused.text).toEqual([422, fields]);
  }
  expect(await eventsOf(id)).toEqual([]);
});

it('one key is one change: from two clients at once, again later, and never for another content', async () => {
  const id = await conversion();
  const headers = { 'idempotency-key': `k-${id}` };
  const body = JSON.stringify({ payout: '2', notes: 'once' });
  const send = (): Promise<Sent> => raw('PATCH', `/transactions/${id}`, body, headers);
  const answers = await Promise.all([send(), send(), send()]);
  answers.push(await send());
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(answers.filter(({ repeated }) => !repeated).length).toBe(1);
  const other = await raw('PATCH', `/transactions/${id}`, '{"payout":"3"}', headers);
  expect(other.status).toBe(409);
  expect((await eventsOf(id)).length).toBe(1);
});

it('two releases at once are one, and the room they make is taken exactly once', async () => {
  const held = [];
  for (let n = 0; n < 3; n++) held.push(await conversion('capped'));
  const click = await sendClick(sluice, 'o=16&a=1');
  const call = (): Promise<Row> =>
    sendCall(sluice, manager, `conv?click_id=${click}&goal_alias=capped`);
  expect((await call())['verdict_code']).toBe(107);
  const [first = '', second = ''] = held;
  const reject = { conv_status: 'rejected' };
  await manager.send('PATCH', `/transactions/${first}`, reject);
  expect((await call())['verdict_code']).toBe(107);
  const release = { ...reject, release: true };
  const released = await Promise.all(
    [first, second, first, second].map((id) =>
      manager.send('PATCH', `/transactions/${id}`, release),
    ),
  );
  expect(released.map(({ status, body }) => [status, body['released']])).toEqual(
    released.map(() => [200, 1]),
  );
  const events = [...(await eventsOf(first)), ...(await eventsOf(second))];
  expect(events.filter((event) => event['released'] === 1).length).toBe(2);
  const calls = await Promise.all([call(), call(), call(), call()]);
  expect(calls.filter((row) => row['verdict_code'] === 0).length).toBe(2);
  const doctor = await sluice.run(['doctor']);
  expect(JSON.stringify(doctor)).not.toContain('PROBLEM');
}, 60_000);

it('a file corrects many, names the lines at fault, and is one batch under one key', async () => {
  const ids = [await conversion(), await conversion(), await conversion()];
  const file = [
    'transaction_id;conv_status;payout;release;notes;colour',
    `${ids[0]};rejected;;true;"twice; sent";red`,
    `${ids[1]};approved;4.5;;;`,
    `${ids[2]};maybe;;;;`,
    `;approved;;;;`,
    `${ids[2]};approved;;true;;`,
    `01900000-0000-7000-8000-000000000000;approved;;;;`,
  ].join('\n');
  const csv = { 'content-type': 'text/csv' };
  const dry = await raw('POST', '/transactions/bulk?dry_run=1', file, csv);
  expect(dry.status).toBe(200);
  expect(dry.body).toMatchObject({ dry_run: true, lines: 6, rejected_lines: 3 });
  expect(await eventsOf(ids[0] ?? '')).toEqual([]);
  const headers = { ...csv, 'idempotency-key': 'bulk-1' };
  const [one, two] = await Promise.all([
    raw('POST', '/transactions/bulk', file, headers),
    raw('POST', '/transactions/bulk', gzipSync(file), headers),
  ]);
  expect([one.status, two.status]).toEqual([202, 202]);
  expect(one.body['batch_id']).toBe(two.body['batch_id']);
  expect(one.body).toMatchObject({
    ignored_columns: ['colour'],
    rejected: [
      { line: 4, column: 'conv_status' },
      { line: 5, column: 'transaction_id', error: 'transaction_id is missing' },
      { line: 6, column: 'release' },
    ],
  });
  const status = await batchDone(one.body['batch_id']);
  expect(status).toMatchObject({
    kind: 'corrections',
    author: 'admin key',
    verdicts: { accepted: 2, malformed: 3, transaction_not_found: 1 },
  });
  expect((await manager.get(`/transactions/${ids[0]}`)).body).toMatchObject({
    conv_status: 'rejected',
    released: 1,
    notes: 'twice; sent',
  });
  expect((await manager.get(`/transactions/${ids[1]}`)).body).toMatchObject({ payout: 4.5 });
});

it('a file that is refused leaves nothing, and says where it is wrong', async () => {
  const id = await conversion();
  const csv = { 'content-type': 'text/csv' };
  const before = await sql<Row>('SELECT count() AS n FROM postbacks');
  const twice = await raw(
    'POST',
    '/transactions/bulk',
    `transaction_id,payout,payout\n${id},1,2\n`,
    csv,
  );
  expect(twice.status).toBe(400);
  expect(twice.body['errors']).toMatchObject([{ field: 'line 1, column 3' }]);
  const open = await raw('POST', '/transactions/bulk', `[{"transaction_id":"${id}","payout":1}`);
  expect(open.status).toBe(400);
  expect((await raw('POST', '/transactions/bulk', '')).status).toBe(400);
  expect((await raw('POST', '/transactions/bulk', 'x', csv, affiliate)).status).toBe(403);
  expect((await raw('POST', '/transactions/bulk-manual', 'x', csv, advertiser)).status).toBe(403);
  expect(await sql<Row>('SELECT count() AS n FROM postbacks')).toEqual(before);
  // To another advertiser the transaction is not there.
  const foreign = await raw(
    'POST',
    '/transactions/bulk',
    `{"transaction_id":"${id}","payout":1}`,
    {},
    stranger,
  );
  expect(foreign.status).toBe(202);
  const { verdicts } = await batchDone(foreign.body['batch_id'], stranger);
  expect(verdicts).toEqual({ transaction_not_found: 1 });
  expect(await eventsOf(id)).toEqual([]);
});

it('a conversion by hand needs no click, passes the same gate, and is marked as such', async () => {
  const manual = {
    affiliate_id: 1,
    goal_id: 17,
    adv_order_id: 'hand-1',
    payout: 3,
    notes: 'bonus',
  };
  const made = await manager.send('POST', '/transactions', manual);
  expect(made.status, made.text).toBe(201);
  expect(made.body).toMatchObject({
    channel: 'manual',
    author: 'admin key',
    offer_id: 16,
    goal_id: 17,
    payout: 3,
    notes: 'bonus',
    click_id: '',
  });
  const again = await manager.send('POST', '/transactions', manual);
  expect([again.status, again.fields]).toEqual([422, ['adv_order_id']]);
  const refused: readonly (readonly [object, string])[] = [
    [{ affiliate_id: 2, offer_id: 16 }, 'affiliate_id'],
    [{ affiliate_id: 99, offer_id: 16 }, 'affiliate_id'],
    [{ affiliate_id: 1, offer_id: 99 }, 'offer_id'],
    [{ affiliate_id: 1, offer_id: 20 }, 'offer_id'],
    [{ affiliate_id: 1, offer_id: 40 }, 'affiliate_id'],
    [{ affiliate_id: 1, offer_id: 70 }, 'goal_id'],
    [{ affiliate_id: 1 }, 'offer_id'],
    [{ affiliate_id: 1, offer_id: 16, click_id: 'x' }, 'click_id'],
  ];
  for (const [body, field] of refused) {
    const answer = await manager.send('POST', '/transactions', body);
    expect([answer.status, answer.fields], answer.text).toEqual([422, [field]]);
  }
  for (const client of [advertiser, affiliate])
    expect((await client.send('POST', '/transactions', manual)).status).toBe(403);
  const file =
    'affiliate_id,offer_id,goal_alias,adv_order_id\n1,16,order,hand-2\n1,16,order,hand-2\n,16,order,x\n';
  const bulk = await raw('POST', '/transactions/bulk-manual', file, { 'content-type': 'text/csv' });
  expect(bulk.status).toBe(202);
  expect(await batchDone(bulk.body['batch_id'])).toMatchObject({
    kind: 'manual',
    verdicts: { accepted: 1, duplicate_order_id: 1, malformed: 1 },
  });
  const explained = await manager.get(`/explain?hit_id=${String(made.body['hit_id'])}`);
  const checks = explained.body['checks'] as Row[];
  expect(checks.find(({ check }) => check === 'click id')).toMatchObject({
    outcome: 'skipped',
    evidence: 'entered by hand, without a click',
  });
  expect(checks.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
  expect((await fetch(`${sluice.edgeUrl}/track/manual?affiliate_id=1`)).status).toBe(404);
}, 60_000);

it('explain says of a correction what it freed', async () => {
  const id = await conversion();
  await manager.send('PATCH', `/transactions/${id}`, { release: true });
  const { body } = await manager.get(`/explain?transaction_id=${id}`);
  const calls = body['calls'] as Row[];
  expect(calls.map((call) => call['detail'])).toEqual([
    '',
    'released: what the transaction claimed is free again',
  ]);
  const checks = calls[1]?.['checks'] as Row[];
  expect(checks.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
  expect(checks.find(({ check }) => check === 'caps')?.['evidence']).toMatch(
    /a release claims nothing/,
  );
  expect(calls[1]?.['events']).toMatchObject([{ released: 1, author: 'admin key' }]);
});

function workerOtherThan(pid: number): Promise<number> {
  return waitFor(() => sluice.pidsOf('worker').find((other) => other !== pid), {
    timeoutMs: 30_000,
    what: 'a worker',
  });
}

it('releases count once through a worker that dies at every point, and a gate that forgets', async () => {
  const ids = [];
  for (let n = 0; n < WORKER_POINTS.length; n++)
    ids.push(await conversion('order', `&adv_order_id=crash-${n}`));
  for (const [index, point] of WORKER_POINTS.entries()) {
    writeFileSync(crashFile, point);
    // The one before may be on its way back still.
    const pid = await workerOtherThan(0);
    process.kill(pid, 'SIGKILL');
    await workerOtherThan(pid);
    const line = JSON.stringify({ transaction_id: ids[index], release: true });
    const sent = await Promise.all([
      raw('POST', '/transactions/bulk', line),
      raw('POST', '/transactions/bulk', line),
    ]);
    await waitFor(() => !existsSync(crashFile), {
      timeoutMs: 30_000,
      what: `the worker to reach ${point}`,
    });
    for (const { body } of sent) await batchDone(body['batch_id']);
    const lines = await Promise.all(sent.map(({ body }) => linesOf(body['batch_id'])));
    expect(lines.map((rows) => rows.length)).toEqual([1, 1]);
    const events = await eventsOf(ids[index] ?? '');
    expect(events.length, point).toBe(2);
    expect(events.filter(({ released }) => released === 1).length, point).toBe(1);
  }
  await sluice.run(['rebuild']);
  // Each order id is free once again, and no more than once.
  for (const n of WORKER_POINTS.keys()) {
    const click = await sendClick(sluice, 'o=16&a=1');
    const call = `conv?click_id=${click}&goal_alias=order&adv_order_id=crash-${n}`;
    const rows = await Promise.all([
      sendCall(sluice, manager, call),
      sendCall(sluice, manager, call),
    ]);
    expect(rows.map((row) => Number(row['verdict_code'])).toSorted((a, b) => a - b)).toEqual([
      0, 122,
    ]);
  }
}, 300_000);
