/** The reports' routes for the OpenAPI document, from the definitions that their SQL is built from. */
import {
  BREAKDOWNS,
  MEASURES,
  STATISTICS_FILTERS,
  type ColumnType,
  type Report,
} from '../../reports/definitions.ts';
import { LIMIT_MAX } from '../../reports/parameters.ts';
import { FILE_FORMATS } from '../report-file.ts';
import { listOf, nullable, object, responses, type JsonSchema } from './document.ts';

const TYPES: Readonly<Record<ColumnType, JsonSchema>> = {
  String: { type: 'string' },
  Enum: { type: 'string' },
  UInt16: { type: 'integer', minimum: 0 },
  UInt32: { type: 'integer', minimum: 0 },
  UInt64: { type: 'integer', minimum: 0 },
  DateTime: nullable('string', { description: 'YYYY-MM-DD hh:mm:ss.mmm, UTC' }),
  Date: { type: 'string', format: 'date' },
  Decimal: nullable('number'),
  Total: { type: 'number' },
  Float64: { type: 'number' },
};

const FILE_SCHEMA: JsonSchema = { type: 'string' };

function rowOf(columns: Iterable<readonly [string, ColumnType]>): JsonSchema {
  const properties = [...columns].map(([name, type]) => [name, TYPES[type]]);
  // Hidden columns are absent for a role that may not see them.
  return object(Object.fromEntries(properties), []);
}

function filtersOf(columns: Iterable<readonly [string, ColumnType]>): JsonSchema {
  const filters = [...columns]
    .filter(([, type]) => type !== 'DateTime')
    .map(([name, type]) => [name, listOf(type === 'Decimal' ? { type: 'number' } : TYPES[type])]);
  return Object.fromEntries(filters);
}

function sortOf(columns: readonly string[], fallback: string): JsonSchema {
  return {
    type: 'string',
    enum: columns.flatMap((name) => [name, `-${name}`]),
    description: `A column; a minus before it: descending. Default: ${fallback}`,
  };
}

function common(limitDefault: number): JsonSchema {
  const bound = 'A date, inclusive, in tz; or an instant (from inclusive, to exclusive)';
  return {
    from: { type: 'string', description: bound },
    to: { type: 'string', description: bound },
    tz: { type: 'string', default: 'UTC', description: 'IANA zone that dates are in' },
    limit: { type: 'integer', minimum: 1, maximum: LIMIT_MAX, default: limitDefault },
    cursor: { type: 'string', description: 'next_cursor of the page before, same sort' },
    format: { type: 'string', enum: ['json', ...FILE_FORMATS.keys()], default: 'json' },
  };
}

function answers(row: JsonSchema): JsonSchema {
  const files = [...FILE_FORMATS.values()].map(({ type }) => [
    type.split(';')[0] ?? type,
    { schema: FILE_SCHEMA },
  ]);
  const page = object({ rows: listOf(row), next_cursor: nullable('string') });
  return responses(
    {
      200: {
        description: 'A page as JSON, or the whole as a file',
        content: { 'application/json': { schema: page }, ...Object.fromEntries(files) },
      },
    },
    [400, 403],
  );
}

export function reportDocument(name: string, report: Report): JsonSchema {
  const columns = [...report.columns.keys()];
  return {
    tags: ['reports'],
    summary: `Report: ${name.replaceAll('-', ' ')}. For ${report.roles.join(', ')}`,
    querystring: object(
      { ...common(100), sort: sortOf(columns, `-${report.time}`), ...filtersOf(report.columns) },
      [],
    ),
    response: answers(rowOf(report.columns)),
  };
}

export function statisticsDocument(): JsonSchema {
  const groups = [...BREAKDOWNS].map(([name, { type }]) => [name, type] as const);
  const columns = [...groups, ...MEASURES];
  return {
    tags: ['reports'],
    summary: 'Report: counts and money by any breakdown, from the stored rows',
    querystring: object(
      {
        breakdown: {
          type: 'string',
          default: 'day',
          description: `One of ${[...BREAKDOWNS.keys()].join(', ')}, or several with commas`,
        },
        ...common(LIMIT_MAX),
        sort: sortOf(
          columns.map(([name]) => name),
          'the first breakdown',
        ),
        ...filtersOf(STATISTICS_FILTERS),
      },
      [],
    ),
    response: answers(rowOf(columns)),
  };
}
