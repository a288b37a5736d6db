/** Catalogue entities for tests: everything allowed and nothing limited, unless a test says otherwise. */
import {
  EMPTY_CATALOGUE,
  type Advertiser,
  type Affiliate,
  type CatalogueState,
  type Goal,
  type Offer,
  type PromoCode,
} from '../../src/domain/catalogue.ts';

export const TEST_KEY = { id: 0, key: '00112233445566778899aabbccddeeff' };
export const NO_CAPS = { daily: null, monthly: null, total: null };

export function advertiser(fields: Partial<Advertiser> = {}): Advertiser {
  return { id: 1, name: 'Acme', status: 'active', token: null, require_token: false, ...fields };
}

export function affiliate(fields: Partial<Affiliate> = {}): Affiliate {
  return { id: 1, name: 'Blogger', status: 'active', ...fields };
}

export function offer(fields: Partial<Offer> = {}): Offer {
  return {
    id: 16,
    advertiser_id: 1,
    title: 'Shop',
    status: 'active',
    url: 'https://shop.example/?cid={click_id}',
    availability: 'public',
    timezone: 'UTC',
    click_lifetime_days: 30,
    unique_ip: { enabled: false, window: 'ever' },
    promo_codes_enabled: true,
    trafficback_url: null,
    allowed_deep_link_hosts: [],
    postback_ips: { allow: [], deny: [] },
    ...fields,
  };
}

export function goal(fields: Partial<Goal> = {}): Goal {
  return {
    id: 12,
    offer_id: 16,
    alias: 'sale',
    title: 'Sale',
    status: 'active',
    type: 'CPS',
    default: true,
    payout: '5',
    revenue: '8',
    currency: 'USD',
    conversion_status: 'approved',
    multiple_conversions: false,
    unique_track_id: false,
    unique_order_id: false,
    caps: NO_CAPS,
    affiliate_caps: {},
    ...fields,
  };
}

export function promoCode(fields: Partial<PromoCode> = {}): PromoCode {
  return {
    id: 1,
    code: 'PROMO22',
    affiliate_id: 1,
    offer_id: 16,
    start_date: null,
    end_date: null,
    description: '',
    sequence: 1,
    ...fields,
  };
}

/** One advertiser, affiliate, offer, goal and code, that belong together. */
export function catalogue(fields: Partial<CatalogueState> = {}): CatalogueState {
  return {
    ...EMPTY_CATALOGUE,
    version: 1,
    advertisers: [advertiser()],
    affiliates: [affiliate()],
    offers: [offer()],
    goals: [goal()],
    promo_codes: [promoCode()],
    click_id_keys: [TEST_KEY],
    ...fields,
  };
}
