/** Offer → General: what the deal is and who may promote it. */
import { AVAILABILITIES, OFFER_STATUSES, type Offer } from '../../../src/domain/catalogue.ts';
import { useCatalogue } from '../api/catalogue.ts';
import { zones } from '../period.ts';
import { DraftForm } from '../ui/draft-form.tsx';
import { useDraft } from '../ui/draft.ts';
import { ChoiceField, TextField } from '../ui/inputs.tsx';

export function GeneralTab({ offer }: { offer: Offer }) {
  const draft = useDraft('offers', String(offer.id), offer);
  const advertisers = useCatalogue('advertisers').data ?? [];
  const { values } = draft;
  return (
    <DraftForm draft={draft} label="General">
      <div className="grid">
        <TextField
          label="Title"
          value={values.title}
          onChange={(title) => draft.set('title', title)}
          error={draft.error('title')}
        />
        <ChoiceField
          label="Status"
          value={values.status}
          options={OFFER_STATUSES}
          hint="testing works like active, but affiliates do not see it"
          onChange={(status) => draft.set('status', status)}
        />
        <ChoiceField
          label="Advertiser"
          value={String(values.advertiser_id)}
          options={advertisers.map(({ id, name }) => [String(id), `${name} #${id}`] as const)}
          onChange={(id) => draft.set('advertiser_id', Number(id))}
          error={draft.error('advertiser_id')}
        />
        <ChoiceField
          label="Availability"
          value={values.availability}
          options={AVAILABILITIES}
          hint="by request and selective need an approved deployment"
          onChange={(availability) => draft.set('availability', availability)}
        />
        <ChoiceField
          label="Time zone"
          value={values.timezone}
          options={[...new Set([values.timezone, ...zones()])]}
          hint="of caps, Unique IP periods and promo code dates"
          onChange={(timezone) => draft.set('timezone', timezone)}
        />
        <TextField
          label="Landing URL"
          wide
          value={values.url}
          onChange={(url) => draft.set('url', url)}
          hint="Macros: {click_id} {offer_id} {affiliate_id} {aff_click_id} {sub_id1}…{sub_id5} {aff_param1}…{aff_param5} {deep_link} {source} {idfa} {gaid}"
          error={draft.error('url')}
        />
        <TextField
          label="Trafficback URL"
          wide
          value={values.trafficback_url ?? ''}
          onChange={(url) => draft.set('trafficback_url', url === '' ? null : url)}
          hint="Where invalid clicks go; empty: the global one, or a plain page"
          error={draft.error('trafficback_url')}
        />
      </div>
    </DraftForm>
  );
}
