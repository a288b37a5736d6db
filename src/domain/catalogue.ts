/**
 * The catalogue's types: advertisers, affiliates, offers, goals, deployments, promo codes, and the immutable snapshot
 * that edges and workers judge under. Validation and storage are in `src/catalogue/`; no I/O here.
 * Field names are those of the catalogue file (CONTRACT.md), so that YAML, REST, Redis and `catalogue_log` agree.
 */
import { groupBy } from './group-by.ts';

export const ADVERTISER_STATUSES = ['active', 'inactive'] as const;
export const AFFILIATE_STATUSES = ['active', 'pending', 'rejected', 'disabled'] as const;
export const OFFER_STATUSES = ['active', 'testing', 'inactive'] as const;
export const GOAL_STATUSES = ['active', 'inactive'] as const;
export const GOAL_TYPES = ['CPA', 'CPL', 'CPS', 'CPI'] as const;
export const AVAILABILITIES = ['public', 'by_request', 'selective'] as const;
export const DEPLOYMENT_STATUSES = ['pending', 'approved', 'rejected'] as const;
export const CONVERSION_STATUSES = ['approved', 'pending', 'rejected', 'hold'] as const;
export const POSTBACK_METHODS = ['GET', 'POST'] as const;
export const POSTBACK_STATUSES = ['active', 'inactive'] as const;
export const UNIQUE_IP_WINDOWS = ['hour', 'day', 'week', 'month', 'ever'] as const;

export type ConversionStatus = (typeof CONVERSION_STATUSES)[number];
export type UniqueIpWindow = (typeof UNIQUE_IP_WINDOWS)[number];

export interface Advertiser {
  readonly id: number;
  readonly name: string;
  readonly status: (typeof ADVERTISER_STATUSES)[number];
  /** `sha256:<64 hex>` of the security token, or null when the advertiser has none. The token itself is never stored. */
  readonly token: string | null;
  readonly require_token: boolean;
}

export interface Affiliate {
  readonly id: number;
  readonly name: string;
  readonly status: (typeof AFFILIATE_STATUSES)[number];
}

/** Numbers of conversions; null: no limit. 0 is a limit: none is accepted. */
export interface Caps {
  readonly daily: number | null;
  readonly monthly: number | null;
  readonly total: number | null;
}

export interface Goal {
  readonly id: number;
  readonly offer_id: number;
  readonly alias: string;
  readonly title: string;
  readonly status: (typeof GOAL_STATUSES)[number];
  readonly type: (typeof GOAL_TYPES)[number];
  readonly default: boolean;
  /** Money is a decimal string with up to 4 places, e.g. '5' or '5.25': never a float. */
  readonly payout: string;
  readonly revenue: string;
  /** ISO 4217. */
  readonly currency: string;
  readonly conversion_status: ConversionStatus;
  readonly multiple_conversions: boolean;
  readonly unique_track_id: boolean;
  readonly unique_order_id: boolean;
  readonly caps: Caps;
  /** By affiliate id (as a string key). */
  readonly affiliate_caps: Readonly<Record<string, Caps>>;
}

export interface Offer {
  readonly id: number;
  readonly advertiser_id: number;
  readonly title: string;
  readonly status: (typeof OFFER_STATUSES)[number];
  readonly url: string;
  readonly availability: (typeof AVAILABILITIES)[number];
  /** IANA zone. */
  readonly timezone: string;
  readonly click_lifetime_days: number;
  readonly unique_ip: { readonly enabled: boolean; readonly window: UniqueIpWindow };
  readonly promo_codes_enabled: boolean;
  readonly trafficback_url: string | null;
  readonly allowed_deep_link_hosts: readonly string[];
  readonly postback_ips: { readonly allow: readonly string[]; readonly deny: readonly string[] };
}

export interface Deployment {
  readonly offer_id: number;
  readonly affiliate_id: number;
  readonly status: (typeof DEPLOYMENT_STATUSES)[number];
}

export interface PromoCode {
  /** Minted by the store; constant through edits. */
  readonly id: number;
  /** As typed; matched case-insensitively. */
  readonly code: string;
  readonly affiliate_id: number;
  readonly offer_id: number;
  /** `YYYY-MM-DD`, inclusive, in the offer's zone; null: open. */
  readonly start_date: string | null;
  readonly end_date: string | null;
  readonly description: string;
  /** Order of creation over the whole catalogue; the lowest of a code decides calls without `offer_id`. */
  readonly sequence: number;
}

/** Where an affiliate wants to hear of its conversions. Which entries an event goes to: `affiliate-postbacks.ts`. */
export interface AffiliatePostback {
  readonly id: number;
  readonly affiliate_id: number;
  /** Null: every offer. */
  readonly offer_id: number | null;
  /** Null: every goal. */
  readonly goal_id: number | null;
  /** With macros. */
  readonly url: string;
  /** POST sends the URL's query as a form. */
  readonly method: (typeof POSTBACK_METHODS)[number];
  /** Conversion statuses that it wants. */
  readonly statuses: readonly ConversionStatus[];
  readonly status: (typeof POSTBACK_STATUSES)[number];
}

/** Everything at one version. Plain data: this is what Redis, the edge's copy on disk and `catalogue_log` hold. */
export interface CatalogueState {
  readonly version: number;
  readonly advertisers: readonly Advertiser[];
  readonly affiliates: readonly Affiliate[];
  readonly offers: readonly Offer[];
  readonly goals: readonly Goal[];
  readonly deployments: readonly Deployment[];
  readonly promo_codes: readonly PromoCode[];
  readonly affiliate_postbacks: readonly AffiliatePostback[];
  /** Keys of the click id, newest last: 32 hex characters each, id 0-3. Never removed, so old ids stay genuine. */
  readonly click_id_keys: readonly { readonly id: number; readonly key: string }[];
}

/** A state with its indexes; immutable, safe to share. Build it with `createCatalogueSnapshot`. */
export interface CatalogueSnapshot {
  readonly version: number;
  readonly state: CatalogueState;
  advertiser(id: number): Advertiser | undefined;
  affiliate(id: number): Affiliate | undefined;
  offer(id: number): Offer | undefined;
  goal(id: number): Goal | undefined;
  goalsOf(offerId: number): readonly Goal[];
  goalByAlias(offerId: number, alias: string): Goal | undefined;
  defaultGoal(offerId: number): Goal | undefined;
  deployment(offerId: number, affiliateId: number): Deployment | undefined;
  /** Every entry of a code, any case, lowest `sequence` first. */
  promoCodes(code: string): readonly PromoCode[];
}

const pair = (offerId: number, affiliateId: number): string => `${offerId}:${affiliateId}`;

function byId<T extends { readonly id: number }>(items: readonly T[]): Map<number, T> {
  return new Map(items.map((item) => [item.id, item]));
}

/** Indexes a state; O(size). The snapshot keeps a reference to `state`, which must not change afterwards. */
export function createCatalogueSnapshot(state: CatalogueState): CatalogueSnapshot {
  const advertisers = byId(state.advertisers);
  const affiliates = byId(state.affiliates);
  const offers = byId(state.offers);
  const goals = byId(state.goals);
  const goalsByOffer = groupBy(state.goals, (goal) => goal.offer_id);
  const deployments = new Map(state.deployments.map((d) => [pair(d.offer_id, d.affiliate_id), d]));
  const ordered = state.promo_codes.toSorted((a, b) => a.sequence - b.sequence);
  const promoCodes = groupBy(ordered, (promo) => promo.code.toLowerCase());
  const goalsOf = (offerId: number): readonly Goal[] => goalsByOffer.get(offerId) ?? [];
  return {
    version: state.version,
    state,
    advertiser: (id) => advertisers.get(id),
    affiliate: (id) => affiliates.get(id),
    offer: (id) => offers.get(id),
    goal: (id) => goals.get(id),
    goalsOf,
    goalByAlias: (offerId, alias) => goalsOf(offerId).find((goal) => goal.alias === alias),
    defaultGoal: (offerId) => goalsOf(offerId).find((goal) => goal.default),
    deployment: (offerId, affiliateId) => deployments.get(pair(offerId, affiliateId)),
    promoCodes: (code) => promoCodes.get(code.toLowerCase()) ?? [],
  };
}

/** The catalogue as far as one advertiser may see it: their offers and what belongs to those. O(size). */
export function snapshotOfAdvertiser(
  snapshot: CatalogueSnapshot,
  advertiserId: number,
): CatalogueSnapshot {
  const { state } = snapshot;
  const isOwn = (offerId: number): boolean =>
    snapshot.offer(offerId)?.advertiser_id === advertiserId;
  return createCatalogueSnapshot({
    ...state,
    advertisers: state.advertisers.filter(({ id }) => id === advertiserId),
    offers: state.offers.filter(({ id }) => isOwn(id)),
    goals: state.goals.filter(({ offer_id }) => isOwn(offer_id)),
    deployments: state.deployments.filter(({ offer_id }) => isOwn(offer_id)),
    promo_codes: state.promo_codes.filter(({ offer_id }) => isOwn(offer_id)),
    affiliate_postbacks: [],
  });
}

/** The state before anything was applied. */
export const EMPTY_CATALOGUE: CatalogueState = {
  version: 0,
  advertisers: [],
  affiliates: [],
  offers: [],
  goals: [],
  deployments: [],
  promo_codes: [],
  affiliate_postbacks: [],
  click_id_keys: [],
};
