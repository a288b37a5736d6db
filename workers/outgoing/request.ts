/**
 * One HTTP call to an address that an affiliate chose. The host is resolved here, every address of it is checked, and
 * the connection goes to the checked address itself: a name that answers otherwise a moment later changes nothing. Each
 * redirect goes the same way. Everything is bounded; no proxy, no cookies, no credentials.
 */
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { messageOf } from '../../src/domain/app-error.ts';
import { faultOfPostbackUrl } from '../../src/domain/affiliate-postback-url.ts';
import { parseRetryAfter } from '../../src/domain/affiliate-postbacks.ts';
import { mayConnectTo } from '../../src/domain/outgoing-address.ts';
import type { ResolveHost } from './resolver.ts';

export interface OutgoingLimits {
  readonly connectMs: number;
  readonly totalMs: number;
  readonly bodyBytesMax: number;
}
export const OUTGOING_LIMITS: OutgoingLimits = {
  connectMs: 3_000,
  totalMs: 10_000,
  bodyBytesMax: 64 * 1024,
};

const REDIRECTS_MAX = 3;
const HEADER_BYTES_MAX = 16 * 1024;
const ANSWER_CHARACTERS_MAX = 500;
const ERROR_CHARACTERS_MAX = 300;

export interface OutgoingCall {
  readonly method: 'GET' | 'POST';
  /** Of a POST, the query is sent as a form. */
  readonly url: string;
  readonly postbackId: string;
  /** Aborted when the process ends: the call then fails like any other. */
  readonly signal: AbortSignal;
}

export type OutgoingResult =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly answer: string;
      readonly retryAfterMs: number;
      readonly note: string;
    }
  /** No answer; a later attempt may have one. */
  | { readonly kind: 'failed'; readonly error: string }
  /** No later attempt will fare better. */
  | { readonly kind: 'hopeless'; readonly error: string }
  /** Must not be called. */
  | { readonly kind: 'refused'; readonly error: string };

interface Hop {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly body: string;
}

interface HopAnswer {
  readonly status: number;
  readonly location: string | undefined;
  readonly retryAfter: string | undefined;
  readonly body: Buffer;
  readonly whole: boolean;
}

class DeadEnd extends Error {
  readonly kind: 'hopeless' | 'refused';
  constructor(kind: 'hopeless' | 'refused', message: string) {
    super(message);
    this.kind = kind;
  }
}

function firstHop({ method, url }: OutgoingCall): Hop {
  const parsed = new URL(url);
  parsed.hash = '';
  if (method === 'GET') return { method, url: parsed, body: '' };
  const body = parsed.search.slice(1);
  parsed.search = '';
  return { method, url: parsed, body };
}

/** As browsers do: 307 and 308 repeat the call, the others ask for the new place. */
function nextHop(hop: Hop, { status, location = '' }: HopAnswer): Hop {
  if (!URL.canParse(location, hop.url.href))
    throw new DeadEnd('hopeless', 'redirected to what is no URL');
  const url = new URL(location, hop.url);
  url.hash = '';
  const fault = faultOfPostbackUrl(url.href.replaceAll(/[{}]/g, ''));
  if (fault !== undefined) throw new DeadEnd('refused', `redirected to a URL that ${fault}`);
  return status === 307 || status === 308 ? { ...hop, url } : { method: 'GET', url, body: '' };
}

/** Up to the limits; what is longer or later is cut off: the status has said what there is to know. */
function readBody(
  message: IncomingMessage,
  bytesMax: number,
): Promise<{ readonly body: Buffer; readonly whole: boolean }> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const end = (whole: boolean): void =>
      resolve({ body: Buffer.concat(chunks).subarray(0, bytesMax), whole });
    message.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes < bytesMax) return;
      end(false);
      message.destroy();
    });
    message.once('end', () => end(true));
    message.once('error', () => end(false));
    message.once('close', () => end(false));
  });
}

export function createOutgoingRequest(deps: {
  readonly resolve: ResolveHost;
  /** CIDRs that are called though they are not public. */
  readonly allowed: readonly string[];
  readonly limits?: OutgoingLimits;
  readonly clock: () => number;
}) {
  const limits = deps.limits ?? OUTGOING_LIMITS;

  /** The address to connect to; one that must not be called spoils the whole name. */
  async function addressOf({ hostname }: URL, signal: AbortSignal): Promise<string> {
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('no address in time')), {
        once: true,
      });
    });
    const addresses = await Promise.race([deps.resolve(hostname), aborted]);
    // Which address it is stays untold: an affiliate could read our name server by it.
    if (!addresses.every((address) => mayConnectTo(address, deps.allowed)))
      throw new DeadEnd('refused', `${hostname} has an address that is not public`);
    const [first] = addresses;
    if (first === undefined) throw new Error(`no address of ${hostname}`);
    return first;
  }

  function sendHop(
    hop: Hop,
    address: string,
    postbackId: string,
    signal: AbortSignal,
  ): Promise<HopAnswer> {
    const { url, method, body } = hop;
    const isHttps = url.protocol === 'https:';
    return new Promise((resolve, reject) => {
      const call = (isHttps ? requestHttps : requestHttp)({
        // The checked address, so that nothing is resolved again; the name goes into Host and the certificate's check.
        host: address,
        ...(isHttps && { servername: url.hostname.startsWith('[') ? '' : url.hostname }),
        port: url.port === '' ? (isHttps ? 443 : 80) : Number(url.port),
        path: `${url.pathname}${url.search}`,
        method,
        agent: false,
        signal,
        maxHeaderSize: HEADER_BYTES_MAX,
        headers: {
          host: url.host,
          'user-agent': 'Sluice',
          accept: '*/*',
          'accept-encoding': 'identity',
          connection: 'close',
          'x-sluice-postback-id': postbackId,
          ...(method === 'POST' && {
            'content-type': 'application/x-www-form-urlencoded',
            'content-length': String(Buffer.byteLength(body)),
          }),
        },
      });
      const connecting = setTimeout(
        () => call.destroy(new Error(`no connection within ${limits.connectMs} ms`)),
        limits.connectMs,
      );
      call.once('socket', (socket) =>
        socket.once(isHttps ? 'secureConnect' : 'connect', () => clearTimeout(connecting)),
      );
      call.once('close', () => clearTimeout(connecting));
      call.once('error', reject);
      call.once('response', (message) => {
        const { statusCode = 0, headers } = message;
        void readBody(message, limits.bodyBytesMax).then(({ body: read, whole }) =>
          resolve({
            status: statusCode,
            location: headers.location,
            retryAfter: headers['retry-after'],
            body: read,
            whole,
          }),
        );
      });
      call.end(body);
    });
  }

  async function follow(call: OutgoingCall, signal: AbortSignal): Promise<OutgoingResult> {
    let hop = firstHop(call);
    for (let redirects = 0; ; redirects++) {
      const answer = await sendHop(hop, await addressOf(hop.url, signal), call.postbackId, signal);
      const isRedirect = answer.location !== undefined && /^30[12378]$/.test(String(answer.status));
      if (!isRedirect) {
        const notes = [
          redirects > 0 ? `after ${redirects} redirects, at ${hop.url.host}` : '',
          answer.whole ? '' : `answer cut after ${answer.body.length} bytes`,
        ];
        return {
          kind: 'answered',
          status: answer.status,
          answer: answer.body.toString('utf8').slice(0, ANSWER_CHARACTERS_MAX).toWellFormed(),
          retryAfterMs: parseRetryAfter(answer.retryAfter, deps.clock()),
          note: notes.filter((note) => note !== '').join('; '),
        };
      }
      if (redirects === REDIRECTS_MAX)
        throw new DeadEnd('hopeless', `redirected more than ${REDIRECTS_MAX} times`);
      hop = nextHop(hop, answer);
    }
  }

  /** Never rejects: what happened is a result. */
  return async function send(call: OutgoingCall): Promise<OutgoingResult> {
    const ending = new AbortController();
    const end = (): void => ending.abort();
    call.signal.addEventListener('abort', end, { once: true });
    const timer = setTimeout(end, limits.totalMs);
    try {
      return await follow(call, ending.signal);
    } catch (error) {
      if (error instanceof DeadEnd) return { kind: error.kind, error: error.message };
      const late = ending.signal.aborted && !call.signal.aborted;
      const why = late ? `no whole answer within ${limits.totalMs} ms` : messageOf(error);
      return { kind: 'failed', error: why.slice(0, ERROR_CHARACTERS_MAX) };
    } finally {
      clearTimeout(timer);
      call.signal.removeEventListener('abort', end);
    }
  };
}
export type SendOutgoing = ReturnType<typeof createOutgoingRequest>;
