/**
 * Who asks: an API key in `Authorization: Bearer`, or the session cookie of a signed-in user. A change that comes with
 * a cookie needs the session's CSRF token and must not come from another site; a key needs neither, no browser adds it.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { User } from '../domain/user.ts';
import { isCsrfToken } from '../accounts/sessions.ts';
import type { Principal } from '../reports/principal.ts';
import type { ServerContext } from './context.ts';
import { forbidden, Problem } from './problem.ts';

/** Sent below `/api` only: the tracking front on another port of the same host never sees it. */
export const SESSION_COOKIE = 'sluice_session';
export const COOKIE_PATH = '/api';
/** Wrong keys a minute from one address before it must wait. */
const WRONG_KEYS_A_MINUTE = 60;
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Signing in is how one gets a session: it needs none, but must come from our own page. */
const SIGN_IN = 'POST /api/v1/session';

function principalOfUser(user: User): Principal {
  if (user.role === 'advertiser')
    return { role: user.role, name: user.login, advertiserId: user.advertiser_id };
  if (user.role === 'affiliate')
    return { role: user.role, name: user.login, affiliateId: user.affiliate_id };
  return { role: 'manager', name: user.login };
}

/** Browsers say where a request comes from; what says nothing is no browser, and carries no one's cookie. */
function refuseOtherSites(request: FastifyRequest): void {
  const { origin, host } = request.headers;
  const site = request.headers['sec-fetch-site'];
  const elsewhere =
    origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host);
  if (elsewhere || site === 'cross-site')
    throw forbidden('changes are accepted from the console’s own pages only');
}

async function fromSession(
  context: ServerContext,
  request: FastifyRequest,
  token: string,
): Promise<void> {
  const user = await context.accounts.userOf(token);
  if (user === undefined) return;
  if (!SAFE_METHODS.has(request.method)) {
    refuseOtherSites(request);
    const sent = request.headers['x-csrf-token'];
    if (typeof sent !== 'string' || !isCsrfToken(token, sent))
      throw forbidden(
        'the header X-CSRF-Token is missing or wrong: read it from GET /api/v1/session',
      );
  }
  request.user = user;
  request.principal = principalOfUser(user);
}

export function registerAuthentication(app: FastifyInstance, context: ServerContext): void {
  const wrongKeys = app.createRateLimit({ max: WRONG_KEYS_A_MINUTE, timeWindow: '1 minute' });
  app.decorateRequest('principal', null);
  app.decorateRequest('user', null);
  app.addHook('onRequest', async (request) => {
    const path = request.url.split('?', 1)[0] ?? '';
    if (!path.startsWith('/api/v1/')) return;
    if (`${request.method} ${path}` === SIGN_IN) {
      refuseOtherSites(request);
      return;
    }
    const header = request.headers.authorization ?? '';
    const key = header.startsWith('Bearer ') ? header.slice(7).trim() : '';
    const token = request.cookies[SESSION_COOKIE] ?? '';
    if (key !== '') request.principal = (await context.apiKeys.principalOf(key)) ?? null;
    else if (token !== '') await fromSession(context, request, token);
    if (request.principal !== null) return;
    if (key === '')
      throw new Problem(
        401,
        'Unauthorized',
        'sign in, or send an API key: Authorization: Bearer <key>',
      );
    const limit = await wrongKeys(request);
    if (!limit.isAllowed && limit.isExceeded)
      throw new Problem(
        429,
        'Too Many Requests',
        'too many wrong keys from this address: wait a minute',
      );
    throw new Problem(401, 'Unauthorized', 'the key is not valid');
  });
}
