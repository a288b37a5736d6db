/**
 * How full a goal's caps are, counted from the conversions of the period in the offer's zone: what the gate counts too,
 * but for those that were released.
 */
import { useQuery } from '@tanstack/react-query';
import type { Goal, Offer } from '../../../src/domain/catalogue.ts';
import { get } from '../api/client.ts';
import { formatNumber } from '../format.ts';
import { periodOf, todayIn } from '../period.ts';

type CapPeriod = 'daily' | 'monthly' | 'total';
/** Nothing was counted before. */
const BEGINNING = '2020-01-01';

function useFill(offer: Offer, period: CapPeriod, enabled: boolean) {
  const zone = offer.timezone;
  const dates =
    period === 'total'
      ? { from: BEGINNING, to: todayIn(zone) }
      : periodOf(period === 'daily' ? 'today' : 'month', zone);
  return useQuery({
    queryKey: ['caps', offer.id, period, dates.to],
    enabled,
    queryFn: async ({ signal }) => {
      const search = new URLSearchParams({
        ...dates,
        tz: zone,
        breakdown: 'goal',
        offer_id: String(offer.id),
      });
      const { rows } = await get<{ rows: { goal: number; conversions: number }[] }>(
        `/reports/statistics?${search.toString()}`,
        signal,
      );
      return new Map(rows.map(({ goal, conversions }) => [goal, conversions]));
    },
  });
}

function Fill({ offer, goal, period }: { offer: Offer; goal: Goal; period: CapPeriod }) {
  const cap = goal.caps[period];
  const fill = useFill(offer, period, cap !== null);
  if (cap === null) return null;
  const used = fill.data?.get(goal.id) ?? 0;
  const share = cap === 0 ? 100 : Math.min(100, (100 * used) / cap);
  const text = `${period}: ${fill.data === undefined ? '…' : formatNumber(used)} of ${formatNumber(cap)}`;
  return (
    <div>
      <span className="hint">{text}</span>
      <div className="bar" role="img" aria-label={text}>
        <span style={{ width: `${share}%` }} />
      </div>
    </div>
  );
}

export function CapsFill({ offer, goal }: { offer: Offer; goal: Goal }) {
  const { daily, monthly, total } = goal.caps;
  if (daily === null && monthly === null && total === null)
    return <span className="hint">none</span>;
  return (
    <>
      <Fill offer={offer} goal={goal} period="daily" />
      <Fill offer={offer} goal={goal} period="monthly" />
      <Fill offer={offer} goal={goal} period="total" />
    </>
  );
}
