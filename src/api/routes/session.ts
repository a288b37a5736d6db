/** `/api/v1/session`: signing in and out, who is signed in, one's own password. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { SignIn } from '../../accounts/accounts.ts';
import { PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN } from '../../accounts/passwords.ts';
import { csrfTokenOf, SESSION_MS } from '../../accounts/sessions.ts';
import type { User } from '../../domain/user.ts';
import { parseEntity } from '../../catalogue/schema.ts';
import { COOKIE_PATH, SESSION_COOKIE } from '../session-cookie.ts';
import { principalOf, type ApiContext } from '../context.ts';
import { sessionDocuments } from '../documents/accounts.ts';
import { forbidden, Problem } from '../problem.ts';

const signInSchema = z.strictObject({
  login: z.string().trim().toLowerCase().min(1).max(200),
  password: z.string().min(1).max(PASSWORD_LENGTH_MAX),
});
export const newPassword = z
  .string()
  .min(PASSWORD_LENGTH_MIN, `must have at least ${PASSWORD_LENGTH_MIN} characters`)
  .max(PASSWORD_LENGTH_MAX, `must have at most ${PASSWORD_LENGTH_MAX} characters`);
const passwordSchema = z.strictObject({
  current: z.string().min(1, 'is needed').max(PASSWORD_LENGTH_MAX),
  password: newPassword,
});

function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = parseEntity(schema, body, '');
  if ('value' in result) return result.value;
  throw new Problem(422, 'Unprocessable Content', 'the values are not valid', result.faults);
}

const visitorOf = (request: FastifyRequest): { ip: string; userAgent: string } => ({
  ip: request.ip,
  userAgent: request.headers['user-agent'] ?? '',
});

function setSession(request: FastifyRequest, reply: FastifyReply, token: string): void {
  void reply.setCookie(SESSION_COOKIE, token, {
    path: COOKIE_PATH,
    httpOnly: true,
    sameSite: 'strict',
    secure: request.protocol === 'https',
    maxAge: SESSION_MS / 1_000,
  });
}

/** Where links and snippets point: the setting, else the edge's port on the host that the console was reached by. */
function trackingUrlOf(context: ApiContext, request: FastifyRequest): string {
  return (
    context.tracking.url ?? `${request.protocol}://${request.hostname}:${context.tracking.port}`
  );
}

function describe(context: ApiContext, request: FastifyRequest, user: User, token: string): object {
  return { user, csrf_token: csrfTokenOf(token), tracking_url: trackingUrlOf(context, request) };
}

function refuse(
  outcome: Exclude<SignIn, { kind: 'signed-in' }>,
  reply: FastifyReply,
  field: string,
): never {
  if (outcome.kind === 'wait') {
    const seconds = Math.ceil(outcome.waitMs / 1_000);
    void reply.header('retry-after', String(seconds));
    throw new Problem(
      429,
      'Too Many Requests',
      `too many attempts: wait ${Math.ceil(seconds / 60)} min`,
    );
  }
  if (field === 'current')
    throw new Problem(422, 'Unprocessable Content', 'the values are not valid', [
      { field, message: 'is not your password' },
    ]);
  throw new Problem(401, 'Unauthorized', 'name or password is wrong');
}

export function registerSessionRoutes(app: FastifyInstance, context: ApiContext): void {
  const { accounts } = context;
  const documents = sessionDocuments(signInSchema, passwordSchema);

  app.post('/api/v1/session', { schema: documents.signIn }, async (request, reply) => {
    const { login, password } = parsed(signInSchema, request.body);
    const outcome = await accounts.signIn(login, password, visitorOf(request));
    if (outcome.kind !== 'signed-in') return refuse(outcome, reply, 'password');
    setSession(request, reply, outcome.token);
    return reply.status(201).send(describe(context, request, outcome.user, outcome.token));
  });

  app.get('/api/v1/session', { schema: documents.read }, async (request) => {
    const token = request.cookies[SESSION_COOKIE] ?? '';
    if (request.user === null) return { principal: principalOf(request) };
    return describe(context, request, request.user, token);
  });

  app.delete('/api/v1/session', { schema: documents.signOut }, async (request, reply) => {
    principalOf(request);
    const token = request.cookies[SESSION_COOKIE];
    if (request.user !== null && token !== undefined) await accounts.signOut(token);
    return reply.clearCookie(SESSION_COOKIE, { path: COOKIE_PATH }).status(204).send();
  });

  app.post(
    '/api/v1/session/password',
    { schema: documents.changePassword },
    async (request, reply) => {
      const { user } = request;
      if (user === null) throw forbidden('a key has no password: sign in');
      const { current, password } = parsed(passwordSchema, request.body);
      const outcome = await accounts.changePassword(user, current, password, visitorOf(request));
      if (outcome.kind !== 'signed-in') return refuse(outcome, reply, 'current');
      setSession(request, reply, outcome.token);
      return describe(context, request, outcome.user, outcome.token);
    },
  );
}
