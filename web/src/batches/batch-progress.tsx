/** A batch on its way: how far it is, its lines by verdict, and the lines that did not count, each with its reason. */
import { useQuery } from '@tanstack/react-query';
import { Link } from 'wouter';
import { VERDICTS } from '../../../src/domain/verdicts.ts';
import { get, send } from '../api/client.ts';
import { formatNumber, formatPercent } from '../format.ts';
import { textOf, type Row } from '../reports/cell.tsx';
import { Badge } from '../ui/bits.tsx';
import { Await } from '../ui/states.tsx';

interface BatchStatus {
  readonly state: 'judging' | 'done';
  readonly hits: number;
  readonly judged: number;
  readonly progress: number;
  readonly verdicts: Readonly<Record<string, number>>;
}

const POLL_MS = 1_000;
/** Lines shown here; the file has them all. */
const LINES_SHOWN = 200;

/** The first lines of a streamed answer; the rest is not waited for. */
async function readLines(path: string, signal: AbortSignal): Promise<Row[]> {
  const gone = new AbortController();
  signal.addEventListener('abort', () => gone.abort());
  const response = await send('GET', path, undefined, gone.signal);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const rows: Row[] = [];
  let rest = '';
  while (rows.length < LINES_SHOWN) {
    const part = await reader?.read();
    if (part?.value === undefined) break;
    const lines = (rest + part.value).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') rows.push(JSON.parse(line) as Row);
  }
  gone.abort();
  return rows.slice(0, LINES_SHOWN);
}

function RefusedLines({ batchId, verdicts }: { batchId: string; verdicts: readonly string[] }) {
  const search = new URLSearchParams([
    ['format', 'ndjson'],
    ...verdicts.map((slug) => ['verdict', slug]),
  ]);
  const query = useQuery({
    queryKey: ['batch-lines', batchId, search.toString()],
    queryFn: ({ signal }) => readLines(`/batches/${batchId}/lines?${search.toString()}`, signal),
  });
  return (
    <Await query={query} what="lines">
      {(rows) => (
        <section className="table-frame" tabIndex={0} aria-label="Lines that did not count">
          <table>
            <thead>
              <tr>
                <th scope="col" className="number">
                  Line
                </th>
                <th scope="col">Reason</th>
                <th scope="col">Detail</th>
                <th scope="col">Hint</th>
                <th scope="col">Why?</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={textOf(row['hit_id'])}>
                  <td className="number">{textOf(row['line'])}</td>
                  <td>{textOf(row['title'])}</td>
                  <td className="wrap">{textOf(row['detail'])}</td>
                  <td className="wrap">{textOf(row['hint'])}</td>
                  <td>
                    <Link href={`/why/hit_id/${textOf(row['hit_id'])}`}>Why?</Link>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </Await>
  );
}

export function BatchProgress({ batchId, what = 'Batch' }: { batchId: string; what?: string }) {
  const query = useQuery({
    queryKey: ['batch', batchId],
    queryFn: ({ signal }) => get<BatchStatus>(`/batches/${batchId}`, signal),
    refetchInterval: ({ state }) => (state.data?.state === 'done' ? false : POLL_MS),
  });
  const titleOf = (slug: string): string =>
    VERDICTS.find((verdict) => verdict.slug === slug)?.title ?? slug;
  return (
    <section className="card" aria-labelledby="batch">
      <h2 id="batch">
        {what} <span className="mono">{batchId}</span>
      </h2>
      <Await query={query} what="the batch">
        {({ state, progress, judged, hits, verdicts }) => {
          const refused = Object.keys(verdicts).filter((slug) => slug !== 'accepted');
          return (
            <>
              <p role="status">
                <Badge value={state} tone={state === 'done' ? 'good' : 'wait'} />{' '}
                {formatNumber(judged)} of {formatNumber(hits)} lines judged (
                {formatPercent(progress)})
              </p>
              <progress value={progress} aria-label="Judged" />
              <ul>
                {Object.entries(verdicts).map(([slug, count]) => (
                  <li key={slug}>
                    {titleOf(slug)}: {formatNumber(count)}
                  </li>
                ))}
              </ul>
              <p>
                <a
                  href={`/api/v1/batches/${batchId}/lines?format=csv`}
                  download={`batch-${batchId}.csv`}
                >
                  A verdict for every line, as CSV
                </a>
              </p>
              {state === 'done' && refused.length > 0 && (
                <RefusedLines batchId={batchId} verdicts={refused} />
              )}
            </>
          );
        }}
      </Await>
    </section>
  );
}
