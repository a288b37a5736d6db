/** Replay…: what the rejected calls that a report shows would become now, and, once confirmed, what they became. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'wouter';
import { VERDICTS } from '../../../src/domain/verdicts.ts';
import { call, messageOf } from '../api/client.ts';
import { BatchProgress } from '../batches/batch-progress.tsx';
import { formatNumber, formatTime, parseTime } from '../format.ts';
import { searchOf, type ReportState } from '../reports/report-url.ts';
import { Dialog } from '../ui/dialog.tsx';
import { Toggle } from '../ui/field.tsx';
import { Await } from '../ui/states.tsx';

interface PreviewRow {
  readonly hit_id: string;
  readonly hit_time: string;
  readonly from: string;
  readonly to: string;
  readonly title: string;
  readonly detail: string;
}

interface Preview {
  readonly calls: number;
  readonly counted_before: number;
  readonly judged: number;
  readonly changes: readonly {
    readonly from: string;
    readonly to: string;
    readonly calls: number;
  }[];
  readonly rows: readonly PreviewRow[];
  readonly selection: string;
}

/** Calls shown one by one; the counts are of all that were judged. */
const ROWS_SHOWN = 50;

const titleOf = (slug: string): string =>
  VERDICTS.find((verdict) => verdict.slug === slug)?.title ?? slug;

function filterOf({ from, to, tz, filters }: ReportState): object {
  return { from, to, tz, ...Object.fromEntries(filters) };
}

function Changes({ preview }: { preview: Preview }) {
  return (
    <ul aria-label="What would become of them">
      {preview.changes.map(({ from, to, calls }) => (
        <li key={`${from} ${to}`}>
          {titleOf(from)} → <strong>{titleOf(to)}</strong>: {formatNumber(calls)}
        </li>
      ))}
    </ul>
  );
}

function Sample({ rows, zone }: { rows: readonly PreviewRow[]; zone: string }) {
  return (
    <section className="table-frame" tabIndex={0} aria-label="The first calls">
      <table>
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">Now</th>
            <th scope="col">Would be</th>
            <th scope="col">Detail</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.hit_id}>
              <td>
                <Link href={`/why/hit_id/${row.hit_id}`}>
                  <time>{formatTime(parseTime(row.hit_time), zone)}</time>
                </Link>
              </td>
              <td>{titleOf(row.from)}</td>
              <td>{row.title}</td>
              <td className="wrap">{row.detail}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Confirm(props: { preview: Preview; zone: string; onStarted: (replayId: string) => void }) {
  const { preview, zone, onStarted } = props;
  const [quiet, setQuiet] = useState(false);
  const [sending, setSending] = useState(false);
  const [error, setError] = useState('');
  const { calls, counted_before: before, judged } = preview;

  async function replay(): Promise<void> {
    setSending(true);
    setError('');
    try {
      const { selection } = preview;
      const body = { selection, suppress_postbacks: quiet };
      onStarted((await call<{ replay_id: string }>('POST', '/replays', body)).replay_id);
    } catch (problem) {
      setError(messageOf(problem));
      setSending(false);
    }
  }

  return (
    <>
      <p role="status">
        <strong>{formatNumber(calls)}</strong> rejected calls match.
        {before > 0 && ` ${formatNumber(before)} more count already, by an earlier replay.`}
        {judged < calls && ` The first ${formatNumber(judged)} were judged for this preview.`}
      </p>
      <Changes preview={preview} />
      {calls > 0 && <Sample rows={preview.rows} zone={zone} />}
      <p className="hint">
        Each call is judged at the time it was received, under the catalogue of now; it counts once,
        however often it is replayed. Calls that arrive meanwhile may take what is free now.
      </p>
      <Toggle
        label="Do not tell affiliates"
        hint="No affiliate postbacks go out for these conversions"
        checked={quiet}
        onChange={setQuiet}
      />
      {error !== '' && (
        <p className="error" role="alert">
          {error}
        </p>
      )}
      <div className="actions">
        <button
          type="button"
          className="button primary"
          disabled={calls === 0 || sending}
          onClick={() => void replay()}
        >
          Replay {formatNumber(calls)} calls
        </button>
      </div>
    </>
  );
}

function resultsOf(state: ReportState): string {
  const search = searchOf({ ...state, sort: '', columns: [], filters: [['channel', ['replay']]] });
  return `/reports/transactions?${search.toString()}`;
}

export function ReplayDialog({ state, onClose }: { state: ReportState; onClose: () => void }) {
  const [replayId, setReplayId] = useState('');
  const client = useQueryClient();
  const filter = filterOf(state);
  const query = useQuery({
    queryKey: ['replay-preview', JSON.stringify(filter)],
    queryFn: ({ signal }) =>
      call<Preview>('POST', '/replays/preview', { filter, rows: ROWS_SHOWN }, signal),
    // What was previewed is what is confirmed.
    refetchOnWindowFocus: false,
    retry: false,
    gcTime: 0,
  });
  function close(): void {
    if (replayId !== '') void client.invalidateQueries({ queryKey: ['report'] });
    onClose();
  }
  return (
    <Dialog title="Replay rejected calls" form="drawer" onClose={close}>
      {replayId === '' ? (
        <Await query={query} what="the preview">
          {(preview) => <Confirm preview={preview} zone={state.tz} onStarted={setReplayId} />}
        </Await>
      ) : (
        <>
          <BatchProgress batchId={replayId} what="Replay" />
          <p>
            <Link href={resultsOf(state)} onClick={close}>
              Transactions made by replays in this period
            </Link>
          </p>
        </>
      )}
    </Dialog>
  );
}
