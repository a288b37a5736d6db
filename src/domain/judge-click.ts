/** A click's verdict, from memory alone: the edge's answer depends on it. Checks in the contract's order. */
import type { CatalogueSnapshot, Offer } from './catalogue.ts';
import { judgeAffiliate, judgeDeployment, judgeOfferActive } from './participants.ts';
import type { Parameters } from './parameters.ts';
import { verdictOf, type Verdict } from './verdicts.ts';
import { parseId } from './values.ts';

export interface JudgedClick {
  readonly verdict: Verdict;
  readonly detail: string;
  readonly offer: Offer | undefined;
  /** 0 when the request names none. */
  readonly affiliateId: number;
}

/** Judges `/click?o=&a=`. An id that is no positive integer exists nowhere: 105 or 121. */
export function judgeClick(snapshot: CatalogueSnapshot, parameters: Parameters): JudgedClick {
  const offerText = parameters.get('o') ?? '';
  const affiliateText = parameters.get('a') ?? '';
  const offer = snapshot.offer(parseId(offerText));
  const affiliateId = parseId(affiliateText);
  if (offer === undefined) {
    const detail =
      offerText === ''
        ? 'the link names no offer (o)'
        : `no offer has the id ${offerText.slice(0, 50)}`;
    return { verdict: verdictOf('offer_not_found'), detail, offer, affiliateId };
  }
  const failure =
    judgeOfferActive(snapshot, offer) ??
    judgeAffiliate(snapshot, affiliateId, affiliateText) ??
    judgeDeployment(snapshot, offer, affiliateId);
  if (failure !== undefined) {
    return { verdict: verdictOf(failure.slug), detail: failure.detail, offer, affiliateId };
  }
  return { verdict: verdictOf('accepted'), detail: '', offer, affiliateId };
}
