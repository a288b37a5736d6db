/** The catalogue file (CONTRACT.md, "Catalogue file"): YAML in, the newest state merged with it, YAML out. */
import { stringify, type Document } from 'yaml';
import type { z } from 'zod';
import type { CatalogueState, Goal, PromoCode } from '../domain/catalogue.ts';
import type { NextId } from './edits.ts';
import {
  advertiserSchema,
  affiliatePostbackSchema,
  affiliateSchema,
  deploymentSchema,
  goalSchema,
  offerSchema,
  parseEntity,
  promoCodeSchema,
  type Fault,
} from './schema.ts';
import { CatalogueFaults } from './store.ts';
import { parseYaml } from './yaml-document.ts';

export interface CatalogueFile {
  readonly advertisers: readonly z.infer<typeof advertiserSchema>[];
  readonly affiliates: readonly z.infer<typeof affiliateSchema>[];
  readonly offers: readonly z.infer<typeof offerSchema>[];
  readonly goals: readonly Goal[];
  readonly deployments: readonly z.infer<typeof deploymentSchema>[];
  readonly promo_codes: readonly z.infer<typeof promoCodeSchema>[];
  readonly affiliate_postbacks: readonly z.infer<typeof affiliatePostbackSchema>[];
}

const SECTIONS = [
  'advertisers',
  'affiliates',
  'offers',
  'deployments',
  'promo_codes',
  'affiliate_postbacks',
] as const;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `line N: ` of a path like `offers[0].goals[1].payout`, as exactly as the document knows it. */
function lineOf(document: Document, text: string, path: string): string {
  const keys = path
    .split(/[.[\]]+/)
    .filter((part) => part !== '')
    .map((part) => (/^[0-9]+$/.test(part) ? Number(part) : part));
  for (let length = keys.length; length > 0; length--) {
    const node: unknown = document.getIn(keys.slice(0, length), true);
    const range =
      isRecord(node) && Array.isArray(node['range']) ? Number(node['range'][0]) : undefined;
    if (range !== undefined) return `line ${text.slice(0, range).split('\n').length}: `;
  }
  return '';
}

/** Reads a file's text; throws CatalogueFaults that name every fault by path and line. */
export function parseCatalogueFile(text: string): CatalogueFile {
  const document = parseYaml(text);
  const root: unknown = document.toJS() ?? {};
  if (!isRecord(root))
    throw new CatalogueFaults([
      {
        field: '(file)',
        message: `must be a map of ${SECTIONS.join(', ')}`,
      },
    ]);
  const faults: Fault[] = [];
  for (const key of Object.keys(root)) {
    if (!(SECTIONS as readonly string[]).includes(key))
      faults.push({ field: key, message: 'is no section of a catalogue file' });
  }
  const listOf = (value: unknown, path: string): unknown[] => {
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return value;
    faults.push({ field: path, message: 'must be a list' });
    return [];
  };
  const parseList = <T>(schema: z.ZodType<T>, list: readonly unknown[], path: string): T[] =>
    list.flatMap((item, index) => {
      const parsed = parseEntity(schema, item, `${path}[${index}]`);
      if ('value' in parsed) return [parsed.value];
      faults.push(...parsed.faults);
      return [];
    });
  const goals: Goal[] = [];
  const offerItems = listOf(root['offers'], 'offers').map((item, index) => {
    if (!isRecord(item)) return item;
    const { goals: own, ...offer } = item;
    const path = `offers[${index}].goals`;
    const withOffer = listOf(own, path).map((goal) =>
      isRecord(goal) ? { ...goal, offer_id: item['id'] } : goal,
    );
    goals.push(...parseList(goalSchema, withOffer, path));
    return offer;
  });
  const file: CatalogueFile = {
    advertisers: parseList(
      advertiserSchema,
      listOf(root['advertisers'], 'advertisers'),
      'advertisers',
    ),
    affiliates: parseList(affiliateSchema, listOf(root['affiliates'], 'affiliates'), 'affiliates'),
    offers: parseList(offerSchema, offerItems, 'offers'),
    goals,
    deployments: parseList(
      deploymentSchema,
      listOf(root['deployments'], 'deployments'),
      'deployments',
    ),
    promo_codes: parseList(
      promoCodeSchema,
      listOf(root['promo_codes'], 'promo_codes'),
      'promo_codes',
    ),
    affiliate_postbacks: parseList(
      affiliatePostbackSchema,
      listOf(root['affiliate_postbacks'], 'affiliate_postbacks'),
      'affiliate_postbacks',
    ),
  };
  faults.push(...doubles(file));
  if (faults.length > 0) {
    throw new CatalogueFaults(
      faults.map(({ field, message }) => ({
        field: `${lineOf(document, text, field)}${field}`,
        message,
      })),
    );
  }
  return file;
}

/** Two entries of one file for the same thing: the second would silently win. */
function doubles(file: CatalogueFile): Fault[] {
  const faults: Fault[] = [];
  const check = (path: string, keys: readonly string[], what: string): void => {
    const seen = new Set<string>();
    for (const [index, key] of keys.entries()) {
      if (seen.has(key))
        faults.push({ field: `${path}[${index}]`, message: `the file names ${what} ${key} twice` });
      seen.add(key);
    }
  };
  check(
    'advertisers',
    file.advertisers.map(({ id }) => String(id)),
    'advertiser',
  );
  check(
    'affiliates',
    file.affiliates.map(({ id }) => String(id)),
    'affiliate',
  );
  check(
    'offers',
    file.offers.map(({ id }) => String(id)),
    'offer',
  );
  check(
    'goals',
    file.goals.map(({ id }) => String(id)),
    'goal',
  );
  check(
    'deployments',
    file.deployments.map((d) => `offer ${d.offer_id}, affiliate ${d.affiliate_id}`),
    'the deployment of',
  );
  check(
    'promo_codes',
    file.promo_codes.map((p) => `${p.code.toLowerCase()} of offer ${p.offer_id}`),
    'the promo code',
  );
  check(
    'affiliate_postbacks',
    file.affiliate_postbacks.map(({ id }) => String(id)),
    'affiliate postback',
  );
  return faults;
}

function merge<T extends { readonly id: number }>(held: readonly T[], named: readonly T[]): T[] {
  const merged = new Map(held.map((item) => [item.id, item]));
  for (const item of named) merged.set(item.id, item);
  return [...merged.values()];
}

/** Promo codes are the same when code (any case) and offer are; new ones come after all that exist, in the file's order. */
function mergePromoCodes(
  held: readonly PromoCode[],
  named: CatalogueFile['promo_codes'],
  firstId: number,
): PromoCode[] {
  const keyOf = (promo: { readonly offer_id: number; readonly code: string }): string =>
    `${promo.offer_id} ${promo.code.toLowerCase()}`;
  const merged = new Map(held.map((promo) => [keyOf(promo), promo]));
  let sequence = held.reduce((most, promo) => Math.max(most, promo.sequence), 0);
  let id = firstId;
  for (const promo of named) {
    const existing = merged.get(keyOf(promo));
    merged.set(keyOf(promo), {
      ...promo,
      id: existing?.id ?? id++,
      sequence: existing?.sequence ?? ++sequence,
    });
  }
  return [...merged.values()];
}

/** The state with everything the file names put in; what it does not name is left as it is. */
export function mergeFile(
  state: CatalogueState,
  file: CatalogueFile,
  nextId: NextId,
): CatalogueState {
  const pair = (d: { readonly offer_id: number; readonly affiliate_id: number }): string =>
    `${d.offer_id}:${d.affiliate_id}`;
  const named = new Set(file.deployments.map(pair));
  return {
    ...state,
    advertisers: merge(state.advertisers, file.advertisers),
    affiliates: merge(state.affiliates, file.affiliates),
    offers: merge(state.offers, file.offers),
    goals: merge(state.goals, file.goals),
    deployments: [...state.deployments.filter((d) => !named.has(pair(d))), ...file.deployments],
    promo_codes: mergePromoCodes(state.promo_codes, file.promo_codes, nextId('promo_codes')),
    affiliate_postbacks: merge(state.affiliate_postbacks, file.affiliate_postbacks),
  };
}

/** The state as a file that `parseCatalogueFile` accepts: tokens as hashes, goals in their offers, codes in order of creation. */
export function exportCatalogue(state: CatalogueState): string {
  const goalsOf = (offerId: number): object[] =>
    state.goals.filter((goal) => goal.offer_id === offerId).map(({ offer_id: _, ...goal }) => goal);
  return stringify({
    advertisers: state.advertisers,
    affiliates: state.affiliates,
    offers: state.offers.map((offer) => ({ ...offer, goals: goalsOf(offer.id) })),
    deployments: state.deployments,
    promo_codes: state.promo_codes.map(({ id: _id, sequence: _sequence, ...promo }) => promo),
    affiliate_postbacks: state.affiliate_postbacks,
  });
}
