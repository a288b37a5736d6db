/** `/api/v1/users`: who may sign in. Managers only. Users are disabled, never deleted, so that logs keep their names. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { AccountRefused, type UserPatch } from '../../accounts/accounts.ts';
import { USER_ROLES, USER_STATUSES } from '../../domain/user.ts';
import { parseEntity } from '../../catalogue/schema.ts';
import type { CatalogueState } from '../../domain/catalogue.ts';
import { requireManager, type ApiContext } from '../context.ts';
import { userDocuments } from '../documents/accounts.ts';
import { notFound, Problem, type FieldError } from '../problem.ts';
import { newPassword } from './session.ts';

const id = z.number().int().min(0);
const fields = {
  name: z.string().trim().max(200),
  role: z.enum(USER_ROLES),
  advertiser_id: id,
  affiliate_id: id,
  status: z.enum(USER_STATUSES),
  password: newPassword,
};
const createSchema = z.strictObject({
  ...fields,
  login: z
    .string()
    .trim()
    .toLowerCase()
    .regex(
      /^[a-z0-9][a-z0-9._@+-]{0,199}$/,
      'must be letters, digits and . _ @ + -, like an e-mail address',
    ),
  name: fields.name.default(''),
  advertiser_id: id.default(0),
  affiliate_id: id.default(0),
  status: fields.status.default('active'),
});
const patchSchema = z.strictObject(fields).partial();

function invalid(errors: readonly FieldError[]): Problem {
  return new Problem(422, 'Unprocessable Content', 'the values are not valid', errors);
}

function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = parseEntity(schema, body, '');
  if ('value' in result) return result.value;
  throw invalid(result.faults);
}

interface Belonging {
  readonly role: (typeof USER_ROLES)[number];
  readonly advertiser_id: number;
  readonly affiliate_id: number;
}

/** The ids as they must be for the role: only its own counts, and it must exist. */
function settle(
  { role, advertiser_id, affiliate_id }: Belonging,
  state: CatalogueState,
): Belonging {
  if (
    role === 'advertiser' &&
    !state.advertisers.some((advertiser) => advertiser.id === advertiser_id)
  )
    throw invalid([
      { field: 'advertiser_id', message: `no advertiser has the id ${advertiser_id}` },
    ]);
  if (role === 'affiliate' && !state.affiliates.some((affiliate) => affiliate.id === affiliate_id))
    throw invalid([{ field: 'affiliate_id', message: `no affiliate has the id ${affiliate_id}` }]);
  return {
    role,
    advertiser_id: role === 'advertiser' ? advertiser_id : 0,
    affiliate_id: role === 'affiliate' ? affiliate_id : 0,
  };
}

async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof AccountRefused)
      throw invalid([{ field: error.field, message: error.message }]);
    throw error;
  }
}

export function registerUserRoutes(app: FastifyInstance, context: ApiContext): void {
  const { accounts, store } = context;
  const documents = userDocuments(createSchema, patchSchema);
  app.get('/api/v1/users', { schema: documents.list }, async (request) => {
    requireManager(request);
    return { rows: await accounts.list(), next_cursor: null };
  });
  app.post('/api/v1/users', { schema: documents.create }, async (request, reply) => {
    const principal = requireManager(request);
    const draft = parsed(createSchema, request.body);
    const belonging = settle(draft, (await store.current()).state);
    const made = await refusing(accounts.create({ ...draft, ...belonging }, principal.name));
    return reply.status(201).send(made);
  });
  app.patch<{ Params: { id: string } }>(
    '/api/v1/users/:id',
    { schema: documents.patch },
    async (request) => {
      const principal = requireManager(request);
      const userId = Number(request.params.id);
      const held = (await accounts.list()).find((user) => user.id === userId);
      if (held === undefined) throw notFound(`no user has the id ${request.params.id}`);
      // A field that is not sent is not in the parsed value either.
      const patch = parsed(patchSchema, request.body) as UserPatch;
      const belonging = settle({ ...held, ...patch }, (await store.current()).state);
      const made = await refusing(
        accounts.update(userId, { ...patch, ...belonging }, principal.name),
      );
      if (made === undefined) throw notFound(`no user has the id ${request.params.id}`);
      return made;
    },
  );
}
