/** What a call means and what its row holds: tokens, cookies, goals, promo codes, visitors' addresses, blanked secrets. */
import { describe, expect, test } from 'vitest';
import { createCatalogueSnapshot, type CatalogueState } from '../../../src/domain/catalogue.ts';
import { createClickIdCodec } from '../../../src/domain/click-id.ts';
import type { GateReply } from '../../../src/domain/gate-request.ts';
import type { ConversionEndpoint, ConversionHit } from '../../../src/domain/hit.ts';
import { decodeCall, hashToken, type ReplayOrigin } from '../../../src/domain/judge/call.ts';
import type { PostbackFields } from '../../../src/domain/judge/fields.ts';
import { judgeCall, settleCall } from '../../../src/domain/judge/judge.ts';
import type { ClickAnswer, StoredTransaction } from '../../../src/domain/judge/resolve.ts';
import {
  advertiser,
  catalogue,
  goal,
  offer,
  promoCode,
  TEST_KEY,
} from '../../support/catalogue.ts';
import { conversionHit } from '../../support/test-worker.ts';

const NOW = Date.parse('2026-06-15T12:00:00Z');
const codec = createClickIdCodec([TEST_KEY]);
const HIT_ID = '0190a5b0-0000-7000-8000-000000000001';
const TOKEN = 'right';
const clickId = (offerId: number, agoMs = 60_000, sequence = 1): string =>
  codec.mint(NOW - agoMs, offerId, 0, sequence);
const CLICK_ID = clickId(16);

const stored = (id: string, fields: Partial<Exclude<ClickAnswer, string>> = {}): ClickAnswer => ({
  click_id: id,
  click_time_ms: codec.open(id)?.ms ?? 0,
  offer_id: codec.open(id)?.offerId ?? 0,
  affiliate_id: 1,
  advertiser_id: 1,
  ip: '198.51.100.7',
  aff_click_id: 'theirs',
  source: 'mail',
  sub_ids: ['s1', '', '', '', ''],
  aff_params: ['p1', '', '', '', ''],
  ...fields,
});

/** Two offers of two advertisers. */
const STATE: CatalogueState = catalogue({
  advertisers: [advertiser({ token: hashToken(TOKEN) }), advertiser({ id: 2, name: 'Beta' })],
  offers: [offer(), offer({ id: 17, advertiser_id: 2 })],
  goals: [
    goal(),
    goal({ id: 13, alias: 'lead', default: false }),
    goal({ id: 20, offer_id: 17, alias: 'sale' }),
  ],
  promo_codes: [
    promoCode(),
    promoCode({ id: 2, code: 'Twice', offer_id: 17, sequence: 3 }),
    promoCode({ id: 3, code: 'TWICE', offer_id: 16, sequence: 2, start_date: '2026-06-15' }),
  ],
});

interface Asked extends Partial<ConversionHit> {
  readonly state?: CatalogueState;
  readonly click?: ClickAnswer;
  readonly replay?: ReplayOrigin;
  readonly transaction?: StoredTransaction;
  readonly reply?: GateReply;
}

/** The row of a call, as if the gate let it through unless told otherwise. */
function row(endpoint: ConversionEndpoint, query: string, asked: Asked = {}): PostbackFields {
  const { state = STATE, click = stored(CLICK_ID), replay, transaction, reply, ...fields } = asked;
  const hit = conversionHit(HIT_ID, NOW, {
    endpoint,
    path: `/track/${endpoint}`,
    query,
    ...fields,
  });
  const result = judgeCall({
    call: decodeCall(hit, replay),
    snapshot: createCatalogueSnapshot(state),
    codec,
    click,
    transaction,
  });
  return result.kind === 'invalid'
    ? result.fields
    : settleCall(result.item, result.request, reply ?? { kind: 'accepted' });
}

describe('the lane of a call', () => {
  const of17 = clickId(17);
  const lanes = (endpoint: ConversionEndpoint, query: string): number[] =>
    [stored(of17), 'unknown' as const, 'pending' as const].map(
      (click) =>
        judgeCall({
          call: decodeCall(conversionHit(HIT_ID, NOW, { endpoint, query })),
          snapshot: createCatalogueSnapshot(STATE),
          codec,
          click,
          transaction: undefined,
        }).lane,
    );

  // A chunk may be delivered again when a click is stored that was not: offers 16 and 17 are of two lanes.
  test.each(['goal-by-click-id', 'conv', 'conv-change', 'conv-addchange'] as const)(
    '%s is the one of the offer that its click id names, whatever became of the click',
    (endpoint) => {
      expect(lanes(endpoint, `click_id=${of17}&offer_id=16&goal_id=12`)).toEqual([1, 1, 1]);
    },
  );
});

describe('a token', () => {
  const ENDPOINTS = [
    ['goal-by-click-id', `click_id=${CLICK_ID}`],
    ['goal', `click_id=${CLICK_ID}`],
    ['conv', `click_id=${CLICK_ID}`],
    ['conv-addchange', `click_id=${CLICK_ID}`],
    ['promo', 'code=PROMO22'],
  ] as const;
  const required = {
    ...STATE,
    advertisers: [advertiser({ token: hashToken(TOKEN), require_token: true })],
  };

  test.each(ENDPOINTS)('that is wrong is 117 on %s', (endpoint, query) => {
    expect(row(endpoint, `${query}&token=wrong`).verdict).toBe('invalid_token');
  });

  test.each(ENDPOINTS)('is required on %s when the advertiser requires it', (endpoint, query) => {
    expect(row(endpoint, query, { state: required }).verdict).toBe('invalid_token');
    expect(row(endpoint, `${query}&token=${TOKEN}`, { state: required }).verdict).toBe('accepted');
  });

  test('of another advertiser, or for one who has none, is wrong', () => {
    const query = `click_id=${clickId(17)}&token=${TOKEN}`;
    const made = row('conv', query, { click: stored(clickId(17)) });
    expect(made).toMatchObject({ verdict: 'invalid_token', token_valid: 0 });
    expect(made.detail).toContain('has no security token');
  });

  test('that is the stored hash is no token', () => {
    const token = hashToken(TOKEN);
    expect(row('conv', `click_id=${CLICK_ID}&token=${token}`).verdict).toBe('invalid_token');
  });

  test('is in no column, wherever it stands in the call', () => {
    const calls = [
      row('unknown', '', { path: `/track/conv&click_id=x&token=${TOKEN}` }),
      row('conv', `click_id=x?token=${TOKEN}`, { click: 'not-asked' }),
      row('conv', '', { body: `{'click_id':'x','token':'${TOKEN}'}`, click: 'not-asked' }),
      row('conv', 'click_id=x', {
        referer: `https://shop.example/?token=${TOKEN}`,
        click: 'not-asked',
      }),
    ];
    for (const call of calls) {
      expect(call.verdict_code).not.toBe(0);
      expect(JSON.stringify(call)).not.toContain(TOKEN);
    }
  });

  test('is what makes payout, revenue and status count', () => {
    const sent = `click_id=${CLICK_ID}&payout=1&revenue=2&conv_status=pending&amount=9.5&currency=eur`;
    expect(row('conv', `${sent}&token=${TOKEN}`)).toMatchObject({
      payout: '1',
      revenue: '2',
      conv_status: 'pending',
      amount: '9.5',
      currency: 'EUR',
      detail: '',
      token_valid: 1,
    });
    expect(row('conv', sent)).toMatchObject({
      verdict: 'accepted',
      payout: '5',
      revenue: '8',
      conv_status: 'approved',
      amount: '9.5',
      currency: 'EUR',
      detail: expect.stringContaining('payout, revenue, conv_status ignored'),
    });
  });

  test('is in no column of the row', () => {
    const rows = [
      row('conv', `click_id=${CLICK_ID}&token=s3cr3t`),
      row('conv', `click_id=${CLICK_ID}&%74oken=s3cr3t`),
      row('conv', '', {
        body: `{"click_id":"${CLICK_ID}","token":"s3cr3t"}`,
        contentType: 'application/json',
      }),
      row('conv', '', { body: `token=s3cr3t&x=1`, contentType: 'text/xml' }),
      row('conv', '', {
        body: Buffer.from('x=\xff&token=s3cr3t', 'latin1').toString('base64'),
        bodyIsBase64: true,
      }),
    ];
    for (const made of rows) {
      expect(JSON.stringify(made)).not.toContain('s3cr3t');
      expect(Buffer.from(made.body, 'base64').toString('latin1')).not.toContain('s3cr3t');
    }
  });

  test('that was right when a replayed call came is right again, though it is blanked', () => {
    const query = `click_id=${CLICK_ID}&token=***&payout=1`;
    const replay = { replayedFrom: 'earlier', tokenVerifiedBefore: true };
    expect(row('conv', query, { replay })).toMatchObject({
      verdict: 'accepted',
      payout: '1',
      channel: 'replay',
      replayed_from: 'earlier',
    });
  });
});

test('a token that was wrong when a replayed call came is wrong again, though it is blanked', () => {
  const replay = { replayedFrom: 'earlier', tokenVerifiedBefore: false };
  const call = (query: string) => row('conv', `click_id=${CLICK_ID}${query}`, { replay }).verdict;
  expect(call('&token=***')).toBe('invalid_token');
  expect(call('')).toBe('accepted');
});

describe('/track/goal', () => {
  const [older, newer] = [clickId(16, 5_000), clickId(17, 1_000)];

  test.each([
    ['the cookie of the named offer', 'offer_id=16', `slc_17=${newer}; slc_16=${older}`, older],
    [
      "the cookie of the named goal's offer",
      'goal_id=12',
      `slc_17=${newer}; slc_16=${older}`,
      older,
    ],
    ['the newest genuine cookie', '', `slc_16=${older}; slc_17=${newer}`, newer],
    ['the genuine one among broken ones', '', `slc_5=zz; slc_16=${older}; slc_17=broken`, older],
    ['the click_id, which wins over the cookie', `click_id=${older}`, `slc_17=${newer}`, older],
    ['the first cookie of a name', 'offer_id=16', `slc_16=${older}; slc_16=${newer}`, older],
  ])('finds the click by %s', (_, query, cookies, id) => {
    expect(row('goal', query, { cookies, click: stored(id) })).toMatchObject({
      verdict: 'accepted',
      click_id: id,
      offer_id: codec.open(id)?.offerId,
    });
  });

  test.each([
    ['no cookie', 'offer_id=16', '', 'no slc_ cookie of offer 16'],
    ['no cookie and nothing named', '', '', 'no slc_ cookie came'],
    ['a broken one', 'offer_id=16', 'slc_16=broken', 'which is no click id of ours'],
    ['an empty one', 'offer_id=16', 'slc_16=', 'the cookie slc_16 came empty'],
    ['only one of another offer', 'offer_id=16', `slc_17=${newer}`, 'only of other offers'],
    [
      "another offer's click under the offer's name",
      'offer_id=16',
      `slc_16=${newer}`,
      'belongs to another offer',
    ],
    ['a name that does not fit its click', '', `slc_16=${newer}`, 'the click id of another offer'],
    ['a broken one and nothing named', '', 'slc_16=broken', 'no click id of ours'],
  ])('with %s is 104', (_, query, cookies, detail) => {
    expect(row('goal', query, { cookies, click: 'not-asked' })).toMatchObject({
      verdict: 'invalid_cookie',
      detail: expect.stringContaining(detail),
    });
  });

  test.each([
    ['slc_16=%7Bclick_id%7D', 'overwritten'],
    ['slc_16=778899', 'overwritten'],
    [`slc_16=${older.slice(0, 20)}`, 'cookie is cut: 20 of 32 characters'],
    [`slc_17=${newer}`, 'clicked on another offer'],
    ['', 'sent no cookie'],
  ])('with the cookie %j has a hint', (cookies, hint) => {
    const made = row('goal', 'offer_id=16', { cookies, click: 'not-asked' });
    expect(made.hint).toContain(hint);
  });
});

describe('goals', () => {
  test.each([
    ['', 12, 'accepted'],
    ['&goal_alias=lead', 13, 'accepted'],
    ['&goal_id=13', 13, 'accepted'],
    ['&goal_id=13&goal_alias=sale', 13, 'accepted'],
    ['&goal_alias=nope', 0, 'goal_not_found'],
    ['&goal_id=20', 20, 'goal_not_found'],
    ['&goal_id=99', 0, 'goal_not_found'],
    ['&goal_id=abc', 0, 'goal_not_found'],
  ])('%s is goal %d: %s', (query, goalId, verdict) => {
    const made = row('goal-by-click-id', `click_id=${CLICK_ID}${query}`);
    expect(made).toMatchObject({ goal_id: goalId, verdict });
  });

  test('an offer without a default goal wants one named', () => {
    const state = { ...STATE, goals: STATE.goals.map((one) => ({ ...one, default: false })) };
    const made = row('goal-by-click-id', `click_id=${CLICK_ID}`, { state });
    expect(made.verdict).toBe('goal_not_found');
  });
});

describe('clicks', () => {
  test("another offer's click id is 108 with a hint", () => {
    const made = row('conv', `click_id=${CLICK_ID}&offer_id=17`);
    expect(made.verdict).toBe('invalid_click_id');
    expect(made.hint).toContain("another offer's click id");
  });

  test('a click counts up to the last ms of its lifetime', () => {
    const id = clickId(16, 86_400_000);
    const state = { ...STATE, offers: [offer({ click_lifetime_days: 1 })] };
    const call = { state, click: stored(id) };
    expect(row('conv', `click_id=${id}`, call).verdict).toBe('accepted');
    expect(row('conv', `click_id=${id}`, { ...call, receivedAtMs: NOW + 1 }).verdict).toBe(
      'click_expired',
    );
  });

  test('of an offer whose clicks live 0 days none counts, not even in its own ms', () => {
    const id = clickId(16, 0);
    const state = { ...STATE, offers: [offer({ click_lifetime_days: 0 })] };
    const made = row('conv', `click_id=${id}`, { state, click: stored(id) });
    expect(made.verdict).toBe('click_expired');
  });

  test('one that has not arrived is 108 as pending', () => {
    expect(row('conv', `click_id=${CLICK_ID}`, { click: 'pending' })).toMatchObject({
      verdict: 'invalid_click_id',
      click_pending: 1,
      hint: expect.stringContaining('replayed by itself'),
    });
    expect(row('conv', `click_id=${CLICK_ID}`, { click: 'unknown' }).click_pending).toBe(0);
  });

  test("the click's labels fill what the call leaves out", () => {
    expect(row('conv', `click_id=${CLICK_ID}&sub_id2=mine&aff_param1=mine`)).toMatchObject({
      sub_ids: ['s1', 'mine', '', '', ''],
      aff_params: ['mine', '', '', '', ''],
      source: 'mail',
      aff_click_id: 'theirs',
    });
  });
});

describe('promo codes', () => {
  test.each([
    ['code=promo22', 'PROMO22', 16],
    ['code=%20promo22%20', 'PROMO22', 16],
    ['code=twice', 'TWICE', 16],
    ['code=twice&offer_id=17', 'Twice', 17],
  ])('%s is %s of offer %d', (query, code, offerId) => {
    expect(row('promo', query, { click: 'not-asked' })).toMatchObject({
      verdict: 'accepted',
      promo_code: code,
      offer_id: offerId,
      click_id: '',
      click_time_ms: null,
      channel: 'promo',
    });
  });

  test.each([
    ['', ''],
    ['code=', ''],
    ['code=nope', 'nope'],
    ['code=promo22&offer_id=17', 'promo22'],
    ['code=%27%20or%201', "' or 1"],
    [`code=${'x'.repeat(300)}`, 'x'.repeat(200)],
  ])('%s is 111', (query, code) => {
    expect(row('promo', query)).toMatchObject({
      verdict: 'promo_code_not_found',
      promo_code: code,
    });
  });

  test('a code of another offer is told to the advertiser of both, to nobody else', () => {
    const detailOf = (state: CatalogueState): string =>
      row('promo', 'code=promo22&offer_id=17', { state }).detail;
    const ofBoth = { ...STATE, offers: [offer(), offer({ id: 17 })] };
    expect(detailOf(ofBoth)).toBe('the code promo22 exists for offer 16, not for offer 17');
    expect(detailOf(STATE)).toBe('no promo code promo22 exists for offer 17');
    expect(row('promo', 'code=nosuch&offer_id=17').detail).toBe(
      'no promo code nosuch exists for offer 17',
    );
  });

  test.each([
    ['2026-06-15', null, 'accepted'],
    ['2026-06-16', null, 'promo_code_not_valid_now'],
    [null, '2026-06-15', 'accepted'],
    [null, '2026-06-14', 'promo_code_not_valid_now'],
    ['2026-06-15', '2026-06-15', 'accepted'],
  ])('from %s to %s is %s on 15 June', (start_date, end_date, verdict) => {
    const state = { ...STATE, promo_codes: [promoCode({ start_date, end_date })] };
    expect(row('promo', 'code=PROMO22', { state }).verdict).toBe(verdict);
  });

  test("dates are days in the offer's zone", () => {
    const state = {
      ...STATE,
      offers: [offer({ timezone: 'Pacific/Kiritimati' })],
      promo_codes: [promoCode({ start_date: '2026-06-16', end_date: '2026-06-16' })],
    };
    expect(row('promo', 'code=PROMO22', { state }).verdict).toBe('accepted');
  });

  test('the entry created first decides, even when it is not valid and another one is', () => {
    const state = {
      ...STATE,
      promo_codes: [
        promoCode({ id: 1, offer_id: 17, sequence: 2 }),
        promoCode({ id: 2, offer_id: 16, sequence: 1, end_date: '2020-01-01' }),
      ],
    };
    expect(row('promo', 'code=PROMO22', { state }).verdict).toBe('promo_code_not_valid_now');
    expect(row('promo', 'code=PROMO22&offer_id=17', { state }).verdict).toBe('accepted');
  });
});

describe("the visitor's address", () => {
  test.each<[string, ConversionEndpoint, string, Asked, string]>([
    ["the click's for S2S", 'conv', `click_id=${CLICK_ID}`, {}, '198.51.100.7'],
    [
      "the request's for a pixel",
      'goal',
      `click_id=${CLICK_ID}`,
      { fromBrowser: true },
      '203.0.113.9',
    ],
    [
      "the request's with a cookie",
      'goal',
      'offer_id=16',
      { cookies: `slc_16=${CLICK_ID}` },
      '203.0.113.9',
    ],
    ["the ip parameter's for a code", 'promo', 'code=PROMO22&ip=192.0.2.1', {}, '192.0.2.1'],
    ['in canonical form', 'promo', 'code=PROMO22&ip=::ffff:192.0.2.1', {}, '192.0.2.1'],
    [
      "the parameter's before the browser's",
      'promo',
      'code=PROMO22&ip=192.0.2.1',
      { fromBrowser: true },
      '192.0.2.1',
    ],
    [
      "the browser's for a code without one",
      'promo',
      'code=PROMO22',
      { fromBrowser: true },
      '203.0.113.9',
    ],
    ['none for a code of a server', 'promo', 'code=PROMO22', {}, ''],
  ])('is %s', (_, endpoint, query, asked, ip) => {
    expect(row(endpoint, query, asked)).toMatchObject({ verdict: 'accepted', visitor_ip: ip });
  });

  test('the address rule of an offer is for servers only', () => {
    const state = {
      ...STATE,
      offers: [offer({ postback_ips: { allow: ['192.0.2.0/24'], deny: [] } })],
    };
    const query = `click_id=${CLICK_ID}`;
    expect(row('conv', query, { state }).verdict).toBe('ip_not_allowed');
    expect(row('conv', query, { state, ip: '192.0.2.7' }).verdict).toBe('accepted');
    expect(row('goal', query, { state, fromBrowser: true }).verdict).toBe('accepted');
  });

  test('a denied range wins over an allowed one', () => {
    const postback_ips = { allow: ['203.0.0.0/8'], deny: ['203.0.113.9'] };
    const state = { ...STATE, offers: [offer({ postback_ips })] };
    expect(row('conv', `click_id=${CLICK_ID}`, { state }).verdict).toBe('ip_not_allowed');
  });
});

describe('malformed calls', () => {
  test.each([
    'amount=amount',
    'amount=1,5',
    'amount=-1',
    'amount=1.23456',
    'currency=dollar',
    'payout=x',
    'revenue=NaN',
    'conv_status=paid',
    'ip=nowhere',
  ])('%s is 120 and its row holds none of it as money', (query) => {
    const made = row('conv', `click_id=${CLICK_ID}&token=${TOKEN}&${query}`);
    expect(made).toMatchObject({
      verdict: 'malformed',
      payout: null,
      revenue: null,
      conv_status: '',
    });
    expect(made.detail).toContain(query.split('=')[0] ?? '');
  });

  test('an amount of 15 digits is told how many there may be', () => {
    const made = row('conv', `click_id=${CLICK_ID}&amount=100000000000000`);
    expect(made).toMatchObject({
      verdict: 'malformed',
      detail: expect.stringContaining('up to 14 digits before the point'),
    });
  });

  test.each(['amount=', 'currency=', 'conv_status=', 'amount=0', 'currency=usd', 'ip=::1'])(
    '%s is fine',
    (query) => expect(row('conv', `click_id=${CLICK_ID}&${query}`).verdict).toBe('accepted'),
  );

  test('an unreadable body is 120 though the query alone would do', () => {
    const asked = { body: '{"amount":', contentType: 'application/json' };
    expect(row('conv', `click_id=${CLICK_ID}`, asked)).toMatchObject({
      verdict: 'malformed',
      body: '{"amount":',
    });
  });

  test('an unknown endpoint is 120', () => {
    expect(row('unknown', `click_id=${CLICK_ID}`, { path: '/track/nope' })).toMatchObject({
      verdict: 'malformed',
      detail: expect.stringContaining('/track/nope'),
    });
  });
});

describe('what the gate rejects', () => {
  test.each([
    ['track_id={track_id}', 103, 'not replaced'],
    ['track_id=track_id', 103, 'the name was sent'],
    ['track_id=', 103, "lead's or user's id"],
    ['adv_order_id=%7Border_id%7D', 122, 'not replaced'],
    ['adv_order_id=A-1', 122, ''],
  ] as const)('%s has a hint', (sent, code, hint) => {
    const reply = { kind: 'rejected', code, blockingTransactionId: HIT_ID } as const;
    const made = row('conv', `click_id=${CLICK_ID}&${sent}`, { reply });
    expect(made.hint).toMatch(hint === '' ? /^$/ : hint);
  });

  test('says no more of a long value than its beginning', () => {
    const reply = { kind: 'rejected', code: 122, blockingTransactionId: HIT_ID } as const;
    const sent = `adv_order_id=${'A'.repeat(60_000)}`;
    expect(row('conv', `click_id=${CLICK_ID}&${sent}`, { reply }).detail.length).toBeLessThan(300);
  });
});

describe('changes', () => {
  const TRANSACTION_ID = '0190a5b0-0000-7000-8000-000000000002';
  const transaction: StoredTransaction = {
    conversion: {
      transactionId: TRANSACTION_ID,
      hitTimeMs: NOW - 60_000,
      offerId: 16,
      goalId: 12,
      affiliateId: 1,
      clickId: CLICK_ID,
      orderId: '',
      trackId: '',
      uniqueIp: '',
    },
  };
  const named = `transaction_id=${TRANSACTION_ID}&token=${TOKEN}`;
  const reply = { kind: 'changed', transactionId: TRANSACTION_ID, released: 'no' } as const;

  test.each([
    ['its own offer, goal and click', `offer_id=16&goal_id=12&click_id=${CLICK_ID}`, 'accepted'],
    ['its goal by alias', 'goal_alias=sale', 'accepted'],
    ['another offer', 'offer_id=17', 'offer_not_found'],
    ['another goal', 'goal_id=13', 'goal_not_found'],
    ["another offer's goal", 'goal_id=20', 'goal_not_found'],
    ['another goal by alias', 'goal_alias=lead', 'goal_not_found'],
    ['another click', `click_id=${clickId(16, 1_000, 2)}`, 'transaction_not_found'],
  ])('of a transaction beside %s', (_, sent, verdict) => {
    for (const endpoint of ['conv-change', 'conv-addchange'] as const)
      expect(row(endpoint, `${named}&${sent}`, { transaction, reply }).verdict).toBe(verdict);
  });

  test('are of servers, whatever their headers say', () => {
    const postback_ips = { allow: ['192.0.2.0/24'], deny: [] };
    const state = { ...STATE, offers: [offer({ postback_ips }), offer({ id: 17 })] };
    const asked = { state, transaction, reply, fromBrowser: true };
    expect(row('conv-change', named, asked).verdict).toBe('ip_not_allowed');
    expect(row('conv-change', named, { ...asked, ip: '192.0.2.7' }).verdict).toBe('accepted');
  });

  test('conv-addchange that names a transaction which is not there, and no click, says so', () => {
    const made = row('conv-addchange', `transaction_id=${HIT_ID}&token=${TOKEN}`, {
      click: 'not-asked',
    });
    expect(made.verdict).toBe('invalid_click_id');
    expect(made.detail).not.toContain('neither');
  });

  test.each(['conv-change', 'conv-addchange'] as const)('%s always needs a token', (endpoint) => {
    expect(row(endpoint, `click_id=${CLICK_ID}`).verdict).toBe('invalid_token');
  });
});
