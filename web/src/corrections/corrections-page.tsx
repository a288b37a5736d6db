/** Corrections by file, and for managers conversions by hand, one by one or by file. */
import { useState } from 'react';
import { messageOf } from '../api/client.ts';
import { useSession } from '../api/session.tsx';
import { BatchProgress } from '../batches/batch-progress.tsx';
import { ReceiptCard } from '../batches/receipt-card.tsx';
import { uploadBatch, type Receipt } from '../batches/upload.ts';
import { formatPercent } from '../format.ts';
import { PageHead } from '../ui/bits.tsx';
import { Field, Toggle } from '../ui/field.tsx';
import { ManualForm } from './manual-form.tsx';

function FileForm(props: {
  title: string;
  path: string;
  hint: string;
  onReceipt: (receipt: Receipt | null) => void;
}) {
  const { title, path, hint, onReceipt } = props;
  const [file, setFile] = useState<File | null>(null);
  const [onlyCheck, setOnlyCheck] = useState(false);
  const [progress, setProgress] = useState<number | null>(null);
  const [error, setError] = useState('');

  async function upload(): Promise<void> {
    if (file === null) return;
    setError('');
    onReceipt(null);
    setProgress(0);
    const query = new URLSearchParams(onlyCheck ? { dry_run: '1' } : {});
    try {
      onReceipt(await uploadBatch(path, file, query, setProgress));
    } catch (problem) {
      setError(messageOf(problem));
    }
    setProgress(null);
  }

  return (
    <form
      className="card"
      aria-label={title}
      onSubmit={(event) => {
        event.preventDefault();
        void upload();
      }}
    >
      <h2>{title}</h2>
      <div className="grid">
        <Field label="File" hint={hint}>
          {(input) => (
            <input
              {...input}
              type="file"
              onChange={(event) => setFile(event.target.files?.[0] ?? null)}
            />
          )}
        </Field>
        <Toggle
          label="Only check"
          hint="Nothing is stored or judged"
          checked={onlyCheck}
          onChange={setOnlyCheck}
        />
      </div>
      {progress !== null && <p role="status">{formatPercent(progress)} sent</p>}
      {error !== '' && (
        <p className="error" role="alert">
          {error}
        </p>
      )}
      <div className="actions">
        <button
          type="submit"
          className="button primary"
          disabled={file === null || progress !== null}
        >
          {onlyCheck ? 'Check' : 'Upload'}
        </button>
      </div>
    </form>
  );
}

export function CorrectionsPage() {
  const { user } = useSession();
  const [receipt, setReceipt] = useState<Receipt | null>(null);
  return (
    <>
      <PageHead title="Corrections" />
      <FileForm
        title="Correct by file"
        path="/transactions/bulk"
        hint="CSV, NDJSON or a JSON array: transaction_id, and of conv_status, amount, payout, revenue, currency, notes, release what changes"
        onReceipt={setReceipt}
      />
      {user.role === 'manager' && (
        <FileForm
          title="Conversions by file, without clicks"
          path="/transactions/bulk-manual"
          hint="CSV, NDJSON or a JSON array: affiliate_id, offer_id, goal_id or goal_alias, amount, payout, revenue, adv_order_id, notes"
          onReceipt={setReceipt}
        />
      )}
      {receipt !== null && <ReceiptCard receipt={receipt} />}
      {receipt?.batch_id !== undefined && (
        <BatchProgress key={receipt.batch_id} batchId={receipt.batch_id} />
      )}
      {user.role === 'manager' && <ManualForm />}
    </>
  );
}
