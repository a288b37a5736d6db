/**
 * The WHERE of a report: tenancy, period and filters. Every value goes in as a typed parameter; every name is from a
 * definition. Tenancy is one condition, added here and nowhere else.
 */
import type { ColumnType } from './definitions.ts';
import { COMMON_PARAMETERS, refuse, type Period, type ReportParameters } from './parameters.ts';
import { tenancyOf, type Principal } from './principal.ts';

export interface Conditions {
  readonly sql: string[];
  readonly parameters: Record<string, unknown>;
}

const UINT_MAX: Readonly<Partial<Record<ColumnType, bigint>>> = {
  UInt16: 2n ** 16n - 1n,
  UInt32: 2n ** 32n - 1n,
  UInt64: 2n ** 64n - 1n,
};

/** Whether a text is a value of the type, as ClickHouse parses it. */
export function isValueOf(type: ColumnType, text: string): boolean {
  const max = UINT_MAX[type];
  if (max !== undefined) return /^[0-9]{1,20}$/.test(text) && BigInt(text) <= max;
  switch (type) {
    case 'Decimal':
      return /^-?[0-9]{1,14}(\.[0-9]{1,4})?$/.test(text);
    case 'Total':
      return /^-?[0-9]{1,33}(\.[0-9]{1,4})?$/.test(text);
    case 'DateTime':
      return /^-?[0-9]{1,15}$/.test(text);
    case 'Float64':
      return /^-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?$/.test(text);
    case 'Date':
      return /^\d{4}-\d{2}-\d{2}$/.test(text);
    default:
      return true;
  }
}

function filterValues(name: string, type: ColumnType, values: readonly string[]): unknown {
  const max = UINT_MAX[type];
  // Money is never negative; NULL stands in for -1 where it is compared.
  const fits = (value: string): boolean =>
    isValueOf(type, value) && !(type === 'Decimal' && value.startsWith('-'));
  if (!values.every(fits)) {
    if (max !== undefined) refuse(name, `must be a whole number from 0 to ${max}`);
    refuse(name, 'must be a plain decimal of 0 or more with up to 4 places');
  }
  return max === undefined ? values : values.map(BigInt);
}

function addTenancy(conditions: Conditions, principal: Principal): void {
  const tenancy = tenancyOf(principal);
  if (tenancy === undefined) return;
  conditions.sql.push(`${tenancy.column} = {tenant:UInt32}`);
  conditions.parameters['tenant'] = tenancy.id;
}

function addPeriod(
  conditions: Conditions,
  { fromMs, toMs }: Period,
  times: readonly string[],
): void {
  if (fromMs !== undefined) {
    for (const time of times)
      conditions.sql.push(`${time} >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')`);
    conditions.parameters['from'] = fromMs;
  }
  if (toMs !== undefined) {
    for (const time of times)
      conditions.sql.push(`${time} < fromUnixTimestamp64Milli({to:Int64}, 'UTC')`);
    conditions.parameters['to'] = toMs;
  }
}

function addFilter(
  conditions: Conditions,
  name: string,
  type: ColumnType,
  values: readonly string[],
): void {
  if (type === 'DateTime') refuse(name, 'filter times with from and to');
  conditions.parameters[`f_${name}`] = filterValues(name, type, values);
  if (type === 'Decimal')
    conditions.sql.push(
      `has(arrayMap(text -> toDecimal64(text, 4), {f_${name}:Array(String)}), toDecimal64(ifNull(${name}, -1), 4))`,
    );
  else if (type === 'Enum') conditions.sql.push(`toString(${name}) IN {f_${name}:Array(String)}`);
  else conditions.sql.push(`${name} IN {f_${name}:Array(${type})}`);
}

export interface ConditionInput {
  readonly parameters: ReportParameters;
  readonly principal: Principal;
  readonly period: Period;
  /** Columns that may be filtered by: those that exist for the asker. */
  readonly columns: ReadonlyMap<string, ColumnType>;
  /** Parameters of this report beside the common ones. */
  readonly own?: ReadonlySet<string>;
  /** The column that the period is about, and those of the same value. */
  readonly times?: readonly string[];
}

export function buildConditions(input: ConditionInput): Conditions {
  const conditions: Conditions = { sql: [], parameters: {} };
  addTenancy(conditions, input.principal);
  addPeriod(conditions, input.period, input.times ?? ['hit_time']);
  for (const [name, values] of input.parameters) {
    if (COMMON_PARAMETERS.has(name) || input.own?.has(name) === true) continue;
    const type = input.columns.get(name);
    if (type === undefined) refuse(name, 'is no column of this report, nor a parameter');
    addFilter(conditions, name, type, values);
  }
  return conditions;
}
