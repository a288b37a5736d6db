/**
 * The SQL of /reports/statistics: counts and money by any breakdown, straight from the stored rows, so exact and as
 * fresh as they are. The hourly roll-up is for analysts; it knows neither zones nor sub ids.
 */
import { buildConditions } from './conditions.ts';
import { BREAKDOWNS, MEASURES, STATISTICS_FILTERS, type ColumnType } from './definitions.ts';
import type { BuiltQuery } from './list-query.ts';
import { paginate, parseSort, sortKeyOf, whereOf } from './page.ts';
import {
  LIMIT_MAX,
  parseLimit,
  parsePeriod,
  parseZone,
  refuse,
  single,
  type ReportParameters,
} from './parameters.ts';
import { hiddenColumnsOf, type Principal } from './principal.ts';

const OWN_PARAMETERS: ReadonlySet<string> = new Set(['breakdown']);
const SHARED =
  'hit_time, offer_id, affiliate_id, advertiser_id, country, device, verdict, sub_id1, sub_id2, sub_id3, sub_id4, sub_id5';
const NO_MONEY = `'' AS conv_status, toNullable(toDecimal64(0, 4)) AS payout, toNullable(toDecimal64(0, 4)) AS revenue`;
const NO_GOAL = `toUInt32(0) AS goal_id, '' AS promo_code, '' AS currency`;

function parseBreakdown(parameters: ReportParameters): string[] {
  const names = (single(parameters, 'breakdown') ?? 'day').split(',').map((name) => name.trim());
  for (const [index, name] of names.entries()) {
    if (!BREAKDOWNS.has(name))
      refuse('breakdown', `${name.slice(0, 100)} is none of ${[...BREAKDOWNS.keys()].join(', ')}`);
    if (names.indexOf(name) < index) refuse('breakdown', `${name} is named twice`);
  }
  return names;
}

function rowsOf(where: string, principal: Principal): string {
  const parts = [
    `SELECT 'click' AS kind, ${SHARED}, ${NO_GOAL}, ${NO_MONEY} FROM clicks ${where}`,
    `SELECT 'invalid_click' AS kind, ${SHARED}, ${NO_GOAL}, ${NO_MONEY} FROM invalid_clicks ${where}`,
    `SELECT 'conversion' AS kind, ${SHARED}, goal_id, promo_code, currency, conv_status, payout, revenue FROM transactions ${where}`,
  ];
  // Calls that became nothing are between the network and its advertiser.
  if (principal.role !== 'affiliate')
    parts.push(
      `SELECT 'invalid' AS kind, ${SHARED}, goal_id, promo_code, currency, ${NO_MONEY} FROM invalid_traffic ${where}`,
    );
  return parts.join(' UNION ALL ');
}

/** Throws ReportRefused. */
export function buildStatistics(
  parameters: ReportParameters,
  principal: Principal,
  whole: boolean,
): BuiltQuery {
  const zone = parseZone(parameters);
  const names = parseBreakdown(parameters);
  const period = parsePeriod(parameters, zone);
  const limit = parseLimit(parameters, LIMIT_MAX);
  const conditions = buildConditions({
    parameters,
    principal,
    period,
    columns: STATISTICS_FILTERS,
    own: OWN_PARAMETERS,
  });
  const hidden = hiddenColumnsOf(principal);
  const groups = names.flatMap((name) => {
    const found = BREAKDOWNS.get(name);
    return found === undefined ? [] : [{ name, ...found }];
  });
  const columns = new Map<string, ColumnType>([
    ...groups.map(({ name, type }) => [name, type] as const),
    ...[...MEASURES].filter(([name]) => !hidden.has(name)),
  ]);
  const selected = [...columns.keys()].join(', ');
  const sort = parseSort(parameters, [...columns.keys()], names[0] ?? 'day');
  const after = { sql: [] as string[], parameters: { ...conditions.parameters, tz: zone } };
  const page = paginate(after, parameters, `statistics(${names.join(',')})`, sort, [
    sortKeyOf(sort.column, columns.get(sort.column) ?? 'String'),
    ...groups.map(({ name, type }) => sortKeyOf(name, type)),
  ]);
  const status = (name: string): string =>
    `countIf(kind = 'conversion' AND conv_status = '${name}') AS ${name}`;
  return {
    sql: `SELECT ${selected}${whole ? '' : `, ${page.selected}`} FROM (
      SELECT ${groups.map(({ name, sql }) => `${sql} AS ${name}`).join(', ')},
        countIf(kind = 'click') AS clicks, countIf(kind = 'invalid_click') AS invalid_clicks,
        countIf(kind = 'conversion') AS conversions, ${status('approved')}, ${status('pending')}, ${status('rejected')},
        countIf(kind = 'invalid') AS invalid_traffic,
        sum(ifNull(source.payout, 0)) AS payout, sum(ifNull(source.revenue, 0)) AS revenue, revenue - payout AS profit,
        if(clicks = 0, 0, round(conversions / clicks, 6)) AS cr
      FROM (${rowsOf(whereOf(conditions), principal)}) AS source GROUP BY ${names.join(', ')})
      ${whereOf(after)} ORDER BY ${page.order} ${whole ? '' : `LIMIT ${limit + 1}`}`,
    parameters: after.parameters,
    columns,
    limit,
    cursorAfter: page.cursorAfter,
  };
}
