/** A verdict with its detail, hint, remedy, and every check in order: shared by Why?, the debugger and the judged URL. */
import { Link } from 'wouter';
import { useSession } from '../api/session.tsx';
import { pageOf, remedyOf } from './remedies.ts';
import type { TracedCheck } from './types.ts';

const MARKS = { passed: '✓', failed: '✗', skipped: '·' } as const;

export function Checks({ checks }: { checks: readonly TracedCheck[] }) {
  return (
    <ol className="checks" aria-label="Checks in order">
      {checks.map((check, index) => (
        // A check may come twice; its place in the order is its identity.
        <li key={`${index} ${check.check}`} className={check.outcome}>
          <span className="mark">
            <span aria-hidden="true">{MARKS[check.outcome]}</span>
            <span className="visually-hidden">{check.outcome}</span>
          </span>
          <span>{check.check}</span>
          <span>{check.evidence}</span>
        </li>
      ))}
    </ol>
  );
}

interface Verdict {
  readonly verdict: string;
  readonly verdict_code: number;
  readonly title: string;
  readonly detail: string;
  readonly hint: string;
  readonly blocking_transaction_id: string;
}

const PLACES: Readonly<Record<string, string>> = {
  general: 'the offer',
  tracking: 'the offer’s tracking settings',
  limitations: 'the offer’s limitations',
  goals: 'the offer’s goals',
  deployments: 'the offer’s deployments',
  'promo-codes': 'the offer’s promo codes',
  affiliate: 'the affiliate',
  advertiser: 'the advertiser',
};

export function VerdictCard(props: {
  verdict: Verdict;
  ids: { offer: number; affiliate: number; advertiser: number };
}) {
  const { verdict, ids } = props;
  const { user } = useSession();
  const remedy = remedyOf(verdict.verdict);
  const page = user.role === 'manager' ? pageOf(remedy?.place, ids) : undefined;
  const accepted = verdict.verdict === 'accepted';
  return (
    <section className={`card verdict ${accepted ? 'good' : 'bad'}`} aria-label="Verdict">
      <h2>
        {accepted ? '✓' : '✗'} {verdict.title === '' ? verdict.verdict : verdict.title}{' '}
        <span className="hint">
          {verdict.verdict_code} {verdict.verdict}
        </span>
      </h2>
      {verdict.detail !== '' && <p>{verdict.detail}</p>}
      {verdict.hint !== '' && <p className="callout">{verdict.hint}</p>}
      {!accepted && remedy !== undefined && (
        <p>
          <strong>What to change:</strong> {remedy.text}{' '}
          {page !== undefined && (
            <Link href={page}>Open {PLACES[remedy.place ?? ''] ?? 'the page'}</Link>
          )}
        </p>
      )}
      {verdict.blocking_transaction_id !== '' && (
        <p>
          The transaction that holds the slot:{' '}
          <Link href={`/why/transaction_id/${verdict.blocking_transaction_id}`} className="mono">
            {verdict.blocking_transaction_id}
          </Link>
        </p>
      )}
    </section>
  );
}
