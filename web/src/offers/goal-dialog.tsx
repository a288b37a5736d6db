/** A goal's form, for a new one and for an existing one. */
import { useState } from 'react';
import {
  CONVERSION_STATUSES,
  GOAL_STATUSES,
  GOAL_TYPES,
  type Caps,
  type Goal,
  type Offer,
} from '../../../src/domain/catalogue.ts';
import { useCatalogue, useChange } from '../api/catalogue.ts';
import { changesOf } from '../ui/changes.ts';
import { Dialog } from '../ui/dialog.tsx';
import { useErrors } from '../ui/draft.ts';
import { Toggle } from '../ui/field.tsx';
import { ChoiceField, LimitField, TextField } from '../ui/inputs.tsx';
import { useNotices } from '../ui/notices.tsx';
import { DialogEnd } from '../ui/dialog-end.tsx';

type Values = Omit<Goal, 'id' | 'offer_id'>;

const NO_CAPS: Caps = { daily: null, monthly: null, total: null };
const NEW: Values = {
  alias: '',
  title: '',
  status: 'active',
  type: 'CPA',
  default: false,
  payout: '0',
  revenue: '0',
  currency: 'USD',
  conversion_status: 'approved',
  multiple_conversions: false,
  unique_track_id: false,
  unique_order_id: false,
  caps: NO_CAPS,
  affiliate_caps: {},
};

function CapsFields(props: {
  caps: Caps;
  error: (name: string) => string | undefined;
  path: string;
  onChange: (caps: Caps) => void;
}) {
  const { caps, error, path, onChange } = props;
  return (
    <div className="grid">
      {(['daily', 'monthly', 'total'] as const).map((period) => (
        <LimitField
          key={period}
          label={`${period.charAt(0).toUpperCase()}${period.slice(1)} cap`}
          value={caps[period]}
          error={error(`${path}.${period}`)}
          onChange={(limit) => onChange({ ...caps, [period]: limit })}
        />
      ))}
    </div>
  );
}

function AffiliateCaps(props: {
  caps: Values['affiliate_caps'];
  error: (name: string) => string | undefined;
  onChange: (caps: Values['affiliate_caps']) => void;
}) {
  const { caps, error, onChange } = props;
  const affiliates = useCatalogue('affiliates').data ?? [];
  const free = affiliates.filter(({ id }) => caps[String(id)] === undefined);
  const nameOf = (id: string): string =>
    affiliates.find((affiliate) => String(affiliate.id) === id)?.name ?? '';
  return (
    <fieldset>
      <legend>Caps of single affiliates</legend>
      {Object.entries(caps).map(([id, own]) => (
        <div key={id}>
          <h3>
            {nameOf(id)} #{id}{' '}
            <button
              type="button"
              className="button small"
              onClick={() =>
                onChange(Object.fromEntries(Object.entries(caps).filter(([held]) => held !== id)))
              }
            >
              Remove
            </button>
          </h3>
          <CapsFields
            caps={own}
            error={error}
            path={`affiliate_caps.${id}`}
            onChange={(next) => onChange({ ...caps, [id]: next })}
          />
        </div>
      ))}
      {free.length > 0 && (
        <ChoiceField
          label="Add an affiliate"
          value=""
          options={[
            ['', 'choose…'],
            ...free.map(({ id, name }) => [String(id), `${name} #${id}`] as const),
          ]}
          onChange={(id) => id !== '' && onChange({ ...caps, [id]: NO_CAPS })}
        />
      )}
    </fieldset>
  );
}

export function GoalDialog(props: {
  offer: Offer;
  goal: Goal | null;
  isFirst: boolean;
  onClose: () => void;
}) {
  const { offer, goal, isFirst, onClose } = props;
  const [values, setValues] = useState<Values>(goal ?? { ...NEW, default: isFirst });
  const change = useChange();
  const problems = useErrors();
  const notices = useNotices();
  const set = <K extends keyof Values>(name: K, value: Values[K]): void =>
    setValues({ ...values, [name]: value });

  async function save(): Promise<void> {
    try {
      if (goal === null) {
        await change.mutateAsync({
          method: 'POST',
          kind: 'goals',
          body: { ...values, offer_id: offer.id },
        });
        notices.tell('Goal created');
      } else {
        const id = String(goal.id);
        const patch = (from: Values, to: Values) =>
          change.mutateAsync({ method: 'PATCH', kind: 'goals', id, body: changesOf(from, to) });
        await patch(goal, values);
        notices.tell('Goal saved', () => patch(values, goal));
      }
      onClose();
    } catch (error) {
      problems.take(error);
    }
  }

  return (
    <Dialog title={goal === null ? 'New goal' : `Goal ${goal.id}`} onClose={onClose}>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <div className="grid">
          <TextField
            label="Alias"
            value={values.alias}
            onChange={(text) => set('alias', text)}
            hint="In goal_alias of a call"
            error={problems.of('alias')}
          />
          <TextField
            label="Title"
            value={values.title}
            onChange={(text) => set('title', text)}
            error={problems.of('title')}
          />
          <ChoiceField
            label="Type"
            value={values.type}
            options={GOAL_TYPES}
            onChange={(type) => set('type', type)}
          />
          <ChoiceField
            label="Status"
            value={values.status}
            options={GOAL_STATUSES}
            onChange={(status) => set('status', status)}
          />
          <TextField
            label="Payout"
            value={values.payout}
            onChange={(text) => set('payout', text)}
            hint="To the affiliate"
            error={problems.of('payout')}
          />
          <TextField
            label="Revenue"
            value={values.revenue}
            onChange={(text) => set('revenue', text)}
            hint="From the advertiser"
            error={problems.of('revenue')}
          />
          <TextField
            label="Currency"
            value={values.currency}
            onChange={(text) => set('currency', text)}
            error={problems.of('currency')}
          />
          <ChoiceField
            label="Status of new conversions"
            value={values.conversion_status}
            options={CONVERSION_STATUSES}
            onChange={(status) => set('conversion_status', status)}
          />
          <Toggle
            label="Default goal"
            hint="Of calls that name none"
            checked={values.default}
            onChange={(on) => set('default', on)}
          />
          <Toggle
            label="Multiple conversions"
            hint="More than one a click"
            checked={values.multiple_conversions}
            onChange={(on) => set('multiple_conversions', on)}
          />
          <Toggle
            label="Unique Track ID"
            hint="Each track_id once; a call without one is refused"
            checked={values.unique_track_id}
            onChange={(on) => set('unique_track_id', on)}
          />
          <Toggle
            label="Unique Order ID"
            hint="Each adv_order_id once"
            checked={values.unique_order_id}
            onChange={(on) => set('unique_order_id', on)}
          />
        </div>
        {problems.of('default') !== undefined && <p className="error">{problems.of('default')}</p>}
        <h3>Caps, in {offer.timezone}</h3>
        <CapsFields
          caps={values.caps}
          error={problems.of}
          path="caps"
          onChange={(caps) => set('caps', caps)}
        />
        <AffiliateCaps
          caps={values.affiliate_caps}
          error={problems.of}
          onChange={(caps) => set('affiliate_caps', caps)}
        />
        <DialogEnd
          error={problems.general}
          submit="Save goal"
          disabled={change.isPending}
          onCancel={onClose}
        />
      </form>
    </Dialog>
  );
}
