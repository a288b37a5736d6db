/**
 * Who sent a request. Every path below /api/v1/ needs a principal; what it may see is `src/reports/principal.ts`'s.
 * Keys travel in `Authorization: Bearer`; another way to sign in yields the same principal from here.
 */
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Principal } from '../reports/principal.ts';
import type { ApiContext } from './context.ts';
import { Problem } from './problem.ts';
import { createWrongKeyLimit } from './wrong-key-limit.ts';

/** Wrong keys from one address in a minute before it must wait. */
const WRONG_KEYS_MAX = 60;
const WINDOW_MS = 60_000;
/** Longer than any key we make or accept. */
const KEY_CHARACTERS_MAX = 1_000;

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
  return key === '' ? undefined : context.apiKeys.principalOf(key);
}

export function registerAuthentication(app: FastifyInstance, context: ApiContext): void {
  const limit = createWrongKeyLimit({
    wrongMax: WRONG_KEYS_MAX,
    windowMs: WINDOW_MS,
    clock: Date.now,
  });
  app.decorateRequest('principal', null);
  app.addHook('onRequest', async (request, reply) => {
    if (!request.url.startsWith('/api/v1/')) return;
    void reply.header('cache-control', 'no-store');
    const key = bearerOf(request);
    if (key === '') {
      void reply.header('www-authenticate', 'Bearer');
      throw new Problem(401, 'Unauthorized', 'send an API key: Authorization: Bearer <key>');
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
