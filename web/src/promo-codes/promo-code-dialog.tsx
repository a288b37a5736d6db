/** The form of one promo code: code, affiliate, dates, description. */
import { useState } from 'react';
import type { Offer, PromoCode } from '../../../src/domain/catalogue.ts';
import { useCatalogue, useChange } from '../api/catalogue.ts';
import { changesOf } from '../ui/changes.ts';
import { Dialog } from '../ui/dialog.tsx';
import { useErrors } from '../ui/draft.ts';
import { AreaField, ChoiceField, TextField } from '../ui/inputs.tsx';
import { useNotices } from '../ui/notices.tsx';
import { DialogEnd } from '../ui/dialog-end.tsx';

type Values = Pick<PromoCode, 'code' | 'affiliate_id' | 'start_date' | 'end_date' | 'description'>;

export function PromoCodeDialog(props: {
  offer: Offer;
  promo: PromoCode | null;
  onClose: () => void;
}) {
  const { offer, promo, onClose } = props;
  const affiliates = useCatalogue('affiliates').data ?? [];
  const [values, setValues] = useState<Values>(
    promo ?? { code: '', affiliate_id: 0, start_date: null, end_date: null, description: '' },
  );
  const change = useChange();
  const problems = useErrors();
  const notices = useNotices();
  const affiliateId = values.affiliate_id === 0 ? (affiliates[0]?.id ?? 0) : values.affiliate_id;
  const { code, start_date, end_date, description } = values;

  async function save(): Promise<void> {
    problems.clear();
    const body = {
      code: code.trim(),
      affiliate_id: affiliateId,
      start_date,
      end_date,
      description,
    };
    try {
      if (promo === null) {
        await change.mutateAsync({
          method: 'POST',
          kind: 'promo-codes',
          body: { ...body, offer_id: offer.id },
        });
        notices.tell(`Promo code ${body.code} created`);
      } else {
        const id = String(promo.id);
        const before = {
          code: promo.code,
          affiliate_id: promo.affiliate_id,
          start_date: promo.start_date,
          end_date: promo.end_date,
          description: promo.description,
        };
        const patch = (from: Values, to: Values) =>
          change.mutateAsync({
            method: 'PATCH',
            kind: 'promo-codes',
            id,
            body: changesOf(from, to),
          });
        await patch(before, body);
        notices.tell('Promo code saved', () => patch(body, before));
      }
      onClose();
    } catch (error) {
      problems.take(error);
    }
  }

  return (
    <Dialog
      title={promo === null ? 'New promo code' : `Promo code ${promo.code}`}
      onClose={onClose}
    >
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <div className="grid">
          <TextField
            label="Code"
            value={code}
            onChange={(text) => setValues({ ...values, code: text })}
            hint="Latin letters and digits; capitals do not matter"
            error={problems.of('code')}
          />
          <ChoiceField
            label="Affiliate"
            value={String(affiliateId)}
            options={affiliates.map(({ id, name }) => [String(id), `${name} #${id}`] as const)}
            onChange={(id) => setValues({ ...values, affiliate_id: Number(id) })}
            error={problems.of('affiliate_id')}
          />
          <TextField
            label="Start date"
            type="date"
            value={start_date ?? ''}
            hint={`Optional; the day is counted, in ${offer.timezone}`}
            onChange={(date) => setValues({ ...values, start_date: date === '' ? null : date })}
            error={problems.of('start_date')}
          />
          <TextField
            label="End date"
            type="date"
            value={end_date ?? ''}
            hint="Optional; the day is counted"
            onChange={(date) => setValues({ ...values, end_date: date === '' ? null : date })}
            error={problems.of('end_date')}
          />
          <AreaField
            label="Description"
            wide
            value={description}
            hint="The affiliate sees it"
            onChange={(text) => setValues({ ...values, description: text })}
            error={problems.of('description')}
          />
        </div>
        <DialogEnd
          error={problems.general}
          submit="Save promo code"
          disabled={change.isPending}
          onCancel={onClose}
        />
      </form>
    </Dialog>
  );
}
