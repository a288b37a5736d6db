/** Batch upload: a file of postbacks, checked or stored, with a result for every line. */
import { useState } from 'react';
import { messageOf } from '../api/client.ts';
import { useCatalogue } from '../api/catalogue.ts';
import { useSession } from '../api/session.tsx';
import { formatPercent } from '../format.ts';
import { PageHead } from '../ui/bits.tsx';
import { Field, Toggle } from '../ui/field.tsx';
import { ChoiceField } from '../ui/inputs.tsx';
import { BatchProgress } from './batch-progress.tsx';
import { ReceiptCard } from './receipt-card.tsx';
import { uploadBatch, type Receipt } from './upload.ts';

export function BatchPage() {
  const { user } = useSession();
  const advertisers = useCatalogue('advertisers').data ?? [];
  const [advertiser, setAdvertiser] = useState('');
  const [file, setFile] = useState<File | null>(null);
  const [onlyCheck, setOnlyCheck] = useState(false);
  const [progress, setProgress] = useState<number | null>(null);
  const [receipt, setReceipt] = useState<Receipt | null>(null);
  const [error, setError] = useState('');
  const advertiserId = advertiser === '' ? String(advertisers[0]?.id ?? '') : advertiser;

  async function upload(): Promise<void> {
    if (file === null) return;
    setError('');
    setReceipt(null);
    setProgress(0);
    const query = new URLSearchParams();
    if (user.role === 'manager') query.set('advertiser_id', advertiserId);
    if (onlyCheck) query.set('dry_run', '1');
    try {
      setReceipt(await uploadBatch('/batches', file, query, setProgress));
    } catch (problem) {
      setError(messageOf(problem));
    }
    setProgress(null);
  }

  return (
    <>
      <PageHead title="Batch upload" />
      <form
        className="card"
        aria-label="Batch upload"
        onSubmit={(event) => {
          event.preventDefault();
          void upload();
        }}
      >
        <div className="grid">
          {user.role === 'manager' && (
            <ChoiceField
              label="Advertiser"
              value={advertiserId}
              options={advertisers.map(({ id, name }) => [String(id), `${name} #${id}`] as const)}
              onChange={setAdvertiser}
            />
          )}
          <Field
            label="File"
            hint="CSV with a header, NDJSON or a JSON array, gzip or not; a postback a line, with the parameters of a postback"
          >
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
        {progress !== null && (
          <p role="status">
            <progress value={progress} aria-label="Sent" /> {formatPercent(progress)} sent
          </p>
        )}
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
      {receipt !== null && <ReceiptCard receipt={receipt} />}
      {receipt?.batch_id !== undefined && (
        <BatchProgress key={receipt.batch_id} batchId={receipt.batch_id} />
      )}
    </>
  );
}
