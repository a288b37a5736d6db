/** Reports → Clicks, Transactions; Logs → Invalid Traffic, Invalid Clicks, Postbacks, Affiliate Postbacks. */
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useSession } from '../api/session.tsx';
import { ChangeDialog } from '../corrections/change-dialog.tsx';
import { ExplainDrawer } from '../explain/explain-drawer.tsx';
import { ReplayDialog } from '../replays/replay-dialog.tsx';
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

/** What can be done with a row. Who may not ask why may not change either. */
function actionsOf(
  report: string,
  role: string,
  { resend, explain, change }: Readonly<Record<'resend' | 'explain' | 'change', RowAction>>,
): readonly RowAction[] {
  if (report === 'affiliate-postbacks') return [resend];
  if (role === 'affiliate') return [];
  return report === 'transactions' ? [explain, change] : [explain];
}

export function ReportPage({ report }: { report: string }) {
  const { user } = useSession();
  const [state, setState] = useReportState();
  const [why, setWhy] = useState('');
  const [changed, setChanged] = useState('');
  const [replaying, setReplaying] = useState(false);
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
  const actions = actionsOf(report, user.role, {
    resend,
    explain: { label: 'Why?', run: (row) => setWhy(textOf(row['hit_id'])) },
    change: { label: 'Change', run: (row) => setChanged(textOf(row['hit_id'])) },
  });
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
        {report === 'invalid-traffic' && user.role === 'manager' && (
          <button type="button" className="button" onClick={() => setReplaying(true)}>
            Replay…
          </button>
        )}
      </PageHead>
      <PeriodForm
        key={periodKey(state)}
        state={state}
        onDisplay={(draft) => {
          setState({ ...state, ...draft });
          // Display shows what there is now: nothing that was shown before, and what is shown anew if the dates stay.
          for (const queryKey of [
            ['report', report],
            ['totals', report],
          ])
            client.removeQueries({ queryKey, type: 'inactive' });
          if (periodKey(draft) !== periodKey(state)) return;
          void client.resetQueries({ queryKey: ['report', report] });
          // Counted again when the rows are there.
          void client.invalidateQueries({ queryKey: ['totals', report], refetchType: 'none' });
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
        actions={actions}
      />
      {changed !== '' && <ChangeDialog transactionId={changed} onClose={() => setChanged('')} />}
      {replaying && <ReplayDialog state={state} onClose={() => setReplaying(false)} />}
      {why !== '' && <ExplainDrawer hitId={why} zone={state.tz} onClose={() => setWhy('')} />}
    </>
  );
}
