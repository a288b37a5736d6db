/** Checks on who takes part: offer, affiliate, deployment. Shared by clicks and conversions. */
import type { CatalogueSnapshot, Offer } from './catalogue.ts';
import type { VerdictSlug } from './verdicts.ts';

export interface Failure {
  readonly slug: VerdictSlug;
  readonly detail: string;
  readonly hint?: string;
}

/** 115. An offer of an advertiser who is not active is not active either. */
export function judgeOfferActive(snapshot: CatalogueSnapshot, offer: Offer): Failure | undefined {
  if (offer.status === 'inactive') {
    return { slug: 'offer_not_active', detail: `offer ${offer.id} (${offer.title}) is inactive` };
  }
  const advertiser = snapshot.advertiser(offer.advertiser_id);
  if (advertiser === undefined || advertiser.status !== 'active') {
    const detail = `advertiser ${offer.advertiser_id} of offer ${offer.id} is not active`;
    return { slug: 'offer_not_active', detail };
  }
  return undefined;
}

/** 121, 110. */
export function judgeAffiliate(
  snapshot: CatalogueSnapshot,
  affiliateId: number,
  asSent: string = String(affiliateId),
): Failure | undefined {
  const affiliate = snapshot.affiliate(affiliateId);
  if (affiliate === undefined) {
    const detail =
      asSent === ''
        ? 'the call names no affiliate (a)'
        : `no affiliate has the id ${asSent.slice(0, 50)}`;
    return { slug: 'affiliate_not_found', detail };
  }
  if (affiliate.status !== 'active') {
    const detail = `affiliate ${affiliate.id} (${affiliate.name}) is ${affiliate.status}`;
    return { slug: 'affiliate_not_active', detail };
  }
  return undefined;
}

/** 109: public offers need no deployment; others an approved one. */
export function judgeDeployment(
  snapshot: CatalogueSnapshot,
  offer: Offer,
  affiliateId: number,
): Failure | undefined {
  if (offer.availability === 'public') return undefined;
  const status = snapshot.deployment(offer.id, affiliateId)?.status ?? 'missing';
  if (status === 'approved') return undefined;
  return {
    slug: 'offer_not_deployed',
    detail: `offer ${offer.id} is ${offer.availability}; the deployment of affiliate ${affiliateId} is ${status}`,
  };
}
