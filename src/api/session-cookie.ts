/**
 * The session of a signed-in user in a request: its cookie, and the proof that a change comes from our own pages. A
 * change needs the session's CSRF token and must not come from another site; a key needs neither, no browser adds it.
 */
import type { FastifyRequest } from 'fastify';
import { isCsrfToken } from '../accounts/sessions.ts';
import type { User } from '../domain/user.ts';
import type { Principal } from '../reports/principal.ts';
import type { ApiContext } from './context.ts';
import { forbidden } from './problem.ts';

export const SESSION_COOKIE = 'sluice_session';
/** Sent below `/api` only: the tracking front on another port of the same host never sees it. */
export const COOKIE_PATH = '/api';
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

export const sessionTokenOf = (request: FastifyRequest): string =>
  request.cookies[SESSION_COOKIE] ?? '';

export function principalOfUser(user: User): Principal {
  if (user.role === 'advertiser')
    return { role: user.role, name: user.login, advertiserId: user.advertiser_id };
  if (user.role === 'affiliate')
    return { role: user.role, name: user.login, affiliateId: user.affiliate_id };
  return { role: 'manager', name: user.login };
}

/** Browsers say where a request comes from; what says nothing is no browser, and carries no one's cookie. */
export function refuseOtherSites(request: FastifyRequest): void {
  const { origin, host } = request.headers;
  const elsewhere =
    origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host);
  if (elsewhere || request.headers['sec-fetch-site'] === 'cross-site')
    throw forbidden('changes are accepted from the console’s own pages only');
}

/** The user of the request's cookie, if its session is in force. Throws 403 for a change that another site may have made. */
export async function userOfSession(
  context: ApiContext,
  request: FastifyRequest,
): Promise<User | undefined> {
  const token = sessionTokenOf(request);
  const user = token === '' ? undefined : await context.accounts.userOf(token);
  if (user === undefined || SAFE_METHODS.has(request.method)) return user;
  refuseOtherSites(request);
  const sent = request.headers['x-csrf-token'];
  if (typeof sent !== 'string' || !isCsrfToken(token, sent))
    throw forbidden(
      'the header X-CSRF-Token is missing or wrong: read it from GET /api/v1/session',
    );
  return user;
}
