/** The form of one affiliate postback: URL with macros, for which offer or goal, on which statuses. */
import { useState } from 'react';
import { POSTBACK_MACROS } from '../../../src/domain/affiliate-postback-url.ts';
import {
  CONVERSION_STATUSES,
  POSTBACK_METHODS,
  POSTBACK_STATUSES,
  type AffiliatePostback,
} from '../../../src/domain/catalogue.ts';
import { useCatalogue, useChange } from '../api/catalogue.ts';
import { changesOf } from '../ui/changes.ts';
import { Dialog } from '../ui/dialog.tsx';
import { useErrors } from '../ui/draft.ts';
import { Toggle } from '../ui/field.tsx';
import { AreaField, ChoiceField } from '../ui/inputs.tsx';
import { useNotices } from '../ui/notices.tsx';
import { DialogEnd } from '../ui/dialog-end.tsx';

type Values = Omit<AffiliatePostback, 'id' | 'affiliate_id'>;

const NEW: Values = {
  offer_id: null,
  goal_id: null,
  url: '',
  method: 'GET',
  statuses: ['approved'],
  status: 'active',
};
const ALL = 'all';
const idOf = (text: string): number | null => (text === ALL ? null : Number(text));
const textOf = (id: number | null): string => (id === null ? ALL : String(id));

function StatusFields(props: {
  statuses: Values['statuses'];
  error: string | undefined;
  onChange: (statuses: Values['statuses']) => void;
}) {
  const { statuses, error, onChange } = props;
  return (
    <fieldset>
      <legend>On statuses</legend>
      {CONVERSION_STATUSES.map((status) => (
        <Toggle
          key={status}
          label={status}
          checked={statuses.includes(status)}
          onChange={(checked) =>
            onChange(
              CONVERSION_STATUSES.filter((name) =>
                name === status ? checked : statuses.includes(name),
              ),
            )
          }
        />
      ))}
      {error !== undefined && (
        <p className="error" role="alert">
          {error}
        </p>
      )}
    </fieldset>
  );
}

function MacroList({ onPick }: { onPick: (macro: string) => void }) {
  return (
    <fieldset>
      <legend>Macros</legend>
      <p className="hint">Press one to put it at the end of the URL. Values are URL-encoded.</p>
      <div className="actions">
        {POSTBACK_MACROS.map((name) => (
          <button
            key={name}
            type="button"
            className="button small mono"
            onClick={() => onPick(`{${name}}`)}
          >
            {`{${name}}`}
          </button>
        ))}
      </div>
    </fieldset>
  );
}

function ScopeFields(props: {
  values: Values;
  error: (name: string) => string | undefined;
  onChange: (values: Values) => void;
}) {
  const { values, error, onChange } = props;
  const offers = useCatalogue('offers').data ?? [];
  const goals = useCatalogue('goals').data ?? [];
  // One that was made for a goal alone names no offer.
  const goalsShown = goals.filter(
    ({ id, offer_id }) => offer_id === values.offer_id || id === values.goal_id,
  );
  return (
    <>
      <ChoiceField
        label="Offer"
        value={textOf(values.offer_id)}
        options={[
          [ALL, 'All offers'] as const,
          ...offers.map(({ id, title }) => [String(id), `${title} #${id}`] as const),
        ]}
        onChange={(id) => onChange({ ...values, offer_id: idOf(id), goal_id: null })}
        error={error('offer_id')}
      />
      <ChoiceField
        label="Goal"
        value={textOf(values.goal_id)}
        options={[
          [ALL, 'All goals'] as const,
          ...goalsShown.map(
            ({ id, title, alias }) =>
              [String(id), `${title === '' ? alias : title} #${id}`] as const,
          ),
        ]}
        hint="Choose an offer first"
        onChange={(id) => onChange({ ...values, goal_id: idOf(id) })}
        error={error('goal_id')}
      />
    </>
  );
}

export function PostbackDialog(props: {
  affiliateId: number;
  postback: AffiliatePostback | null;
  onClose: () => void;
}) {
  const { affiliateId, postback, onClose } = props;
  const [values, setValues] = useState<Values>(postback ?? NEW);
  const change = useChange();
  const problems = useErrors();
  const notices = useNotices();
  const { offer_id, goal_id, url, method, statuses, status } = values;

  async function save(): Promise<void> {
    problems.clear();
    const body = { offer_id, goal_id, url: url.trim(), method, statuses, status };
    const stored = Object.fromEntries(
      Object.entries(postback ?? {}).filter(([name]) => name in body),
    );
    const kind = 'affiliate-postbacks';
    try {
      await change.mutateAsync(
        postback === null
          ? { method: 'POST', kind, body: { ...body, affiliate_id: affiliateId } }
          : { method: 'PATCH', kind, id: String(postback.id), body: changesOf(stored, body) },
      );
      notices.tell('Postback saved');
      onClose();
    } catch (error) {
      problems.take(error);
    }
  }

  return (
    <Dialog
      title={postback === null ? 'New postback' : `Postback ${postback.id}`}
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
          <AreaField
            label="URL"
            wide
            value={url}
            placeholder="https://tracker.example/postback?cid={aff_click_id}&payout={payout}"
            onChange={(text) => setValues({ ...values, url: text })}
            error={problems.of('url')}
          />
          <ScopeFields values={values} error={problems.of} onChange={setValues} />
          <ChoiceField
            label="Method"
            value={method}
            options={POSTBACK_METHODS}
            hint="POST sends the query as a form"
            onChange={(next) => setValues({ ...values, method: next })}
            error={problems.of('method')}
          />
          <ChoiceField
            label="State"
            value={status}
            options={POSTBACK_STATUSES}
            onChange={(next) => setValues({ ...values, status: next })}
            error={problems.of('status')}
          />
        </div>
        <StatusFields
          statuses={statuses}
          error={problems.of('statuses')}
          onChange={(next) => setValues({ ...values, statuses: next })}
        />
        <MacroList onPick={(macro) => setValues({ ...values, url: `${url}${macro}` })} />
        <DialogEnd
          error={problems.general}
          submit="Save postback"
          disabled={change.isPending}
          onCancel={onClose}
        />
      </form>
    </Dialog>
  );
}
