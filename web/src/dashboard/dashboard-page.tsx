/** The dashboard: today against yesterday, a chart by hour, what is refused and why, the state of the pipeline. */
import { useState } from 'react';
import { Link } from 'wouter';
import { VERDICTS } from '../../../src/domain/verdicts.ts';
import { useSession } from '../api/session.tsx';
import { formatMoney, formatNumber, formatPercent } from '../format.ts';
import { hourIn, todayIn, useZone } from '../period.ts';
import { PageHead } from '../ui/bits.tsx';
import { ChoiceField } from '../ui/inputs.tsx';
import { Await, Empty } from '../ui/states.tsx';
import { LineChart } from './line-chart.tsx';
import { PipelineCard } from './pipeline-card.tsx';
import { byHour, useDays, useReasons, type Day } from './use-days.ts';

const CHARTS = [
  ['clicks', 'Clicks'],
  ['conversions', 'Conversions'],
] as const;
const REASONS_MAX = 8;

function rateOf(day: Day): number {
  return day.sum('clicks') === 0 ? 0 : day.sum('conversions') / day.sum('clicks');
}

function moneyText(day: Day, measure: string): string {
  const sums = [...day.sumByCurrency(measure)].map(([currency, sum]) => formatMoney(sum, currency));
  return sums.length === 0 ? formatMoney(0, '') : sums.join(' + ');
}

function Measure(props: { label: string; today: string; yesterday: string }) {
  return (
    <div className="measure">
      <div className="hint">{props.label}</div>
      <div className="value">{props.today}</div>
      <div className="hint">yesterday {props.yesterday}</div>
    </div>
  );
}

function Measures({ today, yesterday, role }: { today: Day; yesterday: Day; role: string }) {
  const count = (label: string, name: string) => (
    <Measure
      label={label}
      today={formatNumber(today.sum(name))}
      yesterday={formatNumber(yesterday.sum(name))}
    />
  );
  const money = (label: string, name: string) => (
    <Measure label={label} today={moneyText(today, name)} yesterday={moneyText(yesterday, name)} />
  );
  return (
    <section className="measures" aria-label="Today against yesterday">
      {count('Clicks', 'clicks')}
      {count('Conversions', 'conversions')}
      <Measure
        label="Conversion rate"
        today={formatPercent(rateOf(today))}
        yesterday={formatPercent(rateOf(yesterday))}
      />
      {money('Payout', 'payout')}
      {role !== 'affiliate' && (
        <>
          {money('Revenue', 'revenue')}
          {count('Invalid traffic', 'invalid_traffic')}
          {count('Invalid clicks', 'invalid_clicks')}
        </>
      )}
    </section>
  );
}

function Reasons({ zone }: { zone: string }) {
  const query = useReasons(zone, true);
  const today = todayIn(zone);
  const titleOf = (slug: string): string =>
    VERDICTS.find((verdict) => verdict.slug === slug)?.title ?? slug;
  return (
    <section className="card" aria-labelledby="reasons">
      <h2 id="reasons">Invalid today, by reason</h2>
      <Await query={query} what="reasons">
        {(reasons) => {
          if (reasons.length === 0) return <Empty title="Nothing was refused today" />;
          const most = Math.max(...reasons.map(({ calls, clicks }) => calls + clicks));
          return (
            <table>
              <thead>
                <tr>
                  <th scope="col">Reason</th>
                  <th scope="col" className="number">
                    Calls
                  </th>
                  <th scope="col" className="number">
                    Clicks
                  </th>
                </tr>
              </thead>
              <tbody>
                {reasons.slice(0, REASONS_MAX).map(({ verdict, calls, clicks }) => {
                  const report = calls > 0 ? 'invalid-traffic' : 'invalid-clicks';
                  const search = new URLSearchParams({ from: today, to: today, tz: zone, verdict });
                  return (
                    <tr key={verdict}>
                      <td>
                        <Link href={`/reports/${report}?${search.toString()}`}>
                          {titleOf(verdict)}
                        </Link>
                        <div className="bar" aria-hidden="true">
                          <span style={{ width: `${(100 * (calls + clicks)) / most}%` }} />
                        </div>
                      </td>
                      <td className="number">{formatNumber(calls)}</td>
                      <td className="number">{formatNumber(clicks)}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          );
        }}
      </Await>
    </section>
  );
}

export function DashboardPage() {
  const { user } = useSession();
  const zone = useZone();
  const days = useDays(zone);
  const [measure, setMeasure] = useState<(typeof CHARTS)[number][0]>('clicks');
  // Hours that have not begun have no value yet.
  const hourNow = hourIn(zone);
  return (
    <>
      <PageHead title="Dashboard">
        <span className="hint">
          {todayIn(zone)}, {zone}
        </span>
      </PageHead>
      <Await query={days} what="today">
        {({ today, yesterday }) => (
          <>
            <Measures today={today} yesterday={yesterday} role={user.role} />
            <section className="card" aria-label="By hour">
              <div className="filters">
                <ChoiceField
                  label="By hour"
                  value={measure}
                  options={CHARTS}
                  onChange={setMeasure}
                />
              </div>
              <LineChart
                label={measure}
                now={byHour(today, measure, hourNow + 1)}
                before={byHour(yesterday, measure, 24)}
              />
            </section>
          </>
        )}
      </Await>
      <div className="columns">
        {user.role !== 'affiliate' && <Reasons zone={zone} />}
        {user.role === 'manager' && <PipelineCard />}
      </div>
    </>
  );
}
