/** One transaction as its owner may see it, and what became of the one line of a batch that was about it. */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { batchLines, findBatch, type BatchLineRow } from './batches.ts';
import { REPORTS } from './definitions.ts';
import { hiddenColumnsOf, tenancyOf, type Principal } from './principal.ts';

export type TransactionRow = Readonly<Record<string, unknown>>;

export async function findTransaction(
  clickhouse: ClickHouse,
  principal: Principal,
  transactionId: string,
): Promise<TransactionRow | undefined> {
  const hidden = hiddenColumnsOf(principal);
  const columns = [...(REPORTS.get('transactions')?.columns.keys() ?? [])];
  const shown = columns.filter((column) => !hidden.has(column));
  const tenancy = tenancyOf(principal);
  const [row] = await clickhouse.query<TransactionRow>(
    `SELECT ${shown.join(', ')} FROM transactions
     WHERE transaction_id = {id:String} ${tenancy === undefined ? '' : `AND ${tenancy.column} = {tenant:UInt32}`} LIMIT 1`,
    { id: transactionId, tenant: tenancy?.id ?? 0 },
  );
  return row;
}

const MANAGER = { role: 'manager', name: 'api' } as const;

/** The judged first line of a batch, or undefined while it waits for its verdict. */
export async function firstLineOf(
  clickhouse: ClickHouse,
  batchId: string,
): Promise<BatchLineRow | undefined> {
  const batch = await findBatch(clickhouse, MANAGER, batchId);
  if (batch === undefined) return undefined;
  for await (const page of batchLines(clickhouse, batch, [])) return page[0];
  return undefined;
}
