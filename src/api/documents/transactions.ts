/** What may be sent about transactions, and the routes that take it, for the OpenAPI document. */
import { z } from 'zod';
import { CONVERSION_STATUSES } from '../../domain/catalogue.ts';
import { canonicalIp } from '../../domain/ip-rules.ts';
import { isCurrency, isMoney, MONEY_RULE } from '../../domain/values.ts';
import { REPORTS } from '../../reports/definitions.ts';
import {
  jsonResponse,
  listOf,
  object,
  responses,
  sentSchema,
  type JsonSchema,
} from './document.ts';

const NOTES_MAX = 2_000;
const TEXT_MAX = 1_000;

const money = z
  .union([z.string(), z.number()])
  .refine((value) => isMoney(String(value)), `must be ${MONEY_RULE}`);
const text = z.string().max(TEXT_MAX);
const id = z.int().min(1);
const status = z.enum(CONVERSION_STATUSES);
const currency = z.string().refine(isCurrency, 'must be an ISO 4217 code, like EUR');
const notes = z.string().max(NOTES_MAX);

/** Fields that are left out stay as they are. */
export const correctionSchema = z
  .strictObject({
    conv_status: status.optional(),
    amount: money.optional(),
    payout: money.optional(),
    revenue: money.optional(),
    currency: currency.optional(),
    notes: notes.optional(),
    release: z
      .boolean()
      .optional()
      .describe('Frees the click, order id, track id, address and caps that the transaction holds'),
  })
  .refine((value) => Object.keys(value).length > 0, 'names nothing to change')
  .refine(
    ({ release, conv_status: to }) => release !== true || to === undefined || to === 'rejected',
    { path: ['release'], message: 'goes with conv_status rejected, or alone' },
  );

const numbered = (prefix: string): Record<string, z.ZodOptional<typeof text>> =>
  Object.fromEntries([1, 2, 3, 4, 5].map((n) => [`${prefix}${n}`, text.optional()]));

export const manualSchema = z
  .strictObject({
    affiliate_id: id,
    offer_id: id.optional(),
    goal_id: id.optional().describe("Without it and without goal_alias: the offer's default goal"),
    goal_alias: text.optional(),
    conv_status: status.optional(),
    amount: money.optional(),
    payout: money.optional(),
    revenue: money.optional(),
    currency: currency.optional(),
    notes: notes.optional(),
    ip: z
      .string()
      .refine((value) => canonicalIp(value) !== undefined, 'must be an IPv4 or IPv6 address')
      .optional(),
    track_id: text.optional(),
    adv_order_id: text.optional(),
    adv_user_id: text.optional(),
    ...numbered('sub_id'),
    ...numbered('aff_param'),
    ...numbered('adv_param'),
  })
  .refine((value) => value['offer_id'] !== undefined || value['goal_id'] !== undefined, {
    path: ['offer_id'],
    message: 'name the offer, or one of its goals by goal_id',
  });

const TAGS = ['transactions'];
const TEXT: JsonSchema = { type: 'string' };
const COUNT: JsonSchema = { type: 'integer', minimum: 0 };
const ID_PARAMETER = object({ id: { ...TEXT, description: 'transaction_id' } });
const TRANSACTION: JsonSchema = {
  type: 'object',
  description: `Columns as in the report, in its current state: ${[...(REPORTS.get('transactions')?.columns.keys() ?? [])].join(', ')}`,
};
const RECEIPT = object(
  {
    batch_id: TEXT,
    lines: COUNT,
    hits: COUNT,
    rejected: listOf(object({ line: COUNT, column: {}, error: TEXT })),
    rejected_lines: COUNT,
    ignored_columns: listOf(TEXT),
    status_url: TEXT,
    dry_run: { type: 'boolean' },
  },
  ['lines', 'hits', 'rejected', 'rejected_lines', 'ignored_columns'],
);
const STORED = jsonResponse(
  'It is stored, and judged as soon as can be: status_url says when and how',
  RECEIPT,
);
const HEADERS = object(
  {
    'idempotency-key': {
      ...TEXT,
      description: 'The same key with the same content again is answered as the first time',
    },
  },
  [],
);

export const READ_DOCUMENT: JsonSchema = {
  tags: TAGS,
  summary: 'A transaction in its current state',
  params: ID_PARAMETER,
  response: responses({ 200: jsonResponse('The transaction', TRANSACTION) }, [404]),
};

export const CORRECT_DOCUMENT: JsonSchema = {
  tags: TAGS,
  summary: 'Correct a transaction: status, amounts, notes; release what it holds',
  params: ID_PARAMETER,
  headers: HEADERS,
  body: sentSchema(correctionSchema),
  response: responses(
    { 200: jsonResponse('As it is now', TRANSACTION), 202: STORED },
    [400, 403, 404, 409, 422],
  ),
};

export const CREATE_DOCUMENT: JsonSchema = {
  tags: TAGS,
  summary:
    'Enter a conversion by hand, without a click. The same checks and the same gate judge it',
  headers: HEADERS,
  body: sentSchema(manualSchema),
  response: responses(
    { 201: jsonResponse('The transaction', TRANSACTION), 202: STORED },
    [400, 403, 409, 422],
  ),
};

export function bulkDocument(summary: string, schema: z.ZodType): JsonSchema {
  const line = sentSchema(schema);
  return {
    tags: TAGS,
    summary,
    headers: HEADERS,
    querystring: object(
      {
        dry_run: { type: 'string', enum: ['1'], description: 'Reads and says, stores nothing' },
        suppress_postbacks: {
          type: 'string',
          enum: ['1'],
          description: 'Tells affiliates nothing',
        },
      },
      [],
    ),
    body: {
      content: {
        'application/json': { schema: listOf(line) },
        'application/x-ndjson': { schema: TEXT },
        'text/csv': { schema: TEXT },
        'application/octet-stream': { schema: TEXT },
      },
    },
    response: responses(
      { 202: STORED, 200: jsonResponse('Of a dry run', RECEIPT) },
      [400, 403, 409, 413, 415],
    ),
  };
}

/** A line of a file of corrections names its transaction itself. */
export const correctionLineSchema = z.looseObject({
  transaction_id: z.string(),
  conv_status: status.optional(),
  amount: money.optional(),
  payout: money.optional(),
  revenue: money.optional(),
  currency: currency.optional(),
  notes: notes.optional(),
  release: z.boolean().optional(),
});
