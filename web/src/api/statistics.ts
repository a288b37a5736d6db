/** `/reports/statistics` whole: its pages one after another, since sums and charts need every row. */
import type { Row } from '../reports/cell.tsx';
import { get } from './client.ts';

/** A breakdown by minute-fine labels could go on for ever; more than this is for the export. */
const PAGES_MAX = 20;

export async function readStatistics(search: URLSearchParams, signal: AbortSignal): Promise<Row[]> {
  const rows: Row[] = [];
  const query = new URLSearchParams(search);
  for (let page = 0; page < PAGES_MAX; page++) {
    const answer = await get<{ rows: Row[]; next_cursor: string | null }>(
      `/reports/statistics?${query.toString()}`,
      signal,
    );
    rows.push(...answer.rows);
    if (answer.next_cursor === null) break;
    query.set('cursor', answer.next_cursor);
  }
  return rows;
}
