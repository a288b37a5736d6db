/**
 * Who sent a request. Every path below /api/v1/ needs a principal; what it may see is `src/reports/principal.ts`'s.
 * Keys travel in `Authorization: Bearer`, sessions of the console in a cookie; both yield the same principal from here.
 */
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Principal } from '../reports/principal.ts';
import type { ApiContext } from './context.ts';
import { Problem } from './problem.ts';
import { principalOfUser, refuseOtherSites, userOfSession } from './session-cookie.ts';
import { createWrongKeyLimit } from './wrong-key-limit.ts';

/** Wrong keys from one address in a minute before it must wait. */
const WRONG_KEYS_MAX = 60;
const WINDOW_MS = 60_000;
/** Longer than any key we make or accept. */
const KEY_CHARACTERS_MAX = 1_000;
/** How one gets a session: it needs none, but must come from our own page. */
const SIGN_IN = 'POST /api/v1/session';

/** The key of an Authorization header, '' when there is none. */
function bearerOf(request: FastifyRequest): string {
  const match = /^Bearer +(.+)$/i.exec(request.headers.authorization ?? '');
  return match?.[1]?.trim().slice(0, KEY_CHARACTERS_MAX) ?? '';
}

/** Whether a request's credentials are still good: a stream outlives the check at its start. */
export async function identify(
  context: ApiContext,
  request: FastifyRequest,
): Promise<Principal | undefined> {
  const key = bearerOf(request);
  if (key !== '') return context.apiKeys.principalOf(key);
  const user = await userOfSession(context, request);
  return user && principalOfUser(user);
}

export function registerAuthentication(app: FastifyInstance, context: ApiContext): void {
  const limit = createWrongKeyLimit({
    wrongMax: WRONG_KEYS_MAX,
    windowMs: WINDOW_MS,
    clock: Date.now,
  });
  app.decorateRequest('principal', null);
  app.decorateRequest('user', null);
  app.addHook('onRequest', async (request, reply) => {
    // The route that was found: a path can be spelled in more than one way. And the path, for what no route has.
    const route = request.routeOptions.url ?? '';
    if (![route, request.url].some((path) => path.startsWith('/api/v1/'))) return;
    void reply.header('cache-control', 'no-store');
    if (`${request.method} ${route}` === SIGN_IN) {
      refuseOtherSites(request);
      return;
    }
    const key = bearerOf(request);
    if (key === '') {
      const user = await userOfSession(context, request);
      if (user !== undefined) {
        request.user = user;
        request.principal = principalOfUser(user);
        return;
      }
      void reply.header('www-authenticate', 'Bearer');
      throw new Problem(
        401,
        'Unauthorized',
        'sign in, or send an API key: Authorization: Bearer <key>',
      );
    }
    const hash = createHash('sha256').update(key).digest('base64');
    const seconds = limit.secondsToWait(request.ip, hash);
    if (seconds > 0) {
      void reply.header('retry-after', String(seconds));
      throw new Problem(
        429,
        'Too Many Requests',
        `too many wrong keys from this address: wait ${seconds} s`,
      );
    }
    const principal = await identify(context, request);
    if (principal === undefined) {
      limit.recordWrong(request.ip);
      void reply.header('www-authenticate', 'Bearer error="invalid_token"');
      throw new Problem(401, 'Unauthorized', 'the key is not valid');
    }
    limit.recordRight(request.ip, hash);
    request.principal = principal;
  });
}
