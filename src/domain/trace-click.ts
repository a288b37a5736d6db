/** The checks of a click one by one, as `judge-click.ts` goes through them: what explain shows. It judges nothing. */
import type { CatalogueSnapshot } from './catalogue.ts';
import type { TracedCheck } from './judge/judge.ts';
import type { VerdictSlug } from './verdicts.ts';

/** A click's verdict and whom it names, 0 for nobody. */
export interface ClickToTrace {
  readonly verdict: string;
  readonly detail: string;
  readonly offerId: number;
  readonly affiliateId: number;
}

interface ClickCheck {
  readonly name: string;
  /** Verdicts that it gives. */
  readonly slugs: readonly VerdictSlug[];
  /** What was compared, when it passed. */
  readonly evidence: (snapshot: CatalogueSnapshot, click: ClickToTrace) => string;
}

/** In the contract's order. */
const CHECKS: readonly ClickCheck[] = [
  {
    name: 'offer exists',
    slugs: ['offer_not_found'],
    evidence: (snapshot, { offerId }) => `offer ${offerId} (${snapshot.offer(offerId)?.title})`,
  },
  {
    name: 'offer active',
    slugs: ['offer_not_active'],
    evidence: (snapshot, { offerId }) => `status ${snapshot.offer(offerId)?.status}`,
  },
  {
    name: 'affiliate exists and is active',
    slugs: ['affiliate_not_found', 'affiliate_not_active'],
    evidence: (_, { affiliateId }) => `affiliate ${affiliateId} is active`,
  },
  {
    name: 'offer deployed',
    slugs: ['offer_not_deployed'],
    evidence: (snapshot, { offerId }) => `offer is ${snapshot.offer(offerId)?.availability}`,
  },
];

/** `snapshot`: of the catalogue version that the click was judged under. */
export function traceClick(
  snapshot: CatalogueSnapshot,
  click: ClickToTrace,
): readonly TracedCheck[] {
  const gives = ({ slugs }: ClickCheck): boolean => slugs.some((slug) => slug === click.verdict);
  const failedAt = CHECKS.findIndex(gives);
  return CHECKS.map((check, index) => {
    if (index === failedAt) return { check: check.name, outcome: 'failed', evidence: click.detail };
    return failedAt !== -1 && index > failedAt
      ? { check: check.name, outcome: 'skipped', evidence: 'not reached' }
      : { check: check.name, outcome: 'passed', evidence: check.evidence(snapshot, click) };
  });
}
