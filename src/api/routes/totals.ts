/** `/api/v1/reports/NAME/totals`: how many rows match, and their money by currency. Sums of two currencies are never added. */
import type { FastifyInstance } from 'fastify';
import { findReport, buildReport, ReportRefused, type BuiltQuery } from '../../reports/query.ts';
import { principalOf, queryParameters, type ApiContext } from '../context.ts';
import { badRequest, forbidden } from '../problem.ts';

const MONEY = ['payout', 'revenue', 'amount'] as const;

interface Group {
  readonly currency: string;
  readonly rows: number;
  readonly [column: string]: unknown;
}

function build(work: () => BuiltQuery): BuiltQuery {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof ReportRefused)) throw error;
    if (error.forbidden) throw forbidden(error.message);
    throw badRequest(error.message, error.faults);
  }
}

export function registerTotalRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get<{ Params: { name: string } }>('/api/v1/reports/:name/totals', async (request) => {
    const principal = principalOf(request);
    const { name } = request.params;
    const built = build(() => {
      findReport(name, principal);
      return buildReport(name, queryParameters(request), principal, true);
    });
    const money = MONEY.filter((column) => built.columns.includes(column));
    const hasMoney = money.length > 0;
    const sums = money.map((column) => `sum(ifNull(source.${column}, 0)) AS ${column}`);
    const groups = await context.clickhouse.query<Group>(
      `SELECT ${hasMoney ? 'currency' : "'' AS currency"}, ${['count() AS rows', ...sums].join(', ')}
       FROM (${built.sql}) AS source GROUP BY currency ORDER BY rows DESC`,
      built.parameters,
    );
    return {
      rows: groups.reduce((sum, group) => sum + group.rows, 0),
      by_currency: groups.filter(({ currency }) => currency !== ''),
    };
  });
}
