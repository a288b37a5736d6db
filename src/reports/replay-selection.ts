/**
 * Which rejected calls a replay takes: those that match the filters of the invalid traffic report, up to a position of
 * each lane, so that what was previewed is what is replayed, whatever arrives meanwhile. A replay of a call that was
 * rejected again stands for that call; calls of which a replay counts already are left out.
 */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { buildConditions } from './conditions.ts';
import { REPORTS, type ColumnType } from './definitions.ts';
import { parsePeriod, parseZone, ReportRefused, type ReportParameters } from './parameters.ts';
import type { Principal } from './principal.ts';

export interface ReplaySelection {
  readonly filter: ReportParameters;
  /** Lane → its last position that is looked at. */
  readonly upTo: readonly number[];
}

export interface SelectionCounts {
  /** Calls that the replay takes. */
  readonly calls: number;
  /** Calls that match the filters and count by an earlier replay. */
  readonly counted_before: number;
}

export interface SelectedCall {
  readonly hit_id: string;
  readonly hit_ms: number;
}

/** Names that reports know and a selection has no use for: it is neither a page nor a file. */
const NOT_HERE = ['sort', 'limit', 'cursor', 'format', 'replayed_as'] as const;
const CALLS_A_PAGE = 20_000;

interface Sql {
  readonly from: string;
  readonly parameters: Record<string, unknown>;
}

/** Columns that the calls themselves have. */
function filterColumns(): ReadonlyMap<string, ColumnType> {
  const columns = new Map(REPORTS.get('invalid-traffic')?.columns);
  columns.delete('replayed_as');
  return columns;
}

/** One row a matching call, with its newest rejection among those that match. Throws ReportRefused. */
function buildSelection(selection: ReplaySelection, principal: Principal): Sql {
  const { filter, upTo } = selection;
  for (const name of NOT_HERE)
    if (filter.has(name))
      throw new ReportRefused(
        [
          {
            field: name,
            message:
              'is no filter here: a replay takes every call that matches and does not count yet',
          },
        ],
        'invalid',
      );
  const conditions = buildConditions({
    parameters: filter,
    principal,
    period: parsePeriod(filter, parseZone(filter)),
    columns: filterColumns(),
  });
  const seen = upTo.map((_, lane) => `(lane = ${lane} AND position <= {upTo${lane}:UInt64})`);
  for (const [lane, position] of upTo.entries()) conditions.parameters[`upTo${lane}`] = position;
  const known = seen.length === 0 ? '0' : `(${seen.join(' OR ')})`;
  const where = [`row_kind = 'invalid'`, known, ...conditions.sql].join(' AND ');
  return {
    parameters: conditions.parameters,
    from: `(
      SELECT if(replayed_from = '', postback_log.hit_id, replayed_from) AS call, min(toUnixTimestamp64Milli(postback_log.hit_time)) AS hit_ms,
        argMax(verdict, (block_time, position, block_row)) AS rejected_as,
        call IN (SELECT replayed_from FROM postback_log WHERE replayed_from > '' AND row_kind != 'invalid' AND ${known}) AS counted
      FROM postback_log WHERE ${where} GROUP BY call)`,
  };
}

/** The last position of every lane now. */
export async function lastPositions(clickhouse: ClickHouse, lanes: number): Promise<number[]> {
  const rows = await clickhouse.query<{ lane: number; last: number }>(
    'SELECT lane, max(position) AS last FROM postback_log GROUP BY lane',
  );
  const last = new Map(rows.map((row) => [row.lane, row.last]));
  return Array.from({ length: lanes }, (_, lane) => last.get(lane) ?? 0);
}

export async function countSelection(
  clickhouse: ClickHouse,
  selection: ReplaySelection,
  principal: Principal,
): Promise<SelectionCounts> {
  const { from, parameters } = buildSelection(selection, principal);
  const [counts] = await clickhouse.query<SelectionCounts>(
    `SELECT countIf(counted = 0) AS calls, countIf(counted = 1) AS counted_before FROM ${from}`,
    parameters,
  );
  return counts ?? { calls: 0, counted_before: 0 };
}

/** Calls and the verdicts they were rejected with: all of them, so that a bounded preview can say what it leaves out. */
export async function selectionByVerdict(
  clickhouse: ClickHouse,
  selection: ReplaySelection,
  principal: Principal,
): Promise<Readonly<Record<string, number>>> {
  const { from, parameters } = buildSelection(selection, principal);
  const rows = await clickhouse.query<{ verdict: string; calls: number }>(
    `SELECT rejected_as AS verdict, count() AS calls FROM ${from} WHERE counted = 0 GROUP BY verdict ORDER BY calls DESC, verdict`,
    parameters,
  );
  return Object.fromEntries(rows.map(({ verdict, calls }) => [verdict, calls]));
}

/** The first calls in the order of receipt, with the verdict that each has now. */
export function firstOfSelection(
  clickhouse: ClickHouse,
  selection: ReplaySelection,
  principal: Principal,
  limit: number,
): Promise<(SelectedCall & { readonly verdict: string })[]> {
  const { from, parameters } = buildSelection(selection, principal);
  return clickhouse.query(
    `SELECT call AS hit_id, hit_ms, rejected_as AS verdict FROM ${from} WHERE counted = 0 ORDER BY hit_ms, hit_id LIMIT {calls:UInt32}`,
    { ...parameters, calls: limit },
  );
}

/** Every call in the order of receipt, a page at a time: memory holds one. The same selection gives the same calls. */
export async function* callsOfSelection(
  clickhouse: ClickHouse,
  selection: ReplaySelection,
  principal: Principal,
): AsyncGenerator<readonly SelectedCall[]> {
  const { from, parameters } = buildSelection(selection, principal);
  let after: SelectedCall = { hit_id: '', hit_ms: -1 };
  for (;;) {
    const page = await clickhouse.query<SelectedCall>(
      `SELECT call AS hit_id, hit_ms FROM ${from} WHERE counted = 0 AND (hit_ms, hit_id) > ({afterMs:Int64}, {afterId:String})
       ORDER BY hit_ms, hit_id LIMIT ${CALLS_A_PAGE}`,
      { ...parameters, afterMs: after.hit_ms, afterId: after.hit_id },
    );
    if (page.length > 0) yield page;
    const last = page.at(-1);
    if (last === undefined || page.length < CALLS_A_PAGE) return;
    after = last;
  }
}
