/** Today and yesterday in the chosen zone, hour by hour, and what was refused today. */
import { useQuery } from '@tanstack/react-query';
import { readStatistics } from '../api/statistics.ts';
import { addDays, todayIn } from '../period.ts';
import { textOf, type Row } from '../reports/cell.tsx';

const REFRESH_MS = 15_000;

export interface Day {
  /** By hour of the day; an hour without rows counts 0. */
  readonly hours: readonly Row[];
  sum(measure: string): number;
  /** Of a measure of money, by currency: sums of two currencies are never added. */
  sumByCurrency(measure: string): ReadonlyMap<string, number>;
}

function dayOf(rows: readonly Row[], date: string): Day {
  const own = rows.filter((row) => textOf(row['hour']).startsWith(date));
  return {
    hours: own,
    sum: (measure) => own.reduce((all, row) => all + Number(row[measure] ?? 0), 0),
    sumByCurrency(measure) {
      const sums = new Map<string, number>();
      for (const row of own) {
        const value = Number(row[measure] ?? 0);
        const currency = textOf(row['currency']);
        if (value !== 0) sums.set(currency, (sums.get(currency) ?? 0) + value);
      }
      return sums;
    },
  };
}

export function byHour(day: Day, measure: string, length: number): number[] {
  const values = Array.from({ length }, () => 0);
  for (const row of day.hours) {
    const hour = Number(textOf(row['hour']).slice(11, 13));
    if (hour < length) values[hour] = (values[hour] ?? 0) + Number(row[measure] ?? 0);
  }
  return values;
}

export function useDays(zone: string) {
  const today = todayIn(zone);
  const yesterday = addDays(today, -1);
  return useQuery({
    queryKey: ['days', today, zone],
    refetchInterval: REFRESH_MS,
    queryFn: async ({ signal }) => {
      const search = new URLSearchParams({
        from: yesterday,
        to: today,
        tz: zone,
        breakdown: 'hour,currency',
      });
      const rows = await readStatistics(search, signal);
      return { today: dayOf(rows, today), yesterday: dayOf(rows, yesterday) };
    },
  });
}

export function useReasons(zone: string, enabled: boolean) {
  const today = todayIn(zone);
  return useQuery({
    queryKey: ['reasons', today, zone],
    refetchInterval: REFRESH_MS,
    enabled,
    queryFn: async ({ signal }) => {
      const search = new URLSearchParams({
        from: today,
        to: today,
        tz: zone,
        breakdown: 'verdict',
      });
      const rows = await readStatistics(search, signal);
      return rows
        .map((row) => ({
          verdict: textOf(row['verdict']),
          calls: Number(row['invalid_traffic'] ?? 0),
          clicks: Number(row['invalid_clicks'] ?? 0),
        }))
        .filter(({ calls, clicks }) => calls + clicks > 0)
        .toSorted((a, b) => b.calls + b.clicks - a.calls - a.clicks);
    },
  });
}
