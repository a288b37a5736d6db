/**
 * `/api/v1/requestable-offers`: active offers by request that an affiliate does not promote yet, so that it can ask
 * (`POST /deployments`). Only what one needs to choose: not the offer's URL, nor anything of the advertiser.
 */
import type { FastifyInstance } from 'fastify';
import { mayAskFor } from '../../reports/principal.ts';
import { principalOf, type ApiContext } from '../context.ts';
import { jsonResponse, listOf, nullable, object, responses } from '../documents/document.ts';
import { forbidden } from '../problem.ts';

const GOAL = object({
  id: { type: 'integer' },
  title: { type: 'string' },
  type: { type: 'string' },
  payout: { type: 'string' },
  currency: { type: 'string' },
});
const OFFER = object({
  id: { type: 'integer' },
  title: { type: 'string' },
  request: nullable('string', { description: 'Status of the asker’s request; null: not asked' }),
  goals: listOf(GOAL),
});
const DOCUMENT = {
  tags: ['catalogue'],
  summary: 'Offers that an affiliate can ask for',
  response: responses(
    {
      200: jsonResponse(
        'All of them',
        object({ rows: listOf(OFFER), next_cursor: { type: 'null' } }),
      ),
    },
    [403],
  ),
};

export function registerRequestableOfferRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get('/api/v1/requestable-offers', { schema: DOCUMENT }, async (request) => {
    const principal = principalOf(request);
    if (principal.role !== 'affiliate') throw forbidden('only affiliates ask for offers');
    const snapshot = await context.store.current();
    const rows = snapshot.state.offers.flatMap((offer) => {
      if (!mayAskFor(offer)) return [];
      const status = snapshot.deployment(offer.id, principal.affiliateId)?.status ?? null;
      if (status === 'approved') return [];
      const goals = snapshot
        .goalsOf(offer.id)
        .filter((goal) => goal.status === 'active')
        .map(({ id, title, alias, type, payout, currency }) => ({
          id,
          title: title === '' ? alias : title,
          type,
          payout,
          currency,
        }));
      return [{ id: offer.id, title: offer.title, request: status, goals }];
    });
    return { rows, next_cursor: null };
  });
}
