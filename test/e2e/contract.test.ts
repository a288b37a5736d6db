/**
 * The contract from outside: real processes, real HTTP, every endpoint, every verdict, every `return` form, and each
 * row compared in SQL and in the API. Knows CONTRACT.md and nothing of the inside.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

let sluice: RunningSluice;

interface Row {
  readonly [column: string]: unknown;
}

async function sql(query: string): Promise<Row[]> {
  const response = await fetch(`${sluice.clickhouseUrl}/?user=analyst&database=sluice`, {
    method: 'POST',
    body: `${query} FORMAT JSONEachRow`,
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
}

async function api(path: string, init: RequestInit = {}): Promise<{ status: number; body: Row }> {
  const response = await fetch(`${sluice.apiUrl}${path}`, {
    ...init,
    headers: { authorization: `Bearer ${sluice.adminKey}`, 'content-type': 'application/json' },
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Row) };
}

async function click(query: string): Promise<string> {
  const response = await fetch(`${sluice.edgeUrl}/click?${query}&return=click_id`);
  expect(response.status).toBe(200);
  const body = (await response.json()) as { click_id: string };
  return body.click_id;
}

async function call(path: string, init: RequestInit = {}): Promise<string> {
  const response = await fetch(`${sluice.edgeUrl}${path}`, init);
  expect(response.status).toBe(200);
  const body = (await response.json()) as { status: string; hit_id: string };
  expect(body.status).toBe('accepted');
  expect(body.hit_id).toMatch(
    /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  return body.hit_id;
}

/** The one row of a hit in `postbacks`, once it is there. */
async function judged(hitId: string): Promise<Row> {
  return waitFor(
    async () => {
      const rows = await sql(`SELECT * FROM postbacks WHERE hit_id = '${hitId}'`);
      expect(rows.length).toBeLessThanOrEqual(1);
      return rows[0];
    },
    { timeoutMs: 20_000, what: `hit ${hitId} to be judged` },
  );
}

async function verdictOf(path: string, init: RequestInit = {}): Promise<Row> {
  return judged(await call(path, init));
}

beforeAll(async () => {
  sluice = await startSluice();
  await sluice.run(['catalogue', 'apply', projectPath('test/e2e/contract-catalogue.yaml')]);
  await waitFor(
    async () => {
      const response = await fetch(`${sluice.edgeUrl}/click?o=80&a=1&return=click_id`);
      return response.status === 200 ? true : undefined;
    },
    { timeoutMs: 5_000, what: 'the catalogue to be in force' },
  );
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

describe('GET /click', () => {
  it('redirects to the offer with macros filled and the cookie set', async () => {
    const response = await fetch(`${sluice.edgeUrl}/click?o=16&a=1&sub_id1=a%20b%26c`, {
      redirect: 'manual',
    });
    expect(response.status).toBe(302);
    expect(response.headers.get('x-sluice-verdict')).toBe('accepted');
    const cookie = response.headers.get('set-cookie') ?? '';
    const clickId = /slc_16=([0-9a-f]{32})/.exec(cookie)?.[1] ?? 'none';
    expect(cookie.toLowerCase()).toContain('httponly');
    expect(response.headers.get('location')).toBe(
      `https://shop.example/?cid=${clickId}&s=a%20b%26c&o=16`,
    );
    const rows = await waitFor(
      async () => {
        const found = await sql(`SELECT * FROM clicks WHERE click_id = '${clickId}'`);
        return found.length > 0 ? found : undefined;
      },
      { timeoutMs: 10_000, what: 'the click to be stored' },
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ offer_id: 16, affiliate_id: 1, sub_id1: 'a b&c' });
  });

  it('uses a deep link only when its host is on the offer’s list', async () => {
    const good = await fetch(
      `${sluice.edgeUrl}/click?o=16&a=1&deep_link=${encodeURIComponent('https://deep.example/p?c={click_id}')}`,
      { redirect: 'manual' },
    );
    expect(good.headers.get('location')).toMatch(/^https:\/\/deep\.example\/p\?c=[0-9a-f]{32}$/);
    const evil = await fetch(
      `${sluice.edgeUrl}/click?o=16&a=1&deep_link=${encodeURIComponent('https://evil.example/')}`,
      { redirect: 'manual' },
    );
    expect(evil.headers.get('location')).toMatch(/^https:\/\/shop\.example\//);
  });

  it.each([
    ['o=999&a=1', 'offer_not_found', 404],
    ['a=1', 'offer_not_found', 404],
    ['o=20&a=1', 'offer_not_active', 302],
    ['o=16&a=99', 'affiliate_not_found', 404],
    ['o=16&a=2', 'affiliate_not_active', 404],
    ['o=40&a=1', 'offer_not_deployed', 404],
  ])('answers %s with %s', async (query, slug, status) => {
    const response = await fetch(`${sluice.edgeUrl}/click?${query}&sub_id5=${slug}`, {
      redirect: 'manual',
    });
    expect(response.status).toBe(status);
    expect(response.headers.get('x-sluice-verdict')).toBe(slug);
    if (status === 302) {
      expect(response.headers.get('location')).toBe('https://trafficback.example/?o=20');
    }
    const row = await waitFor(
      async () => {
        const rows = await sql(
          `SELECT verdict, detail FROM invalid_clicks WHERE sub_id5 = '${slug}' ORDER BY hit_time DESC`,
        );
        return rows[0];
      },
      { timeoutMs: 10_000, what: 'the invalid click to be stored' },
    );
    expect(row['verdict']).toBe(slug);
    expect(row['detail']).not.toBe('');
  });
});

describe('conversion calls', () => {
  it('accepts a postback and writes one transaction with all its columns', async () => {
    const clickId = await click('o=16&a=1&sub_id1=first&aff_click_id=theirs');
    const hitId = await call(
      `/track/goal-by-click-id?click_id=${clickId}&amount=10.5&track_id=t-1&adv_order_id=o-1&adv_param1=p1`,
    );
    expect(await judged(hitId)).toMatchObject({ verdict_code: 0, verdict: 'accepted' });
    const rows = await sql(`SELECT * FROM transactions WHERE transaction_id = '${hitId}'`);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      hit_id: hitId,
      click_id: clickId,
      offer_id: 16,
      goal_id: 12,
      affiliate_id: 1,
      advertiser_id: 1,
      conv_status: 'approved',
      currency: 'USD',
      track_id: 't-1',
      adv_order_id: 'o-1',
      adv_param1: 'p1',
      sub_id1: 'first',
      channel: 'postback',
    });
    expect(Number(rows[0]?.['payout'])).toBe(5);
    expect(Number(rows[0]?.['amount'])).toBe(10.5);
    const report = await api(`/api/v1/reports/transactions?transaction_id=${hitId}`);
    expect(report.status).toBe(200);
    expect(report.body['rows']).toMatchObject([{ transaction_id: hitId, goal_id: 12 }]);
  });

  it('gives a second conversion of a click 101 and names the first', async () => {
    const clickId = await click('o=16&a=1');
    const first = await call(`/track/goal-by-click-id?click_id=${clickId}`);
    expect(await judged(first)).toMatchObject({ verdict_code: 0 });
    expect(await verdictOf(`/track/conv?click_id=${clickId}`)).toMatchObject({
      verdict_code: 101,
      title: 'Multiple Conversions are not Allowed',
      blocking_transaction_id: first,
      transaction_id: '',
    });
  });

  it('takes form and JSON bodies, and the query wins', async () => {
    const clickId = await click('o=16&a=1');
    const form = await verdictOf('/track/goal-by-click-id?track_id=query', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `click_id=${clickId}&goal_alias=many&track_id=form`,
    });
    expect(form).toMatchObject({ verdict_code: 0, goal_id: 14, track_id: 'query' });
    const json = await verdictOf('/track/goal-by-click-id', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ click_id: clickId, goal_id: 14, amount: 3 }),
    });
    expect(json).toMatchObject({ verdict_code: 0, goal_id: 14 });
  });

  it('finds the click of a pixel by its cookie', async () => {
    const clickId = await click('o=16&a=1');
    expect(
      await verdictOf('/track/goal?offer_id=16&goal_id=14&return=json', {
        headers: { cookie: `other=1; slc_16=${clickId}` },
      }),
    ).toMatchObject({ verdict_code: 0, click_id: clickId });
    expect(await verdictOf('/track/goal?offer_id=16')).toMatchObject({ verdict_code: 104 });
    expect(
      await verdictOf('/track/goal?offer_id=30', { headers: { cookie: `slc_30=${clickId}` } }),
    ).toMatchObject({ verdict_code: 104 });
    expect(
      await verdictOf('/track/goal?goal_alias=many', { headers: { cookie: `slc_16=${clickId}` } }),
    ).toMatchObject({ verdict_code: 0 });
  });

  it.each([
    ['/track/goal-by-click-id', 108, ''],
    ['/track/goal-by-click-id?click_id={click_id}', 108, 'macro'],
    ['/track/goal-by-click-id?click_id=%7Bclick_id%7D', 108, 'macro'],
    ['/track/goal-by-click-id?click_id=00112233445566778899aabbccddeeff', 108, ''],
    ['/track/goal-by-click-id?click_id=CLICK16&goal_id=999', 106, ''],
    ['/track/goal-by-click-id?click_id=CLICK16&offer_id=999', 105, ''],
    ['/track/goal-by-click-id?click_id=CLICK16&goal_id=31', 106, ''],
    ['/track/goal-by-click-id?click_id=CLICK16&goal_id=13', 116, ''],
    ['/track/goal-by-click-id?click_id=CLICK16&offer_id=30', 108, ''],
    ['/track/goal-by-click-id?click_id=CLICK16&amount=amount', 120, 'amount'],
    ['/track/goal-by-click-id?click_id=CLICK16&currency=EURO', 120, ''],
    ['/track/goal-by-click-id?click_id=CLICK16&token=wrong', 117, ''],
    ['/track/goal-by-click-id?click_id=CLICK70', 106, ''],
    ['/track/goal-by-click-id?click_id=CLICK80', 114, ''],
    ['/track/conv?click_id=CLICK50', 117, ''],
    ['/track/conv?click_id=CLICK60', 118, ''],
    ['/track/goal-by-click-id?click_id=CLICK16&goal_alias=track', 103, ''],
    ['/track/promo', 111, ''],
    ['/track/promo?code=NOSUCH', 111, ''],
    ['/track/promo?code=OLD', 112, ''],
    ['/track/promo?code=OFF', 113, ''],
    ['/track/promo?code=NEWBIE', 110, ''],
    ['/track/promo?code=ASKED', 109, ''],
    [
      '/track/conv-change?transaction_id=01900000-0000-7000-8000-000000000000&conv_status=rejected&token=s3cret',
      119,
      '',
    ],
    [
      '/track/conv-change?transaction_id=01900000-0000-7000-8000-000000000000&conv_status=rejected',
      117,
      '',
    ],
  ])('%s becomes %i', async (path, code, hint) => {
    let target = path;
    for (const offer of ['16', '50', '60', '70', '80']) {
      if (target.includes(`CLICK${offer}`)) {
        target = target.replace(`CLICK${offer}`, await click(`o=${offer}&a=1`));
      }
    }
    const row = await verdictOf(target);
    expect(row).toMatchObject({ verdict_code: code });
    expect(row['detail']).not.toBe('');
    expect(String(row['hint'])).toContain(hint);
    const invalid = await sql(
      `SELECT * FROM invalid_traffic WHERE hit_id = '${String(row['hit_id'])}'`,
    );
    expect(invalid).toHaveLength(1);
  });

  it('accepts with the right token and lets it set payout, revenue and status', async () => {
    const clickId = await click('o=50&a=1');
    const row = await verdictOf(
      `/track/conv?click_id=${clickId}&token=t0ken&payout=7&revenue=9.5&conv_status=hold`,
    );
    expect(row).toMatchObject({ verdict_code: 0, conv_status: 'hold' });
    expect(Number(row['payout'])).toBe(7);
    expect(JSON.stringify(row)).not.toContain('t0ken');
  });

  it('ignores payout without a token and says so', async () => {
    const clickId = await click('o=16&a=1');
    const row = await verdictOf(`/track/goal-by-click-id?click_id=${clickId}&payout=700`);
    expect(row).toMatchObject({ verdict_code: 0 });
    expect(Number(row['payout'])).toBe(5);
    expect(row['detail']).toContain('payout');
  });

  it('never lets a cap overshoot', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => click('o=16&a=1')));
    const hits = await Promise.all(
      ids.map((id) => call(`/track/goal-by-click-id?click_id=${id}&goal_alias=capped`)),
    );
    const rows = await Promise.all(hits.map(judged));
    expect(rows.filter((row) => row['verdict_code'] === 0)).toHaveLength(3);
    const capped = rows.filter((row) => row['verdict_code'] === 107);
    expect(capped).toHaveLength(5);
    expect(capped[0]?.['detail']).toContain('3');
  });

  it('filters by unique order id, track id and ip', async () => {
    const clickId = await click('o=16&a=1');
    const first = await call(`/track/conv?click_id=${clickId}&goal_alias=order&adv_order_id=A1`);
    await judged(first);
    expect(
      await verdictOf(`/track/conv?click_id=${clickId}&goal_alias=order&adv_order_id=A1`),
    ).toMatchObject({ verdict_code: 122, blocking_transaction_id: first });
    const tracked = await call(`/track/conv?click_id=${clickId}&goal_alias=track&track_id=L1`);
    await judged(tracked);
    expect(
      await verdictOf(`/track/conv?click_id=${clickId}&goal_alias=track&track_id=L1`),
    ).toMatchObject({ verdict_code: 103, blocking_transaction_id: tracked });
    const daily = await click('o=30&a=1');
    const once = await call(`/track/conv?click_id=${daily}`);
    expect(await judged(once)).toMatchObject({ verdict_code: 0 });
    expect(await verdictOf(`/track/conv?click_id=${await click('o=30&a=3')}`)).toMatchObject({
      verdict_code: 102,
      blocking_transaction_id: once,
    });
  });

  it('stores an unknown /track/ path as malformed and answers 404', async () => {
    const response = await fetch(`${sluice.edgeUrl}/track/nothing-like-it?x=unknown-path`);
    expect(response.status).toBe(404);
    await waitFor(
      async () => {
        const rows = await sql(
          `SELECT verdict_code FROM invalid_traffic WHERE query LIKE '%unknown-path%'`,
        );
        return rows[0]?.['verdict_code'] === 120 ? true : undefined;
      },
      { timeoutMs: 10_000, what: 'the unknown path to be stored' },
    );
  });

  it('stores an unreadable body as malformed', async () => {
    expect(
      await verdictOf('/track/conv', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"click_id": "x"',
      }),
    ).toMatchObject({ verdict_code: 120 });
  });
});

describe('promo codes', () => {
  it('counts a conversion by code, whatever its case, and shows it as the catalogue spells it', async () => {
    const hitId = await call('/track/promo?code=spring&offer_id=16&amount=20');
    expect(await judged(hitId)).toMatchObject({
      verdict_code: 0,
      promo_code: 'SPRING',
      affiliate_id: 1,
      channel: 'promo',
      click_id: '',
    });
    const report = await api('/api/v1/reports/transactions?promo_code=SPRING');
    expect(report.body['rows']).toMatchObject([{ promo_code: 'SPRING' }]);
  });
});

describe('changes of conversions', () => {
  it('changes a transaction and keeps the history', async () => {
    const clickId = await click('o=16&a=1');
    const hitId = await call(`/track/conv?click_id=${clickId}&goal_alias=pending`);
    expect(await judged(hitId)).toMatchObject({ verdict_code: 0, conv_status: 'pending' });
    const change = await verdictOf(
      `/track/conv-change?transaction_id=${hitId}&conv_status=approved&payout=3&token=s3cret`,
    );
    expect(change).toMatchObject({ verdict_code: 0, transaction_id: hitId });
    const now = await sql(`SELECT * FROM transactions WHERE transaction_id = '${hitId}'`);
    expect(now).toHaveLength(1);
    expect(now[0]).toMatchObject({ conv_status: 'approved' });
    expect(Number(now[0]?.['payout'])).toBe(3);
    const events = await sql(`SELECT * FROM transaction_events WHERE transaction_id = '${hitId}'`);
    expect(events).toHaveLength(1);
  });

  it('creates with conv-addchange where there is none and changes it the second time', async () => {
    const clickId = await click('o=16&a=1');
    const path = `/track/conv-addchange?click_id=${clickId}&goal_alias=pending&token=s3cret`;
    const first = await call(path);
    expect(await judged(first)).toMatchObject({ verdict_code: 0, transaction_id: first });
    expect(await verdictOf(`${path}&conv_status=rejected`)).toMatchObject({
      verdict_code: 0,
      transaction_id: first,
    });
    expect(
      await sql(`SELECT conv_status FROM transactions WHERE click_id = '${clickId}'`),
    ).toMatchObject([{ conv_status: 'rejected' }]);
  });
});

describe('answers', () => {
  it.each([
    ['img', 'image/gif'],
    ['js', 'javascript'],
    ['iframe', 'text/html'],
    ['json', 'application/json'],
  ])('return=%s answers %s', async (form, type) => {
    const response = await fetch(`${sluice.edgeUrl}/track/goal?offer_id=16&return=${form}`, {
      headers: { origin: 'https://shop.example' },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain(type);
    expect(response.headers.get('cache-control')).toContain('no-store');
    expect(response.headers.get('access-control-allow-origin')).toBe('https://shop.example');
    expect(response.headers.get('access-control-allow-credentials')).toBe('true');
    if (form === 'img') {
      const bytes = Buffer.from(await response.arrayBuffer());
      expect(bytes.subarray(0, 6).toString('latin1')).toMatch(/^GIF8[79]a$/);
    }
  });

  it('answers a browser’s image request with the GIF', async () => {
    const response = await fetch(`${sluice.edgeUrl}/track/goal?offer_id=16`, {
      headers: { accept: 'image/avif,image/webp,image/*,*/*;q=0.8' },
    });
    expect(response.headers.get('content-type')).toContain('image/gif');
  });

  it('refuses oversize bodies and unknown paths', async () => {
    const big = await fetch(`${sluice.edgeUrl}/track/conv`, {
      method: 'POST',
      body: 'x'.repeat(70_000),
    });
    expect(big.status).toBe(413);
    expect((await fetch(`${sluice.edgeUrl}/nothing`)).status).toBe(404);
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      expect((await fetch(`${sluice.edgeUrl}${path}`)).status).toBe(200);
    }
  });
});

describe('explain', () => {
  it('shows every check of a rejected hit in order, with the evidence', async () => {
    const hitId = await call('/track/goal-by-click-id?click_id={click_id}');
    await judged(hitId);
    const answer = await api(`/api/v1/explain?hit_id=${hitId}`);
    expect(answer.status).toBe(200);
    const text = JSON.stringify(answer.body);
    expect(text).toContain('invalid_click_id');
    expect(text).toContain('failed');
    expect(text).toContain('macro');
  });

  it('refuses wrong keys', async () => {
    const response = await fetch(`${sluice.apiUrl}/api/v1/reports/clicks`, {
      headers: { authorization: 'Bearer nonsense' },
    });
    expect(response.status).toBe(401);
  });
});
