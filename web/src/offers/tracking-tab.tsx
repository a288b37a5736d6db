/** Offer → Tracking settings: promo codes, token, postback addresses, click lifetime, deep links. */
import { Link } from 'wouter';
import type { Offer } from '../../../src/domain/catalogue.ts';
import { useCatalogue } from '../api/catalogue.ts';
import { DraftForm } from '../ui/draft-form.tsx';
import { useDraft } from '../ui/draft.ts';
import { Toggle } from '../ui/field.tsx';
import { LinesField, NumberField } from '../ui/inputs.tsx';

function TokenNote({ advertiserId }: { advertiserId: number }) {
  const advertiser = useCatalogue('advertisers').data?.find(({ id }) => id === advertiserId);
  if (advertiser === undefined) return null;
  const state = advertiser.has_token
    ? advertiser.require_token
      ? 'has a token and must send it with every call'
      : 'has a token; calls without one count, without its payout, revenue and status'
    : 'has no token yet';
  return (
    <p className="hint">
      <Link href={`/advertisers/${advertiser.id}`}>{advertiser.name}</Link> {state}.
    </p>
  );
}

export function TrackingTab({ offer }: { offer: Offer }) {
  const draft = useDraft('offers', String(offer.id), offer);
  const { values } = draft;
  const ips = values.postback_ips;
  return (
    <DraftForm draft={draft} label="Tracking settings">
      <div className="grid">
        <Toggle
          label="Promo Codes"
          hint="Conversions may come by a code, without a click"
          checked={values.promo_codes_enabled}
          onChange={(on) => draft.set('promo_codes_enabled', on)}
        />
        <NumberField
          label="Click lifetime, days"
          value={values.click_lifetime_days}
          onChange={(days) => draft.set('click_lifetime_days', days)}
          hint="A conversion later than this is rejected as expired"
          error={draft.error('click_lifetime_days')}
        />
        <LinesField
          label="Deep link hosts"
          value={values.allowed_deep_link_hosts}
          onChange={(hosts) => draft.set('allowed_deep_link_hosts', hosts)}
          placeholder="shop.example"
          hint="One a line. Links to other hosts lead to the landing URL"
          error={draft.error('allowed_deep_link_hosts')}
        />
        <LinesField
          label="Postback IPs allowed"
          value={ips.allow}
          onChange={(allow) => draft.set('postback_ips', { ...ips, allow })}
          placeholder="192.0.2.0/24"
          hint="One CIDR a line. Leave it empty to allow every address"
          error={draft.error('postback_ips.allow')}
        />
        <LinesField
          label="Postback IPs denied"
          value={ips.deny}
          onChange={(deny) => draft.set('postback_ips', { ...ips, deny })}
          hint="One CIDR a line; wins over allowed"
          error={draft.error('postback_ips.deny')}
        />
      </div>
      <TokenNote advertiserId={values.advertiser_id} />
    </DraftForm>
  );
}
