/** Many promo codes at once: pasted from a sheet, one a line, each with its own result. */
import { useState } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import type { Offer } from '../../../src/domain/catalogue.ts';
import { call, messageOf, type FieldError } from '../api/client.ts';
import { Dialog } from '../ui/dialog.tsx';
import { AreaField } from '../ui/inputs.tsx';

interface BulkAnswer {
  readonly created: number;
  readonly refused: number;
  readonly results: readonly {
    readonly index: number;
    readonly status: string;
    readonly errors?: readonly FieldError[];
  }[];
}

const LINES_MAX = 1_000;

/** `CODE, affiliate id, start date, end date, description`, by comma, semicolon or tab; the dates may be empty. */
export function parseLines(text: string, offerId: number): readonly object[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const [code = '', affiliate = '', start = '', end = '', ...rest] = line
        .split(/\t|;|,/)
        .map((cell) => cell.trim());
      return {
        code,
        affiliate_id: Number(affiliate),
        offer_id: offerId,
        start_date: start === '' ? null : start,
        end_date: end === '' ? null : end,
        description: rest.join(', '),
      };
    });
}

function Results({ answer, lines }: { answer: BulkAnswer; lines: readonly string[] }) {
  const refused = answer.results.filter(({ status }) => status !== 'created');
  return (
    <div role="status">
      <p>
        <strong>{answer.created}</strong> created, <strong>{answer.refused}</strong> refused.
      </p>
      {refused.map(({ index, errors }) => (
        <p key={index} className="error">
          Line {index + 1} ({lines[index]}):{' '}
          {errors?.map(({ field, message }) => `${field} ${message}`).join('; ')}
        </p>
      ))}
    </div>
  );
}

export function BulkDialog({ offer, onClose }: { offer: Offer; onClose: () => void }) {
  const [text, setText] = useState('');
  const [answer, setAnswer] = useState<BulkAnswer | null>(null);
  const [error, setError] = useState('');
  const [isSending, setSending] = useState(false);
  const client = useQueryClient();
  const lines = text.split('\n').filter((line) => line.trim() !== '');

  async function create(): Promise<void> {
    setError('');
    setSending(true);
    try {
      setAnswer(
        await call<BulkAnswer>('POST', '/promo-codes/bulk', { items: parseLines(text, offer.id) }),
      );
      await client.invalidateQueries({ queryKey: ['catalogue'] });
    } catch (problem) {
      setError(messageOf(problem));
    } finally {
      setSending(false);
    }
  }

  return (
    <Dialog title="Paste promo codes" onClose={onClose}>
      <AreaField
        label="One code a line"
        value={text}
        onChange={(next) => {
          setText(next);
          setAnswer(null);
        }}
        placeholder={'SPRING10, 7, 2026-03-01, 2026-05-31, 10 % off'}
        hint="Code, affiliate id, start date, end date, description; dates as 2026-05-31, or empty"
        error={lines.length > LINES_MAX ? `at most ${LINES_MAX} lines at once` : undefined}
      />
      {answer !== null && <Results answer={answer} lines={lines} />}
      {error !== '' && (
        <p className="error" role="alert">
          {error}
        </p>
      )}
      <div className="actions">
        <button type="button" className="button" onClick={onClose}>
          Close
        </button>
        <button
          type="button"
          className="button primary"
          disabled={isSending || lines.length === 0 || lines.length > LINES_MAX || answer !== null}
          onClick={() => void create()}
        >
          Create {lines.length} codes
        </button>
      </div>
    </Dialog>
  );
}
