/** What to change for each verdict, in plain words, and on which page: "the title tells what to change, and where". */
import type { VerdictSlug } from '../../../src/domain/verdicts.ts';

type Place =
  | 'general'
  | 'tracking'
  | 'limitations'
  | 'goals'
  | 'deployments'
  | 'promo-codes'
  | 'affiliate'
  | 'advertiser';

export interface Remedy {
  readonly text: string;
  readonly place?: Place;
}

const REMEDIES: Readonly<Record<VerdictSlug, Remedy>> = {
  accepted: { text: 'Nothing: the call counted.' },
  multiple_conversions: {
    text: 'The goal allows one conversion a click. If a buyer may convert again, switch Multiple Conversions on.',
    place: 'goals',
  },
  unique_ip: {
    text: 'The offer counts one conversion an address and period. Switch Unique IP off, or choose a shorter period.',
    place: 'limitations',
  },
  unique_track_id: {
    text: 'The goal counts each track_id once and needs one. Have the advertiser send a new one for each lead, or switch Unique Track ID off.',
    place: 'goals',
  },
  duplicate_order_id: {
    text: 'The goal counts each order once. If the order is new, the shop sends a wrong adv_order_id; else all is well.',
    place: 'goals',
  },
  invalid_cookie: {
    text: 'The browser brought no cookie of this offer: the buyer did not come through a tracking link, or the browser blocks third-party cookies. Use the postback, or the first-party script.',
    place: 'tracking',
  },
  offer_not_found: {
    text: 'The offer_id in the URL exists nowhere: correct it at the advertiser.',
  },
  goal_not_found: {
    text: 'The goal_id or goal_alias is not one of this offer, or the offer has no default goal. Copy the URL from Snippets, or make one goal the default.',
    place: 'goals',
  },
  goal_cap_reached: {
    text: 'The goal’s cap for this period is full. Raise the cap, or wait for the next period.',
    place: 'goals',
  },
  invalid_click_id: {
    text: 'The click_id is not one of ours. Look at the value in the request: usually the macro was not replaced, or it stands in another parameter.',
    place: 'tracking',
  },
  offer_not_deployed: {
    text: 'The offer needs an approval that this affiliate does not have. Approve the affiliate, or make the offer public.',
    place: 'deployments',
  },
  affiliate_not_active: {
    text: 'The affiliate is pending, rejected or disabled. Set it active.',
    place: 'affiliate',
  },
  affiliate_not_found: {
    text: 'The affiliate of the link exists nowhere: correct the parameter a of the tracking link.',
  },
  promo_code_not_found: {
    text: 'Nobody has this code on this offer. Add it, or correct the code that the shop sends.',
    place: 'promo-codes',
  },
  promo_code_not_valid_now: {
    text: 'The code is outside its dates. Change its start or end date.',
    place: 'promo-codes',
  },
  promo_codes_disabled: {
    text: 'Promo Codes are off for the offer. Switch them on.',
    place: 'tracking',
  },
  click_expired: {
    text: 'The click is older than the offer’s click lifetime. Make the lifetime longer if such sales should count.',
    place: 'tracking',
  },
  offer_not_active: { text: 'The offer is inactive. Set it active or testing.', place: 'general' },
  goal_not_active: { text: 'The goal is inactive. Set it active.', place: 'goals' },
  invalid_token: {
    text: 'The advertiser’s token is missing or wrong. Send the right one, or make a new one and tell the advertiser.',
    place: 'advertiser',
  },
  ip_not_allowed: {
    text: 'The call came from an address that the offer does not allow. Add the advertiser’s server to the postback IPs.',
    place: 'tracking',
  },
  transaction_not_found: {
    text: 'There is nothing to change: no such transaction_id, or no conversion of this click and goal yet.',
  },
  malformed: {
    text: 'A value is not what it must be, or the request can’t be read. Correct the URL at the advertiser.',
  },
};

export function remedyOf(verdict: string): Remedy | undefined {
  return Object.hasOwn(REMEDIES, verdict) ? REMEDIES[verdict as VerdictSlug] : undefined;
}

/** The page where the remedy is applied, for an entity that is known. */
export function pageOf(
  place: Place | undefined,
  ids: { offer: number; affiliate: number; advertiser: number },
): string | undefined {
  if (place === undefined) return undefined;
  if (place === 'affiliate')
    return ids.affiliate === 0 ? undefined : `/affiliates/${ids.affiliate}`;
  if (place === 'advertiser')
    return ids.advertiser === 0 ? undefined : `/advertisers/${ids.advertiser}`;
  return ids.offer === 0 ? undefined : `/offers/${ids.offer}/${place}`;
}
