/** What a list or page shows when it has nothing to show: it loads, is empty, or could not be read. */
import type { ReactNode } from 'react';
import { messageOf } from '../api/client.ts';

export function Loading({ what }: { what: string }) {
  return (
    <div className="state" role="status">
      <span className="spinner" aria-hidden="true" /> Loading {what}…
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="state empty">
      <strong>{title}</strong>
      {children !== undefined && <p>{children}</p>}
    </div>
  );
}

export function Failure({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  return (
    <div className="state failure" role="alert">
      <strong>This could not be read</strong>
      <p>{messageOf(error)}</p>
      {onRetry !== undefined && (
        <button type="button" className="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

interface QueryLike<T> {
  readonly data: T | undefined;
  readonly error: unknown;
  readonly refetch: () => unknown;
}

/** Over what was read before: it may have changed since. */
function Stale({ error }: { error: unknown }) {
  return (
    <p className="callout" role="alert">
      Not up to date: {messageOf(error)}
    </p>
  );
}

/** Renders a query's data, or the state it is in. */
export function Await<T>(props: {
  query: QueryLike<T>;
  what: string;
  children: (data: T) => ReactNode;
}) {
  const { query, what, children } = props;
  const hasFailed = query.error !== null && query.error !== undefined;
  if (query.data !== undefined)
    return (
      <>
        {hasFailed && <Stale error={query.error} />}
        {children(query.data)}
      </>
    );
  if (hasFailed) return <Failure error={query.error} onRetry={() => void query.refetch()} />;
  return <Loading what={what} />;
}
