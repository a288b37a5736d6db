/** `/api/v1/tail`: verdicts as they happen, as server-sent events. Lossy by design: a slow reader misses, nothing waits. */
import type { FastifyInstance } from 'fastify';
import type { Principal } from '../../reports/principal.ts';
import { principalOf, queryParameters, type ApiContext } from '../context.ts';
import { badRequest, forbidden } from '../problem.ts';

const FILTERS = new Set([
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
]);
const HEARTBEAT_MS = 15_000;
/** Bytes that may wait for a reader; beyond, events are dropped for it. */
const BUFFER_BYTES_MAX = 1024 * 1024;

function isVisible(principal: Principal, event: Record<string, unknown>): boolean {
  if (principal.role === 'manager') return true;
  return principal.role === 'advertiser' && event['advertiser_id'] === principal.advertiserId;
}

export function registerTailRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get('/api/v1/tail', async (request, reply) => {
    const principal = principalOf(request);
    if (principal.role === 'affiliate') throw forbidden('the tail is for managers and advertisers');
    const filters = queryParameters(request);
    for (const name of filters.keys())
      if (!FILTERS.has(name))
        throw badRequest(`${name} is no filter: use ${[...FILTERS].join(', ')}`);
    const subscriber = context.createSubscriber();
    reply.hijack();
    reply.raw.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      connection: 'keep-alive',
    });
    reply.raw.write(': listening\n\n');
    subscriber.on('message', (_channel: string, lines: string) => {
      for (const line of lines.split('\n')) {
        const event = JSON.parse(line) as Record<string, unknown>;
        const wanted = [...filters].every(([name, values]) => values.includes(String(event[name])));
        if (wanted && isVisible(principal, event) && reply.raw.writableLength < BUFFER_BYTES_MAX) {
          reply.raw.write(`event: verdict\ndata: ${line}\n\n`);
        }
      }
    });
    const heartbeat = setInterval(() => reply.raw.write(': still here\n\n'), HEARTBEAT_MS);
    reply.raw.once('close', () => {
      clearInterval(heartbeat);
      subscriber.disconnect();
    });
    await subscriber.subscribe(context.keys.verdictTail);
  });
}
