/** The form that corrects one transaction. What is left as it was is not sent; a release is asked for twice. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, get } from '../api/client.ts';
import { textOf, type Row } from '../reports/cell.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { useErrors } from '../ui/draft.ts';
import { Toggle } from '../ui/field.tsx';
import { AreaField, ChoiceField, TextField } from '../ui/inputs.tsx';
import { useNotices } from '../ui/notices.tsx';
import { Await } from '../ui/states.tsx';
import { DialogEnd } from '../ui/dialog-end.tsx';

const STATUSES = ['approved', 'pending', 'hold', 'rejected'] as const;
const MONEY = [
  ['amount', 'Amount'],
  ['payout', 'Payout'],
  ['revenue', 'Revenue'],
] as const;

type Edited = Readonly<Record<string, string>>;

/** The fields that differ from what is stored. */
function changesOf(stored: Row, edited: Edited): Record<string, string> {
  return Object.fromEntries(
    Object.entries(edited).filter(
      ([name, value]) => value.trim() !== '' && value.trim() !== textOf(stored[name]),
    ),
  );
}

function ChangeForm({ stored, onClose }: { stored: Row; onClose: () => void }) {
  const id = textOf(stored['transaction_id']);
  const [edited, setEdited] = useState<Edited>({});
  const [release, setRelease] = useState(false);
  const [isSaving, setSaving] = useState(false);
  const problems = useErrors();
  const notices = useNotices();
  const client = useQueryClient();
  const valueOf = (name: string): string => edited[name] ?? textOf(stored[name]);
  const set = (name: string, value: string): void => setEdited({ ...edited, [name]: value });
  const changes = changesOf(stored, edited);
  const wasReleased = stored['released'] === 1;
  const isRejected = valueOf('conv_status') === 'rejected';
  const releases = release && isRejected && !wasReleased;

  async function save(): Promise<void> {
    problems.clear();
    const sure =
      !releases ||
      (await notices.confirm(
        'Release what this transaction holds?',
        'Its click, order id, track id and address may convert again, and it no longer counts in caps. This can’t be taken back: approving it again does not make it count.',
        'Release',
      ));
    if (!sure) return;
    setSaving(true);
    try {
      await call('PATCH', `/transactions/${id}`, {
        ...changes,
        ...(releases && { release: true }),
      });
      await client.invalidateQueries();
      notices.tell('Transaction changed');
      onClose();
    } catch (error) {
      problems.take(error);
    }
    setSaving(false);
  }

  return (
    <form
      noValidate
      aria-label="Change"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <div className="grid">
        <ChoiceField
          label="Status"
          value={valueOf('conv_status')}
          options={STATUSES.map((status) => [status as string, status] as const)}
          onChange={(value) => set('conv_status', value)}
          error={problems.of('conv_status')}
        />
        {MONEY.map(([name, label]) => (
          <TextField
            key={name}
            label={label}
            hint={textOf(stored['currency'])}
            value={valueOf(name)}
            onChange={(value) => set(name, value)}
            error={problems.of(name)}
          />
        ))}
        <AreaField
          label="Notes"
          wide
          hint="Seen by managers and the advertiser"
          value={valueOf('notes')}
          onChange={(value) => set('notes', value)}
          error={problems.of('notes')}
        />
        <Toggle
          label="Release what it holds"
          hint={
            wasReleased
              ? 'It was released before'
              : 'Only of a rejected one: click, order id, track id, address and caps are free again'
          }
          checked={release && isRejected}
          disabled={!isRejected || wasReleased}
          onChange={setRelease}
        />
      </div>
      <DialogEnd
        error={problems.general}
        submit={isSaving ? 'Saving…' : 'Save change'}
        disabled={isSaving || (Object.keys(changes).length === 0 && !releases)}
        onCancel={onClose}
      />
    </form>
  );
}

export function ChangeDialog({
  transactionId,
  onClose,
}: {
  transactionId: string;
  onClose: () => void;
}) {
  const query = useQuery({
    queryKey: ['transaction', transactionId],
    queryFn: ({ signal }) => get<Row>(`/transactions/${transactionId}`, signal),
  });
  return (
    <Dialog title="Change transaction" onClose={onClose}>
      <p className="mono">{transactionId}</p>
      <Await query={query} what="the transaction">
        {(stored) => <ChangeForm stored={stored} onClose={onClose} />}
      </Await>
    </Dialog>
  );
}
