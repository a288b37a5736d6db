/** Rules between entities of a catalogue: references exist, what must be unique is. Every breach is named. */
import type { CatalogueState } from '../domain/catalogue.ts';
import { faultOfHost } from '../domain/outgoing-address.ts';
import type { Fault } from './schema.ts';

function duplicates<T>(
  items: readonly T[],
  key: (item: T) => string,
  field: (item: T) => string,
  message: string,
): Fault[] {
  const seen = new Set<string>();
  const faults: Fault[] = [];
  for (const item of items) {
    if (seen.has(key(item))) faults.push({ field: field(item), message, taken: true });
    seen.add(key(item));
  }
  return faults;
}

function goalFaults(state: CatalogueState, offers: ReadonlySet<number>): Fault[] {
  const goals = state.goals;
  return [
    ...goals
      .filter((goal) => !offers.has(goal.offer_id))
      .map((goal) => ({
        field: `goals[id=${goal.id}].offer_id`,
        message: `no offer has the id ${goal.offer_id}`,
      })),
    ...duplicates(
      goals,
      (goal) => `${goal.offer_id} ${goal.alias}`,
      (goal) => `goals[id=${goal.id}].alias`,
      'another goal of the offer has this alias',
    ),
    ...duplicates(
      goals.filter((goal) => goal.default),
      (goal) => String(goal.offer_id),
      (goal) => `goals[id=${goal.id}].default`,
      'the offer already has a default goal',
    ),
  ];
}

function promoFaults(
  state: CatalogueState,
  offers: ReadonlySet<number>,
  affiliates: ReadonlySet<number>,
): Fault[] {
  const faults: Fault[] = [];
  const owners = new Map<string, number>();
  const taken = new Set<string>();
  for (const promo of state.promo_codes) {
    const field = `promo_codes[code=${promo.code}, offer_id=${promo.offer_id}]`;
    const code = promo.code.toLowerCase();
    const owner = owners.get(code) ?? promo.affiliate_id;
    owners.set(code, owner);
    if (!offers.has(promo.offer_id))
      faults.push({ field: `${field}.offer_id`, message: `no offer has the id ${promo.offer_id}` });
    if (!affiliates.has(promo.affiliate_id))
      faults.push({
        field: `${field}.affiliate_id`,
        message: `no affiliate has the id ${promo.affiliate_id}`,
      });
    if (owner !== promo.affiliate_id)
      faults.push({
        field: `${field}.code`,
        message: `the code would belong to affiliates ${owner} and ${promo.affiliate_id}: it can be of one only, on all offers`,
        taken: true,
      });
    if (taken.has(`${code} ${promo.offer_id}`))
      faults.push({
        field: `${field}.code`,
        message: 'the offer already has this code',
        taken: true,
      });
    taken.add(`${code} ${promo.offer_id}`);
    if (promo.start_date !== null && promo.end_date !== null && promo.end_date < promo.start_date) {
      faults.push({
        field: `${field}.end_date`,
        message: `is before the start date ${promo.start_date}`,
      });
    }
  }
  return faults;
}

/** Every event looks at all entries of its affiliate, and affiliates make their own. */
const POSTBACKS_OF_AFFILIATE_MAX = 50;

function postbackFaults(
  state: CatalogueState,
  offers: ReadonlySet<number>,
  affiliates: ReadonlySet<number>,
): Fault[] {
  const goals = new Map(state.goals.map((goal) => [goal.id, goal.offer_id]));
  const counts = new Map<number, number>();
  return state.affiliate_postbacks.flatMap(({ id, affiliate_id, offer_id, goal_id }) => {
    const fault = (field: string, message: string): Fault[] => [
      { field: `affiliate_postbacks[id=${id}].${field}`, message },
    ];
    const count = (counts.get(affiliate_id) ?? 0) + 1;
    counts.set(affiliate_id, count);
    if (!affiliates.has(affiliate_id))
      return fault('affiliate_id', `no affiliate has the id ${affiliate_id}`);
    if (count === POSTBACKS_OF_AFFILIATE_MAX + 1)
      return fault('affiliate_id', `has ${POSTBACKS_OF_AFFILIATE_MAX} already: that is the most`);
    if (offer_id !== null && !offers.has(offer_id))
      return fault('offer_id', `no offer has the id ${offer_id}`);
    const offerOfGoal = goal_id === null ? undefined : goals.get(goal_id);
    if (goal_id !== null && offerOfGoal === undefined)
      return fault('goal_id', `no goal has the id ${goal_id}`);
    return offer_id !== null && offerOfGoal !== undefined && offerOfGoal !== offer_id
      ? fault('goal_id', `goal ${goal_id} is not of offer ${offer_id}`)
      : [];
  });
}

/** New or changed URLs to hosts that are no one's outside. What is held already is left alone: settings may have changed. */
export function findHostFaults(
  before: CatalogueState,
  after: CatalogueState,
  allowed: readonly string[],
): Fault[] {
  const held = new Map(before.affiliate_postbacks.map(({ id, url }) => [id, url]));
  return after.affiliate_postbacks.flatMap(({ id, url }) => {
    const message = held.get(id) === url ? undefined : faultOfHost(url, allowed);
    return message === undefined ? [] : [{ field: `affiliate_postbacks[id=${id}].url`, message }];
  });
}

/** Every breach in a state; empty when it may be stored. */
export function findFaults(state: CatalogueState): Fault[] {
  const advertisers = new Set(state.advertisers.map(({ id }) => id));
  const affiliates = new Set(state.affiliates.map(({ id }) => id));
  const offers = new Set(state.offers.map(({ id }) => id));
  return [
    ...state.offers
      .filter((offer) => !advertisers.has(offer.advertiser_id))
      .map((offer) => ({
        field: `offers[id=${offer.id}].advertiser_id`,
        message: `no advertiser has the id ${offer.advertiser_id}`,
      })),
    ...goalFaults(state, offers),
    ...state.deployments.flatMap(({ offer_id, affiliate_id }) => {
      const field = `deployments[offer_id=${offer_id}, affiliate_id=${affiliate_id}]`;
      return [
        ...(offers.has(offer_id)
          ? []
          : [{ field: `${field}.offer_id`, message: `no offer has the id ${offer_id}` }]),
        ...(affiliates.has(affiliate_id)
          ? []
          : [
              {
                field: `${field}.affiliate_id`,
                message: `no affiliate has the id ${affiliate_id}`,
              },
            ]),
      ];
    }),
    ...promoFaults(state, offers, affiliates),
    ...postbackFaults(state, offers, affiliates),
  ];
}

function moves<T extends { readonly id: number }>(
  before: readonly T[],
  after: readonly T[],
  ownerOf: (item: T) => number,
  describe: (item: T, owner: number) => Fault,
): Fault[] {
  const owners = new Map(before.map((item) => [item.id, ownerOf(item)]));
  return after.flatMap((item) => {
    const owner = owners.get(item.id) ?? ownerOf(item);
    return owner === ownerOf(item) ? [] : [describe(item, owner)];
  });
}

/** What may not change its owner: a goal's conversions are counted under its offer, a postback's log is its affiliate's. */
export function findMoves(before: CatalogueState, after: CatalogueState): Fault[] {
  return [
    ...moves(
      before.goals,
      after.goals,
      (goal) => goal.offer_id,
      ({ id, offer_id }, owner) => ({
        field: `goals[id=${id}].offer_id`,
        message: `goal ${id} is of offer ${owner} and can't become one of offer ${offer_id}: give it another id`,
      }),
    ),
    ...moves(
      before.affiliate_postbacks,
      after.affiliate_postbacks,
      (postback) => postback.affiliate_id,
      ({ id, affiliate_id }, owner) => ({
        field: `affiliate_postbacks[id=${id}].affiliate_id`,
        message: `affiliate postback ${id} is of affiliate ${owner} and can't become one of affiliate ${affiliate_id}: give it another id`,
      }),
    ),
  ];
}
