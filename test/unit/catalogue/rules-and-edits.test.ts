/** Edits and rules against each other: whatever edits are made, the state stays one that the rules accept. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diffStates } from '../../../src/catalogue/diff.ts';
import {
  createEntity,
  deleteEntity,
  EditRefused,
  patchEntity,
  type Edited,
  type NextId,
} from '../../../src/catalogue/edits.ts';
import { createPromoCodes, patchPromoCode } from '../../../src/catalogue/promo-code-edits.ts';
import { sortState } from '../../../src/catalogue/published.ts';
import { findFaults } from '../../../src/catalogue/rules.ts';
import { EMPTY_CATALOGUE, type CatalogueState } from '../../../src/domain/catalogue.ts';

const nextId: NextId = () => 1_000;
const same = <T>(value: T): T => value;

/** Two advertisers' offers, two affiliates. */
function base(): CatalogueState {
  const entities = [
    ['advertisers', { id: 1, name: 'Acme', token: 'secret' }],
    ['affiliates', { id: 1, name: 'One' }],
    ['affiliates', { id: 2, name: 'Two' }],
    ['offers', { id: 10, advertiser_id: 1, title: 'Ten', url: 'https://ten.example/' }],
    ['offers', { id: 20, advertiser_id: 1, title: 'Twenty', url: 'https://twenty.example/' }],
    ['goals', { id: 11, offer_id: 10, alias: 'sale', default: true }],
  ] as const;
  return entities.reduce<CatalogueState>(
    (state, [kind, entity]) => createEntity(state, nextId, kind, entity).state,
    EMPTY_CATALOGUE,
  );
}

function whyOf(edit: () => unknown): string {
  try {
    edit();
  } catch (error) {
    if (error instanceof EditRefused)
      return `${error.why} ${error.faults.map(({ field }) => field).join()}`;
    throw error;
  }
  return 'done';
}

describe('edits', () => {
  it('leave the state that they were given as it was', () => {
    const before = base();
    const copy = structuredClone(before);
    createEntity(before, nextId, 'affiliates', { name: 'New' });
    patchEntity(before, 'goals', '11', { caps: { daily: 1 } }, same);
    createPromoCodes(before, nextId, [{ code: 'A', affiliate_id: 1, offer_id: 10 }]);
    expect(before).toEqual(copy);
  });

  it('keep what they do not name: a token as its hash, nested fields as they are', () => {
    const { entity }: Edited = patchEntity(base(), 'advertisers', '1', { name: 'Renamed' }, same);
    expect(entity).toMatchObject({ name: 'Renamed', token: base().advertisers[0]?.token });
    expect(String(entity['token'])).toMatch(/^sha256:/);
    const goal = patchEntity(base(), 'goals', '11', { caps: { total: 5 } }, same).entity;
    expect(goal['caps']).toEqual({ daily: null, monthly: null, total: 5 });
  });

  it('refuse with what stands in the way', () => {
    const state = base();
    expect(whyOf(() => deleteEntity(state, 'offers', '10'))).toBe('conflict ');
    expect(whyOf(() => deleteEntity(state, 'offers', '99'))).toBe('missing ');
    expect(whyOf(() => patchEntity(state, 'goals', '11', { offer_id: 20 }, same))).toBe(
      'invalid offer_id',
    );
    expect(
      whyOf(() => createEntity(state, nextId, 'goals', { id: 11, offer_id: 10, alias: 'x' })),
    ).toBe('conflict id');
    expect(whyOf(() => createEntity(state, nextId, 'goals', null))).toBe('invalid (whole)');
  });

  it('are found again in the diff, entity by entity', () => {
    const before = base();
    let after = patchEntity(before, 'affiliates', '2', { name: 'Other' }, same).state;
    after = createEntity(after, nextId, 'affiliates', { name: 'New' }).state;
    after = deleteEntity(after, 'goals', '11');
    after = patchEntity(after, 'offers', '10', {}, same).state;
    const changes = diffStates(before, after).map(
      ({ change }) => `${change.what} ${change.kind} ${change.id}`,
    );
    expect(changes).toEqual([
      'changed affiliates 2',
      'created affiliates 1000',
      'deleted goals 11',
    ]);
  });
});

describe('promo codes', () => {
  const item = fc.record({
    code: fc.constantFrom('A', 'a', 'B', 'b', 'C', 'no good', ''),
    affiliate_id: fc.constantFrom(1, 2, 3),
    offer_id: fc.constantFrom(10, 20, 30),
    start_date: fc.constantFrom(null, '2026-01-02'),
    end_date: fc.constantFrom(null, '2026-01-01', '2026-01-03', '2026-02-30'),
  });

  it('in bulk are exactly those that would have been created one by one, and never break a rule', () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 30 }), (items) => {
        const bulk = createPromoCodes(base(), nextId, items);
        let state = base();
        const single = items.map((one) => {
          const made = createPromoCodes(state, nextId, [one]);
          state = made.state;
          return made.results[0]?.kind;
        });
        expect(bulk.results.map(({ kind }) => kind)).toEqual(single);
        expect(findFaults(sortState(bulk.state))).toEqual([]);
        const sequences = bulk.state.promo_codes.map(({ sequence }) => sequence);
        expect(sequences).toEqual(sequences.map((_, n) => n + 1));
        expect(new Set(bulk.state.promo_codes.map(({ id }) => id)).size).toBe(sequences.length);
      }),
    );
  });

  it('that are refused are refused by the rules too', () => {
    fc.assert(
      fc.property(fc.array(item, { minLength: 1, maxLength: 12 }), (items) => {
        const { state, results } = createPromoCodes(base(), nextId, items);
        for (const [index, result] of results.entries()) {
          const one = items[index];
          if (result.kind === 'created' || one === undefined || !/^[A-Za-z]$/.test(one.code))
            continue;
          if (one.end_date === '2026-02-30') continue;
          const forced = { ...one, id: 5_000, sequence: 5_000, description: '' };
          const faults = findFaults({ ...state, promo_codes: [...state.promo_codes, forced] });
          expect(faults.length).toBeGreaterThan(0);
        }
      }),
    );
  });

  it('may be changed to exactly what the rules allow', () => {
    const change = fc.record(
      {
        code: fc.constantFrom('A', 'b', 'C'),
        affiliate_id: fc.constantFrom(1, 2, 3),
        offer_id: fc.constantFrom(10, 20, 30),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.array(item, { minLength: 1, maxLength: 12 }), change, (items, patch) => {
        const { state } = createPromoCodes(base(), nextId, items);
        for (const { id } of state.promo_codes) {
          const forced = patchEntity(state, 'promo_codes', String(id), patch, same).state;
          const isAllowed = findFaults(sortState(forced)).length === 0;
          const why = whyOf(() => patchPromoCode(state, String(id), patch, same));
          expect(why === 'done').toBe(isAllowed);
        }
      }),
    );
  });

  it.each([
    [{ affiliate_id: 2 }, 'conflict affiliate_id', 'affiliate 1 on other offers'],
    [{ code: 'other' }, 'conflict code', 'affiliate 2'],
    [{ code: 'OTHER', affiliate_id: 2 }, 'done', ''],
    [{ offer_id: 20 }, 'conflict offer_id', 'the offer already has this code'],
    [{ affiliate_id: 999 }, 'invalid affiliate_id', 'no affiliate has the id 999'],
  ])('a change to %j ends as %s', (patch, outcome, said) => {
    const { state } = createPromoCodes(base(), nextId, [
      { code: 'Spring', affiliate_id: 1, offer_id: 10 },
      { code: 'SPRING', affiliate_id: 1, offer_id: 20 },
      { code: 'Other', affiliate_id: 2, offer_id: 20 },
    ]);
    const id = String(state.promo_codes[0]?.id);
    const edit = (): Edited => patchPromoCode(state, id, patch, same);
    expect(whyOf(edit)).toBe(outcome);
    if (outcome !== 'done') expect(edit).toThrow(said);
  });
});
