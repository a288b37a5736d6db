/**
 * The order of the checks, as CONTRACT.md lists the verdicts: of any two that fail on one call, the earlier decides.
 * The table below is the contract's; each entry knows how to make its check fail without touching the others.
 */
import { describe, expect, test } from 'vitest';
import {
  createCatalogueSnapshot,
  type CatalogueState,
  type Offer,
} from '../../../src/domain/catalogue.ts';
import { createClickIdCodec } from '../../../src/domain/click-id.ts';
import type { GateReply, GateRequest } from '../../../src/domain/gate-request.ts';
import type { ConversionEndpoint, ConversionHit } from '../../../src/domain/hit.ts';
import { decodeCall, hashToken } from '../../../src/domain/judge/call.ts';
import { GATE_CHECKS, judgeCall, settleCall, traceCall } from '../../../src/domain/judge/judge.ts';
import type { ClickAnswer, StoredTransaction } from '../../../src/domain/judge/resolve.ts';
import type { VerdictSlug } from '../../../src/domain/verdicts.ts';
import {
  advertiser,
  affiliate,
  catalogue,
  goal,
  offer,
  promoCode,
  TEST_KEY,
} from '../../support/catalogue.ts';
import { conversionHit } from '../../support/test-worker.ts';

const NOW = Date.parse('2026-06-15T12:00:00Z');
const DAY_MS = 86_400_000;
const codec = createClickIdCodec([TEST_KEY]);
const CLICK_ID = codec.mint(NOW - DAY_MS, 16, 0, 1);
const HIT_ID = '0190a5b0-0000-7000-8000-000000000001';
const TRANSACTION_ID = '0190a5b0-0000-7000-8000-000000000002';
const TOKEN = 'right';

/** A call that is accepted, until a spoiler has been at it. */
interface Draft {
  endpoint: ConversionEndpoint;
  parameters: Record<string, string>;
  cookies: string;
  fromBrowser: boolean;
  click: ClickAnswer;
  transaction: StoredTransaction | undefined;
  offer: Offer;
  state: CatalogueState;
}

const storedClick = {
  click_id: CLICK_ID,
  click_time_ms: NOW - DAY_MS,
  offer_id: 16,
  affiliate_id: 1,
  advertiser_id: 1,
  ip: '198.51.100.7',
  aff_click_id: '',
  source: '',
  sub_ids: ['', '', '', '', ''],
  aff_params: ['', '', '', '', ''],
};

const BASES = {
  s2s: { endpoint: 'goal-by-click-id', parameters: { click_id: CLICK_ID } },
  conv: { endpoint: 'conv', parameters: { click_id: CLICK_ID, token: TOKEN } },
  pixel: { endpoint: 'goal', parameters: { offer_id: '16' } },
  promo: { endpoint: 'promo', parameters: { code: 'promo22' } },
  change: {
    endpoint: 'conv-change',
    parameters: { transaction_id: TRANSACTION_ID, token: TOKEN },
  },
  addchange: { endpoint: 'conv-addchange', parameters: { click_id: CLICK_ID, token: TOKEN } },
} as const;
type Base = keyof typeof BASES;

function draftOf(base: Base): Draft {
  const { endpoint, parameters } = BASES[base];
  const isPixel = base === 'pixel';
  return {
    endpoint,
    parameters: { ...parameters },
    cookies: isPixel ? `slc_16=${CLICK_ID}` : '',
    fromBrowser: isPixel,
    click: base === 'promo' || base === 'change' ? 'not-asked' : storedClick,
    transaction:
      base === 'change'
        ? {
            conversion: {
              transactionId: TRANSACTION_ID,
              hitTimeMs: NOW - DAY_MS,
              offerId: 16,
              goalId: 12,
              affiliateId: 1,
              clickId: CLICK_ID,
              orderId: 'o1',
              trackId: '',
              uniqueIp: '',
            },
          }
        : undefined,
    offer: offer(),
    state: catalogue({ advertisers: [advertiser({ token: hashToken(TOKEN) })] }),
  };
}

interface Spoiler {
  readonly slug: VerdictSlug;
  readonly name: string;
  /** Kinds of call that the check applies to. */
  readonly bases: readonly Base[];
  readonly spoil: (draft: Draft) => void;
}

const WITH_CLICK: readonly Base[] = ['s2s', 'conv', 'pixel', 'addchange'];
const CREATING: readonly Base[] = ['s2s', 'conv', 'pixel', 'promo', 'addchange'];
const EVERY: readonly Base[] = [...CREATING, 'change'];

const SPOILERS: readonly Spoiler[] = [
  {
    slug: 'malformed',
    name: 'a wrong amount',
    bases: EVERY,
    spoil: (draft) => void (draft.parameters['amount'] = '1,5'),
  },
  {
    slug: 'offer_not_found',
    name: 'an offer_id that exists nowhere',
    bases: EVERY,
    spoil: (draft) => void (draft.parameters['offer_id'] = '999'),
  },
  {
    slug: 'goal_not_found',
    name: 'a goal_id that exists nowhere',
    bases: EVERY,
    spoil: (draft) => void (draft.parameters['goal_id'] = '999'),
  },
  {
    slug: 'promo_code_not_found',
    name: 'no such code',
    bases: ['promo'],
    spoil: (draft) => void (draft.parameters['code'] = 'NOPE'),
  },
  {
    slug: 'promo_code_not_valid_now',
    name: 'a code past its end',
    bases: ['promo'],
    spoil(draft) {
      draft.state = { ...draft.state, promo_codes: [promoCode({ end_date: '2026-06-14' })] };
    },
  },
  {
    slug: 'promo_codes_disabled',
    name: 'codes switched off',
    bases: ['promo'],
    spoil: (draft) => void (draft.offer = { ...draft.offer, promo_codes_enabled: false }),
  },
  {
    slug: 'invalid_cookie',
    name: 'no cookie',
    bases: ['pixel'],
    spoil(draft) {
      draft.cookies = '';
      draft.click = 'not-asked';
    },
  },
  {
    slug: 'invalid_click_id',
    name: 'no such click',
    bases: WITH_CLICK,
    spoil: (draft) => void (draft.click = 'unknown'),
  },
  {
    slug: 'click_expired',
    name: 'a click past its lifetime',
    bases: WITH_CLICK,
    spoil: (draft) => void (draft.offer = { ...draft.offer, click_lifetime_days: 0.5 }),
  },
  {
    slug: 'offer_not_active',
    name: 'an inactive offer',
    bases: CREATING,
    spoil: (draft) => void (draft.offer = { ...draft.offer, status: 'inactive' }),
  },
  {
    slug: 'goal_not_found',
    name: 'a wrong alias',
    bases: CREATING,
    spoil: (draft) => void (draft.parameters['goal_alias'] = 'nope'),
  },
  {
    slug: 'goal_not_active',
    name: 'an inactive goal',
    bases: CREATING,
    spoil: (draft) =>
      void (draft.state = { ...draft.state, goals: [goal({ status: 'inactive' })] }),
  },
  {
    slug: 'invalid_token',
    name: 'a wrong token',
    bases: EVERY,
    spoil: (draft) => void (draft.parameters['token'] = 'wrong'),
  },
  {
    slug: 'ip_not_allowed',
    name: 'a denied caller',
    bases: ['s2s', 'conv', 'promo', 'change', 'addchange'],
    spoil(draft) {
      draft.offer = { ...draft.offer, postback_ips: { allow: [], deny: ['203.0.113.0/24'] } };
    },
  },
  {
    slug: 'affiliate_not_found',
    name: 'an affiliate that is gone',
    bases: CREATING,
    spoil: (draft) => void (draft.state = { ...draft.state, affiliates: [] }),
  },
  {
    slug: 'affiliate_not_active',
    name: 'a disabled affiliate',
    bases: CREATING,
    spoil(draft) {
      const affiliates = draft.state.affiliates.map(() => affiliate({ status: 'disabled' }));
      draft.state = { ...draft.state, affiliates };
    },
  },
  {
    slug: 'offer_not_deployed',
    name: 'no deployment',
    bases: CREATING,
    spoil: (draft) => void (draft.offer = { ...draft.offer, availability: 'selective' }),
  },
  {
    slug: 'transaction_not_found',
    name: 'no such transaction',
    bases: ['change'],
    spoil: (draft) => void (draft.transaction = undefined),
  },
];

/** Two that can't fail together, because the later takes away what the earlier is about. */
const EXCLUDE_EACH_OTHER: readonly (readonly [earlier: string, later: string])[] = [
  // The offer, and so its ranges, is that of the transaction.
  ['a denied caller', 'no such transaction'],
];

function excluded(earlier: Spoiler, later: Spoiler): boolean {
  return EXCLUDE_EACH_OTHER.some(([a, b]) => a === earlier.name && b === later.name);
}

function judged(draft: Draft) {
  const fields: Partial<ConversionHit> = {
    endpoint: draft.endpoint,
    path: `/track/${draft.endpoint}`,
    query: new URLSearchParams(draft.parameters).toString(),
    cookies: draft.cookies,
    fromBrowser: draft.fromBrowser,
  };
  const snapshot = createCatalogueSnapshot({ ...draft.state, offers: [draft.offer] });
  const call = decodeCall(conversionHit(HIT_ID, NOW, fields));
  const { click, transaction } = draft;
  return { input: { call, snapshot, codec, click, transaction } };
}

/** conv-addchange by click that may create nothing. */
function mayOnlyChange({ mode }: GateRequest, { endpoint }: Draft): boolean {
  return endpoint === 'conv-addchange' && mode === 'change';
}

function verdictOfDraft(draft: Draft): string {
  const { input } = judged(draft);
  const result = judgeCall(input);
  const failed = (verdict: string): readonly string[] =>
    traceCall(input, verdict).flatMap(({ outcome, evidence }) =>
      outcome === 'failed' ? [evidence] : [],
    );
  if (result.kind === 'candidate' && mayOnlyChange(result.request, draft)) {
    // What it changes it changes, whatever became of the offer.
    const changed = { kind: 'changed', transactionId: TRANSACTION_ID, released: 'no' } as const;
    expect(settleCall(result.item, result.request, changed).verdict).toBe('accepted');
    expect(failed('accepted')).toEqual([]);
  } else if (result.kind === 'candidate') {
    expect(failed('accepted')).toEqual([]);
    return 'candidate';
  }
  const fields =
    result.kind === 'invalid'
      ? result.fields
      : settleCall(result.item, result.request, { kind: 'transaction-not-found' });
  // Explain shows the same decision as the verdict.
  expect(failed(fields.verdict)).toEqual([fields.detail]);
  expect(fields.detail).not.toBe('');
  return fields.verdict;
}

describe.each(Object.keys(BASES) as Base[])('a call of kind %s', (base) => {
  test('passes every check when nothing is wrong with it', () => {
    expect(verdictOfDraft(draftOf(base))).toBe('candidate');
  });

  test('says why it passed each check, also when a batch brought it', () => {
    const { input } = judged(draftOf(base));
    const batch = {
      batchId: 'b',
      advertiserId: 0,
      kind: 'corrections',
      author: 'ann',
      suppressPostbacks: false,
    } as const;
    for (const call of [input.call, { ...input.call, batch }])
      for (const check of traceCall({ ...input, call }, 'accepted'))
        expect(check.evidence, check.check).not.toBe('');
  });

  const mine = SPOILERS.filter(({ bases }) => bases.includes(base));

  test.each(mine)('$name alone is $slug', ({ slug, spoil }) => {
    const draft = draftOf(base);
    spoil(draft);
    expect(verdictOfDraft(draft)).toBe(slug);
  });

  const pairs = mine.flatMap((earlier, index) =>
    mine
      .slice(index + 1)
      .flatMap((later) => (excluded(earlier, later) ? [] : [{ earlier, later }])),
  );

  test.each(pairs)('$earlier.name decides before $later.name', ({ earlier, later }) => {
    for (const order of [
      [earlier, later],
      [later, earlier],
    ]) {
      const draft = draftOf(base);
      for (const { spoil } of order) spoil(draft);
      expect(verdictOfDraft(draft)).toBe(earlier.slug);
    }
  });
});

test("the table is in the contract's order and leaves no stateless verdict out", () => {
  expect([...new Set(SPOILERS.map(({ slug }) => slug))]).toEqual([
    'malformed',
    'offer_not_found',
    'goal_not_found',
    'promo_code_not_found',
    'promo_code_not_valid_now',
    'promo_codes_disabled',
    'invalid_cookie',
    'invalid_click_id',
    'click_expired',
    'offer_not_active',
    'goal_not_active',
    'invalid_token',
    'ip_not_allowed',
    'affiliate_not_found',
    'affiliate_not_active',
    'offer_not_deployed',
    'transaction_not_found',
  ]);
});

test("the gate's checks are listed in the contract's order", () => {
  expect(GATE_CHECKS.map(({ slug }) => slug)).toEqual([
    'transaction_not_found',
    'multiple_conversions',
    'duplicate_order_id',
    'unique_ip',
    'unique_track_id',
    'goal_cap_reached',
  ]);
});

describe("the gate's answer", () => {
  function candidate(draft: Draft): { request: GateRequest; settle: (reply: GateReply) => object } {
    const result = judgeCall(judged(draft).input);
    if (result.kind !== 'candidate') throw new Error(result.fields.detail);
    const { item, request } = result;
    return { request, settle: (reply) => settleCall(item, request, reply) };
  }

  test.each<[GateReply, string]>([
    [{ kind: 'rejected', code: 101, blockingTransactionId: 'b' }, 'multiple_conversions'],
    [{ kind: 'rejected', code: 102, blockingTransactionId: 'b' }, 'unique_ip'],
    [{ kind: 'rejected', code: 103, blockingTransactionId: 'b' }, 'unique_track_id'],
    [{ kind: 'rejected', code: 122, blockingTransactionId: 'b' }, 'duplicate_order_id'],
    [
      {
        kind: 'cap-reached',
        scope: 'goal',
        period: 'daily',
        limit: 3,
        used: 3,
        blockingTransactionId: 'b',
      },
      'goal_cap_reached',
    ],
  ])('%j becomes a row that names what holds the slot', (reply, slug) => {
    expect(candidate(draftOf('s2s')).settle(reply)).toMatchObject({
      verdict: slug,
      row_kind: 'invalid',
      transaction_id: '',
      blocking_transaction_id: 'b',
      payout: null,
      revenue: null,
      conv_status: '',
    });
  });

  test('accepted becomes a transaction with the id of the hit and the money of the goal', () => {
    expect(candidate(draftOf('s2s')).settle({ kind: 'accepted' })).toMatchObject({
      verdict_code: 0,
      row_kind: 'conversion',
      transaction_id: HIT_ID,
      payout: '5',
      revenue: '8',
      currency: 'USD',
      conv_status: 'approved',
    });
  });

  test('changed becomes an event with only what the call set', () => {
    const draft = draftOf('change');
    draft.parameters['payout'] = '2.5';
    const { request, settle } = candidate(draft);
    expect(request.mode).toBe('change');
    expect(
      settle({ kind: 'changed', transactionId: TRANSACTION_ID, released: 'no' }),
    ).toMatchObject({
      row_kind: 'change',
      transaction_id: TRANSACTION_ID,
      payout: '2.5',
      revenue: null,
      currency: '',
      conv_status: '',
    });
  });

  test('a cap names its period, its limit, what is used of it and when the period ends, in the zone of the offer', () => {
    const draft = draftOf('s2s');
    draft.offer = { ...draft.offer, timezone: 'Pacific/Kiritimati' };
    const reply = {
      kind: 'cap-reached',
      scope: 'affiliate',
      period: 'monthly',
      limit: 1,
      used: 14,
      blockingTransactionId: '',
    } as const;
    expect(candidate(draft).settle(reply)).toMatchObject({
      detail: expect.stringMatching(
        /monthly cap of goal 12 for affiliate 1 is 1, and 14 are used.*2026-07-01 00:00 Pacific\/Kiritimati/,
      ),
    });
  });
});
