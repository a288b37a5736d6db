/**
 * Parameters of a request from its raw query and body. The first non-empty value of a name counts (CONTRACT.md).
 * Nothing here rejects: what can't be decoded stays literal, so that the stored row shows what was sent.
 */
export type Parameters = ReadonlyMap<string, string>;

const NO_PARAMETERS: Parameters = new Map();

function decodeComponent(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    // Broken encoding stays literal: a macro such as %%click_id%% must be recognisable later.
    return spaced;
  }
}

const ENCODED = /[+%]/;

/** Parses `a=1&b=2` (a query without `?`, or a form body). */
export function parseQuery(raw: string): Parameters {
  if (raw === '') return NO_PARAMETERS;
  const decode = ENCODED.test(raw) ? decodeComponent : String;
  const parameters = new Map<string, string>();
  // By position, without a list of pairs: this is done for every hit.
  for (let from = 0; from < raw.length;) {
    const ampersand = raw.indexOf('&', from);
    const end = ampersand < 0 ? raw.length : ampersand;
    const pair = raw.slice(from, end);
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    if (name !== '' && (parameters.get(name) ?? '') === '')
      parameters.set(name, equals < 0 ? '' : decode(pair.slice(equals + 1)));
    from = end + 1;
  }
  return parameters;
}

const OFF = new Set(['0', 'false', 'no', 'off']);

/** Whether a query's switch is on. Named alone (`?dry_run`) it is: who names a switch means it. */
export function isOn(value: string | undefined): boolean {
  return value !== undefined && !OFF.has(value.trim().toLowerCase());
}

export type BodyResult =
  | { readonly readable: true; readonly parameters: Parameters }
  | { readonly readable: false; readonly reason: string };

function unreadable(reason: string): BodyResult {
  return { readable: false, reason };
}

/** More digits than this and a float may not give back what was sent. */
const EXACT_DIGITS = 15;
const STRING = String.raw`"(?:[^"\\]|\\.)*"`;
const JSON_MEMBER = new RegExp(`(${STRING})\\s*:\\s*(${STRING}|[^\\s,}]+)`, 'g');

/** The text of a plain JSON value, given as its source; half characters are made whole, for not every store holds them. */
function scalarText(source: string): string {
  // The whole body was parsed before: each of its values is valid JSON.
  if (source.startsWith('"') && !source.includes('\\')) return source.slice(1, -1).toWellFormed();
  const value = JSON.parse(source) as string | number | boolean | null;
  if (typeof value === 'string') return value.toWellFormed();
  if (value === null) return '';
  // An order id may be a number that no float holds.
  const isExact = typeof value !== 'number' || source.replaceAll(/\D/g, '').length <= EXACT_DIGITS;
  return isExact ? String(value) : source;
}

function parseJson(body: string): BodyResult {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (error) {
    return unreadable(
      `the JSON body can't be read: ${error instanceof Error ? error.message : ''}`,
    );
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return unreadable('the JSON body is not an object of parameters');
  }
  const nested = Object.entries(parsed).find(([, value]) => typeof (value ?? '') === 'object');
  if (nested !== undefined)
    return unreadable(`the JSON body's "${nested[0].slice(0, 50)}" is not a plain value`);
  const parameters = new Map<string, string>();
  // From the source, because parsing drops repeated names and digits.
  for (const [, nameSource = '', valueSource = ''] of body.matchAll(JSON_MEMBER)) {
    const name = scalarText(nameSource);
    if (name === '' || (parameters.get(name) ?? '') !== '') continue;
    parameters.set(name, scalarText(valueSource));
  }
  return { readable: true, parameters };
}

/** navigator.sendBeacon sends text/plain; curl and others call whatever they are given a form. */
const TYPES_OF_EITHER: ReadonlySet<string> = new Set([
  'application/x-www-form-urlencoded',
  'text/plain',
]);

/** Parses a body that is text. An empty one has no parameters, whatever its type. */
export function parseBody(body: string, contentType: string): BodyResult {
  if (body === '') return { readable: true, parameters: NO_PARAMETERS };
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === 'application/json' || type.endsWith('+json')) return parseJson(body);
  if (type === '' || TYPES_OF_EITHER.has(type)) {
    // Which of the two it is shows in the first character.
    if (body.trimStart().startsWith('{')) return parseJson(body);
    return { readable: true, parameters: parseQuery(body) };
  }
  return unreadable(`a body of type ${type.slice(0, 100)} is neither a form nor JSON`);
}

/** Query and body together; the query wins wherever it has a non-empty value. */
export function mergeParameters(query: Parameters, body: Parameters): Parameters {
  if (body.size === 0) return query;
  const merged = new Map(body);
  for (const [name, value] of query) if (value !== '' || !merged.has(name)) merged.set(name, value);
  return merged;
}

/** Lets nearly every request through without a closer look. */
const MAY_HOLD_TOKEN =
  /(?:t|%[57]4|\\u00[57]4)(?:o|%[46]f|\\u00[46]f)(?:k|%[46]b|\\u00[46]b)(?:e|%[46]5|\\u00[46]5)(?:n|%[46]e|\\u00[46]e)/i;
const LETTERS_IN_JSON = 'token'.split('').map((letter) => {
  const codes = [letter, letter.toUpperCase()].map((c) => c.charCodeAt(0).toString(16));
  return `(?:${letter}|\\\\u00(?:${codes.join('|')}))`;
});
// What is no plain value makes the body unreadable anyway, so the rest of it goes as well.
const TOKEN_IN_JSON = new RegExp(
  `("${LETTERS_IN_JSON.join('')}"\\s*:\\s*)("(?:[^"\\\\]|\\\\[^])*"?|[[{][^]*|[^,}\\s]+)`,
  'gi',
);
/** Where a parameter of a URL begins, also of one that was put together wrongly: `/track/conv&token=`, `?a=1?token=`. */
const TOKEN_IN_URL = /([?&;"']token=)[^&#\s"]*/gi;
/** As people write what is meant to be JSON: `{'token': 'x'}`, `{token: x}`, `token: x`. */
const TOKEN_BY_COLON =
  /((?:^|[{[,\s])['"]?token['"]?\s*:\s*)('(?:[^'\\]|\\[^])*'?|"(?:[^"\\]|\\[^])*"?|[^,}\s]+)/gi;
/** Bodies that are no request of ours but may hold its secret: multipart and XML. */
const TOKEN_IN_MULTIPART =
  /(name="?token"?[^\n]*\n(?:[^\r\n]+\r?\n){0,9}\r?\n)[^]*?(?=\r?\n--|$)/gi;
const TOKEN_IN_XML = /(<token\b[^>]*>)[^<]*/gi;
const TOKEN_ATTRIBUTE = /(\btoken\s*=\s*)("[^"]*"?|'[^']*'?)/gi;

/** `token[]` of PHP, and `&amp;token` of a URL taken out of HTML. */
function isTokenName(name: string): boolean {
  return /^(?:amp;)?token(?:\[.*\])?$/i.test(name.trim());
}

function blankTokenOfPair(pair: string): string {
  const at = pair.indexOf('=');
  if (at < 0) return pair.replace(TOKEN_BY_COLON, '$1"***"');
  const name = decodeComponent(pair.slice(0, at).replace(/^\?/, ''));
  return isTokenName(name) ? `${pair.slice(0, at)}=***` : blankTokenOfUrl(pair);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function blankTokenOfJson(text: string): string {
  const blanked = text.replace(TOKEN_IN_JSON, '$1"***"').replace(TOKEN_IN_URL, '$1***');
  // In JSON such words are part of some other value.
  return isJson(text) ? blanked : blanked.replace(TOKEN_BY_COLON, '$1"***"');
}

/** The text with the value of every `token` parameter replaced by `***`: rows never hold a secret. */
export function blankToken(text: string): string {
  if (!MAY_HOLD_TOKEN.test(text)) return text;
  const first = text.trimStart().charAt(0);
  if (first === '<') return text.replace(TOKEN_IN_XML, '$1***').replace(TOKEN_ATTRIBUTE, '$1"***"');
  if (text.startsWith('--')) return text.replace(TOKEN_IN_MULTIPART, '$1***');
  if (/[{["']/.test(first)) return blankTokenOfJson(text);
  return text.split('&').map(blankTokenOfPair).join('&');
}

/** The same for a text that may hold a URL, whole or in part: the page that called, a path, a detail that quotes either. */
export function blankTokenOfUrl(text: string): string {
  // Asked of four texts a call, most of which name nothing.
  if (!text.includes('=')) return text;
  return text.replace(TOKEN_IN_URL, '$1***');
}

/** The same for a body kept as base64: compressed ones show nothing, ones of another charset do. */
export function blankTokenOfBase64(base64: string): string {
  const text = Buffer.from(base64, 'base64').toString('latin1');
  const blanked = blankToken(text);
  return blanked === text ? base64 : Buffer.from(blanked, 'latin1').toString('base64');
}
