/** Assets → Tracking Link, for accounts of brands: the links and promo codes of their own offers. */
import { useState } from 'react';
import { useCatalogue } from '../api/catalogue.ts';
import { useSession } from '../api/session.tsx';
import { trackingLink } from '../offers/snippets.ts';
import { PromoCodes } from '../promo-codes/promo-codes.tsx';
import { CopyBox, PageHead } from '../ui/bits.tsx';
import { ChoiceField } from '../ui/inputs.tsx';

export function AssetsPage() {
  const { tracking_url } = useSession();
  const offers = useCatalogue('offers').data ?? [];
  const [chosen, setChosen] = useState('');
  const offer = offers.find(({ id }) => String(id) === chosen) ?? offers[0];
  return (
    <>
      <PageHead title="Tracking Link" />
      {offer !== undefined && (
        <section className="card">
          <ChoiceField
            label="Offer"
            value={String(offer.id)}
            options={offers.map(({ id, title }) => [String(id), `${title} #${id}`] as const)}
            onChange={setChosen}
          />
          <CopyBox
            label="Link"
            text={trackingLink(tracking_url, {
              offerId: offer.id,
              affiliateId: 0,
              deepLink: '',
              parameters: {},
            }).replace('a=0', 'a=AFFILIATE_ID')}
            note="Each affiliate’s own link carries its id in the parameter a."
          />
        </section>
      )}
      <PromoCodes offer={null} editable={false} />
    </>
  );
}
