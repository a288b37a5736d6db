/** `/api/v1/reports/NAME/totals`: how many rows match, and their money by currency. Sums of two currencies are never added. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { REPORTS, type Report } from '../../reports/definitions.ts';
import { buildList } from '../../reports/list-query.ts';
import { principalOf, queryParameters, type ApiContext } from '../context.ts';
import { jsonResponse, listOf, object, responses, type JsonSchema } from '../documents/document.ts';
import { reportDocument } from '../documents/reports.ts';

const MONEY = ['payout', 'revenue', 'amount'] as const;

const MONEY_SUM = { type: 'number' };
const ANSWER = object({
  rows: { type: 'integer' },
  by_currency: listOf(
    object(
      {
        currency: { type: 'string' },
        rows: { type: 'integer' },
        payout: MONEY_SUM,
        revenue: MONEY_SUM,
        amount: MONEY_SUM,
      },
      ['currency', 'rows'],
    ),
  ),
});

/** The parameters are the report's own. */
function documentOf(name: string, report: Report): JsonSchema {
  return {
    tags: ['reports'],
    summary: `How many ${name.replaceAll('-', ' ')} match, with their money by currency`,
    querystring: reportDocument(name, report)['querystring'],
    response: responses({ 200: jsonResponse('The totals', ANSWER) }, [400, 403]),
  };
}

interface Group {
  readonly currency: string;
  readonly rows: number;
  readonly [column: string]: unknown;
}

async function readTotals(
  context: ApiContext,
  name: string,
  request: FastifyRequest,
): Promise<object> {
  const built = buildList(name, queryParameters(request), principalOf(request), true);
  const money = MONEY.filter((column) => built.columns.has(column));
  const sums = money.map((column) => `sum(ifNull(source.${column}, 0)) AS ${column}`);
  const currency = money.length > 0 ? 'currency' : "'' AS currency";
  const groups = await context.clickhouse.query<Group>(
    `SELECT ${[currency, 'count() AS rows', ...sums].join(', ')}
     FROM (${built.sql}) AS source GROUP BY currency ORDER BY rows DESC`,
    built.parameters,
  );
  return {
    rows: groups.reduce((sum, group) => sum + group.rows, 0),
    by_currency: groups.filter((group) => group.currency !== ''),
  };
}

export function registerTotalRoutes(app: FastifyInstance, context: ApiContext): void {
  for (const [name, report] of REPORTS)
    app.get(`/api/v1/reports/${name}/totals`, { schema: documentOf(name, report) }, (request) =>
      readTotals(context, name, request),
    );
}
