/** Explain, the test of a URL, and the tail of verdicts, from outside. */
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
import { runSql } from '../support/stored-rows.ts';
import { openTail, type Tail } from '../support/tail.ts';
import { waitFor } from '../support/wait-for.ts';

let sluice: RunningSluice;
let manager: ApiClient;
let acme: ApiClient;

interface Check {
  readonly check: string;
  readonly outcome: string;
  readonly evidence: string;
}

function checksOf(body: Row): Check[] {
  // As the API documents it.
  return body['checks'] as Check[];
}

const failedOf = (body: Row): string[] =>
  checksOf(body)
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ check }) => check);

async function stored(): Promise<string> {
  return runSql(
    sluice,
    'SELECT (SELECT count() FROM click_log), (SELECT count() FROM postback_log), (SELECT max(version) FROM sluice_private.catalogue_log)',
  );
}

beforeAll(async () => {
  sluice = await startSluice();
  manager = createApiClient(sluice, sluice.adminKey);
  await sluice.run(['catalogue', 'apply', projectPath('test/e2e/contract-catalogue.yaml')]);
  acme = (await createKey(manager, sluice, { role: 'advertiser', advertiser_id: 1 })).client;
  await waitFor(
    async () => (await fetch(`${sluice.edgeUrl}/click?o=16&a=1&return=click_id`)).status === 200,
    { timeoutMs: 5_000, what: 'the catalogue to be in force' },
  );
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

describe('explain', () => {
  it('finds a conversion by hit, click, transaction and order, each check with its evidence', async () => {
    const clickId = await sendClick(sluice, 'o=16&a=1&sub_id1=explained');
    const good = await sendCall(
      sluice,
      manager,
      `conv?click_id=${clickId}&adv_order_id=E-1&amount=3`,
    );
    const second = await sendCall(sluice, manager, `conv?click_id=${clickId}&adv_order_id=E-2`);
    expect(second).toMatchObject({ verdict_code: 101 });
    for (const [query, calls] of [
      [`hit_id=${String(good['hit_id'])}`, 1],
      [`transaction_id=${String(good['transaction_id'])}`, 1],
      ['order_id=E-1', 1],
      [`click_id=${clickId}`, 2],
    ] as const) {
      const { status, body } = await manager.get(`/explain?${query}`);
      expect(status, query).toBe(200);
      expect(body['calls'], query).toHaveLength(calls);
      expect(body).toMatchObject({
        hit_id: good['hit_id'],
        verdict: 'accepted',
        request: { endpoint: 'conv', query: `click_id=${clickId}&adv_order_id=E-1&amount=3` },
        click: { click_id: clickId, sub_id1: 'explained' },
        transactions: [{ transaction_id: good['transaction_id'] }],
      });
      expect(failedOf(body)).toEqual([]);
    }
    const rejected = await manager.get(`/explain?hit_id=${String(second['hit_id'])}`);
    expect(failedOf(rejected.body)).toEqual(['one conversion a click']);
    const order = checksOf(rejected.body).map(({ check }) => check);
    expect(order.indexOf('click id')).toBeLessThan(order.indexOf('token'));
    expect(checksOf(rejected.body).at(-1)).toMatchObject({
      outcome: 'skipped',
      evidence: 'not reached',
    });
    expect(rejected.body).toMatchObject({
      blocking_transaction_id: good['transaction_id'],
      transactions: [{ transaction_id: good['transaction_id'] }],
    });
  });

  it('of a click alone shows the click', async () => {
    const clickId = await sendClick(sluice, 'o=16&a=1');
    const body = await waitFor(
      async () => {
        const answer = await manager.get(`/explain?click_id=${clickId}`);
        return answer.status === 200 ? answer.body : undefined;
      },
      { timeoutMs: 10_000, what: 'the click to be stored' },
    );
    expect(body).toMatchObject({
      verdict: 'accepted',
      request: { endpoint: 'click', path: '/click' },
      click: { click_id: clickId },
      calls: [],
    });
    expect(checksOf(body).map(({ outcome }) => outcome)).toEqual(Array(4).fill('passed'));
  });

  it('of an invalid click shows the request, the checks and a hint', async () => {
    const mark = 'sub_id1=explained-invalid';
    await fetch(`${sluice.edgeUrl}/click?o=16&a=%7Baff_id%7D&${mark}`, { redirect: 'manual' });
    const row = await waitFor(
      async () => {
        const { body } = await manager.get(`/reports/invalid-clicks?sub_id1=explained-invalid`);
        return (body['rows'] as Row[] | undefined)?.[0];
      },
      { timeoutMs: 10_000, what: 'the invalid click to be stored' },
    );
    expect(row['hint']).toContain('The macro {aff_id} in a was not replaced');
    const { body } = await manager.get(`/explain?hit_id=${String(row['hit_id'])}`);
    expect(body).toMatchObject({
      verdict: 'affiliate_not_found',
      hint: row['hint'],
      request: { endpoint: 'click', method: 'GET', query: `o=16&a=%7Baff_id%7D&${mark}` },
      catalogue_version: row['catalogue_version'],
    });
    expect(failedOf(body)).toEqual(['affiliate exists and is active']);
    expect(checksOf(body).at(-1)).toMatchObject({ outcome: 'skipped', evidence: 'not reached' });
  });

  it.each<[string, string, string, string]>([
    ['conv?click_id=CLICK50', 'invalid_token', 'token', 'none was sent'],
    ['conv?click_id=CLICK50&token=wr0ng', 'invalid_token', 'token', ''],
    ['conv?click_id=CLICK16&token=wr0ng', 'invalid_token', 'token', ''],
    ['conv?click_id=CLICK16&amount=x', 'malformed', 'well-formed', 'amount=x'],
    ['conv?click_id=CLICK16&goal_id=13', 'goal_not_active', 'goal active', ''],
    ['conv?click_id=CLICK60', 'ip_not_allowed', 'caller address', ''],
    ['conv?click_id=CLICK80', 'click_expired', 'click lifetime', ''],
    ['promo?code=OLD', 'promo_code_not_valid_now', 'promo code dates', ''],
    ['goal?offer_id=16', 'invalid_cookie', 'cookie', ''],
  ])('of %s shows %s at the check that failed: %s', async (path, verdict, check, evidence) => {
    const offer = /CLICK(\d+)/.exec(path)?.[1];
    const clickId = offer === undefined ? '' : await sendClick(sluice, `o=${offer}&a=1`);
    const row = await sendCall(sluice, manager, path.replace(/CLICK\d+/, clickId));
    const { body, text } = await manager.get(`/explain?hit_id=${String(row['hit_id'])}`);
    expect(body).toMatchObject({ verdict });
    expect(failedOf(body)).toEqual([check]);
    expect(checksOf(body).find(({ outcome }) => outcome === 'failed')?.evidence).toContain(
      evidence,
    );
    expect(text).not.toContain('wr0ng');
  });

  it('judges under the catalogue of then, not of now', async () => {
    const clickId = await sendClick(sluice, 'o=16&a=1');
    const row = await sendCall(sluice, manager, `conv?click_id=${clickId}&goal_id=13`);
    expect(row).toMatchObject({ verdict: 'goal_not_active' });
    expect((await manager.send('PATCH', '/goals/13', { status: 'active' })).status).toBe(200);
    const { body } = await manager.get(`/explain?hit_id=${String(row['hit_id'])}`);
    expect(failedOf(body)).toEqual(['goal active']);
    expect((await manager.send('PATCH', '/goals/13', { status: 'inactive' })).status).toBe(200);
  });

  it('shows a transaction as the view does, and the history of one that was changed', async () => {
    const clickId = await sendClick(sluice, 'o=16&a=1');
    const made = await sendCall(
      sluice,
      manager,
      `conv?click_id=${clickId}&goal_alias=pending&adv_order_id=E-3&amount=7`,
    );
    const id = String(made['transaction_id']);
    const inView = async (): Promise<unknown> =>
      JSON.parse(
        await runSql(
          sluice,
          `SELECT * FROM transactions WHERE transaction_id = '${id}' FORMAT JSONEachRow`,
        ),
      );
    const unchanged = await manager.get(`/explain?transaction_id=${id}`);
    expect(unchanged.body['transactions']).toEqual([await inView()]);
    expect(unchanged.body['events']).toEqual([]);
    const change = await sendCall(
      sluice,
      manager,
      `conv-change?transaction_id=${id}&conv_status=rejected&token=s3cret`,
    );
    expect(change).toMatchObject({ verdict_code: 0, transaction_id: id });
    const { body, text } = await manager.get(`/explain?transaction_id=${id}`);
    expect(body['calls']).toHaveLength(2);
    expect(body['transactions']).toEqual([await inView()]);
    expect(body).toMatchObject({
      transactions: [{ conv_status: 'rejected' }],
      events: [{ conv_status: 'rejected', previous_conv_status: 'pending' }],
    });
    expect(text).not.toContain('s3cret');
  });

  it.each([
    ['', 400],
    ['?hit_id=', 400],
    ['?nothing=1', 400],
    ['?hit_id=a&click_id=b', 400],
    ["?hit_id=' OR 1=1 --", 404],
    ['?hit_id=x', 404],
  ])('refuses %s with %i', async (query, status) => {
    expect((await manager.get(`/explain${query}`)).status).toBe(status);
  });
});

describe('explain/test', () => {
  it('judges now, records nothing and claims nothing', async () => {
    const clickId = await sendClick(sluice, 'o=16&a=1');
    await waitFor(async () => (await manager.get(`/explain?click_id=${clickId}`)).status === 200, {
      timeoutMs: 10_000,
      what: 'the click to be stored',
    });
    const url = `https://tracker.example/track/conv?click_id=${clickId}&adv_order_id=T-1`;
    const before = await stored();
    for (let n = 0; n < 3; n++) {
      const { status, body } = await manager.send('POST', '/explain/test', { url });
      expect(status).toBe(200);
      expect(body).toMatchObject({
        verdict: 'accepted',
        recorded: false,
        click: { click_id: clickId },
      });
      expect(failedOf(body)).toEqual([]);
    }
    expect(await stored()).toBe(before);
    const real = await sendCall(sluice, manager, `conv?click_id=${clickId}&adv_order_id=T-1`);
    expect(real).toMatchObject({ verdict: 'accepted' });
    const after = await manager.send('POST', '/explain/test', { url });
    expect(after.body).toMatchObject({
      verdict: 'multiple_conversions',
      blocking_transaction_id: real['transaction_id'],
    });
    expect(failedOf(after.body)).toEqual(['one conversion a click']);
  });

  it('sees a change of the catalogue at once', async () => {
    const url = '/track/promo?code=SPRING';
    expect((await manager.send('POST', '/explain/test', { url })).body).toMatchObject({
      verdict: 'accepted',
    });
    await manager.send('PATCH', '/offers/16', { promo_codes_enabled: false });
    expect((await manager.send('POST', '/explain/test', { url })).body).toMatchObject({
      verdict: 'promo_codes_disabled',
    });
    await manager.send('PATCH', '/offers/16', { promo_codes_enabled: true });
  });

  it.each([
    ['/track/conv?click_id={click_id}', 'invalid_click_id', 'macro'],
    ['/track/goal?offer_id=16', 'invalid_cookie', ''],
    ['/track/nothing', 'malformed', ''],
    ['/track/promo?code=NOSUCH', 'promo_code_not_found', ''],
    ['https://x.example/track/conv?offer_id=999', 'offer_not_found', ''],
    ['https://x.example/click?o=%7Boffer_id%7D&a=1', 'offer_not_found', 'macro'],
    ['/click?o=16&aff_id=1', 'affiliate_not_found', 'The link has aff_id'],
  ])('%s would be %s', async (url, verdict, hint) => {
    const { body } = await manager.send('POST', '/explain/test', { url });
    expect(body).toMatchObject({ verdict });
    expect(body['hint']).toContain(hint);
    expect(failedOf(body)).toHaveLength(1);
  });

  it('judges a tracking link, of another advertiser for nobody else', async () => {
    const { body } = await manager.send('POST', '/explain/test', { url: '/click?o=16&a=1' });
    expect(body).toMatchObject({ verdict: 'accepted', click: null, recorded: false });
    expect(failedOf(body)).toEqual([]);
    const own = await acme.send('POST', '/explain/test', { url: '/click?o=16&a=1' });
    expect(own.body).toMatchObject({ verdict: 'accepted' });
    const unknown = await acme.send('POST', '/explain/test', { url: '/click?o=999&a=1' });
    expect(unknown.status).toBe(404);
  });

  it.each([[{}], [{ url: 7 }], [{ url: 'https://[' }], [{ url: '/x', more: 1 }], [[]]])(
    'refuses %j',
    async (body) => {
      const answer = await manager.send('POST', '/explain/test', body);
      expect(answer.status).toBe(400);
      expect(answer.fields.length).toBeGreaterThan(0);
    },
  );
});

describe('tail', () => {
  const tails: Tail[] = [];
  async function tail(client: ApiClient, query = ''): Promise<Tail> {
    const opened = await openTail(client, query);
    tails.push(opened);
    return opened;
  }
  afterAll(() => {
    for (const opened of tails) opened.close();
  });

  it('shows verdicts as they happen, to each what is theirs and asked for', async () => {
    const all = await tail(manager);
    const rejected = await tail(manager, '?verdict=multiple_conversions&verdict=invalid_click_id');
    const strict = await tail(manager, '?advertiser_id=2&endpoint=conv');
    const own = await tail(acme);
    const escaping = await tail(acme, '?advertiser_id=2');
    const first = await sendClick(sluice, 'o=16&a=1');
    const other = await sendClick(sluice, 'o=50&a=1');
    const good = await sendCall(sluice, manager, `conv?click_id=${first}`);
    const twice = await sendCall(sluice, manager, `conv?click_id=${first}`);
    const foreign = await sendCall(sluice, manager, `conv?click_id=${other}&token=t0ken`);
    await all.untilSeen(foreign['hit_id']);
    await rejected.untilSeen(twice['hit_id']);
    await strict.untilSeen(foreign['hit_id']);
    await own.untilSeen(twice['hit_id']);
    expect(all.hits()).toEqual([good, twice, foreign].map((row) => row['hit_id']));
    expect(rejected.hits()).toEqual([twice['hit_id']]);
    expect(strict.hits()).toEqual([foreign['hit_id']]);
    expect(own.hits()).toEqual([good['hit_id'], twice['hit_id']]);
    expect(escaping.hits()).toEqual([]);
    expect(all.events()[1]).toMatchObject({
      verdict_code: 101,
      advertiser_id: 1,
      endpoint: 'conv',
    });
    expect(all.text()).not.toContain('t0ken');
  });

  it('ends when its key is revoked', async () => {
    const { client, id } = await createKey(manager, sluice, {
      role: 'advertiser',
      advertiser_id: 1,
    });
    const opened = await tail(client);
    expect(opened.ended()).toBe(false);
    await manager.send('DELETE', `/api-keys/${id}`);
    await waitFor(() => opened.ended(), { timeoutMs: 5_000, what: 'the tail to end' });
  });

  it('refuses an unknown filter', async () => {
    expect(await manager.get('/tail?nothing=1')).toMatchObject({
      status: 400,
      fields: ['nothing'],
    });
  });
});
