/** A report as a file: CSV, NDJSON or Parquet, whole, streamed from ClickHouse; a cut stream never looks complete. */
import { pipeline, Transform, type Readable } from 'node:stream';
import type { ClickHouse } from '../../clickhouse/client.ts';
import type { BuiltQuery } from '../reports/list-query.ts';

export const FILE_FORMATS: ReadonlyMap<string, { readonly format: string; readonly type: string }> =
  new Map([
    ['csv', { format: 'CSV', type: 'text/csv; charset=utf-8' }],
    ['ndjson', { format: 'JSONEachRow', type: 'application/x-ndjson' }],
    ['parquet', { format: 'Parquet', type: 'application/vnd.apache.parquet' }],
  ]);

/** A spreadsheet takes a cell that begins so for a formula; the wide forms count as theirs in some. */
const FORMULA_START = "'^[=+\\\\-@\\t\\r\\n＝＋－＠]'";

/** Text cells that could be formulas get a quote before them; numbers and times are left as they are. */
function harmlessCsv({ sql, columns }: BuiltQuery): string {
  const cells = [...columns].map(([column, type]) =>
    type === 'String' || type === 'Enum'
      ? `if(match(toString(${column}), ${FORMULA_START}), concat('''', toString(${column})), toString(${column})) AS \`cell_${column}\``
      : `ifNull(toString(${column}), '') AS \`cell_${column}\``,
  );
  return `SELECT ${cells.join(', ')} FROM (${sql})`;
}

/** ClickHouse's own header would name the columns `cell_…`. */
function withHeader(header: string): Transform {
  let headed = false;
  const head = (): Buffer => {
    const bytes = Buffer.from(headed ? '' : header);
    headed = true;
    return bytes;
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      done(null, Buffer.concat([head(), chunk]));
    },
    flush(done) {
      done(null, head());
    },
  });
}

/** Resolves when the first bytes are there; an error after that destroys the stream. `signal` ends the query. */
export async function openReportFile(
  clickhouse: ClickHouse,
  built: BuiltQuery,
  format: string,
  signal: AbortSignal,
): Promise<Readable> {
  const csv = format === 'CSV';
  const source = await clickhouse.stream(
    `${csv ? harmlessCsv(built) : built.sql} FORMAT ${format}`,
    built.parameters,
    signal,
  );
  if (!csv) return source;
  const target = withHeader(`${[...built.columns.keys()].join(',')}\n`);
  // The reader sees the error on `target`.
  pipeline(source, target, () => undefined);
  return target;
}
