/**
 * `/api/v1/transactions`: reading one, correcting one or many, entering conversions by hand. All of it becomes batches at
 * the edge, so that a change is stored before it is answered, judged by the workers alone, and made once.
 */
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { FILE_BYTES_MAX } from '../../batch/limits.ts';
import { parseEntity } from '../../catalogue/schema.ts';
import type { BatchKind } from '../../domain/hit.ts';
import { msOfUuidV7 } from '../../domain/uuid-v7.ts';
import type { BatchLineRow } from '../../reports/batches.ts';
import { tenancyOf, type Principal } from '../../reports/principal.ts';
import { findTransaction, firstLineOf, type TransactionRow } from '../../reports/transaction.ts';
import { principalOf, requireManager, type ApiContext } from '../context.ts';
import {
  bulkDocument,
  CORRECT_DOCUMENT,
  correctionLineSchema,
  correctionSchema,
  CREATE_DOCUMENT,
  manualSchema,
  READ_DOCUMENT,
} from '../documents/transactions.ts';
import { sendBatch, uploadOptions, type EdgeAnswer } from '../edge-batches.ts';
import { badRequest, forbidden, invalid, notFound, Problem } from '../problem.ts';

/** How long a single change is waited for; after that the answer is a receipt. */
const VERDICT_WAIT_MS = 10_000;
const VERDICT_LOOK_MS = 100;
/** A transaction that was acknowledged this recently may still be on its way to its row. */
const YOUNG_MS = 3_000;

/** The field of a manual conversion that a verdict is about. */
const FIELD_OF: Readonly<Record<string, string>> = {
  affiliate_not_found: 'affiliate_id',
  affiliate_not_active: 'affiliate_id',
  offer_not_deployed: 'affiliate_id',
  offer_not_found: 'offer_id',
  offer_not_active: 'offer_id',
  goal_not_found: 'goal_id',
  goal_not_active: 'goal_id',
  goal_cap_reached: 'goal_id',
  duplicate_order_id: 'adv_order_id',
  unique_track_id: 'track_id',
  unique_ip: 'ip',
};

/** Whoever may correct: managers everything, advertisers what is theirs. */
function correctorOf(request: FastifyRequest): Principal {
  const principal = principalOf(request);
  if (principal.role === 'affiliate')
    throw forbidden('transactions are corrected by managers and advertisers');
  return principal;
}

function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = parseEntity(schema, body, '');
  if ('value' in result) return result.value;
  const detail = result.faults.map(({ field, message }) => `${field}: ${message}`).join('; ');
  throw invalid(detail, result.faults);
}

/** Asks until there is an answer or it is late; undefined then. */
async function until<T>(
  deadlineMs: number,
  ask: () => Promise<T | undefined>,
): Promise<T | undefined> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined || Date.now() > deadlineMs) return answer;
    await pause(VERDICT_LOOK_MS);
  }
}

/** A transaction that exists for the asker. One that was just acknowledged is waited for. */
async function existing(
  context: ApiContext,
  principal: Principal,
  id: string,
): Promise<TransactionRow> {
  const madeMs = msOfUuidV7(id.toLowerCase());
  const row =
    madeMs === undefined
      ? undefined
      : await until(madeMs + YOUNG_MS, () =>
          findTransaction(context.clickhouse, principal, id.toLowerCase()),
        );
  if (row === undefined) throw notFound(`no transaction has the id ${id.slice(0, 100)}`);
  return row;
}

/** One line, as a batch of its own. */
async function sendOne(
  context: ApiContext,
  request: FastifyRequest,
  kind: BatchKind,
  principal: Principal,
  line: object,
): Promise<{ readonly answer: EdgeAnswer; readonly verdict: BatchLineRow | undefined }> {
  const { idempotencyKey, suppressPostbacks, signal } = uploadOptions(request);
  const answer = await sendBatch(
    context.batchGate,
    {
      kind,
      advertiserId: tenancyOf(principal)?.id ?? 0,
      author: principal.name,
      suppressPostbacks,
      idempotencyKey,
      body: JSON.stringify(line),
    },
    signal,
  );
  const verdict = await until(Date.now() + VERDICT_WAIT_MS, () =>
    firstLineOf(context.clickhouse, String(answer.receipt['batch_id'])),
  );
  return { answer, verdict };
}

function refuseRejected(verdict: BatchLineRow): void {
  if (verdict['verdict_code'] === 0) return;
  const slug = String(verdict['verdict']);
  const detail = `${verdict['verdict_code']} ${verdict['title']}: ${verdict['detail']}`;
  if (slug === 'transaction_not_found') throw notFound(detail);
  const field = FIELD_OF[slug];
  throw invalid(detail, field === undefined ? [] : [{ field, message: String(verdict['detail']) }]);
}

function sendReceipt(reply: FastifyReply, { status, receipt, repeated }: EdgeAnswer): FastifyReply {
  if (repeated) void reply.header('idempotent-replay', 'true');
  const url = receipt['status_url'];
  if (typeof url === 'string') void reply.header('location', url);
  return reply.status(status).send(receipt);
}

/** What a single change came to: the transaction as it is now, or a receipt when that takes longer. */
async function sendOutcome(
  context: ApiContext,
  reply: FastifyReply,
  principal: Principal,
  status: 200 | 201,
  { answer, verdict }: Awaited<ReturnType<typeof sendOne>>,
): Promise<FastifyReply> {
  if (verdict === undefined) return sendReceipt(reply, answer);
  refuseRejected(verdict);
  const id = String(verdict['transaction_id']);
  const row = await findTransaction(context.clickhouse, principal, id);
  if (row === undefined) throw new Problem(503, 'Service Unavailable', 'the row is not shown yet');
  if (answer.repeated) void reply.header('idempotent-replay', 'true');
  return reply.status(status).send(row);
}

function registerBulk(
  app: FastifyInstance,
  context: ApiContext,
  route: { readonly path: string; readonly kind: BatchKind; readonly schema: object },
  askerOf: (request: FastifyRequest) => Principal,
): void {
  app.post(
    route.path,
    { schema: route.schema, bodyLimit: FILE_BYTES_MAX },
    async (request, reply) => {
      const principal = askerOf(request);
      if (!(request.body instanceof Readable))
        throw badRequest('send a file: CSV with a header, NDJSON or a JSON array');
      const { signal, ...options } = uploadOptions(request);
      const answer = await sendBatch(
        context.batchGate,
        {
          ...options,
          kind: route.kind,
          advertiserId: tenancyOf(principal)?.id ?? 0,
          author: principal.name,
          body: Readable.toWeb(request.body) as ReadableStream,
        },
        signal,
      );
      return sendReceipt(reply, answer);
    },
  );
}

export function registerTransactionRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get<{ Params: { id: string } }>(
    '/api/v1/transactions/:id',
    { schema: READ_DOCUMENT },
    async (request) => existing(context, principalOf(request), request.params.id),
  );
  app.patch<{ Params: { id: string } }>(
    '/api/v1/transactions/:id',
    { schema: CORRECT_DOCUMENT },
    async (request, reply) => {
      const principal = correctorOf(request);
      const correction = parsed(correctionSchema, request.body);
      const { transaction_id } = await existing(context, principal, request.params.id);
      const line = { transaction_id, ...correction };
      const sent = await sendOne(context, request, 'corrections', principal, line);
      return sendOutcome(context, reply, principal, 200, sent);
    },
  );
  app.post('/api/v1/transactions', { schema: CREATE_DOCUMENT }, async (request, reply) => {
    const principal = requireManager(request);
    const line = parsed(manualSchema, request.body);
    const sent = await sendOne(context, request, 'manual', principal, line);
    return sendOutcome(context, reply, principal, 201, sent);
  });
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, payload, done) => {
      done(null, payload);
    });
    const corrections = {
      path: '/api/v1/transactions/bulk',
      kind: 'corrections' as const,
      schema: bulkDocument('Correct many transactions by a file', correctionLineSchema),
    };
    const manual = {
      path: '/api/v1/transactions/bulk-manual',
      kind: 'manual' as const,
      schema: bulkDocument('Enter many conversions by a file, without clicks', manualSchema),
    };
    registerBulk(scope, context, corrections, correctorOf);
    registerBulk(scope, context, manual, requireManager);
  });
}
