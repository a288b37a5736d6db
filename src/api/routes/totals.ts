/** `/api/v1/reports/NAME/totals`: how many rows match, and their money by currency. Sums of two currencies are never added. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { REPORTS } from '../../reports/definitions.ts';
import { buildList } from '../../reports/list-query.ts';
import { principalOf, queryParameters, type ApiContext } from '../context.ts';

const MONEY = ['payout', 'revenue', 'amount'] as const;

const DOCUMENT = {
  tags: ['reports'],
  summary: 'How many rows match the same parameters, with their money by currency',
};

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
  for (const name of REPORTS.keys())
    app.get(`/api/v1/reports/${name}/totals`, { schema: DOCUMENT }, (request) =>
      readTotals(context, name, request),
    );
}
