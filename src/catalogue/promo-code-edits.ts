/**
 * Promo codes, created one or a thousand at once, each item with its own result, and changed. A code is one affiliate's on
 * all offers: who breaks that is told whose it is. Pure.
 */
import type { z } from 'zod';
import type { CatalogueState, PromoCode } from '../domain/catalogue.ts';
import {
  EditRefused,
  patchEntity,
  requireRecord,
  type Edited,
  type Entity,
  type NextId,
} from './edits.ts';
import { parseEntity, promoCodeSchema, type Fault } from './schema.ts';

export type PromoCodeResult =
  | { readonly kind: 'created'; readonly promoCode: PromoCode }
  | { readonly kind: 'refused'; readonly faults: readonly Fault[]; readonly taken: boolean };

interface CodeIndex {
  readonly owners: Map<string, number>;
  readonly onOffers: Set<string>;
}

function indexCodes(codes: readonly PromoCode[]): CodeIndex {
  return {
    owners: new Map(codes.map((promo) => [promo.code.toLowerCase(), promo.affiliate_id])),
    onOffers: new Set(codes.map((promo) => `${promo.code.toLowerCase()} ${promo.offer_id}`)),
  };
}

type PromoDraft = z.infer<typeof promoCodeSchema>;

function referenceFaults(
  promo: PromoDraft,
  offers: ReadonlySet<number>,
  affiliates: ReadonlySet<number>,
): Fault[] {
  const faults: Fault[] = [];
  if (!offers.has(promo.offer_id))
    faults.push({ field: 'offer_id', message: `no offer has the id ${promo.offer_id}` });
  if (!affiliates.has(promo.affiliate_id))
    faults.push({
      field: 'affiliate_id',
      message: `no affiliate has the id ${promo.affiliate_id}`,
    });
  if (promo.start_date !== null && promo.end_date !== null && promo.end_date < promo.start_date)
    faults.push({ field: 'end_date', message: `is before the start date ${promo.start_date}` });
  return faults;
}

/** Against the codes of `index`. `before` is what the code was: where it still has its code, another field is at fault. */
function takenFault(
  promo: PromoDraft,
  { owners, onOffers }: CodeIndex,
  before?: PromoDraft,
): Fault | undefined {
  const code = promo.code.toLowerCase();
  const keepsCode = before?.code.toLowerCase() === code;
  const owner = owners.get(code) ?? promo.affiliate_id;
  if (owner !== promo.affiliate_id)
    return keepsCode
      ? {
          field: 'affiliate_id',
          message: `the code belongs to affiliate ${owner} on other offers too, and can be one affiliate's only`,
        }
      : { field: 'code', message: `the code belongs to affiliate ${owner}` };
  return onOffers.has(`${code} ${promo.offer_id}`)
    ? { field: keepsCode ? 'offer_id' : 'code', message: 'the offer already has this code' }
    : undefined;
}

/** Creates what can be created, in order; one that is refused hinders no other. One result per item. O(codes + items). */
export function createPromoCodes(
  state: CatalogueState,
  nextId: NextId,
  items: readonly unknown[],
): { readonly state: CatalogueState; readonly results: readonly PromoCodeResult[] } {
  const index = indexCodes(state.promo_codes);
  const offers = new Set(state.offers.map(({ id }) => id));
  const affiliates = new Set(state.affiliates.map(({ id }) => id));
  let id = nextId('promo_codes');
  let sequence = state.promo_codes.reduce((most, promo) => Math.max(most, promo.sequence), 0);
  const results = items.map((item): PromoCodeResult => {
    const parsed = parseEntity(promoCodeSchema, item, '');
    if ('faults' in parsed) return { kind: 'refused', faults: parsed.faults, taken: false };
    const promo = parsed.value;
    const faults = referenceFaults(promo, offers, affiliates);
    if (faults.length > 0) return { kind: 'refused', faults, taken: false };
    const taken = takenFault(promo, index);
    if (taken !== undefined) return { kind: 'refused', faults: [taken], taken: true };
    const code = promo.code.toLowerCase();
    index.owners.set(code, promo.affiliate_id);
    index.onOffers.add(`${code} ${promo.offer_id}`);
    return { kind: 'created', promoCode: { ...promo, id: id++, sequence: ++sequence } };
  });
  const created = results.flatMap((result) =>
    result.kind === 'created' ? [result.promoCode] : [],
  );
  return { state: { ...state, promo_codes: [...state.promo_codes, ...created] }, results };
}

export function createPromoCode(state: CatalogueState, nextId: NextId, sent: unknown): Edited {
  const made = createPromoCodes(state, nextId, [requireRecord(sent)]);
  const [result] = made.results;
  if (result?.kind !== 'created')
    throw new EditRefused(result?.taken === true ? 'conflict' : 'invalid', result?.faults ?? []);
  return { state: made.state, entity: { ...result.promoCode } };
}

/** `shown` as of `patchEntity`. */
export function patchPromoCode(
  state: CatalogueState,
  id: string,
  sent: unknown,
  shown: (entity: Entity) => Entity,
): Edited {
  const edited = patchEntity(state, 'promo_codes', id, sent, shown);
  const isOther = (promo: PromoCode): boolean => String(promo.id) !== id;
  const before = state.promo_codes.find((promo) => !isOther(promo));
  const index = indexCodes(state.promo_codes.filter(isOther));
  const offers = new Set(state.offers.map((offer) => offer.id));
  const affiliates = new Set(state.affiliates.map((affiliate) => affiliate.id));
  for (const promo of edited.state.promo_codes) {
    if (isOther(promo)) continue;
    const faults = referenceFaults(promo, offers, affiliates);
    if (faults.length > 0) throw new EditRefused('invalid', faults);
    const taken = takenFault(promo, index, before);
    if (taken !== undefined) throw new EditRefused('conflict', [taken]);
  }
  return edited;
}
