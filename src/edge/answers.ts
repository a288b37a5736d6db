/** The answers of the front, ready-made: head and body. Nothing here knows uWebSockets. */
import type { ReturnForm } from '../domain/hit.ts';
import type { Verdict } from '../domain/verdicts.ts';

export interface Answer {
  /** `200 OK` */
  readonly status: string;
  /** The status and the lines of the headers, as they are sent. What is in them must be legal there. */
  readonly head: string;
  readonly body: string | Buffer;
}

/** `lines`: headers, `Name: value`. */
export function assemble(status: string, lines: readonly string[], body: string | Buffer): Answer {
  return { status, head: [status, ...lines].join('\r\n'), body };
}

/** The classical transparent 1×1 GIF, 42 bytes. */
const GIF = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');
const HTML =
  '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>ok</title></head><body></body></html>';
const NO_STORE = 'Cache-Control: no-store';

/** Seconds that a client should wait after a 503. */
const RETRY_AFTER_S = '1';

function corsHeaders(origin: string): readonly string[] {
  if (origin === '') return ['Access-Control-Allow-Origin: *'];
  return [
    `Access-Control-Allow-Origin: ${origin}`,
    'Access-Control-Allow-Credentials: true',
    'Vary: Origin',
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

function accepted(form: ReturnForm, origin: string): Answer {
  const lines = [`Content-Type: ${TYPES[form]}`, NO_STORE, ...corsHeaders(origin)];
  return assemble('200 OK', lines, form === 'json' ? '' : BODIES[form]);
}

/** Most calls come without an Origin: what they are answered is made once. */
const ACCEPTED_WITHOUT_ORIGIN: Readonly<Record<ReturnForm, Answer>> = {
  img: accepted('img', ''),
  js: accepted('js', ''),
  iframe: accepted('iframe', ''),
  json: accepted('json', ''),
};

/** The answer of a stored conversion call. */
export function acceptedAnswer(form: ReturnForm, hitId: string, origin: string): Answer {
  const answer = origin === '' ? ACCEPTED_WITHOUT_ORIGIN[form] : accepted(form, origin);
  if (form !== 'json') return answer;
  return { ...answer, body: `{"status":"accepted","hit_id":"${hitId}"}` };
}

export function jsonAnswer(
  status: string,
  value: object,
  extra: readonly string[] = [],
  origin = '',
): Answer {
  const lines = [`Content-Type: ${TYPES.json}`, NO_STORE, ...corsHeaders(origin), ...extra];
  return assemble(status, lines, JSON.stringify(value));
}

/** What a request over the contract's limits is told. */
const REFUSALS = {
  body_too_large: ['413 Content Too Large', 'a body may have at most 64 KiB'],
  headers_too_large: [
    '431 Request Header Fields Too Large',
    'request line and headers may have at most 16 KiB',
  ],
  length_unclear: ['400 Bad Request', 'Content-Length is empty or says two things'],
} as const;

export function refusalAnswer(reason: keyof typeof REFUSALS): Answer {
  const [status, error] = REFUSALS[reason];
  return jsonAnswer(status, { error });
}

export function notStoredAnswer(reason: string): Answer {
  return jsonAnswer('503 Service Unavailable', { error: reason }, [
    `Retry-After: ${RETRY_AFTER_S}`,
  ]);
}

export function preflightAnswer(origin: string): Answer {
  const lines = [
    NO_STORE,
    ...corsHeaders(origin),
    'Access-Control-Allow-Methods: GET, POST, HEAD, OPTIONS',
    'Access-Control-Allow-Headers: Content-Type, Idempotency-Key, Authorization',
    'Access-Control-Max-Age: 86400',
  ];
  return assemble('204 No Content', lines, '');
}

export function methodAnswer(method: string, allowed = 'GET, HEAD, POST, OPTIONS'): Answer {
  return jsonAnswer('405 Method Not Allowed', { error: `${method.slice(0, 20)} is not allowed` }, [
    `Allow: ${allowed}`,
  ]);
}

/** The answer of a stored hit all the same: an unknown path below /track/ is found in invalid traffic. */
export function unknownEndpointAnswer(path: string, hitId: string, origin: string): Answer {
  const error = `${path.slice(0, 200)} is no endpoint`;
  return jsonAnswer('404 Not Found', { error, hit_id: hitId }, [], origin);
}

export function redirectAnswer(location: string, slug: string, cookie: string): Answer {
  const lines = [`Location: ${location}`, `X-Sluice-Verdict: ${slug}`, NO_STORE];
  if (cookie !== '') lines.push(`Set-Cookie: ${cookie}`);
  return assemble('302 Found', lines, '');
}

export function invalidClickProblem(verdict: Verdict, detail: string, origin: string): Answer {
  return jsonAnswer(
    '404 Not Found',
    { error: verdict.slug, title: verdict.title, detail },
    [`X-Sluice-Verdict: ${verdict.slug}`],
    origin,
  );
}

export function invalidClickPage(slug: string, title: string): Answer {
  const lines = [`Content-Type: ${TYPES.iframe}`, NO_STORE, `X-Sluice-Verdict: ${slug}`];
  return assemble(
    '404 Not Found',
    lines,
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body><h1>This link does not work</h1><p>${title}.</p></body></html>`,
  );
}
