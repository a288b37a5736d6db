/**
 * Builds the SQL of a report from its definition and the asker's parameters. Every value goes in as a typed parameter;
 * every name is from the definition. Tenancy is one condition, added here and nowhere else.
 */
import { instantOfWall, isTimeZone } from '../domain/time-buckets.ts';
import { BREAKDOWNS, HIDDEN_FROM_AFFILIATES, REPORTS, type Report } from './definitions.ts';
import type { Principal } from './principal.ts';

export interface ReportFault {
  readonly field: string;
  readonly message: string;
}

export class ReportRefused extends Error {
  readonly faults: readonly ReportFault[];
  readonly forbidden: boolean;
  constructor(faults: readonly ReportFault[], forbidden = false) {
    super(faults.map(({ field, message }) => `${field}: ${message}`).join('; '));
    this.faults = faults;
    this.forbidden = forbidden;
  }
}

/** Query parameters as they came; a repeated one is a list. */
export type ReportParameters = ReadonlyMap<string, readonly string[]>;

export interface BuiltQuery {
  readonly sql: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly columns: readonly string[];
  readonly limit: number;
  /** The cursor of the page after a row. */
  readonly cursorAfter: (row: Readonly<Record<string, unknown>>) => string;
}

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;
const DAY_MS = 86_400_000;
const COMMON = new Set(['from', 'to', 'tz', 'sort', 'limit', 'cursor', 'format', 'breakdown']);

function refuse(field: string, message: string): never {
  throw new ReportRefused([{ field, message }]);
}

function single(parameters: ReportParameters, name: string): string | undefined {
  const value = parameters.get(name)?.at(-1);
  return value === '' ? undefined : value;
}

function parseZone(parameters: ReportParameters): string {
  const zone = single(parameters, 'tz') ?? 'UTC';
  return isTimeZone(zone) ? zone : refuse('tz', 'must be an IANA time zone like Europe/Berlin');
}

/** A date is a whole day of the zone; an instant is itself. `to` is the first ms after. */
function parseBound(
  parameters: ReportParameters,
  name: 'from' | 'to',
  zone: string,
): number | undefined {
  const text = single(parameters, name);
  if (text === undefined) return undefined;
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) {
    const wall = Date.parse(`${text}T00:00:00Z`);
    if (Number.isNaN(wall))
      refuse(name, 'must be a date like 2026-05-31 or an instant like 2026-05-31T10:00:00Z');
    return instantOfWall(zone, name === 'to' ? wall + DAY_MS : wall);
  }
  const instant = /^\d{4}-\d{2}-\d{2}[T ]/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(instant)
    ? refuse(name, 'must be a date like 2026-05-31 or an instant like 2026-05-31T10:00:00Z')
    : instant;
}

interface Conditions {
  readonly sql: string[];
  readonly parameters: Record<string, unknown>;
}

function addTenancy(conditions: Conditions, principal: Principal): void {
  if (principal.role === 'manager') return;
  const [column, id] =
    principal.role === 'advertiser'
      ? ['advertiser_id', principal.advertiserId]
      : ['affiliate_id', principal.affiliateId];
  conditions.sql.push(`${column} = {tenant:UInt32}`);
  conditions.parameters['tenant'] = id;
}

function addPeriod(conditions: Conditions, parameters: ReportParameters, zone: string): void {
  const from = parseBound(parameters, 'from', zone);
  const to = parseBound(parameters, 'to', zone);
  if (from !== undefined) {
    conditions.sql.push("hit_time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')");
    conditions.parameters['from'] = from;
  }
  if (to !== undefined) {
    conditions.sql.push("hit_time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')");
    conditions.parameters['to'] = to;
  }
}

function addFilters(
  conditions: Conditions,
  parameters: ReportParameters,
  report: Report,
  hidden: ReadonlySet<string>,
): void {
  for (const [name, values] of parameters) {
    if (COMMON.has(name)) continue;
    const type = report.columns.get(name);
    if (type === undefined || hidden.has(name))
      refuse(name, 'is no column of this report, nor a parameter');
    if (type === 'DateTime') refuse(name, 'filter times with from and to');
    if (type.startsWith('UInt') && !values.every((value) => /^[0-9]{1,19}$/.test(value)))
      refuse(name, 'must be a whole number');
    if (type === 'Decimal' && !values.every((value) => /^[0-9]{1,14}(\.[0-9]{1,4})?$/.test(value)))
      refuse(name, 'must be a plain decimal');
    const cast = type === 'Decimal' ? `toString(toDecimal64(${name}, 4))` : name;
    conditions.sql.push(
      type === 'Decimal'
        ? `${cast} IN (SELECT toString(toDecimal64(arrayJoin({f_${name}:Array(String)}), 4)))`
        : `${name} IN {f_${name}:Array(${type})}`,
    );
    conditions.parameters[`f_${name}`] = type.startsWith('UInt') ? values.map(Number) : values;
  }
}

interface Sort {
  readonly column: string;
  readonly descending: boolean;
}

function parseSort(parameters: ReportParameters, columns: readonly string[]): Sort {
  const text = single(parameters, 'sort') ?? '-hit_time';
  const descending = text.startsWith('-');
  const column = descending ? text.slice(1) : text;
  return columns.includes(column)
    ? { column, descending }
    : refuse('sort', `${column} is no column of this report`);
}

/** Sort values are compared as ClickHouse's own text of them; NULL sorts as ''. */
function sortKey(report: Report, column: string): string {
  const type = report.columns.get(column);
  if (type === 'Decimal') return `ifNull(toDecimal64(${column}, 4), toDecimal64(-1, 4))`;
  if (type === 'DateTime') return `ifNull(toUnixTimestamp64Milli(${column}), 0)`;
  return column;
}

function keyType(report: Report, column: string): string {
  const type = report.columns.get(column);
  return type === 'Decimal' ? 'Decimal(18, 4)' : type === 'DateTime' ? 'Int64' : (type ?? 'String');
}

function parseCursor(
  text: string,
  sort: Sort,
): { readonly value: string | number; readonly hitId: string } {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    if (
      Array.isArray(parsed) &&
      parsed[0] === sort.column &&
      parsed[1] === sort.descending &&
      typeof parsed[3] === 'string'
    ) {
      return { value: parsed[2] as string | number, hitId: parsed[3] };
    }
  } catch {
    // Not a cursor of ours; refused below.
  }
  return refuse('cursor', 'is not a cursor of this report and sort order');
}

export function findReport(name: string, principal: Principal): Report {
  const report = REPORTS.get(name);
  if (report === undefined) refuse('report', `there is no report ${name}`);
  if (!report.roles.includes(principal.role))
    throw new ReportRefused([{ field: 'report', message: `not for ${principal.role}s` }], true);
  return report;
}

function hiddenFor(principal: Principal): ReadonlySet<string> {
  return principal.role === 'affiliate' ? HIDDEN_FROM_AFFILIATES : new Set();
}

export function buildReport(
  name: string,
  parameters: ReportParameters,
  principal: Principal,
  whole: boolean,
): BuiltQuery {
  const report = findReport(name, principal);
  const hidden = hiddenFor(principal);
  const columns = [...report.columns.keys()].filter((column) => !hidden.has(column));
  const conditions: Conditions = { sql: [], parameters: {} };
  addTenancy(conditions, principal);
  addPeriod(conditions, parameters, parseZone(parameters));
  addFilters(conditions, parameters, report, hidden);
  const sort = parseSort(parameters, columns);
  const limitText = single(parameters, 'limit') ?? String(LIMIT_DEFAULT);
  const limit = Number(limitText);
  if (!/^[0-9]+$/.test(limitText) || limit < 1 || limit > LIMIT_MAX)
    refuse('limit', `must be a whole number from 1 to ${LIMIT_MAX}`);
  const key = sortKey(report, sort.column);
  const cursor = single(parameters, 'cursor');
  if (cursor !== undefined) {
    const { value, hitId } = parseCursor(cursor, sort);
    conditions.sql.push(
      `(${key}, hit_id) ${sort.descending ? '<' : '>'} ({c_value:${keyType(report, sort.column)}}, {c_hit:String})`,
    );
    conditions.parameters['c_value'] = value;
    conditions.parameters['c_hit'] = hitId;
  }
  const direction = sort.descending ? 'DESC' : 'ASC';
  const where = conditions.sql.length === 0 ? '' : `WHERE ${conditions.sql.join(' AND ')}`;
  const order = `ORDER BY ${key} ${direction}, hit_id ${direction}`;
  const selected = whole ? columns.join(', ') : `${columns.join(', ')}, ${key} AS sort_key`;
  return {
    sql: `SELECT ${selected} FROM ${report.view} ${where} ${order} ${whole ? '' : `LIMIT ${limit + 1}`}`,
    parameters: conditions.parameters,
    columns,
    limit,
    cursorAfter: (row) =>
      Buffer.from(
        JSON.stringify([sort.column, sort.descending, row['sort_key'], row['hit_id']]),
      ).toString('base64url'),
  };
}

const MEASURES = [
  'clicks',
  'invalid_clicks',
  'conversions',
  'approved',
  'pending',
  'rejected',
  'invalid_traffic',
] as const;
/** Columns that both clicks and conversion calls can be filtered by. */
const STATISTICS_FILTERS: Report = {
  view: '',
  roles: ['manager', 'advertiser', 'affiliate'],
  columns: new Map([
    ['offer_id', 'UInt32'],
    ['goal_id', 'UInt32'],
    ['affiliate_id', 'UInt32'],
    ['advertiser_id', 'UInt32'],
    ['country', 'String'],
    ['device', 'String'],
    ['promo_code', 'String'],
    ['verdict', 'String'],
    ['sub_id1', 'String'],
    ['sub_id2', 'String'],
    ['sub_id3', 'String'],
    ['sub_id4', 'String'],
    ['sub_id5', 'String'],
  ]),
};

/** Statistics straight from the stored rows: exact and as fresh as they are. */
export function buildStatistics(parameters: ReportParameters, principal: Principal): BuiltQuery {
  const zone = parseZone(parameters);
  const names = (single(parameters, 'breakdown') ?? 'day').split(',').map((name) => name.trim());
  const groups = names.map(
    (name) =>
      BREAKDOWNS.get(name) ??
      refuse('breakdown', `${name} is none of ${[...BREAKDOWNS.keys()].join(', ')}`),
  );
  const conditions: Conditions = { sql: [], parameters: { tz: zone } };
  addTenancy(conditions, principal);
  addPeriod(conditions, parameters, zone);
  addFilters(conditions, parameters, STATISTICS_FILTERS, new Set());
  const where = conditions.sql.length === 0 ? '' : `WHERE ${conditions.sql.join(' AND ')}`;
  const shared =
    'hit_time, offer_id, affiliate_id, advertiser_id, country, device, verdict, sub_id1, sub_id2, sub_id3, sub_id4, sub_id5';
  const none = `'' AS conv_status, toNullable(toDecimal64(0, 4)) AS payout, toNullable(toDecimal64(0, 4)) AS revenue`;
  const columns = [...names, ...MEASURES, 'payout', 'revenue', 'profit', 'cr'].filter(
    (column) => !hiddenFor(principal).has(column),
  );
  const sortText = single(parameters, 'sort') ?? names[0] ?? '';
  const sortColumn = sortText.replace(/^-/, '');
  if (!columns.includes(sortColumn)) refuse('sort', `${sortColumn} is no column of this report`);
  const invalid = principal.role === 'affiliate' ? '0' : "kind = 'invalid'";
  const money = (column: string): string => `sum(ifNull(source.${column}, 0))`;
  return {
    sql: `SELECT ${columns.join(', ')} FROM (
      SELECT ${groups.map((group, index) => `${group} AS ${names[index]}`).join(', ')},
        countIf(kind = 'click') AS clicks, countIf(kind = 'invalid_click') AS invalid_clicks, countIf(kind = 'conversion') AS conversions,
        countIf(kind = 'conversion' AND conv_status = 'approved') AS approved, countIf(kind = 'conversion' AND conv_status = 'pending') AS pending,
        countIf(kind = 'conversion' AND conv_status = 'rejected') AS rejected, countIf(${invalid}) AS invalid_traffic,
        ${money('payout')} AS payout, ${money('revenue')} AS revenue, revenue - payout AS profit,
        if(clicks = 0, 0, round(conversions / clicks, 6)) AS cr
      FROM (
        SELECT 'click' AS kind, ${shared}, toUInt32(0) AS goal_id, '' AS promo_code, ${none} FROM clicks
        UNION ALL SELECT 'invalid_click' AS kind, ${shared}, toUInt32(0) AS goal_id, '' AS promo_code, ${none} FROM invalid_clicks
        UNION ALL SELECT 'conversion' AS kind, ${shared}, goal_id, promo_code, conv_status, payout, revenue FROM transactions
        UNION ALL SELECT 'invalid' AS kind, ${shared}, goal_id, promo_code, ${none} FROM invalid_traffic
      ) AS source ${where} GROUP BY ${names.join(', ')})
      ORDER BY ${sortColumn} ${sortText.startsWith('-') ? 'DESC' : 'ASC'}, ${names.join(', ')}`,
    parameters: conditions.parameters,
    columns,
    limit: Infinity,
    cursorAfter: () => '',
  };
}
