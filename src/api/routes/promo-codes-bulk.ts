/** `POST /api/v1/promo-codes/bulk`: up to 1,000 codes in one change of the catalogue; each item has its own result. */
import type { FastifyInstance } from 'fastify';
import { createPromoCodes, type PromoCodeResult } from '../../catalogue/promo-code-edits.ts';
import { requireManager, type ApiContext } from '../context.ts';
import { BULK_MAX, bulkDocument } from '../documents/catalogue.ts';
import { badRequest } from '../problem.ts';

function itemsOf(body: unknown): readonly unknown[] {
  const items: unknown =
    typeof body === 'object' && body !== null && 'items' in body ? body.items : body;
  if (Array.isArray(items) && items.length >= 1 && items.length <= BULK_MAX) return items;
  const message = `must be a list of 1 to ${BULK_MAX} promo codes`;
  throw badRequest(`items ${message}`, [{ field: 'items', message }]);
}

function present(result: PromoCodeResult, index: number): object {
  return result.kind === 'created'
    ? { index, status: 'created', promo_code: result.promoCode }
    : { index, status: 'refused', errors: result.faults };
}

/** The most that so many codes with the longest descriptions come to: 6 bytes a character where a client escapes them. */
const BODY_BYTES_MAX = BULK_MAX * 16 * 1024;

export function registerPromoCodeBulkRoute(app: FastifyInstance, context: ApiContext): void {
  app.post(
    '/api/v1/promo-codes/bulk',
    { schema: bulkDocument(), bodyLimit: BODY_BYTES_MAX },
    async (request) => {
      const principal = requireManager(request);
      const items = itemsOf(request.body);
      let results: readonly PromoCodeResult[] = [];
      await context.store.change((state, nextId) => {
        const made = createPromoCodes(state, nextId, items);
        results = made.results;
        return made.state;
      }, principal.name);
      const created = results.filter(({ kind }) => kind === 'created').length;
      return { created, refused: results.length - created, results: results.map(present) };
    },
  );
}
