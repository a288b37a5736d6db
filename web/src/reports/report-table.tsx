/** The rows of a report: sortable columns, keyset pages that follow one another as one scrolls, Why? on every row. */
import { useInfiniteQuery } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { REPORTS } from '../../../src/reports/definitions.ts';
import { get } from '../api/client.ts';
import { useNames } from '../api/catalogue.ts';
import { labelOf } from '../format.ts';
import { Await, Empty } from '../ui/states.tsx';
import { Cell, textOf, type Row } from './cell.tsx';
import { isNumeric, isWrapped, type Column } from './columns.ts';

const PAGE_ROWS = 50;

interface Page {
  readonly rows: readonly Row[];
  readonly next_cursor: string | null;
}

export function useReportRows(report: string, search: URLSearchParams) {
  const text = search.toString();
  return useInfiniteQuery({
    queryKey: ['report', report, text],
    queryFn: ({ pageParam, signal }) => {
      const query = new URLSearchParams(text);
      query.set('limit', String(PAGE_ROWS));
      if (pageParam !== '') query.set('cursor', pageParam);
      return get<Page>(`/reports/${report}?${query.toString()}`, signal);
    },
    initialPageParam: '',
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
}

/** Calls `onSeen` whenever the marker comes into view. */
function More({ onSeen, isLoading }: { onSeen: () => void; isLoading: boolean }) {
  const ref = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const marker = ref.current;
    if (marker === null || isLoading) return undefined;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some(({ isIntersecting }) => isIntersecting)) onSeen();
      },
      { rootMargin: '400px' },
    );
    observer.observe(marker);
    return () => observer.disconnect();
  }, [onSeen, isLoading]);
  return (
    <div className="state">
      <button ref={ref} type="button" className="button" disabled={isLoading} onClick={onSeen}>
        {isLoading ? 'Loading more…' : 'Load more'}
      </button>
    </div>
  );
}

function SortableHead(props: { column: Column; sort: string; onSort: (sort: string) => void }) {
  const { column, sort, onSort } = props;
  const isDescending = sort === `-${column.name}`;
  const isAscending = sort === column.name;
  return (
    <th
      scope="col"
      className={isNumeric(column.type) ? 'number' : undefined}
      aria-sort={isDescending ? 'descending' : isAscending ? 'ascending' : undefined}
    >
      <button
        type="button"
        className="sort"
        onClick={() => onSort(isDescending ? column.name : `-${column.name}`)}
      >
        {labelOf(column.name)}
        {isDescending ? ' ↓' : isAscending ? ' ↑' : ''}
      </button>
    </th>
  );
}

export interface RowAction {
  readonly label: string;
  readonly run: (row: Row) => void;
}

export function ReportTable(props: {
  report: string;
  columns: readonly Column[];
  search: URLSearchParams;
  sort: string;
  zone: string;
  linked: boolean;
  onSort: (sort: string) => void;
  /** Buttons on every row. */
  actions: readonly RowAction[];
}) {
  const { report, columns, zone, linked, actions } = props;
  const { id, time } = REPORTS.get(report) ?? { id: 'hit_id', time: 'hit_time' };
  const query = useReportRows(report, props.search);
  const nameOf = useNames();
  const sort = props.sort === '' ? `-${time}` : props.sort;
  return (
    <Await query={query} what="rows">
      {({ pages }) => {
        const rows = pages.flatMap((page) => page.rows);
        if (rows.length === 0)
          return (
            <Empty title="Nothing in this period">
              Choose other dates or take filters off, then press Display.
            </Empty>
          );
        return (
          <section className="table-frame report-frame" tabIndex={0} aria-label="Rows">
            <table>
              <thead>
                <tr>
                  {actions.length > 0 && (
                    <th scope="col">
                      <span className="visually-hidden">Actions</span>
                    </th>
                  )}
                  {columns.map((column) => (
                    <SortableHead
                      key={column.name}
                      column={column}
                      sort={sort}
                      onSort={props.onSort}
                    />
                  ))}
                </tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <tr key={textOf(row[id])}>
                    {actions.length > 0 && (
                      <td>
                        {actions.map(({ label, run }) => (
                          <button
                            key={label}
                            type="button"
                            className="button small"
                            onClick={() => run(row)}
                          >
                            {label}
                          </button>
                        ))}
                      </td>
                    )}
                    {columns.map((column) => (
                      <td
                        key={column.name}
                        className={
                          isNumeric(column.type)
                            ? 'number'
                            : isWrapped(column.name)
                              ? 'wrap'
                              : undefined
                        }
                      >
                        <Cell
                          column={column}
                          row={row}
                          zone={zone}
                          nameOf={nameOf}
                          linked={linked}
                        />
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
            {query.hasNextPage && (
              <More
                onSeen={() => void query.fetchNextPage()}
                isLoading={query.isFetchingNextPage}
              />
            )}
          </section>
        );
      }}
    </Await>
  );
}
