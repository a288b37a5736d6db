/**
 * Replays through a whole Sluice, from outside: what is previewed is what happens, a call counts once however often and
 * concurrently it is replayed, and kills at any moment of chunking and judging change nothing of that.
 */
import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
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

let sluice: RunningSluice;
let manager: ApiClient;
let goals = 800;

beforeAll(async () => {
  sluice = await startSluice({ SLUICE_WORKERS: '2' });
  await sluice.run(['catalogue', 'apply', projectPath('test/e2e/contract-catalogue.yaml')]);
  manager = createApiClient(sluice, sluice.adminKey);
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

async function whenDone(path: string): Promise<Row> {
  return waitFor(
    async () => {
      const answer = await manager.get(path).catch(() => undefined);
      return answer?.body['state'] === 'done' && answer.body;
    },
    { timeoutMs: 180_000, what: `${path} to be judged`, intervalMs: 200 },
  );
}

/** A file of calls for a goal that offer 16 does not have, judged. */
async function sendBroken(alias: string, lines: number): Promise<void> {
  const id = await sendClick(sluice, 'o=16&a=1');
  const content = Array.from(
    { length: lines },
    (_, n) => `{"click_id":"${id}","goal_alias":"${alias}","adv_order_id":"${alias}-${n}"}\n`,
  ).join('');
  const response = await fetch(`${sluice.edgeUrl}/track/batch?advertiser_id=1`, {
    method: 'POST',
    headers: { authorization: `Bearer ${sluice.adminKey}` },
    body: content,
  });
  expect(response.status).toBe(202);
  const { batch_id } = (await response.json()) as { batch_id: string };
  const { verdicts } = await whenDone(`/batches/${batch_id}`);
  expect(verdicts).toEqual({ goal_not_found: lines });
}

async function addGoal(alias: string, fields: Row = {}): Promise<number> {
  const id = ++goals;
  const made = await manager.send('POST', '/goals', {
    id,
    offer_id: 16,
    alias,
    payout: '5',
    revenue: '8',
    multiple_conversions: true,
    ...fields,
  });
  expect(made.status, made.text).toBe(201);
  return id;
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

interface Outcome {
  readonly n: number;
  readonly orders: number;
  readonly originals: number;
}

/** Transactions of a goal. */
async function transactionsOf(goalId: number): Promise<Outcome | undefined> {
  const [row] = await sql<Outcome>(
    `SELECT count() AS n, uniqExact(adv_order_id) AS orders, uniqExact(replayed_from) AS originals FROM transactions WHERE goal_id = ${goalId}`,
  );
  return row;
}

const filterOf = (alias: string, lines: number): Row => ({
  verdict: 'goal_not_found',
  offer_id: 16,
  adv_order_id: Array.from({ length: lines }, (_, n) => `${alias}-${n}`),
});

async function start(body: Row): Promise<string> {
  const started = await manager.send('POST', '/replays', body);
  expect(started.status, started.text).toBe(202);
  return String(started.body['replay_id']);
}

it('shows what each call would become, does it, and leaves the rejected call with the name of its replay', async () => {
  const id = await sendClick(sluice, 'o=16&a=1&aff_click_id=mine');
  const rejected = await sendCall(
    sluice,
    manager,
    `goal-by-click-id?click_id=${id}&goal_alias=walk&amount=12.5`,
  );
  expect(rejected['verdict']).toBe('goal_not_found');
  const filter = { hit_id: String(rejected['hit_id']) };

  const before = await manager.send('POST', '/replays/preview', { filter });
  expect(before.body).toMatchObject({
    calls: 1,
    counted_before: 0,
    judged: 1,
    rejected_as: { goal_not_found: 1 },
    changes: [{ from: 'goal_not_found', to: 'goal_not_found', calls: 1 }],
  });
  const goalId = await addGoal('walk');
  const after = await manager.send('POST', '/replays/preview', { filter });
  expect(after.body['changes']).toEqual([{ from: 'goal_not_found', to: 'accepted', calls: 1 }]);
  expect(after.rows[0]).toMatchObject({
    hit_id: rejected['hit_id'],
    hit_time: rejected['hit_time'],
    to: 'accepted',
    goal_id: goalId,
    affiliate_id: 1,
    payout: '5',
    conv_status: 'approved',
  });
  // A preview records nothing.
  expect(await transactionsOf(goalId)).toMatchObject({ n: 0 });

  const replay = await start({ selection: after.body['selection'], suppress_postbacks: true });
  const done = await whenDone(`/replays/${replay}`);
  expect(done).toMatchObject({ hits: 1, author: 'admin key', verdicts: { accepted: 1 } });
  const listed = await manager.get('/replays');
  expect(listed.rows[0]).toEqual(done);
  const [transaction] = (await manager.get(`/reports/transactions?goal_id=${goalId}`)).rows;
  expect(transaction).toMatchObject({
    channel: 'replay',
    replayed_from: rejected['hit_id'],
    hit_time: rejected['hit_time'],
    amount: 12.5,
    click_id: id,
    replayed_as: '',
  });
  const named = await manager.get(`/reports/invalid-traffic?hit_id=${String(rejected['hit_id'])}`);
  expect(named.rows[0]).toMatchObject({
    verdict: 'goal_not_found',
    replayed_as: transaction?.['hit_id'],
  });
  const explained = await manager.get(`/explain?hit_id=${String(transaction?.['hit_id'])}`);
  expect(explained.body).toMatchObject({ verdict: 'accepted', row: { replayed_as: '' } });
  const original = await manager.get(`/explain?hit_id=${String(rejected['hit_id'])}`);
  expect(original.body['row']).toMatchObject({ replayed_as: transaction?.['hit_id'] });

  // It counts already: there is nothing left to replay.
  const again = await manager.send('POST', '/replays/preview', { filter });
  expect(again.body).toMatchObject({ calls: 0, counted_before: 1, judged: 0, rows: [] });
  expect((await manager.send('POST', '/replays', { filter })).status).toBe(422);
}, 120_000);

it('previews calls that compete among themselves as one sequence', async () => {
  await sendBroken('scarce', 50);
  const goalId = await addGoal('scarce', { caps: { total: 40 } });
  const filter = filterOf('scarce', 50);
  const { body } = await manager.send('POST', '/replays/preview', { filter, rows: 3 });
  expect(body).toMatchObject({
    calls: 50,
    changes: [
      { from: 'goal_not_found', to: 'accepted', calls: 40 },
      { from: 'goal_not_found', to: 'goal_cap_reached', calls: 10 },
    ],
  });
  expect(body['rows']).toHaveLength(3);
  const replay = await start({ filter });
  const { verdicts } = await whenDone(`/replays/${replay}`);
  expect(verdicts).toEqual({ accepted: 40, goal_cap_reached: 10 });
  // The cap is raised: what is left is replayed by whichever of its rejections the filter names.
  await manager.send('PATCH', `/goals/${goalId}`, { caps: { total: 100 } });
  const rest = await start({ filter: { ...filter, verdict: 'goal_cap_reached' } });
  expect((await whenDone(`/replays/${rest}`))['verdicts']).toEqual({ accepted: 10 });
  expect(await transactionsOf(goalId)).toEqual({ n: 50, orders: 50, originals: 50 });
}, 120_000);

it('the same calls replayed by several at once become one transaction each', async () => {
  await sendBroken('race', 3_000);
  const goalId = await addGoal('race');
  const { body } = await manager.send('POST', '/replays/preview', {
    filter: { verdict: 'goal_not_found', goal_id: 0, offer_id: 16 },
  });
  expect(body['calls']).toBe(3_000);
  const replays = await Promise.all(
    [0, 1, 2, 3].map(() => start({ selection: body['selection'] })),
  );
  const verdicts: Record<string, number> = {};
  for (const replay of replays) {
    const done = await whenDone(`/replays/${replay}`);
    expect(done['hits']).toBe(3_000);
    for (const [verdict, hits] of Object.entries(done['verdicts'] as Record<string, number>))
      verdicts[verdict] = (verdicts[verdict] ?? 0) + hits;
  }
  expect(verdicts).toEqual({ accepted: 3_000, multiple_conversions: 9_000 });
  expect(await transactionsOf(goalId)).toEqual({ n: 3_000, orders: 3_000, originals: 3_000 });
}, 180_000);

it('takes what the preview took, whatever arrived since, and the same key is the same replay', async () => {
  await sendBroken('early', 20);
  const filter = { verdict: 'goal_not_found', offer_id: 16 };
  const { body } = await manager.send('POST', '/replays/preview', { filter });
  expect(body['calls']).toBe(20);
  await sendBroken('late', 20);
  const goalId = await addGoal('late');
  const again = async (): Promise<Row> => {
    const response = await fetch(manager.urlOf('/replays'), {
      method: 'POST',
      headers: {
        authorization: `Bearer ${sluice.adminKey}`,
        'content-type': 'application/json',
        'idempotency-key': 'once',
      },
      body: JSON.stringify({ selection: body['selection'] }),
    });
    expect(response.status).toBe(202);
    return (await response.json()) as Row;
  };
  const [first, second] = await Promise.all([again(), again()]);
  expect(second).toEqual(first);
  expect(first?.['hits']).toBe(20);
  await whenDone(`/replays/${String(first?.['replay_id'])}`);
  expect(await again()).toEqual(first);
  expect(await transactionsOf(goalId)).toMatchObject({ n: 0 });
}, 120_000);

function batchProcesses(): number[] {
  const edges = sluice.pidsOf('edge');
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        const line = readFileSync(`/proc/${name}/cmdline`, 'utf8');
        return edges.includes(parent) && line.includes('batch/process');
      } catch {
        // It ended while we looked.
        return false;
      }
    })
    .map(Number);
}

it('a kill at any moment of chunking or judging, with two replays under way: every call counts once', async () => {
  const calls = 6_000;
  const victims = ['batch process', 'worker', 'edge', 'clickhouse', 'redis-server', 'worker'];
  for (const [round, victim] of victims.entries()) {
    const alias = `kill${round}`;
    await sendBroken(alias, calls);
    const goalId = await addGoal(alias);
    const { body } = await manager.send('POST', '/replays/preview', {
      filter: {
        verdict: 'goal_not_found',
        offer_id: 16,
        from: new Date(Date.now() - 60_000).toISOString(),
      },
    });
    const send = (key: string): Promise<string> =>
      waitFor(
        async () => {
          const response = await fetch(manager.urlOf('/replays'), {
            method: 'POST',
            headers: {
              authorization: `Bearer ${sluice.adminKey}`,
              'content-type': 'application/json',
              'idempotency-key': key,
            },
            body: JSON.stringify({ selection: body['selection'] }),
          }).catch(() => undefined);
          if (response?.status !== 202) return undefined;
          return String(((await response.json()) as Row)['replay_id']);
        },
        { timeoutMs: 120_000, what: 'a replay to be stored', intervalMs: 200 },
      );
    const stored = [send(`${alias}-a`), send(`${alias}-b`)];
    // Between the first byte and the last verdict of a quiet machine; at worst before or after all of it.
    await new Promise((resolve) => setTimeout(resolve, randomInt(0, 1_500)));
    const pids = victim === 'batch process' ? batchProcesses() : sluice.pidsOf(victim);
    for (const pid of pids.slice(0, 1)) process.kill(pid, 'SIGKILL');
    for (const replay of await Promise.all(stored)) await whenDone(`/replays/${replay}`);
    expect(await transactionsOf(goalId), `${victim} killed`).toEqual({
      n: calls,
      orders: calls,
      originals: calls,
    });
    // Killed late, the edge may be on its way back still when all is judged.
    await sluice.edgeReady();
  }
}, 540_000);

it('sluice replay previews, wants a yes, replays and prints what became of the calls', async () => {
  const since = new Date().toISOString();
  await sendBroken('cli', 7);
  const args = ['replay', '--verdict', 'goal_not_found', '--offer', '16', '--from', since];
  const wrong = await sluice.run([...args, '--preview']);
  expect(wrong).toMatch(/Goal Not Found → Goal Not Found/);
  expect(wrong).toContain('offer 16 has no goal with the alias cli');
  const goalId = await addGoal('cli', { caps: { total: 5 } });
  const preview = await sluice.run([...args, '--preview']);
  expect(preview).toMatch(/ 5 {2}Goal Not Found → Accepted/);
  expect(preview).toMatch(/ 2 {2}Goal Not Found → Goal cap is reached/);
  // Nobody is there to be asked.
  expect(await sluice.run(args, 2)).toContain('add --yes');
  expect(await transactionsOf(goalId)).toMatchObject({ n: 0 });
  const done = await sluice.run([...args, '--yes', '--suppress-postbacks']);
  expect(done).toMatch(/ 5 {2}Accepted/);
  expect(done).toMatch(/ 2 {2}Goal cap is reached/);
  expect(await transactionsOf(goalId)).toMatchObject({ n: 5, orders: 5 });
  expect(await sluice.run(['replay', '--offer', '999999', '--yes'])).toContain('0 rejected calls');
  expect(await sluice.run(['replay'], 2)).toContain('say which calls');
  expect(await sluice.run(['replay', '--offer', 'x'], 2)).toContain('offer_id');
  expect(await sluice.run(['replay', '--help'])).toContain('--suppress-postbacks');
}, 120_000);

it('is for managers, and says what is wrong with a request', async () => {
  const { client: advertiser } = await createKey(manager, sluice, {
    role: 'advertiser',
    advertiser_id: 1,
  });
  for (const [method, path] of [
    ['POST', '/replays/preview'],
    ['POST', '/replays'],
  ] as const)
    expect((await advertiser.send(method, path, { filter: {} })).status).toBe(403);
  expect((await advertiser.get('/replays')).status).toBe(403);
  expect((await advertiser.get('/replays/x')).status).toBe(403);
  expect((await manager.get('/replays/x')).status).toBe(404);
  const refused = async (path: string, body: unknown): Promise<[number, readonly string[]]> => {
    const answer = await manager.send('POST', path, body);
    return [answer.status, answer.fields];
  };
  expect(await refused('/replays/preview', {})).toEqual([400, ['filter']]);
  expect(await refused('/replays/preview', { filter: { colour: 'red' } })).toEqual([
    400,
    ['colour'],
  ]);
  expect(await refused('/replays/preview', { filter: { sort: 'hit_id' } })).toEqual([
    400,
    ['sort'],
  ]);
  expect(await refused('/replays/preview', { filter: { offer_id: 'x' } })).toEqual([
    400,
    ['offer_id'],
  ]);
  expect(await refused('/replays', {})).toEqual([400, ['filter']]);
  expect(await refused('/replays', { filter: {}, selection: 'x' })).toEqual([400, ['filter']]);
  expect(await refused('/replays', { selection: 'nonsense' })).toEqual([400, ['selection']]);
  expect(await refused('/replays', { filter: { offer_id: 999 } })).toEqual([422, ['filter']]);
}, 60_000);
