/** The answers of the front, ready-made: status, headers, body. Nothing here knows uWebSockets. */
import type { ReturnForm } from '../domain/hit.ts';
import type { Verdict } from '../domain/verdicts.ts';

export interface Answer {
  readonly status: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | Buffer;
}

/** The classical transparent 1×1 GIF, 42 bytes. */
const GIF = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');
const HTML =
  '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>ok</title></head><body></body></html>';
const NO_STORE: readonly [string, string] = ['Cache-Control', 'no-store'];

/** Seconds that a client should wait after a 503. */
const RETRY_AFTER_S = '1';

function corsHeaders(origin: string): readonly (readonly [string, string])[] {
  if (origin === '') return [['Access-Control-Allow-Origin', '*']];
  return [
    ['Access-Control-Allow-Origin', origin],
    ['Access-Control-Allow-Credentials', 'true'],
    ['Vary', 'Origin'],
  ];
}

const TYPES: Readonly<Record<ReturnForm, string>> = {
  img: 'image/gif',
  js: 'application/javascript; charset=utf-8',
  iframe: 'text/html; charset=utf-8',
  json: 'application/json; charset=utf-8',
};

const BODIES: Readonly<Record<Exclude<ReturnForm, 'json'>, string | Buffer>> = {
  img: GIF,
  js: '/* ok */\n',
  iframe: HTML,
};

function acceptedHeaders(form: ReturnForm, origin: string): Answer['headers'] {
  return [['Content-Type', TYPES[form]], NO_STORE, ...corsHeaders(origin)];
}

/** Most calls come without an Origin: their headers are made once. */
const HEADERS_WITHOUT_ORIGIN: Readonly<Record<ReturnForm, Answer['headers']>> = {
  img: acceptedHeaders('img', ''),
  js: acceptedHeaders('js', ''),
  iframe: acceptedHeaders('iframe', ''),
  json: acceptedHeaders('json', ''),
};

/** The answer of a stored conversion call. */
export function acceptedAnswer(form: ReturnForm, hitId: string, origin: string): Answer {
  const headers = origin === '' ? HEADERS_WITHOUT_ORIGIN[form] : acceptedHeaders(form, origin);
  const body = form === 'json' ? `{"status":"accepted","hit_id":"${hitId}"}` : BODIES[form];
  return { status: '200 OK', headers, body };
}

export function jsonAnswer(
  status: string,
  value: object,
  extra: readonly (readonly [string, string])[] = [],
  origin = '',
): Answer {
  return {
    status,
    headers: [['Content-Type', TYPES.json], NO_STORE, ...corsHeaders(origin), ...extra],
    body: JSON.stringify(value),
  };
}

/** What a request over the contract's limits is told. */
export function refusalAnswer(reason: 'headers_too_large' | 'body_too_large'): Answer {
  return reason === 'body_too_large'
    ? jsonAnswer('413 Content Too Large', { error: 'a body may have at most 64 KiB' })
    : jsonAnswer('431 Request Header Fields Too Large', {
        error: 'request line and headers may have at most 16 KiB',
      });
}

export function notStoredAnswer(reason: string): Answer {
  return jsonAnswer('503 Service Unavailable', { error: reason }, [['Retry-After', RETRY_AFTER_S]]);
}

export function preflightAnswer(origin: string): Answer {
  return {
    status: '204 No Content',
    headers: [
      NO_STORE,
      ...corsHeaders(origin),
      ['Access-Control-Allow-Methods', 'GET, POST, HEAD, OPTIONS'],
      ['Access-Control-Allow-Headers', 'Content-Type, Idempotency-Key, Authorization'],
      ['Access-Control-Max-Age', '86400'],
    ],
    body: '',
  };
}

export function methodAnswer(method: string, allowed = 'GET, HEAD, POST, OPTIONS'): Answer {
  return jsonAnswer('405 Method Not Allowed', { error: `${method.slice(0, 20)} is not allowed` }, [
    ['Allow', allowed],
  ]);
}

/** The answer of a stored hit all the same: an unknown path below /track/ is found in invalid traffic. */
export function unknownEndpointAnswer(path: string, hitId: string, origin: string): Answer {
  const error = `${path.slice(0, 200)} is no endpoint`;
  return jsonAnswer('404 Not Found', { error, hit_id: hitId }, [], origin);
}

export function redirectAnswer(location: string, slug: string, cookie: string): Answer {
  return {
    status: '302 Found',
    headers: [
      ['Location', location],
      ['X-Sluice-Verdict', slug],
      NO_STORE,
      ...(cookie === '' ? [] : [['Set-Cookie', cookie] as const]),
    ],
    body: '',
  };
}

export function invalidClickProblem(verdict: Verdict, detail: string, origin: string): Answer {
  return jsonAnswer(
    '404 Not Found',
    { error: verdict.slug, title: verdict.title, detail },
    [['X-Sluice-Verdict', verdict.slug]],
    origin,
  );
}

export function invalidClickPage(slug: string, title: string): Answer {
  return {
    status: '404 Not Found',
    headers: [['Content-Type', 'text/html; charset=utf-8'], NO_STORE, ['X-Sluice-Verdict', slug]],
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body><h1>This link does not work</h1><p>${title}.</p></body></html>`,
  };
}
