/** The link builder: a tracking link with the affiliate's own labels. */
import { useState } from 'react';
import type { Offer } from '../../../src/domain/catalogue.ts';
import { useCatalogue } from '../api/catalogue.ts';
import { useSession } from '../api/session.tsx';
import { CopyBox } from '../ui/bits.tsx';
import { ChoiceField, TextField } from '../ui/inputs.tsx';
import { trackingLink } from './snippets.ts';

const LABELS = [
  'sub_id1',
  'sub_id2',
  'sub_id3',
  'sub_id4',
  'sub_id5',
  'aff_click_id',
  'source',
] as const;

export function LinkBuilder({ offer }: { offer: Offer }) {
  const { user, tracking_url } = useSession();
  const affiliates = useCatalogue('affiliates').data ?? [];
  const [affiliate, setAffiliate] = useState('');
  const [deepLink, setDeepLink] = useState('');
  const [parameters, setParameters] = useState<Record<string, string>>({});
  const affiliateId =
    user.role === 'affiliate'
      ? user.affiliate_id
      : Number(affiliate === '' ? (affiliates[0]?.id ?? 0) : affiliate);
  const hosts = offer.allowed_deep_link_hosts;
  const host = URL.canParse(deepLink) ? new URL(deepLink).hostname : '';
  const deepLinkError =
    deepLink === '' || hosts.includes(host)
      ? undefined
      : hosts.length === 0
        ? 'the offer allows no deep links: the landing URL is used'
        : `only ${hosts.join(', ')} may be linked: else the landing URL is used`;
  return (
    <section className="card" aria-labelledby="tracking-link">
      <h2 id="tracking-link">Tracking Link</h2>
      <div className="grid">
        {user.role === 'manager' && (
          <ChoiceField
            label="Affiliate"
            value={String(affiliateId)}
            options={affiliates.map(({ id, name }) => [String(id), `${name} #${id}`] as const)}
            onChange={setAffiliate}
          />
        )}
        {LABELS.map((name) => (
          <TextField
            key={name}
            label={name}
            value={parameters[name] ?? ''}
            onChange={(text) => setParameters({ ...parameters, [name]: text })}
          />
        ))}
        <TextField
          label="Deep link"
          value={deepLink}
          onChange={setDeepLink}
          placeholder={hosts.length === 0 ? '' : `https://${hosts[0] ?? ''}/…`}
          error={deepLinkError}
        />
      </div>
      <CopyBox
        label="Link"
        text={trackingLink(tracking_url, { offerId: offer.id, affiliateId, deepLink, parameters })}
      />
    </section>
  );
}
