/** A conversion entered by hand: for whom, which goal, what it pays. One form is one conversion, however often it is sent. */
import { useRef, useState } from 'react';
import { Link } from 'wouter';
import { useCatalogue } from '../api/catalogue.ts';
import { ApiProblem, call } from '../api/client.ts';
import { textOf, type Row } from '../reports/cell.tsx';
import { useErrors } from '../ui/draft.ts';
import { AreaField, ChoiceField, TextField } from '../ui/inputs.tsx';
import { randomKey } from '../ui/random-key.ts';

const TEXTS = [
  ['amount', 'Amount', 'Optional'],
  ['payout', 'Payout', 'Empty: the goal’s'],
  ['revenue', 'Revenue', 'Empty: the goal’s'],
  ['adv_order_id', 'Order id', 'Optional'],
  ['track_id', 'Track id', 'Optional'],
] as const;

export function ManualForm() {
  const affiliates = useCatalogue('affiliates').data ?? [];
  const offers = useCatalogue('offers').data ?? [];
  const goals = useCatalogue('goals').data ?? [];
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>({});
  const [affiliate, setAffiliate] = useState('');
  const [goal, setGoal] = useState('');
  const [isSaving, setSaving] = useState(false);
  const [made, setMade] = useState<Row | null>(null);
  const problems = useErrors();
  const key = useRef(randomKey());
  const affiliateId = affiliate === '' ? String(affiliates[0]?.id ?? '') : affiliate;
  const goalId = goal === '' ? String(goals[0]?.id ?? '') : goal;
  const titleOf = (offerId: number): string => offers.find(({ id }) => id === offerId)?.title ?? '';

  async function save(): Promise<void> {
    problems.clear();
    setMade(null);
    setSaving(true);
    const filled = Object.entries(texts).filter(([, value]) => value.trim() !== '');
    const body = {
      ...Object.fromEntries(filled.map(([name, value]) => [name, value.trim()])),
      affiliate_id: Number(affiliateId),
      goal_id: Number(goalId),
    };
    try {
      setMade(
        await call<Row>('POST', '/transactions', body, undefined, {
          'idempotency-key': key.current,
        }),
      );
      setTexts({});
      key.current = randomKey();
    } catch (error) {
      problems.take(error);
      // What was refused is sent with other values: another conversion.
      if (error instanceof ApiProblem && error.status === 422) key.current = randomKey();
    }
    setSaving(false);
  }

  return (
    <form
      className="card"
      aria-label="Conversion by hand"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <h2>A conversion by hand</h2>
      <p className="hint">Needs no click. The same checks, limits and caps judge it.</p>
      <div className="grid">
        <ChoiceField
          label="Affiliate"
          value={affiliateId}
          options={affiliates.map(({ id, name }) => [String(id), `${name} #${id}`] as const)}
          onChange={setAffiliate}
          error={problems.of('affiliate_id')}
        />
        <ChoiceField
          label="Goal"
          value={goalId}
          options={goals.map(
            ({ id, offer_id, title }) =>
              [String(id), `${titleOf(offer_id)}: ${title} #${id}`] as const,
          )}
          onChange={setGoal}
          error={problems.of('goal_id') ?? problems.of('offer_id')}
        />
        {TEXTS.map(([name, label, hint]) => (
          <TextField
            key={name}
            label={label}
            hint={hint}
            value={texts[name] ?? ''}
            onChange={(value) => setTexts({ ...texts, [name]: value })}
            error={problems.of(name)}
          />
        ))}
        <AreaField
          label="Notes"
          wide
          value={texts['notes'] ?? ''}
          onChange={(value) => setTexts({ ...texts, notes: value })}
          error={problems.of('notes')}
        />
      </div>
      {problems.general !== '' && (
        <p className="error" role="alert">
          {problems.general}
        </p>
      )}
      {made !== null && (
        <p role="status">
          Entered.{' '}
          {made['transaction_id'] !== undefined && (
            <Link href={`/why/transaction_id/${textOf(made['transaction_id'])}`}>
              Show the transaction
            </Link>
          )}
        </p>
      )}
      <div className="actions">
        <button type="submit" className="button primary" disabled={isSaving || affiliateId === ''}>
          {isSaving ? 'Saving…' : 'Enter conversion'}
        </button>
      </div>
    </form>
  );
}
