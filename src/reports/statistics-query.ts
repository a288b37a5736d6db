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
/** What breakdowns and filters ask of a click; it has no goal and no money. */
const OF_CLICKS = `hit_time, offer_id, affiliate_id, advertiser_id, country, device, verdict, verdict_code,
  sub_id1, sub_id2, sub_id3, sub_id4, sub_id5, toUInt32(0) AS goal_id, '' AS promo_code, '' AS currency`;
const STATUSES = ['approved', 'pending', 'rejected'] as const;

function parseBreakdown(parameters: ReportParameters): string[] {
  const names = (single(parameters, 'breakdown') ?? 'day').split(',').map((name) => name.trim());
  for (const [index, name] of names.entries()) {
    if (!BREAKDOWNS.has(name))
      refuse('breakdown', `${name.slice(0, 100)} is none of ${[...BREAKDOWNS.keys()].join(', ')}`);
    if (names.indexOf(name) < index) refuse('breakdown', `${name} is named twice`);
  }
  return names;
}

/** Counts and money by the breakdown, each kind of row counted by itself: what one lacks then costs nothing a row. */
function countedOf(groups: string, names: string, where: string, principal: Principal): string {
  const zero = (name: string): string => `toUInt64(0) AS ${name}`;
  const noConversions = ['conversions', ...STATUSES].map(zero).join(', ');
  const noMoney = `toDecimal128(0, 4) AS paid, toDecimal128(0, 4) AS earned`;
  const byStatus = STATUSES.map((name) => `countIf(conv_status = '${name}') AS ${name}`).join(', ');
  const parts = [
    `SELECT ${groups}, countIf(verdict_code = 0) AS clicks, countIf(verdict_code != 0) AS invalid_clicks,
      ${noConversions}, ${zero('invalid_traffic')}, ${noMoney}
     FROM (SELECT ${OF_CLICKS} FROM click_log ${where}) GROUP BY ${names}`,
    `SELECT ${groups}, ${zero('clicks')}, ${zero('invalid_clicks')}, count() AS conversions, ${byStatus},
      ${zero('invalid_traffic')}, sum(ifNull(payout, 0)) AS paid, sum(ifNull(revenue, 0)) AS earned
     FROM transactions ${where} GROUP BY ${names}`,
  ];
  // Calls that became nothing are between the network and its advertiser.
  if (principal.role !== 'affiliate')
    parts.push(
      `SELECT ${groups}, ${zero('clicks')}, ${zero('invalid_clicks')}, ${noConversions}, count() AS invalid_traffic, ${noMoney}
       FROM invalid_traffic ${where} GROUP BY ${names}`,
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
  const keys = names.join(', ');
  const counted = countedOf(
    groups.map(({ name, sql }) => `${sql} AS ${name}`).join(', '),
    keys,
    whereOf(conditions),
    principal,
  );
  const sums = ['clicks', 'invalid_clicks', 'conversions', ...STATUSES, 'invalid_traffic']
    .map((name) => `sum(counted.${name}) AS ${name}`)
    .join(', ');
  return {
    sql: `SELECT ${selected}${whole ? '' : `, ${page.selected}`} FROM (
      SELECT ${keys}, ${sums}, sum(paid) AS payout, sum(earned) AS revenue, revenue - payout AS profit,
      if(clicks = 0, 0, round(conversions / clicks, 6)) AS cr
      FROM (${counted}) AS counted GROUP BY ${keys})
      ${whereOf(after)} ORDER BY ${page.order} ${whole ? '' : `LIMIT ${limit + 1}`}`,
    parameters: after.parameters,
    columns,
    limit,
    cursorAfter: page.cursorAfter,
  };
}
