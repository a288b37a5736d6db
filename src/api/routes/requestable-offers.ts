/**
 * `/api/v1/requestable-offers`: active offers by request that an affiliate does not promote yet, so that it can ask
 * (`POST /deployments`). Only what one needs to choose: not the offer's URL, nor anything of the advertiser.
 */
import type { FastifyInstance } from 'fastify';
import { principalOf, type ApiContext } from '../context.ts';
import { forbidden } from '../problem.ts';

export function registerRequestableOfferRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get('/api/v1/requestable-offers', async (request) => {
    const principal = principalOf(request);
    if (principal.role !== 'affiliate') throw forbidden('only affiliates ask for offers');
    const snapshot = await context.store.current();
    const rows = snapshot.state.offers.flatMap((offer) => {
      if (offer.status !== 'active' || offer.availability !== 'by_request') return [];
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
