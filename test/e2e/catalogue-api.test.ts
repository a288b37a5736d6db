/** The catalogue over REST, from outside: every kind created, read, changed, deleted; every refusal names its field. */
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiClient, createKey, type ApiClient, type Row } from '../support/api-client.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';

let sluice: RunningSluice;
let api: ApiClient;

async function made(path: string, body: Row): Promise<Row> {
  const answer = await api.send('POST', path, body);
  expect(answer.status, `${path} ${answer.text}`).toBe(201);
  return answer.body;
}

beforeAll(async () => {
  sluice = await startSluice();
  api = createApiClient(sluice, sluice.adminKey);
  await made('/advertisers', { id: 1, name: 'Acme', token: 's3cret-token' });
  await made('/affiliates', { id: 1, name: 'Blogger' });
  await made('/affiliates', { id: 2, name: 'Coupons' });
  await made('/offers', { id: 10, advertiser_id: 1, title: 'Shop', url: 'https://shop.example/' });
  await made('/offers', {
    id: 20,
    advertiser_id: 1,
    title: 'Other',
    url: 'https://other.example/',
  });
  await made('/goals', {
    id: 11,
    offer_id: 10,
    alias: 'sale',
    default: true,
    payout: 5,
    revenue: '8.25',
  });
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

describe('entities', () => {
  it('are created with an id of the store’s when none is sent, and every default is filled in', async () => {
    const offer = await made('/offers', {
      advertiser_id: 1,
      title: 'Third',
      url: 'https://x.example/',
    });
    expect(offer).toEqual({
      id: 21,
      advertiser_id: 1,
      title: 'Third',
      status: 'active',
      url: 'https://x.example/',
      availability: 'public',
      timezone: 'UTC',
      click_lifetime_days: 30,
      unique_ip: { enabled: false, window: 'ever' },
      promo_codes_enabled: false,
      trafficback_url: null,
      allowed_deep_link_hosts: [],
      postback_ips: { allow: [], deny: [] },
    });
    expect((await api.get('/offers/21')).body).toEqual(offer);
    const goal = await made('/goals', { offer_id: 21, alias: 'lead' });
    expect(goal).toMatchObject({ id: 12, offer_id: 21, payout: '0', currency: 'USD', type: 'CPA' });
    const deployment = await made('/deployments', { offer_id: 21, affiliate_id: 1 });
    expect(deployment).toEqual({ id: '21:1', offer_id: 21, affiliate_id: 1, status: 'approved' });
    expect((await api.get('/deployments/21:1')).body).toEqual(deployment);
  });

  it('tell where they are', async () => {
    const answer = await api.send('POST', '/affiliates', { name: 'Somewhere' });
    expect(answer.headers.get('location')).toBe(`/api/v1/affiliates/${String(answer.body['id'])}`);
  });

  it('are listed in pages that a new entity does not shift', async () => {
    for (let n = 100; n < 110; n++) await made('/affiliates', { id: n, name: 'Paged' });
    const first = await api.get('/affiliates?name=Paged&limit=4');
    expect(first.rows.map(({ id }) => id)).toEqual([100, 101, 102, 103]);
    await made('/affiliates', { id: 99, name: 'Paged' });
    const cursor = String(first.body['next_cursor']);
    const second = await api.get(`/affiliates?name=Paged&limit=4&cursor=${cursor}`);
    expect(second.rows.map(({ id }) => id)).toEqual([104, 105, 106, 107]);
    const third = await api.get(
      `/affiliates?name=Paged&limit=4&cursor=${String(second.body['next_cursor'])}`,
    );
    expect(third.rows.map(({ id }) => id)).toEqual([108, 109]);
    expect(third.body['next_cursor']).toBeNull();
  });

  it.each([
    ['/offers?limit=0', 'limit'],
    ['/offers?limit=1001', 'limit'],
    ['/offers?limit=x', 'limit'],
    ['/offers?cursor=x', 'cursor'],
    ['/offers?nothing=1', 'nothing'],
    ['/advertisers?token=x', 'token'],
  ])('refuses %s and names %s', async (path, field) => {
    const answer = await api.get(path);
    expect(answer.status).toBe(400);
    expect(answer.fields).toEqual([field]);
  });

  it('are 404 when they are not there, for every method', async () => {
    for (const path of [
      '/offers/999',
      '/goals/x',
      '/deployments/10',
      // What belongs to nobody has this id.
      '/advertisers/0',
      '/affiliates/0',
      '/promo-codes/999',
      '/offers/%00',
      '/nothing/1',
    ]) {
      expect((await api.get(path)).status, path).toBe(404);
      expect((await api.send('PATCH', path, {})).status, path).toBe(404);
      expect((await api.send('DELETE', path)).status, path).toBe(404);
    }
  });

  it('can’t be made twice', async () => {
    const twice = await api.send('POST', '/offers', {
      id: 10,
      advertiser_id: 1,
      title: 'x',
      url: 'https://x.example',
    });
    expect(twice).toMatchObject({ status: 409, fields: ['id'] });
    await made('/deployments', { offer_id: 10, affiliate_id: 2 });
    expect((await api.send('POST', '/deployments', { offer_id: 10, affiliate_id: 2 })).status).toBe(
      409,
    );
  });
});

/** Sends the head of a request alone: the answer to one that is refused for its size comes before its body. */
function announceBody(bytes: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request(
      `${sluice.apiUrl}/api/v1/offers`,
      {
        method: 'POST',
        headers: {
          authorization: `Bearer ${sluice.adminKey}`,
          'content-type': 'application/json',
          'content-length': bytes,
        },
      },
      (response) => {
        resolve(response.statusCode);
        asked.destroy();
      },
    );
    asked.once('error', reject);
    asked.flushHeaders();
  });
}

describe('a refusal', () => {
  const GOAL = { offer_id: 10, alias: 'fine' };
  const OFFER = { advertiser_id: 1, title: 'x', url: 'https://x.example/' };
  const PROMO = { code: 'FINE', affiliate_id: 1, offer_id: 10 };
  it.each<[string, unknown, number, string[]]>([
    ['/advertisers', {}, 422, ['name']],
    ['/advertisers', { name: '' }, 422, ['name']],
    ['/advertisers', { name: 'x', status: 'asleep' }, 422, ['status']],
    ['/advertisers', { name: 'x', token: '' }, 422, ['token']],
    ['/advertisers', { name: 'x', has_token: true }, 422, ['has_token']],
    ['/advertisers', { id: -1, name: 'x' }, 422, ['id']],
    ['/advertisers', { id: 2 ** 32, name: 'x' }, 422, ['id']],
    ['/advertisers', { id: 1.5, name: 'x' }, 422, ['id']],
    ['/advertisers', [], 422, ['(whole)']],
    ['/affiliates', { name: 'x', surprise: 1 }, 422, ['surprise']],
    ['/affiliates', { name: 7 }, 422, ['name']],
    ['/offers', { ...OFFER, url: 'javascript:alert(1)' }, 422, ['url']],
    ['/offers', { ...OFFER, url: 'https://x.example/ y' }, 422, ['url']],
    ['/offers', { ...OFFER, advertiser_id: 999 }, 422, ['advertiser_id']],
    ['/offers', { ...OFFER, id: 2 ** 24 }, 422, ['id']],
    ['/offers', { ...OFFER, timezone: 'Mars/Olympus' }, 422, ['timezone']],
    [
      '/offers',
      { ...OFFER, unique_ip: { enabled: true, window: 'minute' } },
      422,
      ['unique_ip.window'],
    ],
    [
      '/offers',
      { ...OFFER, postback_ips: { allow: ['10.0.0.0/99'], deny: [] } },
      422,
      ['postback_ips.allow[0]'],
    ],
    ['/offers', { ...OFFER, trafficback_url: 'ftp://x' }, 422, ['trafficback_url']],
    [
      '/offers',
      { ...OFFER, allowed_deep_link_hosts: ['https://x'] },
      422,
      ['allowed_deep_link_hosts[0]'],
    ],
    ['/offers', { ...OFFER, click_lifetime_days: -1 }, 422, ['click_lifetime_days']],
    ['/goals', { ...GOAL, payout: '1,5' }, 422, ['payout']],
    ['/goals', { ...GOAL, payout: -1, revenue: 1e-7 }, 422, ['payout', 'revenue']],
    ['/goals', { ...GOAL, currency: 'EURO' }, 422, ['currency']],
    ['/goals', { ...GOAL, type: 'CPX' }, 422, ['type']],
    ['/goals', { ...GOAL, caps: { daily: -1 } }, 422, ['caps.daily']],
    ['/goals', { ...GOAL, affiliate_caps: { x: {} } }, 422, ['affiliate_caps.x']],
    ['/goals', { ...GOAL, offer_id: 999 }, 422, ['offer_id']],
    ['/goals', { ...GOAL, alias: 'sale' }, 409, ['alias']],
    ['/goals', { ...GOAL, default: true }, 409, ['default']],
    ['/deployments', { offer_id: 999, affiliate_id: 998 }, 422, ['offer_id', 'affiliate_id']],
    ['/deployments', { offer_id: 10, affiliate_id: 1, status: 'maybe' }, 422, ['status']],
    ['/promo-codes', { ...PROMO, code: 'not fine' }, 422, ['code']],
    ['/promo-codes', { ...PROMO, code: 'ÄÖÜ' }, 422, ['code']],
    ['/promo-codes', { ...PROMO, code: 'x'.repeat(101) }, 422, ['code']],
    ['/promo-codes', { ...PROMO, start_date: '2026-02-30' }, 422, ['start_date']],
    [
      '/promo-codes',
      { ...PROMO, start_date: '2026-02-02', end_date: '2026-02-01' },
      422,
      ['end_date'],
    ],
    [
      '/promo-codes',
      { ...PROMO, offer_id: 999, affiliate_id: 999 },
      422,
      ['offer_id', 'affiliate_id'],
    ],
    ['/promo-codes', { ...PROMO, id: 7 }, 422, ['id']],
    ['/api-keys', { role: 'king', name: 'x' }, 422, ['role']],
    ['/api-keys', { role: 'affiliate', name: 'x' }, 422, ['affiliate_id']],
    ['/api-keys', { role: 'affiliate', name: 'x', affiliate_id: 999 }, 422, ['affiliate_id']],
    ['/api-keys', { role: 'manager', name: 'x', affiliate_id: 1 }, 422, ['affiliate_id']],
    ['/api-keys', { role: 'advertiser', name: '', advertiser_id: 1 }, 422, ['name']],
  ])('of POST %s %j is %i and names %j', async (path, body, status, fields) => {
    const answer = await api.send('POST', path, body);
    expect(answer.status, answer.text).toBe(status);
    expect(answer.fields).toEqual(fields);
  });

  it('of a body that is no JSON is 400, of another type 415, of one too large 413', async () => {
    const post = (body: string, type: string): Promise<Response> =>
      fetch(`${sluice.apiUrl}/api/v1/offers`, {
        method: 'POST',
        body,
        headers: { authorization: `Bearer ${sluice.adminKey}`, 'content-type': type },
      });
    expect((await post('{"name": ', 'application/json')).status).toBe(400);
    expect((await post('{"__proto__": {"x": 1}}', 'application/json')).status).toBe(400);
    expect((await post('a=b', 'text/plain')).status).toBe(415);
    expect(await announceBody(5_000_000)).toBe(413);
    const empty = await post('', 'application/json');
    expect(empty.status).toBe(422);
    expect(empty.headers.get('content-type')).toContain('application/problem+json');
  });
});

describe('PATCH', () => {
  it('changes what is named and leaves the rest, inside objects too', async () => {
    const goal = await made('/goals', {
      offer_id: 20,
      alias: 'patched',
      payout: '3.5',
      caps: { daily: 5, monthly: 50, total: null },
      affiliate_caps: {
        '1': { daily: 1, monthly: null, total: null },
        '2': { daily: 2, monthly: 3, total: 4 },
      },
    });
    const path = `/goals/${String(goal['id'])}`;
    const patched = await api.send('PATCH', path, {
      title: 'Now with title',
      caps: { daily: 7 },
      affiliate_caps: { '1': null, '2': { daily: 9 } },
    });
    expect(patched.status).toBe(200);
    expect(patched.body).toEqual({
      ...goal,
      title: 'Now with title',
      caps: { daily: 7, monthly: 50, total: null },
      affiliate_caps: { '2': { daily: 9, monthly: 3, total: 4 } },
    });
    expect((await api.get(path)).body).toEqual(patched.body);
    const offer = await api.send('PATCH', '/offers/20', {
      unique_ip: { enabled: true },
      allowed_deep_link_hosts: ['a.example'],
    });
    expect(offer.body).toMatchObject({
      unique_ip: { enabled: true, window: 'ever' },
      allowed_deep_link_hosts: ['a.example'],
    });
    expect(
      (await api.send('PATCH', '/offers/20', { allowed_deep_link_hosts: [] })).body,
    ).toMatchObject({
      allowed_deep_link_hosts: [],
    });
  });

  it('takes back what GET gave, whole, and changes nothing', async () => {
    await made('/promo-codes', { code: 'ROUND', affiliate_id: 1, offer_id: 10 });
    for (const path of [
      '/advertisers/1',
      '/offers/10',
      '/goals/11',
      '/deployments/21:1',
      '/promo-codes/1',
    ]) {
      const shown = await api.get(path);
      expect(shown.status, path).toBe(200);
      const answer = await api.send('PATCH', path, shown.body);
      expect(answer.status, answer.text).toBe(200);
      expect(answer.body).toEqual(shown.body);
    }
  });

  it.each<[string, unknown, number, string[]]>([
    ['/offers/10', { id: 11 }, 422, ['id']],
    ['/goals/11', { offer_id: 20 }, 422, ['offer_id']],
    ['/deployments/21:1', { affiliate_id: 2 }, 422, ['affiliate_id']],
    ['/advertisers/1', { has_token: false }, 422, ['has_token']],
    ['/advertisers/1', { name: null }, 422, ['name']],
    ['/advertisers/1', { status: null }, 422, ['status']],
    ['/offers/10', { surprise: 1 }, 422, ['surprise']],
    ['/offers/10', { advertiser_id: 999 }, 422, ['advertiser_id']],
    ['/offers/10', 'text', 422, ['(whole)']],
    ['/promo-codes/1', { sequence: 99 }, 422, ['sequence']],
    ['/promo-codes/1', { offer_id: 999 }, 422, ['offer_id']],
  ])('of %s with %j is %i and names %j', async (path, body, status, fields) => {
    const answer = await api.send('PATCH', path, body);
    expect(answer.status, answer.text).toBe(status);
    expect(answer.fields).toEqual(fields);
  });
});

describe('DELETE', () => {
  it('is refused while something refers to the entity, and says what', async () => {
    await made('/advertisers', { id: 70, name: 'To go' });
    await made('/affiliates', { id: 70, name: 'To go' });
    await made('/offers', {
      id: 70,
      advertiser_id: 70,
      title: 'To go',
      url: 'https://go.example/',
    });
    await made('/goals', { id: 70, offer_id: 70, alias: 'go' });
    await made('/deployments', { offer_id: 70, affiliate_id: 70 });
    const promo = await made('/promo-codes', { code: 'GO', offer_id: 70, affiliate_id: 70 });
    const refused = async (path: string, why: string): Promise<void> => {
      const answer = await api.send('DELETE', path);
      expect(answer.status, path).toBe(409);
      expect(answer.body['detail']).toContain(why);
    };
    await refused('/advertisers/70', '1 offers');
    await refused('/affiliates/70', '1 deployments, 1 promo codes');
    await refused('/offers/70', '1 goals, 1 deployments, 1 promo codes');
    for (const path of [
      `/promo-codes/${String(promo['id'])}`,
      '/deployments/70:70',
      '/goals/70',
      '/offers/70',
      '/affiliates/70',
      '/advertisers/70',
    ]) {
      expect((await api.send('DELETE', path)).status, path).toBe(204);
      expect((await api.get(path)).status, path).toBe(404);
      expect((await api.send('DELETE', path)).status, path).toBe(404);
    }
    expect(
      await made('/offers', { advertiser_id: 1, title: 'After', url: 'https://go.example/' }),
    ).toMatchObject({ id: 71 });
  });
});

describe('an id that someone chose', () => {
  it('may be the highest there is: the lowest that was never used is next', async () => {
    await made('/affiliates', { id: 2 ** 32 - 1, name: 'Last' });
    const { id } = await made('/affiliates', { name: 'Next' });
    const listed = (await api.get('/affiliates?limit=1000')).rows.map((row) => Number(row['id']));
    expect(listed.filter((other) => other < Number(id))).toHaveLength(Number(id) - 1);
    expect((await api.send('DELETE', `/affiliates/${String(id)}`)).status).toBe(204);
    expect((await made('/affiliates', { name: 'After' }))['id']).toBeGreaterThan(Number(id));
  });
});

describe('promo codes', () => {
  it('may be one affiliate’s on several offers, in any case, and nobody else’s', async () => {
    await made('/promo-codes', { code: 'Spring', affiliate_id: 1, offer_id: 10 });
    await made('/promo-codes', { code: 'SPRING', affiliate_id: 1, offer_id: 20 });
    const twice = await api.send('POST', '/promo-codes', {
      code: 'spring',
      affiliate_id: 1,
      offer_id: 10,
    });
    expect(twice).toMatchObject({ status: 409, fields: ['code'] });
    const stolen = await api.send('POST', '/promo-codes', {
      code: 'sPRING',
      affiliate_id: 2,
      offer_id: 21,
    });
    expect(stolen).toMatchObject({ status: 409, fields: ['code'] });
    expect(stolen.body['detail']).toContain('affiliate 1');
    const found = await api.get('/promo-codes?code=SPRING');
    expect(found.rows.map(({ code }) => code)).toEqual(['Spring', 'SPRING']);
    const moved = await api.send('PATCH', `/promo-codes/${String(found.rows[0]?.['id'])}`, {
      affiliate_id: 2,
    });
    expect(moved).toMatchObject({ status: 409, fields: ['affiliate_id'] });
    expect(moved.body['detail']).toContain('belongs to affiliate 1 ');
  });

  it('are created in bulk, each with its own result', async () => {
    const before = (await api.get('/promo-codes')).rows.length;
    const answer = await api.send('POST', '/promo-codes/bulk', {
      items: [
        { code: 'BULK1', affiliate_id: 1, offer_id: 10, description: 'first' },
        { code: 'bulk1', affiliate_id: 1, offer_id: 10 },
        { code: 'BULK1', affiliate_id: 2, offer_id: 20 },
        { code: 'BULK1', affiliate_id: 1, offer_id: 20 },
        { code: 'no good', affiliate_id: 1, offer_id: 10 },
        { code: 'NOOFFER', affiliate_id: 1, offer_id: 999 },
        { code: 'SPRING', affiliate_id: 2, offer_id: 10 },
        'nothing',
        {
          code: 'BULK2',
          affiliate_id: 2,
          offer_id: 10,
          start_date: '2026-01-01',
          end_date: '2026-01-31',
        },
      ],
    });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ created: 3, refused: 6 });
    const results = answer.body['results'] as readonly Row[];
    expect(results.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(results.map(({ status }) => status)).toEqual([
      'created',
      'refused',
      'refused',
      'created',
      'refused',
      'refused',
      'refused',
      'refused',
      'created',
    ]);
    expect(results[1]).toMatchObject({ errors: [{ field: 'code' }] });
    expect(results[5]).toMatchObject({ errors: [{ field: 'offer_id' }] });
    expect(results[8]).toMatchObject({ promo_code: { code: 'BULK2', start_date: '2026-01-01' } });
    const rows = (await api.get('/promo-codes')).rows;
    expect(rows.length).toBe(before + 3);
    expect(rows.slice(-3).map(({ code }) => code)).toEqual(['BULK1', 'BULK1', 'BULK2']);
  });

  it('are created a thousand at once, and not a thousand and one', async () => {
    const codes = (count: number): object[] =>
      Array.from({ length: count }, (_, n) => ({
        code: `MANY${n}`,
        affiliate_id: 1,
        offer_id: 10,
        description: 'я'.repeat(2_000),
      }));
    for (const items of [codes(1_001), [], 'x'])
      expect(await api.send('POST', '/promo-codes/bulk', { items })).toMatchObject({
        status: 400,
        fields: ['items'],
      });
    expect((await api.send('POST', '/promo-codes/bulk', codes(1_000))).body).toMatchObject({
      created: 1_000,
      refused: 0,
    });
    expect((await api.send('POST', '/promo-codes/bulk', codes(1_000))).body).toMatchObject({
      created: 0,
      refused: 1_000,
    });
    // Some megabytes: more than a pipe takes at once.
    const exported = await sluice.run(['catalogue', 'export']);
    expect(exported.match(/code: MANY\d+$/gm)).toHaveLength(1_000);
  });
});

describe('secrets', () => {
  it('a token is never echoed, and export writes it as a hash that apply accepts', async () => {
    for (const path of ['/advertisers', '/advertisers/1']) {
      const { text } = await api.get(path);
      expect(text).not.toContain('s3cret-token');
      expect(text).not.toContain('sha256');
      expect(text).toContain('"has_token":true');
    }
    const patched = await api.send('PATCH', '/advertisers/1', { token: 'an0ther-token' });
    expect(patched.text).not.toMatch(/an0ther|sha256/);
    const exported = await sluice.run(['catalogue', 'export']);
    expect(exported).not.toContain('an0ther-token');
    const file = parse(exported) as { readonly advertisers: readonly Row[] };
    expect(file.advertisers[0]?.['token']).toMatch(/^sha256:[0-9a-f]{64}$/);
    const path = join(sluice.dataDir, 'exported.yaml');
    writeFileSync(path, exported);
    expect(await sluice.run(['catalogue', 'apply', path])).toContain('0 created, 0 changed');
    expect((await api.send('PATCH', '/advertisers/1', { token: null })).body).toMatchObject({
      has_token: false,
    });
  });

  it('a key is shown once, and stored as a hash', async () => {
    const answer = await api.send('POST', '/api-keys', {
      role: 'advertiser',
      advertiser_id: 1,
      name: 'shop system',
    });
    expect(answer.body).toMatchObject({
      role: 'advertiser',
      advertiser_id: 1,
      affiliate_id: 0,
      name: 'shop system',
    });
    const key = String(answer.body['key']);
    expect(key).toMatch(/^slk_[\w-]{32}$/);
    const list = await api.get('/api-keys');
    expect(list.text).not.toContain(key);
    expect(list.text).not.toContain('hash');
    expect(list.rows.map(({ prefix }) => prefix)).toContain(key.slice(0, 10));
    const { clickhousePassword } = JSON.parse(
      readFileSync(join(sluice.dataDir, 'secrets.json'), 'utf8'),
    ) as { clickhousePassword: string };
    const stored = await fetch(
      `${sluice.clickhouseUrl}/?user=sluice&password=${clickhousePassword}`,
      {
        method: 'POST',
        body: 'SELECT * FROM sluice_private.api_keys FORMAT JSONEachRow',
      },
    );
    const text = await stored.text();
    expect(text).toContain(key.slice(0, 10));
    expect(text).not.toContain(key);
    expect((await api.send('DELETE', '/api-keys/nothing')).status).toBe(404);
  });
});

describe('guessing keys', () => {
  it('is answered 429 after 60 wrong ones from an address; a key known to be right goes on', async () => {
    const known = (await createKey(api, sluice, { role: 'affiliate', affiliate_id: 1 })).client;
    const unused = (await createKey(api, sluice, { role: 'affiliate', affiliate_id: 1 })).client;
    expect((await known.get('/offers')).status).toBe(200);
    const statuses: number[] = [];
    for (let n = 0; n < 61; n++)
      statuses.push((await createApiClient(sluice, `slk_guess${n}`).get('/offers')).status);
    expect(statuses.slice(0, 60).every((status) => status === 401)).toBe(true);
    expect(statuses[60]).toBe(429);
    const locked = await createApiClient(sluice, 'slk_another').get('/offers');
    expect(locked.status).toBe(429);
    expect(Number(locked.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await known.get('/offers')).status).toBe(200);
    expect((await unused.get('/offers')).status).toBe(429);
  });
});
