/** `/api/v1/api-keys`: a manager makes, lists and revokes keys. A key's text is in the answer that makes it, and nowhere else. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseEntity, type Fault } from '../../catalogue/schema.ts';
import type { CatalogueState } from '../../domain/catalogue.ts';
import { ROLES } from '../../reports/principal.ts';
import { requireManager, type ApiContext } from '../context.ts';
import { jsonResponse, listOf, object, responses, sentSchema } from '../documents/document.ts';
import { invalid, notFound } from '../problem.ts';

const schema = z.strictObject({
  role: z.enum(ROLES),
  name: z.string().trim().min(1).max(200),
  advertiser_id: z.number().int().min(1).optional(),
  affiliate_id: z.number().int().min(1).optional(),
});
type KeyRequest = z.infer<typeof schema>;

const SHOWN = {
  id: { type: 'string' },
  prefix: { type: 'string', description: 'The first characters, to recognise a key by' },
  name: { type: 'string' },
  role: { type: 'string', enum: ROLES },
  advertiser_id: { type: 'integer', description: '0: not an advertiser’s' },
  affiliate_id: { type: 'integer', description: '0: not an affiliate’s' },
};
const TAGS = ['api keys'];

/** A key of a tenant names it, and no other; the tenant exists. */
function tenantFaults(asked: KeyRequest, state: CatalogueState): Fault[] {
  const tenants = [
    ['advertiser', 'advertiser_id', state.advertisers],
    ['affiliate', 'affiliate_id', state.affiliates],
  ] as const;
  return tenants.flatMap(([role, field, known]) => {
    const id = asked[field];
    if (asked.role !== role)
      return id === undefined ? [] : [{ field, message: `is not for a ${asked.role} key` }];
    if (id === undefined) return [{ field, message: `is needed for an ${role} key` }];
    return known.some((tenant) => tenant.id === id)
      ? []
      : [{ field, message: `no ${role} has the id ${id}` }];
  });
}

export function registerKeyRoutes(app: FastifyInstance, context: ApiContext): void {
  const documents = {
    list: {
      tags: TAGS,
      summary: 'List the keys in force',
      response: responses(
        { 200: jsonResponse('The keys', object({ rows: listOf(object(SHOWN)) })) },
        [403],
      ),
    },
    create: {
      tags: TAGS,
      summary: 'Make a key; its text is shown this once',
      body: sentSchema(schema),
      response: responses(
        { 201: jsonResponse('The key', object({ ...SHOWN, key: { type: 'string' } })) },
        [400, 403, 422],
      ),
    },
    delete: {
      tags: TAGS,
      summary: 'Revoke a key',
      params: object({ id: { type: 'string' } }),
      response: responses({ 204: { description: 'Revoked, in force at once' } }, [403, 404]),
    },
  };
  app.get('/api/v1/api-keys', { schema: documents.list }, async (request) => {
    requireManager(request);
    return { rows: await context.apiKeys.list() };
  });
  app.post('/api/v1/api-keys', { schema: documents.create }, async (request, reply) => {
    requireManager(request);
    const parsed = parseEntity(schema, request.body, '');
    if ('faults' in parsed) throw invalid('the key is not valid', parsed.faults);
    const faults = tenantFaults(parsed.value, (await context.store.current()).state);
    if (faults.length > 0) throw invalid('the key is not valid', faults);
    const { role, name, advertiser_id = 0, affiliate_id = 0 } = parsed.value;
    const made = await context.apiKeys.create({ role, name, advertiser_id, affiliate_id });
    return reply.status(201).send({ ...made.stored, key: made.key });
  });
  app.delete<{ Params: { id: string } }>(
    '/api/v1/api-keys/:id',
    { schema: documents.delete },
    async (request, reply) => {
      requireManager(request);
      if (!(await context.apiKeys.revoke(request.params.id)))
        throw notFound('there is no such key');
      return reply.status(204).send();
    },
  );
}
