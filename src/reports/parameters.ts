/** Query parameters of reports: reading them, and refusing them by name. No SQL here. */
import { instantOfWall, isTimeZone } from '../domain/time-buckets.ts';

export interface ReportFault {
  readonly field: string;
  readonly message: string;
}

/** `why` says how the API answers: bad parameters, a report that is not for the asker's role, or none of that name. */
export class ReportRefused extends Error {
  readonly faults: readonly ReportFault[];
  readonly why: 'invalid' | 'forbidden' | 'unknown';
  constructor(faults: readonly ReportFault[], why: 'invalid' | 'forbidden' | 'unknown') {
    super(faults.map(({ field, message }) => `${field}: ${message}`).join('; '));
    this.faults = faults;
    this.why = why;
  }
}

export function refuse(field: string, message: string): never {
  throw new ReportRefused([{ field, message }], 'invalid');
}

/** Query parameters as they came; a repeated one is a list. */
export type ReportParameters = ReadonlyMap<string, readonly string[]>;

/** Parameters that are not filters. */
export const COMMON_PARAMETERS: ReadonlySet<string> = new Set([
  'from',
  'to',
  'tz',
  'sort',
  'limit',
  'cursor',
  'format',
]);
export const LIMIT_MAX = 1_000;
const DAY_MS = 86_400_000;
const YEAR_MIN = 1970;
const YEAR_MAX = 2200;
const SHAPE = 'must be a date like 2026-05-31 or an instant like 2026-05-31T10:00:00Z';

export function single(parameters: ReportParameters, name: string): string | undefined {
  const value = parameters.get(name)?.at(-1);
  return value === '' ? undefined : value;
}

export function parseLimit(parameters: ReportParameters, fallback: number): number {
  const text = single(parameters, 'limit') ?? String(fallback);
  const limit = Number(text);
  if (!/^[0-9]+$/.test(text) || limit < 1 || limit > LIMIT_MAX)
    refuse('limit', `must be a whole number from 1 to ${LIMIT_MAX}`);
  return limit;
}

/** The zone under the name that every engine knows; offsets like +02:00 have no clock changes and are refused. */
export function parseZone(parameters: ReportParameters): string {
  const zone = single(parameters, 'tz') ?? 'UTC';
  if (!/^[A-Za-z]/.test(zone) || !isTimeZone(zone))
    refuse('tz', 'must be an IANA time zone like Europe/Berlin');
  return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone;
}

/** A `+` in a query string arrives as a space. */
const INSTANT =
  /^(\d{4}-\d{2}-\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?(?:(Z)|([+ -])(\d{2}):?(\d{2}))?$/i;

/** Midnight of a calendar date, written as if the wall were UTC; undefined for a date that does not exist. */
function wallOfDate(text: string): number | undefined {
  const ms = Date.parse(`${text}T00:00:00Z`);
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== text) return undefined;
  const year = Number(text.slice(0, 4));
  return year >= YEAR_MIN && year <= YEAR_MAX ? ms : undefined;
}

/** An instant; without an offset it is wall time of the zone. Undefined: not an instant. */
function parseInstant(text: string, zone: string): number | undefined {
  const match = INSTANT.exec(text);
  if (match === null) return undefined;
  const [, date = '', hour, minute, second = '0', fraction = '0', utc, sign] = match;
  const midnight = wallOfDate(date);
  if (midnight === undefined || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59)
    return undefined;
  const wall =
    midnight +
    Number(hour) * 3_600_000 +
    Number(minute) * 60_000 +
    Number(second) * 1_000 +
    Number(fraction.padEnd(3, '0'));
  if (utc !== undefined) return wall;
  if (sign === undefined) return instantOfWall(zone, wall);
  const offset = (Number(match[8]) * 60 + Number(match[9])) * 60_000;
  return sign === '-' ? wall + offset : wall - offset;
}

export interface Period {
  /** First ms of the period. */
  readonly fromMs: number | undefined;
  /** First ms after the period: a `to` date is inclusive, so it is the next midnight of the zone. */
  readonly toMs: number | undefined;
}

const isDate = (text: string): boolean => /^\d{4}-\d{2}-\d{2}$/.test(text);

function parseBound(
  parameters: ReportParameters,
  name: 'from' | 'to',
  zone: string,
): number | undefined {
  const text = single(parameters, name);
  if (text === undefined) return undefined;
  if (isDate(text)) {
    const wall = wallOfDate(text) ?? refuse(name, SHAPE);
    return instantOfWall(zone, name === 'to' ? wall + DAY_MS : wall);
  }
  return parseInstant(text, zone) ?? refuse(name, SHAPE);
}

export function parsePeriod(parameters: ReportParameters, zone: string): Period {
  const period = {
    fromMs: parseBound(parameters, 'from', zone),
    toMs: parseBound(parameters, 'to', zone),
  };
  const { fromMs, toMs } = period;
  const [from = '', to = ''] = [single(parameters, 'from'), single(parameters, 'to')];
  // Days are compared as days: one that ends where the other begins is before it, one that a zone skipped is not.
  const isReversed =
    isDate(from) && isDate(to)
      ? to < from
      : fromMs !== undefined && toMs !== undefined && toMs < fromMs;
  if (isReversed) refuse('to', 'is before from');
  return period;
}
