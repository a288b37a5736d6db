/** The snapshot's indexes. */
import { expect, test } from 'vitest';
import { createCatalogueSnapshot, EMPTY_CATALOGUE } from '../../../src/domain/catalogue.ts';
import { catalogue, goal, promoCode } from '../../support/catalogue.ts';

test('finds everything by id, and nothing that is not there', () => {
  const snapshot = createCatalogueSnapshot(
    catalogue({ deployments: [{ offer_id: 16, affiliate_id: 1, status: 'approved' }] }),
  );
  expect(snapshot.version).toBe(1);
  expect(snapshot.advertiser(1)?.name).toBe('Acme');
  expect(snapshot.affiliate(1)?.name).toBe('Blogger');
  expect(snapshot.offer(16)?.title).toBe('Shop');
  expect(snapshot.goal(12)?.alias).toBe('sale');
  expect(snapshot.deployment(16, 1)?.status).toBe('approved');
  expect(snapshot.deployment(1, 16)).toBeUndefined();
  for (const none of [0, -1, 99, Number.NaN]) {
    expect(snapshot.advertiser(none)).toBeUndefined();
    expect(snapshot.affiliate(none)).toBeUndefined();
    expect(snapshot.offer(none)).toBeUndefined();
    expect(snapshot.goal(none)).toBeUndefined();
    expect(snapshot.goalsOf(none)).toEqual([]);
  }
});

test('finds goals of an offer by alias, exactly as spelled, and its default goal', () => {
  const snapshot = createCatalogueSnapshot(
    catalogue({
      goals: [
        goal({ id: 1, alias: 'lead', default: false }),
        goal({ id: 2, alias: 'sale', default: true }),
        goal({ id: 3, offer_id: 17, alias: 'sale', default: false }),
      ],
    }),
  );
  expect(snapshot.goalByAlias(16, 'lead')?.id).toBe(1);
  expect(snapshot.goalByAlias(16, 'Lead')).toBeUndefined();
  expect(snapshot.goalByAlias(17, 'sale')?.id).toBe(3);
  expect(snapshot.defaultGoal(16)?.id).toBe(2);
  expect(snapshot.defaultGoal(17)).toBeUndefined();
  expect(snapshot.goalsOf(16).map(({ id }) => id)).toEqual([1, 2]);
});

test('finds promo codes in any case, the one created first in front', () => {
  const snapshot = createCatalogueSnapshot(
    catalogue({
      promo_codes: [
        promoCode({ id: 1, code: 'Summer', offer_id: 17, sequence: 9 }),
        promoCode({ id: 2, code: 'SUMMER', offer_id: 16, sequence: 4 }),
        promoCode({ id: 3, code: 'WINTER', sequence: 1 }),
      ],
    }),
  );
  expect(snapshot.promoCodes('sUmMeR').map(({ id }) => id)).toEqual([2, 1]);
  expect(snapshot.promoCodes('spring')).toEqual([]);
  expect(snapshot.promoCodes('__proto__')).toEqual([]);
});

test('does not change the state it is made of', () => {
  const state = Object.freeze({ ...catalogue(), promo_codes: Object.freeze([promoCode()]) });
  expect(createCatalogueSnapshot(state).state).toBe(state);
});

test('the empty catalogue knows nothing', () => {
  const snapshot = createCatalogueSnapshot(EMPTY_CATALOGUE);
  expect(snapshot.offer(16)).toBeUndefined();
  expect(snapshot.defaultGoal(16)).toBeUndefined();
  expect(snapshot.promoCodes('x')).toEqual([]);
});
