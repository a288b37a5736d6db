/** The replay routes for the OpenAPI document. */
import { z } from 'zod';
import { filterSchema } from '../replays/selection.ts';
import {
  jsonResponse,
  listOf,
  object,
  responses,
  sentSchema,
  type JsonSchema,
} from './document.ts';

export const ROWS_MAX = 1_000;
const ROWS_DEFAULT = 100;

export const previewSchema = z.strictObject({
  filter: filterSchema,
  rows: z.number().int().min(0).max(ROWS_MAX).default(ROWS_DEFAULT),
});

export const runSchema = z.strictObject({
  filter: filterSchema.optional(),
  selection: z.string().max(1_000_000).optional().describe('Of a preview: these calls, no others'),
  suppress_postbacks: z.boolean().default(false).describe('Affiliates are not told'),
});

const TEXT: JsonSchema = { type: 'string' };
const COUNT: JsonSchema = { type: 'integer', minimum: 0 };
const MONEY: JsonSchema = { type: ['string', 'null'] };
const TAGS = ['replays'];
const COUNTS: JsonSchema = { type: 'object', additionalProperties: COUNT };
const STATUS = object({
  replay_id: TEXT,
  asked_at: TEXT,
  author: TEXT,
  state: { type: 'string', enum: ['judging', 'done'] },
  hits: COUNT,
  judged: COUNT,
  progress: { type: 'number', minimum: 0, maximum: 1 },
  verdicts: { ...COUNTS, description: 'Hits by new verdict' },
  lines_url: TEXT,
});
const KEY_HEADER = object(
  { 'idempotency-key': { ...TEXT, description: 'The same key again: the same replay' } },
  [],
);

export const PREVIEW_DOCUMENT: JsonSchema = {
  tags: TAGS,
  summary:
    'What the rejected calls that match would become if they were replayed now. Records nothing. For managers',
  body: sentSchema(previewSchema),
  response: responses(
    {
      200: jsonResponse(
        'Counts by old and new verdict, and the first calls',
        object({
          calls: { ...COUNT, description: 'That a replay would take' },
          counted_before: { ...COUNT, description: 'That match and count by an earlier replay' },
          rejected_as: { ...COUNTS, description: 'All of them by the verdict they have' },
          judged: { ...COUNT, description: 'The first in order of receipt, which were judged' },
          changes: listOf(object({ from: TEXT, to: TEXT, calls: COUNT })),
          rows: listOf(
            object({
              hit_id: TEXT,
              hit_time: TEXT,
              from: TEXT,
              to: TEXT,
              title: TEXT,
              detail: TEXT,
              hint: TEXT,
              blocking_transaction_id: TEXT,
              offer_id: COUNT,
              goal_id: COUNT,
              affiliate_id: COUNT,
              conv_status: TEXT,
              payout: MONEY,
              revenue: MONEY,
              currency: TEXT,
            }),
          ),
          catalogue_version: COUNT,
          selection: { ...TEXT, description: 'Replays exactly these calls' },
        }),
      ),
    },
    [400, 403, 422],
  ),
};

export const RUN_DOCUMENT: JsonSchema = {
  tags: TAGS,
  summary: 'Replay rejected calls: a filter, or the selection of a preview. For managers',
  body: sentSchema(runSchema),
  headers: KEY_HEADER,
  response: responses(
    {
      202: jsonResponse(
        'It is stored and goes on by itself',
        object({ replay_id: TEXT, hits: COUNT, status_url: TEXT }),
      ),
    },
    [400, 403, 409, 422],
  ),
};

export const LIST_DOCUMENT: JsonSchema = {
  tags: TAGS,
  summary: 'The newest 100 replays. For managers',
  response: responses({ 200: jsonResponse('Replays', object({ rows: listOf(STATUS) })) }, [403]),
};

export const STATUS_DOCUMENT: JsonSchema = {
  tags: TAGS,
  summary: 'How far a replay is, and its calls by their new verdict. For managers',
  params: object({ id: { ...TEXT, description: 'replay_id of the answer' } }),
  response: responses({ 200: jsonResponse('The replay', STATUS) }, [403, 404]),
};
