/**
 * How many rows match, with their money by currency: sums of two currencies are never added. Counting reads all of them,
 * so it begins when the rows that are looked at are there.
 */
import { useIsFetching, useQuery } from '@tanstack/react-query';
import { get } from '../api/client.ts';
import { formatMoney, formatNumber } from '../format.ts';

interface Totals {
  readonly rows: number;
  readonly by_currency: readonly {
    readonly currency: string;
    readonly payout?: number;
    readonly revenue?: number;
    readonly amount?: number;
  }[];
}

const MONEY = ['payout', 'revenue', 'amount'] as const;

export function TotalsLine({
  report,
  search,
  zone,
}: {
  report: string;
  search: URLSearchParams;
  zone: string;
}) {
  const text = search.toString();
  const rowsAreComing = useIsFetching({ queryKey: ['report', report] }) > 0;
  const { data, isError } = useQuery({
    queryKey: ['totals', report, text],
    enabled: !rowsAreComing,
    queryFn: ({ signal }) => get<Totals>(`/reports/${report}/totals?${text}`, signal),
  });
  return (
    <div className="summary" role="status">
      <span>
        <strong>
          {data === undefined ? (isError ? 'not counted:' : '…') : formatNumber(data.rows)}
        </strong>{' '}
        rows
      </span>
      {report === 'transactions' &&
        data?.by_currency.map((group) => (
          <span key={group.currency}>
            {MONEY.filter((name) => group[name] !== undefined)
              .map((name) => `${name} ${formatMoney(Number(group[name]), group.currency)}`)
              .join(' · ')}
          </span>
        ))}
      <span>
        {search.get('from')} to {search.get('to')}, times in {zone}
      </span>
    </div>
  );
}
