/** A click's verdict, with the checks in the contract's order. */
import { describe, expect, test } from 'vitest';
import { createCatalogueSnapshot, type CatalogueState } from '../../../src/domain/catalogue.ts';
import { judgeClick } from '../../../src/domain/judge-click.ts';
import { parseQuery } from '../../../src/domain/parameters.ts';
import { traceClick } from '../../../src/domain/trace-click.ts';
import { advertiser, affiliate, catalogue, offer } from '../../support/catalogue.ts';

const verdict = (query: string, fields: Partial<CatalogueState> = {}) =>
  judgeClick(createCatalogueSnapshot(catalogue(fields)), parseQuery(query));

test('a link with offer and affiliate is accepted', () => {
  expect(verdict('o=16&a=1')).toMatchObject({
    verdict: { code: 0, slug: 'accepted' },
    affiliateId: 1,
    detail: '',
  });
});

test('an offer in testing works like an active one', () => {
  expect(verdict('o=16&a=1', { offers: [offer({ status: 'testing' })] }).verdict.code).toBe(0);
});

test.each([
  ['', 105],
  ['o=&a=1', 105],
  ['o=99&a=1', 105],
  ['o=16.0&a=1', 105],
  ['o=-16&a=1', 105],
  ['o=16%00&a=1', 105],
  ['o=16', 121],
  ['o=16&a=', 121],
  ['o=16&a=9', 121],
  ['o=16&a=abc', 121],
  ['o=16&a=4294967297', 121],
  ['o=&o=16&a=1&a=9', 0],
])('%j is %d', (query, code) => {
  const judged = verdict(query);
  expect(judged.verdict.code).toBe(code);
  expect(judged.detail === '').toBe(code === 0);
});

const inactiveOffer = { offers: [offer({ status: 'inactive' })] } as const;
const pausedAdvertiser = { advertisers: [advertiser({ status: 'inactive' })] } as const;
const selective = { offers: [offer({ availability: 'selective' })] } as const;

describe('the first check that fails decides', () => {
  test.each<[string, Partial<CatalogueState>, string, number]>([
    ['an unknown offer before an unknown affiliate', {}, 'o=99&a=99', 105],
    ['an inactive offer before an unknown affiliate', inactiveOffer, 'o=16&a=99', 115],
    ["the advertiser's state before the affiliate", pausedAdvertiser, 'o=16&a=99', 115],
    ['an advertiser that is gone', { advertisers: [] }, 'o=16&a=1', 115],
    ['an unknown affiliate before the deployment', selective, 'o=16&a=99', 121],
    [
      'a disabled affiliate before the deployment',
      { ...selective, affiliates: [affiliate({ status: 'disabled' })] },
      'o=16&a=1',
      110,
    ],
    ['no deployment', selective, 'o=16&a=1', 109],
  ])('%s', (_, fields, query, code) => expect(verdict(query, fields).verdict.code).toBe(code));

  test.each(['pending', 'rejected', 'disabled'] as const)(
    'an affiliate that is %s is 110',
    (status) =>
      expect(verdict('o=16&a=1', { affiliates: [affiliate({ status })] }).verdict.code).toBe(110),
  );

  test.each([
    ['public', undefined, 0],
    ['public', 'rejected', 0],
    ['by_request', undefined, 109],
    ['by_request', 'pending', 109],
    ['by_request', 'rejected', 109],
    ['by_request', 'approved', 0],
    ['selective', undefined, 109],
    ['selective', 'approved', 0],
  ] as const)('an offer %s with the deployment %s is %d', (availability, status, code) => {
    const deployments =
      status === undefined ? [] : [{ offer_id: 16, affiliate_id: 1, status } as const];
    const fields = { offers: [offer({ availability })], deployments };
    expect(verdict('o=16&a=1', fields).verdict.code).toBe(code);
  });
});

describe('the trace of a click', () => {
  const outcomes = (query: string, fields: Partial<CatalogueState> = {}): string[] => {
    const snapshot = createCatalogueSnapshot(catalogue(fields));
    const judged = judgeClick(snapshot, parseQuery(query));
    const checks = traceClick(snapshot, {
      verdict: judged.verdict.slug,
      detail: judged.detail,
      offerId: judged.offer?.id ?? 0,
      affiliateId: judged.affiliateId,
    });
    expect(checks.find(({ outcome }) => outcome === 'failed')?.evidence ?? '').toBe(judged.detail);
    expect(checks.map(({ evidence }) => evidence).join()).not.toContain('undefined');
    return checks.map(({ outcome }) => outcome);
  };

  test('of an accepted one passes every check', () => {
    expect(outcomes('o=16&a=1')).toEqual(['passed', 'passed', 'passed', 'passed']);
  });

  test.each<[string, Partial<CatalogueState>, number]>([
    ['o=99&a=1', {}, 0],
    ['o=16&a=1', inactiveOffer, 1],
    ['o=16&a=1', pausedAdvertiser, 1],
    ['o=16&a=99', {}, 2],
    ['o=16&a=1', { affiliates: [affiliate({ status: 'disabled' })] }, 2],
    ['o=16&a=1', selective, 3],
  ])('of %j with %j stops at the check that failed', (query, fields, failedAt) => {
    const expected = [0, 1, 2, 3].map((index) => {
      if (index === failedAt) return 'failed';
      return index < failedAt ? 'passed' : 'skipped';
    });
    expect(outcomes(query, fields)).toEqual(expected);
  });
});
