/** Affiliate postbacks in a whole Sluice: entries by REST and file, what affiliates see and may do, resends, a killed worker. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { startAffiliateEndpoint, type AffiliateEndpoint } from '../support/affiliate-endpoint.ts';
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
let endpoint: AffiliateEndpoint;
let manager: ApiClient;
let affiliate: ApiClient;
let neighbour: ApiClient;
let advertiser: ApiClient;

beforeAll(async () => {
  endpoint = await startAffiliateEndpoint();
  sluice = await startSluice({ SLUICE_OUTGOING_ALLOW: '127.0.0.1/32' });
  manager = createApiClient(sluice, sluice.adminKey);
  await sluice.run(['catalogue', 'apply', projectPath('test/e2e/tenancy.yaml')]);
  const clientOf = async (asked: Row): Promise<ApiClient> =>
    (await createKey(manager, sluice, asked)).client;
  affiliate = await clientOf({ role: 'affiliate', affiliate_id: 1, name: 'mine' });
  neighbour = await clientOf({ role: 'affiliate', affiliate_id: 2 });
  advertiser = await clientOf({ role: 'advertiser', advertiser_id: 1 });
  await waitFor(
    async () => (await fetch(`${sluice.edgeUrl}/click?o=10&a=1&return=click_id`)).status === 200,
    { timeoutMs: 5_000, what: 'the catalogue to be in force' },
  );
}, 180_000);
afterAll(async () => {
  await sluice?.stop();
  await endpoint?.close();
});

async function createEntry(client: ApiClient, body: Row): Promise<string> {
  const made = await client.send('POST', '/affiliate-postbacks', body);
  expect(made.status, made.text).toBe(201);
  return String(made.body['id']);
}

/** A click and its conversion; resolves to the transaction's id once it is judged, in whatever version is in force. */
async function convert(more = ''): Promise<string> {
  const clickId = await sendClick(sluice, 'o=10&a=1&aff_click_id=abc-1&sub_id1=s1');
  const row = await sendCall(sluice, manager, `goal-by-click-id?click_id=${clickId}${more}`);
  expect(row['verdict'], JSON.stringify(row)).toBe('accepted');
  return String(row['transaction_id']);
}

const attempts = async (client: ApiClient, filter: string): Promise<readonly Row[]> =>
  (await client.get(`/reports/affiliate-postbacks?sort=attempt_time&${filter}`)).rows;

const sentOf = (entry: string, count: number): Promise<readonly Row[]> =>
  waitFor(
    async () => {
      const rows = await attempts(manager, `entry_id=${entry}&outcome=sent`);
      return rows.length >= count && rows;
    },
    // A dead worker's jobs are free after their lock has run out; the calls that hung are repeated after their wait.
    { timeoutMs: 60_000, what: `${count} postbacks of entry ${entry} to be sent` },
  );

/** The edge stamps the version that it knows: conversions count for an entry once it knows the entry. */
async function untilEdgesKnow(): Promise<void> {
  const versionOf = async (url: string, name: string): Promise<string | undefined> =>
    new RegExp(`^${name} (\\d+)`, 'm').exec(await (await fetch(`${url}/metrics`)).text())?.[1];
  await waitFor(
    async () =>
      (await versionOf(sluice.edgeUrl, 'sluice_edge_catalogue_version')) ===
      (await versionOf(sluice.apiUrl, 'sluice_catalogue_version')),
    { timeoutMs: 5_000, what: 'the edge to know the newest catalogue' },
  );
}

it('refuses by field what can not be sent to', async () => {
  const refused = async (body: Row): Promise<readonly string[]> => {
    const answer = await manager.send('POST', '/affiliate-postbacks', { affiliate_id: 1, ...body });
    expect(answer.status, answer.text).toBe(422);
    return answer.fields;
  };
  const url = 'https://tracker.example/?c={aff_click_id}';
  for (const bad of [
    'ftp://tracker.example/',
    'https://tracker.example/?r={revenue}',
    'https://{sub_id1}.example/',
    'https://user:word@tracker.example/',
    'http://10.0.0.1/',
    'http://0x7f.1.2.3/',
    'http://[::1]/',
    'http://169.254.169.254/latest/meta-data',
    'http://tracker.example:22/',
  ])
    expect(await refused({ url: bad }), bad).toEqual(['url']);
  expect(await refused({ url, statuses: ['paid'] })).toEqual(['statuses[0]']);
  expect(await refused({ url, offer_id: 999 })).toEqual(['offer_id']);
  expect(await refused({ url, goal_id: 999 })).toEqual(['goal_id']);
  expect(await refused({ url, affiliate_id: 999 })).toEqual(['affiliate_id']);
});

it('an affiliate keeps its own entries and sees its own attempts; nobody else’s exist for it', async () => {
  const own = await createEntry(affiliate, {
    url: `${endpoint.url}/own?cid={aff_click_id}&sub={sub_id1}&p={payout}`,
  });
  expect((await affiliate.get(`/affiliate-postbacks/${own}`)).body).toMatchObject({
    affiliate_id: 1,
    method: 'GET',
    statuses: ['approved'],
    status: 'active',
  });
  for (const other of [neighbour, advertiser]) {
    expect((await other.get(`/affiliate-postbacks/${own}`)).status).toBe(404);
    expect((await other.get('/affiliate-postbacks')).rows).toEqual([]);
  }
  expect((await neighbour.send('PATCH', `/affiliate-postbacks/${own}`, {})).status).toBe(404);
  expect((await neighbour.send('DELETE', `/affiliate-postbacks/${own}`)).status).toBe(404);
  expect((await advertiser.send('DELETE', `/affiliate-postbacks/${own}`)).status).toBe(403);
  const stolen = { affiliate_id: 1, url: 'https://tracker.example/' };
  expect((await neighbour.send('POST', '/affiliate-postbacks', stolen)).status).toBe(404);
  // Or one could take the last id, and nobody else would get any.
  const chosen = { id: 2 ** 32 - 1, url: 'https://t.example/' };
  expect(await neighbour.send('POST', '/affiliate-postbacks', chosen)).toMatchObject({
    status: 422,
    fields: ['id'],
  });

  await untilEdgesKnow();
  const transaction = await convert();
  const [row] = await sentOf(own, 1);
  expect(row).toMatchObject({ transaction_id: transaction, status_code: 200, answer: 'ok' });
  const [received] = endpoint.callsTo('/own');
  expect(Object.fromEntries(received?.query ?? [])).toMatchObject({ cid: 'abc-1', sub: 's1' });
  const [seen] = await attempts(affiliate, `transaction_id=${transaction}`);
  expect(seen).toMatchObject({ outcome: 'sent', postback_id: row?.['postback_id'] });
  expect(seen).not.toHaveProperty('resent_by');
  expect(await attempts(neighbour, `transaction_id=${transaction}`)).toEqual([]);
  expect((await advertiser.get('/reports/affiliate-postbacks')).status).toBe(403);
  const csv = await affiliate.get('/reports/affiliate-postbacks?format=csv');
  expect(csv.text.split('\n')[0]).toContain('attempt_time,attempt_id,postback_id');

  const resend = `/affiliate-postbacks/${String(row?.['postback_id'])}/resend`;
  expect((await neighbour.send('POST', resend)).status).toBe(404);
  expect((await advertiser.send('POST', resend)).status).toBe(404);
  await affiliate.send('PATCH', `/affiliate-postbacks/${own}`, { url: `${endpoint.url}/moved` });
  expect((await affiliate.send('POST', resend)).status).toBe(202);
  const [, again] = await sentOf(own, 2);
  expect(again).toMatchObject({ postback_id: row?.['postback_id'], resent_by: 'mine' });
  expect(endpoint.callsTo('/moved')).toHaveLength(1);

  expect((await affiliate.send('DELETE', `/affiliate-postbacks/${own}`)).status).toBe(204);
  expect((await affiliate.send('POST', resend)).status).toBe(409);
}, 90_000);

it('an entry of a goal takes the place of that of its offer, which takes the global one’s', async () => {
  const made = [
    await createEntry(manager, { affiliate_id: 1, url: `${endpoint.url}/global` }),
    await createEntry(manager, { affiliate_id: 1, url: `${endpoint.url}/offer`, offer_id: 10 }),
  ];
  await untilEdgesKnow();
  await convert();
  await sentOf(made[1] ?? '', 1);
  expect(endpoint.callsTo('/global')).toEqual([]);
  for (const entry of made) await manager.send('DELETE', `/affiliate-postbacks/${entry}`);
}, 60_000);

it('stands in the catalogue file, and an offer with entries is not deleted', async () => {
  const file = join(sluice.dataDir, 'entries.yaml');
  writeFileSync(
    file,
    `affiliate_postbacks:\n  - {id: 900, affiliate_id: 1, offer_id: 10, url: "https://tracker.example/?t={transaction_id}", status: inactive}\n`,
  );
  expect(await sluice.run(['catalogue', 'apply', file])).toContain(
    'created  affiliate_postbacks 900',
  );
  expect(await sluice.run(['catalogue', 'apply', file])).toContain('0 created, 0 changed, 1 left');
  expect(await sluice.run(['catalogue', 'export'])).toContain(
    'https://tracker.example/?t={transaction_id}',
  );
  const answer = await manager.send('DELETE', '/offers/10');
  expect(answer.status).toBe(409);
  expect(answer.text).toContain('1 affiliate postbacks');
}, 60_000);

it('a killed worker loses no postback: what it had begun is sent again, under the same id', async () => {
  let hanging = 0;
  let hang = true;
  endpoint.answer('/killed', (response) => {
    if (hang) hanging += 1;
    else response.end('ok');
  });
  const entry = await createEntry(manager, {
    affiliate_id: 1,
    url: `${endpoint.url}/killed?id={postback_id}&t={transaction_id}`,
  });
  await untilEdgesKnow();
  const transactions: string[] = [];
  for (let count = 0; count < 6; count++) transactions.push(await convert());
  // Four calls to one host are out, none is answered, and two wait.
  await waitFor(() => hanging >= 4, { timeoutMs: 20_000, what: 'calls to be out' });
  for (const pid of sluice.pidsOf('worker')) process.kill(pid, 'SIGKILL');
  hang = false;
  const rows = await sentOf(entry, 6);
  expect(new Set(rows.map((row) => row['transaction_id']))).toEqual(new Set(transactions));
  const ids = (calls: typeof endpoint.calls): Set<string | null> =>
    new Set(calls.map(({ query }) => query.get('id')));
  expect(ids(endpoint.callsTo('/killed')).size).toBe(6);
  await sluice.run(['doctor']);
}, 120_000);
