/**
 * Nobody sees anyone else's: every endpoint with an advertiser's, an affiliate's, a wrong, a missing and a revoked key.
 * Advertiser 1 (Acme) and affiliate 1 (Blogger) are us; advertiser 2 and affiliate 2 are the neighbours.
 */
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

const PATHS = ['advertisers', 'affiliates', 'offers', 'goals', 'deployments', 'promo-codes'];
const REPORTS = ['clicks', 'invalid-clicks', 'transactions', 'invalid-traffic', 'postbacks'];

let sluice: RunningSluice;
let manager: ApiClient;
let advertiser: ApiClient;
let affiliate: ApiClient;
/** A click and calls of ours and of the neighbours: keyed `<offer>/<affiliate>`. */
const calls = new Map<
  string,
  { readonly clickId: string; readonly good: Row; readonly bad: Row }
>();

function callOf(key: string): { readonly clickId: string; readonly good: Row; readonly bad: Row } {
  const found = calls.get(key);
  if (found === undefined) throw new Error(`no call ${key}`);
  return found;
}

/** A path as it stands: fetch would put it into its normal form. */
function statusOfRaw(path: string): Promise<number> {
  const { hostname, port } = new URL(sluice.apiUrl);
  return new Promise((resolve, reject) => {
    request({ hostname, port, path }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .once('error', reject)
      .end();
  });
}

const ids = (rows: readonly Row[], column = 'id'): unknown[] =>
  [...new Set(rows.map((row) => row[column]))].toSorted((a, b) => Number(a) - Number(b));

beforeAll(async () => {
  sluice = await startSluice();
  manager = createApiClient(sluice, sluice.adminKey);
  await sluice.run(['catalogue', 'apply', projectPath('test/e2e/tenancy.yaml')]);
  advertiser = (await createKey(manager, sluice, { role: 'advertiser', advertiser_id: 1 })).client;
  affiliate = (await createKey(manager, sluice, { role: 'affiliate', affiliate_id: 1 })).client;
  await waitFor(
    async () => (await fetch(`${sluice.edgeUrl}/click?o=10&a=1&return=click_id`)).status === 200,
    { timeoutMs: 5_000, what: 'the catalogue to be in force' },
  );
  for (const offer of [10, 20]) {
    for (const aff of [1, 2]) {
      const tag = `${offer}/${aff}`;
      const clickId = await sendClick(sluice, `o=${offer}&a=${aff}&sub_id1=tag-${offer}-${aff}`);
      const good = await sendCall(
        sluice,
        manager,
        `conv?click_id=${clickId}&adv_user_id=user-${offer}-${aff}&adv_order_id=order-${offer}-${aff}&adv_param1=private-${offer}`,
      );
      expect(good).toMatchObject({ verdict_code: 0 });
      const bad = await sendCall(sluice, manager, `conv?click_id=${clickId}&goal_alias=nope`);
      expect(bad).toMatchObject({ verdict_code: 106 });
      calls.set(tag, { clickId, good, bad });
    }
  }
  for (const aff of [1, 2]) await fetch(`${sluice.edgeUrl}/click?o=50&a=99&sub_id1=inv-${aff}`);
  await waitFor(async () => (await manager.get('/reports/invalid-clicks')).rows.length >= 2, {
    timeoutMs: 10_000,
    what: 'the invalid clicks',
  });
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

describe('keys', () => {
  it.each([
    ['no key', ''],
    ['a wrong key', 'slk_nonsense'],
    ['a key cut short', 'CUT'],
  ])('%s gets 401 everywhere', async (_, key) => {
    const text = key === 'CUT' ? advertiser.key.slice(0, -1) : key;
    const stranger = createApiClient(sluice, text);
    const paths = [
      ...PATHS.map((path) => `/${path}`),
      ...PATHS.map((path) => `/${path}/1`),
      ...REPORTS.map((name) => `/reports/${name}`),
      '/reports/statistics',
      '/reports/nothing',
      '/explain?hit_id=x',
      '/tail',
      '/api-keys',
      '/nothing',
    ];
    for (const path of paths) expect((await stranger.get(path)).status, path).toBe(401);
    for (const path of ['/offers', '/promo-codes/bulk', '/explain/test', '/api-keys'])
      expect((await stranger.send('POST', path, {})).status, path).toBe(401);
    expect((await stranger.send('DELETE', '/offers/10')).status).toBe(401);
  });

  it('are asked for however a path is spelled', async () => {
    for (const path of [
      '/%61pi/v1/offers',
      '/api/%76%31/offers',
      '/api/v1/%6fffers',
      '/api/v1/offers/',
      '//api/v1/offers',
      '/api/v1/../v1/offers',
      '/API/v1/offers',
    ]) {
      const status = await statusOfRaw(path);
      expect([401, 403, 404], `${path} ${status}`).toContain(status);
    }
  });

  it('a revoked key gets 401 at once', async () => {
    const { client, id } = await createKey(manager, sluice, { role: 'affiliate', affiliate_id: 2 });
    expect((await client.get('/offers')).status).toBe(200);
    expect((await manager.send('DELETE', `/api-keys/${id}`)).status).toBe(204);
    expect((await client.get('/offers')).status).toBe(401);
    expect((await manager.get('/api-keys')).rows.map((row) => row['id'])).not.toContain(id);
  });

  it('only managers handle keys', async () => {
    for (const client of [advertiser, affiliate]) {
      expect((await client.get('/api-keys')).status).toBe(403);
      expect((await client.send('POST', '/api-keys', { role: 'manager', name: 'x' })).status).toBe(
        403,
      );
      expect((await client.send('DELETE', '/api-keys/x')).status).toBe(403);
    }
  });
});

describe('an advertiser', () => {
  it('sees the catalogue of its own offers only', async () => {
    expect(ids((await advertiser.get('/advertisers')).rows)).toEqual([1]);
    expect(ids((await advertiser.get('/offers')).rows)).toEqual([10, 30, 50]);
    expect(ids((await advertiser.get('/goals')).rows)).toEqual([11, 31, 51]);
    expect((await advertiser.get('/affiliates')).rows).toEqual([]);
    expect((await advertiser.get('/deployments')).rows.map((row) => row['id'])).toEqual(['30:2']);
    expect((await advertiser.get('/promo-codes')).rows.map((row) => row['code'])).toEqual([
      'ONE',
      'TWO',
    ]);
  });

  it.each([
    '/advertisers/2',
    '/offers/20',
    '/offers/40',
    '/goals/21',
    '/affiliates/1',
    '/promo-codes/3',
  ])('gets 404 for %s, as for what does not exist', async (path) => {
    const other = await advertiser.get(path);
    expect(other.status).toBe(404);
    const nothing = await advertiser.get(path.replace(/\d+$/, '4000'));
    expect(nothing.status).toBe(404);
    expect(other.body['detail']).toBe(nothing.body['detail']);
  });

  it('sees its own rows in every report, whatever it filters by', async () => {
    for (const name of REPORTS) {
      const { rows, status } = await advertiser.get(`/reports/${name}?limit=1000`);
      expect(status, name).toBe(200);
      if (name !== 'invalid-clicks') expect(rows.length, name).toBeGreaterThan(0);
      expect(
        rows.filter((row) => row['advertiser_id'] !== 1),
        name,
      ).toEqual([]);
      for (const filter of [
        'advertiser_id=2',
        'offer_id=20',
        `click_id=${callOf('20/1').clickId}`,
        'advertiser_id=2&advertiser_id=1&offer_id=20',
      ])
        expect(
          (await advertiser.get(`/reports/${name}?${filter}`)).rows,
          `${name} ${filter}`,
        ).toEqual([]);
      const csv = await advertiser.get(`/reports/${name}?format=csv`);
      expect(csv.text).not.toContain('tag-20');
    }
  });

  it('gets statistics of its own offers only', async () => {
    const { rows } = await advertiser.get('/reports/statistics?breakdown=advertiser,offer');
    expect(rows.length).toBeGreaterThan(0);
    expect(ids(rows, 'advertiser')).toEqual([1]);
    expect((await advertiser.get('/reports/statistics?advertiser_id=2')).rows).toEqual([]);
  });

  it('can explain its own calls and no one else’s', async () => {
    const own = callOf('10/1');
    const other = callOf('20/1');
    const mine = await advertiser.get(`/explain?hit_id=${String(own.good['hit_id'])}`);
    expect(mine.status).toBe(200);
    expect(mine.body).toMatchObject({ verdict: 'accepted', click: { click_id: own.clickId } });
    for (const query of [
      `hit_id=${String(other.good['hit_id'])}`,
      `hit_id=${String(other.bad['hit_id'])}`,
      `click_id=${other.clickId}`,
      `transaction_id=${String(other.good['transaction_id'])}`,
      'order_id=order-20-1',
    ])
      expect((await advertiser.get(`/explain?${query}`)).status, query).toBe(404);
  });

  it('does not see another’s click through a call to its own offer', async () => {
    const other = callOf('20/2');
    const row = await sendCall(sluice, manager, `conv?click_id=${other.clickId}&offer_id=10`);
    expect(row).toMatchObject({ verdict_code: 108 });
    const asManager = await manager.get(`/explain?hit_id=${String(row['hit_id'])}`);
    const asAdvertiser = await advertiser.get(`/explain?hit_id=${String(row['hit_id'])}`);
    expect(asManager.body['click']).not.toBeNull();
    expect(asAdvertiser.text).not.toContain('tag-20');
    const url = `/track/conv?click_id=${other.clickId}&offer_id=10`;
    const tested = await advertiser.send('POST', '/explain/test', { url });
    expect(tested.text).not.toContain('tag-20');
  });

  it('does not see the cookies of others’ offers that a browser sent along', async () => {
    const other = callOf('20/1').clickId;
    const own = await sendClick(sluice, 'o=10&a=2');
    const answer = await fetch(`${sluice.edgeUrl}/track/goal?offer_id=10`, {
      headers: { cookie: `slc_10=${own}; slc_20=${other}` },
    });
    const { hit_id } = (await answer.json()) as { hit_id: string };
    const explained = `/explain?hit_id=${hit_id}`;
    await waitFor(async () => (await manager.get(explained)).status === 200, {
      timeoutMs: 10_000,
      what: 'the call to be judged',
    });
    expect((await manager.get(explained)).text).toContain(other);
    const mine = await advertiser.get(explained);
    expect(mine.body).toMatchObject({ verdict: 'accepted', row: { click_id: own } });
    expect(mine.text).not.toContain(other);
    const transaction = await advertiser.get(`/transactions/${hit_id}`);
    expect(transaction.status).toBe(200);
    expect(transaction.text).not.toContain(other);
    for (const name of ['transactions', 'postbacks']) {
      for (const format of ['json', 'csv', 'ndjson']) {
        const { text } = await advertiser.get(`/reports/${name}?format=${format}&limit=1000`);
        expect(text, name).toContain(own);
        expect(text, name).not.toContain(other);
      }
    }
    expect((await advertiser.get(`/reports/postbacks?cookies=x`)).status).toBe(400);
  });

  it('can test a URL of its own offers and learns nothing of others', async () => {
    const own = await advertiser.send('POST', '/explain/test', {
      url: `/track/conv?click_id=${callOf('10/1').clickId}`,
    });
    expect(own.status).toBe(200);
    expect(own.body).toMatchObject({ verdict: 'accepted', recorded: false });
    const macro = await advertiser.send('POST', '/explain/test', {
      url: '/track/conv?click_id={click_id}',
    });
    expect(macro.body).toMatchObject({ verdict: 'invalid_click_id' });
    for (const url of [
      `/track/conv?click_id=${callOf('20/1').clickId}`,
      '/track/promo?code=TWORIVAL',
      '/track/promo?code=NOSUCHCODE',
      '/track/conv?offer_id=999',
    ])
      expect((await advertiser.send('POST', '/explain/test', { url })).status, url).toBe(404);
    const promo = async (code: string): Promise<string> => {
      const url = `/track/promo?code=${code}&offer_id=10`;
      const answer = await advertiser.send('POST', '/explain/test', { url });
      return answer.text.replaceAll(code, '');
    };
    expect(await promo('TWORIVAL')).toBe(await promo('NOSUCHCODE'));
    const goal = await advertiser.send('POST', '/explain/test', {
      url: `/track/conv?click_id=${callOf('10/1').clickId}&goal_id=21`,
    });
    expect(goal.body).toMatchObject({
      verdict: 'goal_not_found',
      detail: 'goal 21 belongs to another offer, the call to offer 10',
    });
  });

  it('may not write', async () => {
    for (const path of PATHS) {
      expect((await advertiser.send('POST', `/${path}`, {})).status, path).toBe(403);
      expect((await advertiser.send('PATCH', `/${path}/10`, {})).status, path).toBe(403);
      expect((await advertiser.send('DELETE', `/${path}/10`)).status, path).toBe(403);
    }
    expect((await advertiser.send('POST', '/promo-codes/bulk', { items: [] })).status).toBe(403);
  });
});

describe('an affiliate', () => {
  // Amounts as values of their own: seconds of a time, or a part of an address, may have the same digits.
  const SECRETS = [
    /(?<![\d.])8\.250*(?!\d)/,
    /(?<![\d.])9\.50*(?!\d)/,
    /private-/,
    /user-1/,
    /user-2/,
    /"revenue"/,
    /"profit"/,
    /secret/,
  ];

  it('sees deployed and public active offers, and its own things', async () => {
    expect(ids((await affiliate.get('/offers')).rows)).toEqual([10, 20]);
    expect(ids((await affiliate.get('/goals')).rows)).toEqual([11, 21]);
    expect(ids((await affiliate.get('/affiliates')).rows)).toEqual([1]);
    expect((await affiliate.get('/advertisers')).rows).toEqual([]);
    expect((await affiliate.get('/deployments')).rows).toEqual([]);
    expect((await affiliate.get('/promo-codes')).rows.map((row) => row['code'])).toEqual(['ONE']);
  });

  it.each([
    '/offers/30',
    '/offers/40',
    '/offers/50',
    '/goals/31',
    '/advertisers/1',
    '/affiliates/2',
    '/deployments/30:2',
    '/promo-codes/2',
  ])('gets 404 for %s', async (path) => {
    expect((await affiliate.get(path)).status).toBe(404);
  });

  it('is shown no revenue, cap or other affiliate in a goal, and can’t ask for them by filter', async () => {
    const goal = await affiliate.get('/goals/11');
    expect(goal.body).toMatchObject({ id: 11, payout: '5' });
    for (const field of ['revenue', 'caps', 'affiliate_caps'])
      expect(goal.body).not.toHaveProperty(field);
    for (const filter of ['revenue=8.25', 'caps=x', 'token=x', 'affiliate_caps=x'])
      expect((await affiliate.get(`/goals?${filter}`)).status, filter).toBe(400);
    const offer = await affiliate.get('/offers/10');
    expect(offer.body).not.toHaveProperty('trafficback_url');
    expect(offer.body).not.toHaveProperty('postback_ips');
  });

  it('sees its own clicks and transactions, without revenue and the advertiser’s data', async () => {
    const [ofOne, ofOther] = SECRETS;
    const { text } = await manager.get('/reports/transactions?limit=1000');
    expect([ofOne?.test(text), ofOther?.test(text)], 'what a manager sees').toEqual([true, true]);
    for (const name of ['clicks', 'transactions']) {
      for (const format of ['json', 'csv', 'ndjson']) {
        const report = await affiliate.get(`/reports/${name}?format=${format}&limit=1000`);
        expect(report.status).toBe(200);
        expect(report.text).toContain('tag-10-1');
        expect(report.text).toContain('tag-20-1');
        expect(report.text).not.toMatch(/tag-\d+-2/);
        for (const secret of SECRETS) expect(report.text, `${name} ${secret}`).not.toMatch(secret);
      }
      for (const filter of [
        'affiliate_id=2',
        `click_id=${callOf('10/2').clickId}`,
        'sub_id1=tag-10-2',
      ])
        expect((await affiliate.get(`/reports/${name}?${filter}`)).rows, filter).toEqual([]);
    }
    for (const query of [
      'revenue=8.25',
      'adv_param1=private-10',
      'sort=revenue',
      'sort=-adv_user_id',
      'detail=',
    ])
      expect((await affiliate.get(`/reports/transactions?${query}`)).status, query).toBe(400);
  });

  it.each(['invalid-clicks', 'invalid-traffic', 'postbacks'])(
    'gets 403 for report %s',
    async (name) => {
      expect((await affiliate.get(`/reports/${name}`)).status).toBe(403);
      expect((await affiliate.get(`/reports/${name}?format=csv`)).status).toBe(403);
    },
  );

  it('gets statistics of itself, without revenue and profit', async () => {
    const { rows, text } = await affiliate.get('/reports/statistics?breakdown=affiliate,verdict');
    expect(ids(rows, 'affiliate')).toEqual([1]);
    expect(rows).toMatchObject([{ verdict: 'accepted', conversions: 2, payout: 12 }]);
    expect(text).not.toMatch(/revenue|profit|invalid_traffic/);
    for (const query of ['sort=revenue', 'sort=profit', 'sort=invalid_traffic'])
      expect((await affiliate.get(`/reports/statistics?${query}`)).status, query).toBe(400);
    expect((await affiliate.get('/reports/statistics?affiliate_id=2')).rows).toEqual([]);
  });

  it('gets 403 for explain and tail', async () => {
    expect((await affiliate.get(`/explain?click_id=${callOf('10/1').clickId}`)).status).toBe(403);
    expect((await affiliate.send('POST', '/explain/test', { url: '/track/conv' })).status).toBe(
      403,
    );
    expect((await affiliate.get('/tail')).status).toBe(403);
  });

  it('may only ask for a by-request offer, as itself and pending', async () => {
    for (const path of PATHS.filter((name) => name !== 'deployments')) {
      expect((await affiliate.send('POST', `/${path}`, {})).status, path).toBe(403);
      expect((await affiliate.send('PATCH', `/${path}/10`, {})).status, path).toBe(403);
      expect((await affiliate.send('DELETE', `/${path}/10`)).status, path).toBe(403);
    }
    expect((await affiliate.send('POST', '/deployments', { offer_id: 30 })).status).toBe(404);
    expect((await affiliate.send('POST', '/deployments', { offer_id: 10 })).status).toBe(404);
    expect((await affiliate.send('POST', '/deployments', [])).status).toBe(404);
    const asked = await affiliate.send('POST', '/deployments', {
      offer_id: 40,
      affiliate_id: 2,
      status: 'approved',
    });
    expect(asked.status).toBe(201);
    expect(asked.body).toEqual({ id: '40:1', offer_id: 40, affiliate_id: 1, status: 'pending' });
    expect((await affiliate.get('/offers/40')).status).toBe(404);
    expect(
      (await affiliate.send('PATCH', '/deployments/40:1', { status: 'approved' })).status,
    ).toBe(403);
    expect((await manager.send('PATCH', '/deployments/40:1', { status: 'approved' })).status).toBe(
      200,
    );
    expect((await affiliate.get('/offers/40')).status).toBe(200);
  });
});

describe('an id once used', () => {
  it('is nobody else’s after its owner is deleted', async () => {
    const gone = await manager.send('POST', '/affiliates', { name: 'Gone' });
    const { client, id } = await createKey(manager, sluice, {
      role: 'affiliate',
      affiliate_id: gone.body['id'],
    });
    const path = `/affiliates/${String(gone.body['id'])}`;
    const refused = await manager.send('DELETE', path);
    expect(refused.status).toBe(409);
    expect(refused.body['detail']).toContain('API key');
    expect((await manager.send('DELETE', `/api-keys/${id}`)).status).toBe(204);
    expect((await manager.send('DELETE', path)).status).toBe(204);
    expect((await client.get('/offers')).status).toBe(401);
    const next = await manager.send('POST', '/affiliates', { name: 'Next' });
    expect(Number(next.body['id'])).toBe(Number(gone.body['id']) + 1);
  });
});
