/** `/api/v1/reports/…`: pages as JSON, whole files as CSV, NDJSON or Parquet, streamed from ClickHouse. */
import { Transform } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import {
  buildReport,
  buildStatistics,
  ReportRefused,
  type BuiltQuery,
  type ReportParameters,
} from '../../reports/query.ts';
import type { Principal } from '../../reports/principal.ts';
import { principalOf, queryParameters, type ApiContext } from '../context.ts';
import { badRequest, forbidden } from '../problem.ts';

const FILES: ReadonlyMap<string, { readonly format: string; readonly type: string }> = new Map([
  ['csv', { format: 'CSVWithNames', type: 'text/csv; charset=utf-8' }],
  ['ndjson', { format: 'JSONEachRow', type: 'application/x-ndjson' }],
  ['parquet', { format: 'Parquet', type: 'application/vnd.apache.parquet' }],
]);
/** A spreadsheet takes a cell that begins so for a formula. */
const FORMULA_START = "'[=+\\\\-@\\t\\r]'";

type Row = Record<string, unknown>;

function build(
  name: string,
  parameters: ReportParameters,
  principal: Principal,
  whole: boolean,
): BuiltQuery {
  try {
    return name === 'statistics'
      ? buildStatistics(parameters, principal)
      : buildReport(name, parameters, principal, whole);
  } catch (error) {
    if (!(error instanceof ReportRefused)) throw error;
    if (error.forbidden) throw forbidden(error.message);
    throw badRequest(error.message, error.faults);
  }
}

/** Text cells that could be formulas get a quote before them; numbers and times are left as they are. */
function harmlessCsv(sql: string, columns: readonly string[]): string {
  const cells = columns.map((column) => {
    const text = `toString(assumeNotNull(${column}))`;
    return `if(toTypeName(${column}) LIKE '%String%' AND match(${text}, concat('^', ${FORMULA_START})), concat('''', ${text}), ifNull(toString(${column}), '')) AS \`c_${column}\``;
  });
  return `SELECT ${cells.join(', ')} FROM (${sql})`;
}

async function sendFile(
  context: ApiContext,
  reply: FastifyReply,
  name: string,
  built: BuiltQuery,
  file: string,
): Promise<FastifyReply> {
  const target = FILES.get(file);
  if (target === undefined) throw badRequest('format must be json, csv, ndjson or parquet');
  const csv = file === 'csv';
  const sql = csv ? harmlessCsv(built.sql, built.columns) : built.sql;
  const result = await context.clickhouse.raw.exec({
    query: `${sql} FORMAT ${csv ? 'CSV' : target.format}`,
    query_params: { ...built.parameters },
    clickhouse_settings: { wait_end_of_query: 0 },
  });
  void reply
    .header('content-type', target.type)
    .header('content-disposition', `attachment; filename="${name}.${file}"`);
  if (!csv) return reply.send(result.stream);
  let headed = false;
  const header = `${built.columns.join(',')}\n`;
  const withHeader = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const head = headed ? '' : header;
      headed = true;
      done(null, Buffer.concat([Buffer.from(head), chunk]));
    },
    flush(done) {
      done(null, headed ? null : header);
    },
  });
  return reply.send(result.stream.pipe(withHeader));
}

async function sendPage(
  context: ApiContext,
  built: BuiltQuery,
): Promise<{ rows: Row[]; next_cursor: string | null }> {
  const rows = await context.clickhouse.query<Row>(built.sql, built.parameters);
  const page = rows.slice(0, built.limit);
  const last = page.at(-1);
  const next_cursor =
    rows.length > built.limit && last !== undefined ? built.cursorAfter(last) : null;
  return { rows: page.map(({ sort_key: _, ...row }) => row), next_cursor };
}

export function registerReportRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get<{ Params: { name: string } }>('/api/v1/reports/:name', async (request, reply) => {
    const parameters = queryParameters(request);
    const format = parameters.get('format')?.at(-1) ?? 'json';
    const built = build(request.params.name, parameters, principalOf(request), format !== 'json');
    if (format !== 'json') return sendFile(context, reply, request.params.name, built, format);
    return sendPage(context, built);
  });
}
