/** What every hit carries, made of the copied request. */
import type { Endpoint, RawHit } from '../domain/hit.ts';
import { clickCookies, type Client } from './client.ts';
import type { EdgeRequest } from './uws-adapter.ts';

/** Kept of a path and of headers that end up in rows. */
const TEXT_MAX = 2_048;

const utf8 = new TextDecoder('utf-8', { fatal: true });

export interface HitBody {
  readonly body: string;
  readonly bodyIsBase64: boolean;
}

/** The body as text; as base64 when it is encoded or not UTF-8: kept as it came, judged 120 by the worker. */
export function decodeBody(request: EdgeRequest): HitBody {
  if (request.body.length === 0) return { body: '', bodyIsBase64: false };
  const encoded = request.contentEncoding !== '' && request.contentEncoding !== 'identity';
  try {
    if (!encoded) return { body: utf8.decode(request.body), bodyIsBase64: false };
  } catch {
    // Not UTF-8.
  }
  return { body: request.body.toString('base64'), bodyIsBase64: true };
}

/** One object, made whole: spreading one into another costs more than all the rest of a hit. */
export function rawHit<E extends Endpoint>(
  request: EdgeRequest,
  endpoint: E,
  received: {
    readonly hitId: string;
    readonly receivedAtMs: number;
    readonly client: Client;
    readonly fromBrowser: boolean;
    readonly body: HitBody;
  },
): RawHit & { readonly endpoint: E } {
  return {
    hitId: received.hitId,
    receivedAtMs: received.receivedAtMs,
    endpoint,
    method: request.method,
    path: request.path.slice(0, TEXT_MAX),
    query: request.query,
    body: received.body.body,
    bodyIsBase64: received.body.bodyIsBase64,
    contentType: request.contentType.slice(0, TEXT_MAX),
    cookies: clickCookies(request.cookie),
    ip: received.client.ip,
    userAgent: request.userAgent.slice(0, TEXT_MAX),
    referer: request.referer.slice(0, TEXT_MAX),
    fromBrowser: received.fromBrowser,
  };
}
