/** An offer as its affiliate sees it: what it pays, the tracking link, and below it the affiliate's promo codes. */
import type { Offer } from '../../../src/domain/catalogue.ts';
import { useCatalogue } from '../api/catalogue.ts';
import { formatMoney } from '../format.ts';
import { LinkBuilder } from '../offers/links-tab.tsx';
import { PromoCodes } from '../promo-codes/promo-codes.tsx';
import { PageHead } from '../ui/bits.tsx';

export function AffiliateOffer({ offer }: { offer: Offer }) {
  const goals = (useCatalogue('goals').data ?? []).filter((goal) => goal.offer_id === offer.id);
  return (
    <>
      <PageHead title={`${offer.title} #${offer.id}`} back={['/offers', 'Offers']} />
      <section className="card">
        <h2>What it pays</h2>
        <ul>
          {goals
            .filter(({ status }) => status === 'active')
            .map((goal) => (
              <li key={goal.id}>
                {goal.title === '' ? goal.alias : goal.title} ({goal.type}):{' '}
                <strong>{formatMoney(Number(goal.payout), goal.currency)}</strong>
              </li>
            ))}
        </ul>
      </section>
      <LinkBuilder offer={offer} />
      <PromoCodes offer={offer} editable={false} />
    </>
  );
}
