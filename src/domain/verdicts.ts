/**
 * The one table of verdicts: codes, slugs, titles. Types, SQL enums, docs and metrics come from it.
 * Codes and slugs are never reused. Titles of 101-110 are the trade's own wording (CONTRACT.md, "Verdicts").
 * It does not say in which order checks run: that is `src/domain/judge/`.
 */
export const VERDICTS = [
  { code: 0, slug: 'accepted', title: 'Accepted' },
  { code: 101, slug: 'multiple_conversions', title: 'Multiple Conversions are not Allowed' },
  { code: 102, slug: 'unique_ip', title: 'Filtered by Unique IP' },
  { code: 103, slug: 'unique_track_id', title: 'Filtered by Unique Track ID' },
  { code: 104, slug: 'invalid_cookie', title: 'Invalid COOKIE' },
  { code: 105, slug: 'offer_not_found', title: 'Offer Not Found' },
  { code: 106, slug: 'goal_not_found', title: 'Goal Not Found' },
  { code: 107, slug: 'goal_cap_reached', title: 'Goal cap is reached' },
  { code: 108, slug: 'invalid_click_id', title: 'Invalid Click ID' },
  { code: 109, slug: 'offer_not_deployed', title: 'Offer is not deployed by affiliate' },
  { code: 110, slug: 'affiliate_not_active', title: 'Affiliate is not Active' },
  { code: 111, slug: 'promo_code_not_found', title: 'Promo Code Not Found' },
  { code: 112, slug: 'promo_code_not_valid_now', title: 'Promo Code is not Valid Now' },
  { code: 113, slug: 'promo_codes_disabled', title: 'Promo Codes are Disabled' },
  { code: 114, slug: 'click_expired', title: 'Click Session Expired' },
  { code: 115, slug: 'offer_not_active', title: 'Offer is not Active' },
  { code: 116, slug: 'goal_not_active', title: 'Goal is not Active' },
  { code: 117, slug: 'invalid_token', title: 'Incorrect Advertiser Security Token' },
  { code: 118, slug: 'ip_not_allowed', title: 'Postback IP is not Allowed' },
  { code: 119, slug: 'transaction_not_found', title: 'Transaction Not Found' },
  { code: 120, slug: 'malformed', title: 'Malformed Request' },
  { code: 121, slug: 'affiliate_not_found', title: 'Affiliate Not Found' },
  { code: 122, slug: 'duplicate_order_id', title: 'Filtered by Unique Order ID' },
] as const;

export type VerdictCode = (typeof VERDICTS)[number]['code'];
export type VerdictSlug = (typeof VERDICTS)[number]['slug'];
export interface Verdict {
  readonly code: VerdictCode;
  readonly slug: VerdictSlug;
  readonly title: string;
}

const BY_SLUG: ReadonlyMap<string, Verdict> = new Map(VERDICTS.map((v) => [v.slug, v]));
const BY_CODE: ReadonlyMap<number, Verdict> = new Map(VERDICTS.map((v) => [v.code, v]));

/** The verdict of a slug; a slug that is in the type is always in the table. */
export function verdictOf(slug: VerdictSlug): Verdict {
  const verdict = BY_SLUG.get(slug);
  if (verdict === undefined) throw new Error(`no verdict has the slug ${slug}`);
  return verdict;
}

/** The verdict of a stored code, or undefined for a code this version does not know. */
export function verdictOfCode(code: number): Verdict | undefined {
  return BY_CODE.get(code);
}

export function isVerdictSlug(text: string): text is VerdictSlug {
  return BY_SLUG.has(text);
}
