/** Resend on a row of Affiliate Postbacks: sends it once more; its attempt appears in the report. */
import { useQueryClient } from '@tanstack/react-query';
import { call } from '../api/client.ts';
import { useNotices } from '../ui/notices.tsx';
import { textOf } from './cell.tsx';
import type { RowAction } from './report-table.tsx';

export function useResend(): RowAction {
  const client = useQueryClient();
  const notices = useNotices();
  return {
    label: 'Resend',
    run: (row) =>
      void call('POST', `/affiliate-postbacks/${textOf(row['postback_id'])}/resend`)
        .then(() => {
          notices.tell('It will be sent again');
          return client.invalidateQueries({ queryKey: ['report', 'affiliate-postbacks'] });
        })
        .catch(notices.fail),
  };
}
