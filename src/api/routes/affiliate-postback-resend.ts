/** `POST /api/v1/affiliate-postbacks/POSTBACK_ID/resend`: sends a postback once more, whatever became of it. */
import type { FastifyInstance } from 'fastify';
import { prepareAttempts } from '../../../clickhouse/affiliate-postback-log.ts';
import { messageOf } from '../../domain/app-error.ts';
import { createAffiliatePostbackQueue } from '../../queue/affiliate-postback-queue.ts';
import { findResend, requestOf } from '../../reports/affiliate-postbacks.ts';
import { principalOf, type ApiContext } from '../context.ts';
import { jsonResponse, object, responses } from '../documents/document.ts';
import { conflict, notFound } from '../problem.ts';

const DOCUMENT = {
  tags: ['reports'],
  summary:
    'Send a postback to the affiliate once more, by its entry as it is now; managers and the affiliate itself',
  params: object({ id: { type: 'string', description: 'postback_id of the report' } }),
  body: { ...object({}, []), description: 'Nothing' },
  response: responses(
    {
      202: jsonResponse(
        'It will be sent; the report shows how it went',
        object({ postback_id: { type: 'string' } }),
      ),
    },
    [400, 404, 409],
  ),
};

export function registerAffiliatePostbackResendRoute(
  app: FastifyInstance,
  context: ApiContext,
): void {
  const { clickhouse, redis, keys, store, logger } = context;
  const queue = createAffiliatePostbackQueue(redis, keys.queuePrefix);
  app.addHook('onClose', () => queue.close());

  app.post<{ readonly Params: { readonly id: string } }>(
    '/api/v1/affiliate-postbacks/:id/resend',
    { schema: DOCUMENT },
    async (request, reply) => {
      const { id } = request.params;
      const job = await findResend(clickhouse, principalOf(request), id);
      if (job === undefined) throw notFound('there is no such postback');
      const { state } = await store.current();
      const entry = state.affiliate_postbacks.find(({ id: held }) => held === job.entryId);
      if (entry?.affiliate_id !== job.affiliateId)
        throw conflict('its entry has been deleted: there is no URL to send it to');
      await prepareAttempts(clickhouse, [requestOf(job, Date.now())], Date.now())();
      // The row is what counts: a worker finds it when Redis does not take the job.
      await queue
        .addResend(job)
        .catch((error: unknown) =>
          logger.warn({ error: messageOf(error) }, 'a resend is stored, but not queued yet'),
        );
      return reply.status(202).send({ postback_id: id });
    },
  );
}
