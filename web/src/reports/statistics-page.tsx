/** Reports → Statistics: measures by one or several breakdowns, sorted here since the answer is whole, with a total line. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { BREAKDOWNS } from '../../../src/reports/definitions.ts';
import { useNames, type NameOf } from '../api/catalogue.ts';
import { readStatistics } from '../api/statistics.ts';
import { useSession } from '../api/session.tsx';
import { formatMoney, formatNumber, formatPercent, labelOf } from '../format.ts';
import { PageHead } from '../ui/bits.tsx';
import { Field } from '../ui/field.tsx';
import { Await, Empty } from '../ui/states.tsx';
import { textOf, type Row } from './cell.tsx';
import { ExportButtons } from './export-button.tsx';
import { Filters } from './filters.tsx';
import { PeriodForm, periodKey } from './period-form.tsx';
import { apiSearchOf, useReportState } from './report-url.ts';

const MEASURES = [
  'clicks',
  'invalid_clicks',
  'conversions',
  'cr',
  'approved',
  'pending',
  'rejected',
  'invalid_traffic',
  'payout',
  'revenue',
  'profit',
] as const;
const MONEY: ReadonlySet<string> = new Set(['payout', 'revenue', 'profit']);
const NETWORK_ONLY: ReadonlySet<string> = new Set([
  'revenue',
  'profit',
  'invalid_traffic',
  'invalid_clicks',
]);
const FILTERABLE = [
  'offer_id',
  'goal_id',
  'affiliate_id',
  'advertiser_id',
  'country',
  'device',
  'promo_code',
  'verdict',
  'sub_id1',
  'sub_id2',
];
const NOT_FOR: Readonly<Record<string, readonly string[]>> = {
  manager: [],
  advertiser: ['advertiser'],
  affiliate: ['affiliate', 'advertiser', 'verdict'],
};

function valueText(name: string, value: unknown): string {
  if (name === 'cr') return formatPercent(Number(value));
  return MONEY.has(name) ? formatMoney(Number(value), '') : formatNumber(Number(value));
}

function groupText(name: string, value: unknown, nameOf: NameOf): string {
  const text = textOf(value);
  const label = nameOf(`${name}_id`, Number(value));
  if (label !== '') return `${label} #${text}`;
  return text === '' || text === '0' ? '—' : text;
}

function totalOf(rows: readonly Row[], name: string): number {
  const sum = (column: string): number =>
    rows.reduce((all, row) => all + Number(row[column] ?? 0), 0);
  if (name !== 'cr') return sum(name);
  return sum('clicks') === 0 ? 0 : sum('conversions') / sum('clicks');
}

function sorted(rows: readonly Row[], sort: string): readonly Row[] {
  if (sort === '') return rows;
  const column = sort.replace(/^-/, '');
  const direction = sort.startsWith('-') ? -1 : 1;
  const compare = (a: unknown, b: unknown): number =>
    typeof a === 'number' && typeof b === 'number' ? a - b : textOf(a).localeCompare(textOf(b));
  return rows.toSorted((a, b) => direction * compare(a[column], b[column]));
}

function StatisticsTable(props: {
  rows: readonly Row[];
  groups: readonly string[];
  measures: readonly string[];
}) {
  const { rows, groups, measures } = props;
  const nameOf = useNames();
  const [sort, setSort] = useState('');
  const head = (name: string) => (
    <th
      key={name}
      scope="col"
      className={groups.includes(name) ? undefined : 'number'}
      aria-sort={sort === name ? 'ascending' : sort === `-${name}` ? 'descending' : undefined}
    >
      <button
        type="button"
        className="sort"
        onClick={() => setSort(sort === `-${name}` ? name : `-${name}`)}
      >
        {labelOf(name)}
        {sort === name ? ' ↑' : sort === `-${name}` ? ' ↓' : ''}
      </button>
    </th>
  );
  return (
    <section className="table-frame report-frame" tabIndex={0} aria-label="Statistics">
      <table>
        <thead>
          <tr>{[...groups, ...measures].map(head)}</tr>
        </thead>
        <tbody>
          {sorted(rows, sort).map((row) => (
            <tr key={groups.map((name) => textOf(row[name])).join('|')}>
              {groups.map((name) => (
                <td key={name}>{groupText(name, row[name], nameOf)}</td>
              ))}
              {measures.map((name) => (
                <td key={name} className="number">
                  {valueText(name, row[name])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <td colSpan={groups.length}>Total</td>
            {measures.map((name) => (
              <td key={name} className="number">
                {valueText(name, totalOf(rows, name))}
              </td>
            ))}
          </tr>
        </tfoot>
      </table>
    </section>
  );
}

export function StatisticsPage() {
  const { user } = useSession();
  const [state, setState] = useReportState();
  const groups = state.breakdown.length > 0 ? state.breakdown : ['day'];
  const measures = MEASURES.filter((name) => user.role !== 'affiliate' || !NETWORK_ONLY.has(name));
  const offered = [...BREAKDOWNS.keys()].filter((name) => !NOT_FOR[user.role]?.includes(name));
  const search = apiSearchOf({ ...state, breakdown: groups, sort: '' });
  const text = search.toString();
  const query = useQuery({
    queryKey: ['report', 'statistics', text],
    queryFn: ({ signal }) => readStatistics(search, signal),
  });
  const breakdownSelect = (index: 0 | 1, label: string) => (
    <Field label={label}>
      {(input) => (
        <select
          {...input}
          value={groups[index] ?? ''}
          onChange={(event) => {
            const next =
              index === 0
                ? [event.target.value, groups[1] ?? '']
                : [groups[0] ?? 'day', event.target.value];
            setState({ ...state, breakdown: [...new Set(next)].filter((name) => name !== '') });
          }}
        >
          {index === 1 && <option value="">—</option>}
          {offered.map((name) => (
            <option key={name} value={name}>
              {labelOf(name)}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
  return (
    <>
      <PageHead title="Statistics">
        <ExportButtons report="statistics" search={search} />
      </PageHead>
      <PeriodForm
        key={periodKey(state)}
        state={state}
        onDisplay={(draft) => {
          setState({ ...state, ...draft });
          void query.refetch();
        }}
      >
        {breakdownSelect(0, 'Breakdown')}
        {breakdownSelect(1, 'then by')}
      </PeriodForm>
      <Filters
        state={state}
        columns={FILTERABLE}
        onChange={(filters) => setState({ ...state, filters })}
      />
      <p className="hint">
        Money of several currencies is summed as it is: break down by currency to keep them apart.
      </p>
      <Await query={query} what="statistics">
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="Nothing in this period">Choose other dates, then press Display.</Empty>
          ) : (
            <StatisticsTable rows={rows} groups={groups} measures={measures} />
          )
        }
      </Await>
    </>
  );
}
