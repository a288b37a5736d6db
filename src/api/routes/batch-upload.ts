/**
 * `POST /api/v1/batches`: an upload of a signed-in user, who has no API key, handed on to the edge as it comes. The edge
 * does all of the work and all of the refusing; here is only decided whose batch it is. Keys go to the edge themselves.
 */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { FILE_BYTES_MAX } from '../../batch/limits.ts';
import { principalOf, queryParameters, type ApiContext } from '../context.ts';
import { sendBatch, uploadOptions } from '../edge-batches.ts';
import { forbidden, invalid, Problem } from '../problem.ts';

const DOCUMENT = {
  tags: ['batches'],
  summary:
    'Upload a batch as a signed-in user; with an API key send it to /track/batch of the edge',
  hide: true,
};

function advertiserOf(request: FastifyRequest): number {
  const principal = principalOf(request);
  if (principal.role === 'affiliate') throw forbidden('batches are for managers and advertisers');
  if (principal.role === 'advertiser') return principal.advertiserId;
  const id = Number(queryParameters(request).get('advertiser_id')?.at(-1));
  if (!Number.isInteger(id) || id < 1)
    throw invalid('the values are not valid', [
      { field: 'advertiser_id', message: 'says whose batch it is' },
    ]);
  return id;
}

async function handOn(
  gate: ApiContext['batchGate'],
  request: FastifyRequest,
  reply: FastifyReply,
  advertiserId: number,
): Promise<FastifyReply> {
  const { signal, ...options } = uploadOptions(request);
  const { status, receipt } = await sendBatch(
    gate,
    {
      ...options,
      kind: 'postbacks',
      advertiserId,
      author: principalOf(request).name,
      // The parser of this route's scope leaves the body a stream.
      body: Readable.toWeb(request.body as Readable) as ReadableStream,
    },
    signal,
  );
  return reply.status(status).send(receipt);
}

export function registerBatchUploadRoute(
  app: FastifyInstance,
  { batchGate: gate }: Pick<ApiContext, 'batchGate'>,
): void {
  void app.register(async (scope) => {
    scope.addContentTypeParser('application/octet-stream', (_request, payload, done) => {
      done(null, payload);
    });
    scope.post(
      '/api/v1/batches',
      { schema: DOCUMENT, bodyLimit: FILE_BYTES_MAX },
      (request, reply) => {
        const advertiserId = advertiserOf(request);
        if (request.user === null)
          throw forbidden('send it to /track/batch of the tracking front, with the same key');
        if (request.headers['content-type'] !== 'application/octet-stream')
          throw new Problem(415, 'Unsupported Media Type', 'send application/octet-stream');
        return handOn(gate, request, reply, advertiserId);
      },
    );
  });
}
