/** How the pipeline does: who lives, what waits, how fresh the newest row is. */
import { useQuery } from '@tanstack/react-query';
import { get } from '../api/client.ts';
import { formatDuration, formatNumber } from '../format.ts';
import { Badge } from '../ui/bits.tsx';
import { Await } from '../ui/states.tsx';

interface Status {
  readonly now_ms: number;
  readonly queues:
    | readonly {
        readonly kind: string;
        readonly waiting: number;
        readonly active: number;
        readonly delayed: number;
        readonly oldest_ms: number | null;
      }[]
    | null;
  readonly roles:
    | readonly { readonly name: string; readonly age_ms: number; readonly alive: boolean }[]
    | null;
  readonly freshness: {
    readonly newest_click_ms: number | null;
    readonly newest_call_ms: number | null;
  } | null;
  readonly problems: readonly string[];
}

const REFRESH_MS = 5_000;

/** Undefined: ClickHouse, which knows, does not answer. */
function ago(now: number, ms: number | null | undefined): string {
  if (ms === undefined) return 'not known';
  return ms === null ? 'none in a week' : `${formatDuration(now - ms)} ago`;
}

export function PipelineCard() {
  const query = useQuery({
    queryKey: ['status'],
    queryFn: ({ signal }) => get<Status>('/status', signal),
    refetchInterval: REFRESH_MS,
  });
  return (
    <section className="card" aria-labelledby="pipeline">
      <h2 id="pipeline">Pipeline</h2>
      <Await query={query} what="the state">
        {(status) => (
          <>
            {status.problems.map((problem) => (
              <p key={problem} className="callout">
                {problem}
              </p>
            ))}
            <dl className="facts">
              {status.queues?.map((queue) => (
                <div className="fact" key={queue.kind}>
                  <dt>Queue of {queue.kind}</dt>
                  <dd>
                    {formatNumber(queue.waiting)} chunks wait, {formatNumber(queue.active)} in work
                    {queue.oldest_ms !== null &&
                      `, the oldest for ${formatDuration(queue.oldest_ms)}`}
                  </dd>
                </div>
              ))}
              <div className="fact">
                <dt>Newest click stored</dt>
                <dd>{ago(status.now_ms, status.freshness?.newest_click_ms)}</dd>
              </div>
              <div className="fact">
                <dt>Newest call stored</dt>
                <dd>{ago(status.now_ms, status.freshness?.newest_call_ms)}</dd>
              </div>
              {status.roles?.map((role) => (
                <div className="fact" key={role.name}>
                  <dt>{role.name}</dt>
                  <dd>
                    <Badge
                      value={role.alive ? 'alive' : 'silent'}
                      tone={role.alive ? 'good' : 'bad'}
                    />{' '}
                    {!role.alive && `for ${formatDuration(role.age_ms)}`}
                  </dd>
                </div>
              ))}
            </dl>
          </>
        )}
      </Await>
    </section>
  );
}
