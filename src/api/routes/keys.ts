/** `/api/v1/api-keys`. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseEntity } from '../../catalogue/schema.ts';
import { requireManager, type ApiContext } from '../context.ts';
import { notFound, Problem } from '../problem.ts';

const schema = z
  .strictObject({
    role: z.enum(['manager', 'advertiser', 'affiliate']),
    name: z.string().trim().min(1).max(200),
    advertiser_id: z.number().int().min(1).optional(),
    affiliate_id: z.number().int().min(1).optional(),
  })
  .refine((key) => key.role !== 'advertiser' || key.advertiser_id !== undefined, {
    path: ['advertiser_id'],
    message: 'is needed for an advertiser key',
  })
  .refine((key) => key.role !== 'affiliate' || key.affiliate_id !== undefined, {
    path: ['affiliate_id'],
    message: 'is needed for an affiliate key',
  });

export function registerKeyRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get('/api/v1/api-keys', async (request) => {
    requireManager(request);
    return { rows: await context.apiKeys.list() };
  });
  app.post('/api/v1/api-keys', async (request, reply) => {
    requireManager(request);
    const parsed = parseEntity(schema, request.body, '');
    if ('faults' in parsed)
      throw new Problem(422, 'Unprocessable Content', 'the key is not valid', parsed.faults);
    const { role, name, advertiser_id = 0, affiliate_id = 0 } = parsed.value;
    const { state } = await context.store.current();
    if (role === 'advertiser' && !state.advertisers.some(({ id }) => id === advertiser_id)) {
      throw new Problem(422, 'Unprocessable Content', 'the key is not valid', [
        { field: 'advertiser_id', message: `no advertiser has the id ${advertiser_id}` },
      ]);
    }
    if (role === 'affiliate' && !state.affiliates.some(({ id }) => id === affiliate_id)) {
      throw new Problem(422, 'Unprocessable Content', 'the key is not valid', [
        { field: 'affiliate_id', message: `no affiliate has the id ${affiliate_id}` },
      ]);
    }
    const made = await context.apiKeys.create({
      role,
      name,
      advertiser_id: role === 'advertiser' ? advertiser_id : 0,
      affiliate_id: role === 'affiliate' ? affiliate_id : 0,
    });
    return reply.status(201).send({ ...made.stored, key: made.key });
  });
  app.delete<{ Params: { id: string } }>('/api/v1/api-keys/:id', async (request, reply) => {
    requireManager(request);
    if (!(await context.apiKeys.revoke(request.params.id))) throw notFound('no such key');
    return reply.status(204).send();
  });
}
