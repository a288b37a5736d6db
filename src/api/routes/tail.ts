/** `/api/v1/tail`: verdicts as they happen, as server-sent events. A revoked key ends its streams. */
import type { ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { messageOf } from '../../domain/app-error.ts';
import { ownsRow, tenancyOf, type Principal } from '../../reports/principal.ts';
import { identify } from '../authentication.ts';
import { principalOf, queryParameters, type ApiContext } from '../context.ts';
import { listOf, object, responses, type JsonSchema } from '../documents/document.ts';
import { badRequest, forbidden, Problem } from '../problem.ts';
import type { TailEvent, TailHub } from '../tail-hub.ts';

const FILTERS: readonly string[] = [
  'offer_id',
  'goal_id',
  'affiliate_id',
  'advertiser_id',
  'verdict',
  'verdict_code',
  'ip',
  'channel',
  'endpoint',
  'click_id',
];
const HEARTBEAT_MS = 15_000;
const REVOCATION_MS = 1_000;
/** Bytes that may wait for a reader; beyond, events are dropped for it. */
const BUFFER_BYTES_MAX = 1024 * 1024;
/** Open streams of this process. */
const STREAMS_MAX = 200;

const DOCUMENT: JsonSchema = {
  tags: ['tail'],
  summary: 'Verdicts as they happen (server-sent events), for managers and advertisers',
  querystring: object(
    Object.fromEntries(FILTERS.map((name) => [name, listOf({ type: 'string' })])),
    [],
  ),
  response: responses(
    {
      200: {
        description: 'Events named `verdict`, a JSON object each; comments keep the line open',
        content: { 'text/event-stream': { schema: { type: 'string' } } },
      },
    },
    [400, 403],
  ),
};

type Filters = ReadonlyMap<string, readonly string[]>;

function filtersOf(request: FastifyRequest): Filters {
  const filters = queryParameters(request);
  for (const name of filters.keys()) {
    const message = `is no filter: use ${FILTERS.join(', ')}`;
    if (!FILTERS.includes(name))
      throw badRequest(`${name.slice(0, 100)} ${message}`, [
        { field: name.slice(0, 100), message },
      ]);
  }
  return filters;
}

function isWanted(filters: Filters, principal: Principal, event: TailEvent): boolean {
  if (!ownsRow(principal, event)) return false;
  return [...filters].every(([name, values]) => values.includes(String(event[name])));
}

function seesTheSame(one: Principal, other: Principal): boolean {
  return one.role === other.role && tenancyOf(one)?.id === tenancyOf(other)?.id;
}

/** Ends the stream when the request's credentials are no longer good, or are those of someone who sees other rows. */
function watchCredentials(
  context: ApiContext,
  request: FastifyRequest,
  began: Principal,
  response: ServerResponse,
): NodeJS.Timeout {
  return setInterval(() => {
    identify(context, request).then(
      (principal) => {
        if (principal === undefined || !seesTheSame(began, principal)) response.end();
      },
      // Not known is not revoked: an outage of the store ends no stream.
      (error: unknown) => context.logger.debug({ error: messageOf(error) }, 'keys were not read'),
    );
  }, REVOCATION_MS);
}

export function registerTailRoutes(app: FastifyInstance, context: ApiContext, hub: TailHub): void {
  app.get('/api/v1/tail', { schema: DOCUMENT }, async (request, reply) => {
    const principal = principalOf(request);
    if (principal.role === 'affiliate') throw forbidden('the tail is for managers and advertisers');
    const filters = filtersOf(request);
    if (hub.listeners >= STREAMS_MAX)
      throw new Problem(503, 'Service Unavailable', `${STREAMS_MAX} tails are open already`);
    const response = reply.raw;
    reply.hijack();
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      connection: 'keep-alive',
      // nginx would collect events before it passes them on.
      'x-accel-buffering': 'no',
    });
    response.flushHeaders();
    const { ready, leave } = hub.listen((event, line) => {
      if (response.writableLength < BUFFER_BYTES_MAX && isWanted(filters, principal, event))
        response.write(`event: verdict\ndata: ${line}\n\n`);
    });
    ready.then(
      () => void response.write(': listening\n\n'),
      (error: unknown) => {
        context.logger.warn({ error: messageOf(error) }, 'a tail could not subscribe');
        response.end();
      },
    );
    const heartbeat = setInterval(() => response.write(': still here\n\n'), HEARTBEAT_MS);
    const watch = watchCredentials(context, request, principal, response);
    response.once('close', () => {
      clearInterval(heartbeat);
      clearInterval(watch);
      leave();
    });
  });
}
