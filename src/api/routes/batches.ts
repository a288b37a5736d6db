/** `/api/v1/batches/…`: how far a batch is, and the verdict of every line as JSON, NDJSON or CSV, streamed. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { BATCH_KINDS } from '../../domain/hit.ts';
import {
  batchLines,
  batchStatus,
  findBatch,
  LINE_COLUMNS,
  verdictCodes,
  type BatchLineRow,
  type StoredBatch,
} from '../../reports/batches.ts';
import { principalOf, queryParameters, type ApiContext } from '../context.ts';
import {
  jsonResponse,
  listOf,
  nullable,
  object,
  responses,
  type JsonSchema,
} from '../documents/document.ts';
import { badRequest, notFound } from '../problem.ts';

interface LineFormat {
  readonly type: string;
  readonly head: string;
  readonly between: string;
  readonly tail: string;
  readonly encode: (row: BatchLineRow) => string;
}

/** A spreadsheet takes a cell that begins so for a formula. */
const FORMULA_START = /^[=+\-@\t\r\n＝＋－＠]/;

function csvCell(value: string | number | null): string {
  if (typeof value !== 'string') return value === null ? '' : String(value);
  const safe = FORMULA_START.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const FORMATS: ReadonlyMap<string, LineFormat> = new Map([
  [
    'json',
    {
      type: 'application/json; charset=utf-8',
      head: '{"rows":[',
      between: ',\n',
      tail: '],"next_cursor":null}',
      encode: (row) => JSON.stringify(row),
    },
  ],
  [
    'ndjson',
    {
      type: 'application/x-ndjson',
      head: '',
      between: '\n',
      tail: '\n',
      encode: (row) => JSON.stringify(row),
    },
  ],
  [
    'csv',
    {
      type: 'text/csv; charset=utf-8',
      head: `${LINE_COLUMNS.join(',')}\n`,
      between: '\n',
      tail: '\n',
      encode: (row) => LINE_COLUMNS.map((name) => csvCell(row[name] ?? null)).join(','),
    },
  ],
]);

async function* encoded(
  pages: AsyncIterable<readonly BatchLineRow[]>,
  format: LineFormat,
): AsyncGenerator<string> {
  yield format.head;
  let first = true;
  for await (const page of pages) {
    yield `${first ? '' : format.between}${page.map(format.encode).join(format.between)}`;
    first = false;
  }
  if (!first || format.tail !== '\n') yield format.tail;
}

const TEXT: JsonSchema = { type: 'string' };
const COUNT: JsonSchema = { type: 'integer', minimum: 0 };
const TAGS = ['batches'];
const PARAMETERS = object({ id: { ...TEXT, description: 'batch_id of the receipt' } });
const STATUS_DOCUMENT: JsonSchema = {
  tags: TAGS,
  summary: 'How far a batch is, and its lines by verdict',
  params: PARAMETERS,
  response: responses(
    {
      200: jsonResponse(
        'The batch',
        object({
          batch_id: TEXT,
          advertiser_id: COUNT,
          received_at: TEXT,
          uploaded_by: TEXT,
          kind: { type: 'string', enum: [...BATCH_KINDS] },
          author: TEXT,
          format: { type: 'string', enum: ['csv', 'ndjson', 'json'] },
          state: { type: 'string', enum: ['judging', 'done'] },
          lines: COUNT,
          hits: COUNT,
          judged: COUNT,
          progress: { type: 'number', minimum: 0, maximum: 1 },
          verdicts: { type: 'object', additionalProperties: COUNT },
          rejected_lines: COUNT,
          rejected: {
            ...listOf(object({ line: COUNT, column: {}, error: TEXT })),
            description: 'The first 1,000 lines that can only become 120',
          },
          lines_url: TEXT,
        }),
      ),
    },
    [404],
  ),
};
const LINES_DOCUMENT: JsonSchema = {
  tags: TAGS,
  summary: 'The verdict of every judged line, in order, whole and streamed',
  params: PARAMETERS,
  querystring: object(
    {
      verdict: { ...listOf(TEXT), description: 'Slugs or codes; none: all' },
      format: { type: 'string', enum: ['json', 'ndjson', 'csv'], default: 'json' },
    },
    [],
  ),
  response: responses(
    {
      200: {
        description: 'The lines',
        content: {
          'application/json': {
            schema: object({
              rows: listOf({ type: 'object', description: LINE_COLUMNS.join(', ') }),
              next_cursor: nullable('string'),
            }),
          },
          'application/x-ndjson': { schema: TEXT },
          'text/csv': { schema: TEXT },
        },
      },
    },
    [400, 404],
  ),
};

async function batchOf(
  context: ApiContext,
  request: FastifyRequest<{ Params: { id: string } }>,
): Promise<StoredBatch> {
  const { id } = request.params;
  const batch = await findBatch(context.clickhouse, principalOf(request), id);
  if (batch === undefined) throw notFound(`no batch has the id ${id.slice(0, 100)}`);
  return batch;
}

/** `?format=` decides, else what the client accepts. */
function formatOf(asked: string | undefined, accept: string): LineFormat {
  const name = asked ?? (accept.startsWith('text/csv') ? 'csv' : 'json');
  const format = FORMATS.get(name);
  if (format === undefined)
    throw badRequest('format must be json, csv or ndjson', [
      { field: 'format', message: 'must be json, csv or ndjson' },
    ]);
  return format;
}

export function registerBatchRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get<{ Params: { id: string } }>(
    '/api/v1/batches/:id',
    { schema: STATUS_DOCUMENT },
    async (request) => batchStatus(context.clickhouse, await batchOf(context, request)),
  );
  app.get<{ Params: { id: string } }>(
    '/api/v1/batches/:id/lines',
    { schema: LINES_DOCUMENT },
    async (request, reply) => {
      const batch = await batchOf(context, request);
      const parameters = queryParameters(request);
      const codes = verdictCodes((parameters.get('verdict') ?? []).filter((text) => text !== ''));
      if (codes === undefined) {
        const message = 'must be a slug or a code, like goal_cap_reached or 107';
        throw badRequest(`verdict ${message}`, [{ field: 'verdict', message }]);
      }
      const format = formatOf(parameters.get('format')?.at(-1), request.headers.accept ?? '');
      const pages = batchLines(context.clickhouse, batch, codes);
      return reply
        .header('content-type', format.type)
        .send(Readable.from(encoded(pages, format), { objectMode: false }));
    },
  );
}
