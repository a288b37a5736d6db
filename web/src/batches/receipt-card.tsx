/** The receipt of an uploaded file: how many lines, which of them can’t count and why. */
import { formatNumber } from '../format.ts';
import type { Receipt } from './upload.ts';

export function ReceiptCard({ receipt }: { receipt: Receipt }) {
  return (
    <section className="card" aria-label="Receipt">
      <p>
        <strong>{formatNumber(receipt.lines)}</strong> lines read,{' '}
        <strong>{formatNumber(receipt.rejected_lines)}</strong> of them can’t count.
        {receipt.batch_id === undefined && ' Only checked: nothing was stored.'}
      </p>
      {receipt.ignored_columns.length > 0 && (
        <p className="callout">
          Columns that are no parameters were left out: {receipt.ignored_columns.join(', ')}
        </p>
      )}
      {receipt.rejected.length > 0 && (
        <ul aria-label="Lines that can’t count">
          {receipt.rejected.map(({ line, column, error }) => (
            <li key={`${line} ${column ?? ''} ${error}`}>
              Line {line}
              {column !== undefined && column !== '' && `, ${column}`}: {error}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
