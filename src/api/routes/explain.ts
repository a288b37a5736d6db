/** `/api/v1/explain` and `/api/v1/explain/test`, for managers and advertisers. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { parseEntity } from '../../catalogue/schema.ts';
import type { Principal } from '../../reports/principal.ts';
import { principalOf, queryParameters, type ApiContext } from '../context.ts';
import {
  jsonResponse,
  listOf,
  nullable,
  object,
  responses,
  sentSchema,
  type JsonSchema,
} from '../documents/document.ts';
import { EXPLAIN_KEYS, REQUEST_FIELDS, explain } from '../explain/stored.ts';
import { explainTest } from '../explain/test-call.ts';
import { badRequest, forbidden } from '../problem.ts';

/** URLs are taken apart as the tracker does; a path alone will do. */
const BASE = 'http://tracker';
const testSchema = z.strictObject({
  url: z
    .string()
    .max(16 * 1024)
    .refine(
      (text) => URL.canParse(text, BASE),
      'must be the URL of a tracking link, postback or pixel',
    ),
});

const TEXT: JsonSchema = { type: 'string' };
const ANY_ROW: JsonSchema = { type: 'object', description: 'Columns as in SQL' };
const VERDICT: JsonSchema = {
  verdict_code: { type: 'integer' },
  verdict: TEXT,
  title: TEXT,
  detail: TEXT,
  hint: TEXT,
  blocking_transaction_id: TEXT,
};
const CHECKS = listOf(
  object({
    check: TEXT,
    outcome: { type: 'string', enum: ['passed', 'failed', 'skipped'] },
    evidence: TEXT,
  }),
);
const CLICK = nullable('object', { description: 'The click, when it is the asker’s' });
const CALL: JsonSchema = {
  hit_id: TEXT,
  hit_time: TEXT,
  ...VERDICT,
  request: object(Object.fromEntries(REQUEST_FIELDS.map((name) => [name, TEXT]))),
  catalogue_version: { type: 'integer' },
  checks: CHECKS,
  click: CLICK,
  transactions: listOf(ANY_ROW),
  events: listOf(ANY_ROW),
  row: ANY_ROW,
};

const STORED_DOCUMENT: JsonSchema = {
  tags: ['explain'],
  summary: 'Why a stored call got its verdict. Name one of the parameters',
  querystring: object(Object.fromEntries([...EXPLAIN_KEYS.keys()].map((name) => [name, TEXT])), []),
  response: responses(
    {
      200: jsonResponse(
        'The first call, and all calls and clicks under the id. Of a click alone the request holds what is stored of it',
        object({ ...CALL, calls: listOf(object(CALL)), clicks: listOf(ANY_ROW) }, [
          'hit_id',
          'hit_time',
          ...Object.keys(VERDICT),
          'request',
          'catalogue_version',
          'checks',
          'click',
          'calls',
          'clicks',
        ]),
      ),
    },
    [400, 403, 404],
  ),
};
const TEST_DOCUMENT: JsonSchema = {
  tags: ['explain'],
  summary: 'What a URL would become if it were called now. Records nothing, claims nothing',
  body: sentSchema(testSchema),
  response: responses(
    {
      200: jsonResponse(
        'The verdict',
        object({ ...VERDICT, checks: CHECKS, click: CLICK, recorded: { const: false } }),
      ),
    },
    [400, 403, 404],
  ),
};

/** A request holds what the advertiser sent, prices included: that is not for affiliates. */
function explainerOf(request: FastifyRequest): Principal {
  const principal = principalOf(request);
  if (principal.role === 'affiliate') throw forbidden('explain is for managers and advertisers');
  return principal;
}

export function registerExplainRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get('/api/v1/explain', { schema: STORED_DOCUMENT }, async (request) => {
    const principal = explainerOf(request);
    const [first, ...more] = queryParameters(request);
    if (first === undefined || more.length > 0) {
      const message = `name exactly one of ${[...EXPLAIN_KEYS.keys()].join(', ')}`;
      throw badRequest(message, [{ field: more[0]?.[0] ?? 'hit_id', message }]);
    }
    const [key, values] = first;
    return explain(context, principal, key, values.at(-1) ?? '');
  });
  app.post('/api/v1/explain/test', { schema: TEST_DOCUMENT }, async (request) => {
    const principal = explainerOf(request);
    const parsed = parseEntity(testSchema, request.body, '');
    if ('faults' in parsed) throw badRequest('send {"url": "https://…/track/…"}', parsed.faults);
    return explainTest(context, principal, new URL(parsed.value.url, BASE), request.ip);
  });
}
