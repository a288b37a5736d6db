/** A report's state is its URL, so that it can be shared: period, zone, filters, sort, columns. */
import { useMemo } from 'react';
import { useSearchParams } from 'wouter';
import { periodOf, useZone } from '../period.ts';

export interface ReportState {
  readonly from: string;
  readonly to: string;
  readonly tz: string;
  readonly sort: string;
  /** Empty: the report's own. */
  readonly columns: readonly string[];
  readonly breakdown: readonly string[];
  /** Column and wanted values, any of them. */
  readonly filters: readonly (readonly [column: string, values: readonly string[]])[];
}

const OWN = new Set(['from', 'to', 'tz', 'sort', 'columns', 'breakdown', 'tab']);
const listOf = (text: string | null): string[] =>
  (text ?? '').split(',').filter((part) => part !== '');

function parseState(search: URLSearchParams, zone: string): ReportState {
  const tz = search.get('tz') ?? zone;
  const fallback = periodOf('7d', tz);
  const names = [...new Set(search.keys())].filter((name) => !OWN.has(name));
  return {
    from: search.get('from') ?? fallback.from,
    to: search.get('to') ?? fallback.to,
    tz,
    sort: search.get('sort') ?? '',
    columns: listOf(search.get('columns')),
    breakdown: listOf(search.get('breakdown')),
    filters: names.map((name) => [name, search.getAll(name)] as const),
  };
}

function addFilters(search: URLSearchParams, state: ReportState): void {
  for (const [name, values] of state.filters)
    for (const value of values) search.append(name, value);
}

/** The address of a state. */
export function searchOf(state: ReportState): URLSearchParams {
  const search = new URLSearchParams({ from: state.from, to: state.to, tz: state.tz });
  if (state.sort !== '') search.set('sort', state.sort);
  if (state.breakdown.length > 0) search.set('breakdown', state.breakdown.join(','));
  if (state.columns.length > 0) search.set('columns', state.columns.join(','));
  addFilters(search, state);
  return search;
}

/** What the API is asked. */
export function apiSearchOf(state: ReportState): URLSearchParams {
  const search = new URLSearchParams({ from: state.from, to: state.to, tz: state.tz });
  if (state.sort !== '') search.set('sort', state.sort);
  if (state.breakdown.length > 0) search.set('breakdown', state.breakdown.join(','));
  addFilters(search, state);
  return search;
}

export function useReportState(): readonly [ReportState, (state: ReportState) => void] {
  const [search, setSearch] = useSearchParams();
  const zone = useZone();
  const text = search.toString();
  const state = useMemo(() => parseState(new URLSearchParams(text), zone), [text, zone]);
  return [state, (next) => setSearch(searchOf(next))];
}
