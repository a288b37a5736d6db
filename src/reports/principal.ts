/**
 * Who asks, and what of the data exists for them. The one place that says so: reports, explain, tail and the catalogue
 * ask here, whether the principal came from an API key or a console login. What someone may not see is not there (404).
 */
import type { CatalogueSnapshot, CatalogueState, Offer } from '../domain/catalogue.ts';

export type Principal =
  | { readonly role: 'manager'; readonly name: string }
  | { readonly role: 'advertiser'; readonly name: string; readonly advertiserId: number }
  | { readonly role: 'affiliate'; readonly name: string; readonly affiliateId: number };

export const ROLES = ['manager', 'advertiser', 'affiliate'] as const;

/** The column that ties a stored row to its tenant, and the tenant's id in it; undefined for managers, who see all rows. */
export interface Tenancy {
  readonly column: 'advertiser_id' | 'affiliate_id';
  readonly id: number;
}

export function tenancyOf(principal: Principal): Tenancy | undefined {
  if (principal.role === 'manager') return undefined;
  return principal.role === 'advertiser'
    ? { column: 'advertiser_id', id: principal.advertiserId }
    : { column: 'affiliate_id', id: principal.affiliateId };
}

/** Whether a stored row (a report row, a click, an event of the tail) exists for the asker. */
export function ownsRow(principal: Principal, row: Readonly<Record<string, unknown>>): boolean {
  const tenancy = tenancyOf(principal);
  return tenancy === undefined || row[tenancy.column] === tenancy.id;
}

const NOTHING: ReadonlySet<string> = new Set();
/** The browser sends those of every offer it ever clicked, and who holds a click's id may report conversions of it. */
const COLUMNS_HIDDEN_FROM_ADVERTISERS: ReadonlySet<string> = new Set(['cookies']);
/** What the network earns, the advertiser's own data, and raw requests, which hold both. */
const COLUMNS_HIDDEN_FROM_AFFILIATES: ReadonlySet<string> = new Set([
  'revenue',
  'profit',
  'invalid_traffic',
  'adv_user_id',
  'adv_param1',
  'adv_param2',
  'adv_param3',
  'adv_param4',
  'adv_param5',
  'blocking_transaction_id',
  'detail',
  'resent_by',
  'query',
  'body',
  'cookies',
  'author',
  'notes',
]);
const FIELDS_HIDDEN_FROM_AFFILIATES: ReadonlySet<string> = new Set([
  'revenue',
  'caps',
  'affiliate_caps',
  'postback_ips',
  'trafficback_url',
  'sequence',
]);

/** Columns of stored rows that do not exist for the asker: not shown, not filtered by, not sorted by. */
export function hiddenColumnsOf(principal: Principal): ReadonlySet<string> {
  if (principal.role === 'affiliate') return COLUMNS_HIDDEN_FROM_AFFILIATES;
  return principal.role === 'advertiser' ? COLUMNS_HIDDEN_FROM_ADVERTISERS : NOTHING;
}

/** Kinds of the catalogue that are shown; the keys of the click id are nobody's. */
export type VisibleKind = Exclude<keyof CatalogueState, 'version' | 'click_id_keys'>;
export type Entity = Readonly<Record<string, unknown>>;

function affiliateSeesOffer(
  snapshot: CatalogueSnapshot,
  affiliateId: number,
  offerId: number,
): boolean {
  const offer = snapshot.offer(offerId);
  if (offer?.status !== 'active') return false;
  return (
    offer.availability === 'public' ||
    snapshot.deployment(offerId, affiliateId)?.status === 'approved'
  );
}

/** Whether a catalogue entity exists for the asker. */
export function seesEntity(
  snapshot: CatalogueSnapshot,
  kind: VisibleKind,
  entity: Entity,
  principal: Principal,
): boolean {
  if (principal.role === 'manager') return true;
  const offerId = Number(kind === 'offers' ? entity['id'] : entity['offer_id']);
  if (principal.role === 'advertiser') {
    if (kind === 'advertisers') return entity['id'] === principal.advertiserId;
    if (kind === 'affiliates' || kind === 'affiliate_postbacks') return false;
    return snapshot.offer(offerId)?.advertiser_id === principal.advertiserId;
  }
  switch (kind) {
    case 'advertisers':
      return false;
    case 'affiliates':
      return entity['id'] === principal.affiliateId;
    case 'deployments':
    case 'promo_codes':
    case 'affiliate_postbacks':
      return entity['affiliate_id'] === principal.affiliateId;
    case 'offers':
    case 'goals':
      return affiliateSeesOffer(snapshot, principal.affiliateId, offerId);
    default:
      return false;
  }
}

/** Whether an affiliate may ask to promote an offer: it learns the offer's title and goals, no more. */
export function mayAskFor(offer: Offer): boolean {
  return offer.status === 'active' && offer.availability === 'by_request';
}

/** The entity as the asker may see it. A token is never shown, not even its hash: only that there is one. */
export function presentEntity(kind: VisibleKind, entity: Entity, principal: Principal): Entity {
  const { token, ...rest } = entity;
  const shown: Entity =
    kind === 'advertisers'
      ? { ...rest, has_token: token !== null }
      : kind === 'deployments'
        ? { id: `${String(entity['offer_id'])}:${String(entity['affiliate_id'])}`, ...rest }
        : rest;
  if (principal.role !== 'affiliate') return shown;
  return Object.fromEntries(
    Object.entries(shown).filter(([name]) => !FIELDS_HIDDEN_FROM_AFFILIATES.has(name)),
  );
}
