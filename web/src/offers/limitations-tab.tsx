/** Offer → Limitations: Unique IP. */
import { UNIQUE_IP_WINDOWS, type Offer } from '../../../src/domain/catalogue.ts';
import { DraftForm } from '../ui/draft-form.tsx';
import { useDraft } from '../ui/draft.ts';
import { Toggle } from '../ui/field.tsx';
import { ChoiceField } from '../ui/inputs.tsx';

export function LimitationsTab({ offer }: { offer: Offer }) {
  const draft = useDraft('offers', String(offer.id), offer);
  const uniqueIp = draft.values.unique_ip;
  return (
    <DraftForm draft={draft} label="Limitations">
      <div className="grid">
        <Toggle
          label="Unique IP"
          hint="One conversion an address of the visitor and period; IPv6 by /64"
          checked={uniqueIp.enabled}
          onChange={(enabled) => draft.set('unique_ip', { ...uniqueIp, enabled })}
        />
        <ChoiceField
          label="Period"
          value={uniqueIp.window}
          options={UNIQUE_IP_WINDOWS}
          hint={`A calendar period in ${offer.timezone}`}
          onChange={(window) => draft.set('unique_ip', { ...uniqueIp, window })}
        />
      </div>
    </DraftForm>
  );
}
