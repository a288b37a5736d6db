/** Reports → Clicks, Transactions; Logs → Invalid Traffic, Invalid Clicks, Postbacks, Affiliate Postbacks. */
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useSession } from '../api/session.tsx';
import { ExplainDrawer } from '../explain/explain-drawer.tsx';
import { PageHead } from '../ui/bits.tsx';
import { Empty } from '../ui/states.tsx';
import { ColumnPicker } from './column-picker.tsx';
import { columnsOf, mayRead, REPORT_TITLES, shownAtFirst } from './columns.ts';
import { ExportButtons } from './export-button.tsx';
import { Filters } from './filters.tsx';
import { PeriodForm, periodKey } from './period-form.tsx';
import { apiSearchOf, useReportState } from './report-url.ts';
import { textOf } from './cell.tsx';
import { ReportTable, type RowAction } from './report-table.tsx';
import { useResend } from './use-resend.ts';
import { TotalsLine } from './totals.tsx';

const FILTERS_FIRST = [
  'offer_id',
  'goal_id',
  'affiliate_id',
  'verdict',
  'conv_status',
  'outcome',
  'transaction_id',
  'click_id',
  'promo_code',
];

export function ReportPage({ report }: { report: string }) {
  const { user } = useSession();
  const [state, setState] = useReportState();
  const [why, setWhy] = useState('');
  const client = useQueryClient();
  const resend = useResend();
  const title = REPORT_TITLES[report] ?? report;
  if (!mayRead(report, user.role)) return <Empty title="This report is not for your role" />;

  const all = columnsOf(report, user.role);
  const names = all.map(({ name }) => name);
  const chosen = state.columns.filter((name) => names.includes(name));
  const shown = chosen.length > 0 ? chosen : shownAtFirst(report, user.role);
  const columns = shown.flatMap((name) => all.filter((column) => column.name === name));
  const filterable = all.filter(({ type }) => type !== 'DateTime').map(({ name }) => name);
  const search = apiSearchOf(state);
  const explain: RowAction | undefined =
    user.role === 'affiliate'
      ? undefined
      : { label: 'Why?', heading: 'Explanation', run: (row) => setWhy(textOf(row['hit_id'])) };
  const first = FILTERS_FIRST.filter((name) => filterable.includes(name));

  return (
    <>
      <PageHead title={title}>
        <ColumnPicker
          all={names}
          shown={shown}
          onChange={(next) => setState({ ...state, columns: next })}
          onReset={() => setState({ ...state, columns: [] })}
        />
        <ExportButtons report={report} search={search} />
      </PageHead>
      <PeriodForm
        key={periodKey(state)}
        state={state}
        onDisplay={(draft) => {
          setState({ ...state, ...draft });
          // Display shows what there is now, also when the dates are the same.
          void client.resetQueries({ queryKey: ['report', report] });
          void client.invalidateQueries({ queryKey: ['totals', report] });
        }}
      />
      <Filters
        key={report}
        state={state}
        columns={[...new Set([...first, ...filterable])]}
        onChange={(filters) => setState({ ...state, filters })}
      />
      <TotalsLine report={report} search={search} zone={state.tz} />
      <ReportTable
        report={report}
        columns={columns}
        search={search}
        sort={state.sort}
        zone={state.tz}
        linked={user.role !== 'affiliate'}
        onSort={(sort) => setState({ ...state, sort })}
        action={report === 'affiliate-postbacks' ? resend : explain}
      />
      {why !== '' && <ExplainDrawer hitId={why} zone={state.tz} onClose={() => setWhy('')} />}
    </>
  );
}
