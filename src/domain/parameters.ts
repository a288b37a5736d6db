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

/** Parses `a=1&b=2` (a query without `?`, or a form body). */
export function parseQuery(raw: string): Parameters {
  if (raw === '') return NO_PARAMETERS;
  const parameters = new Map<string, string>();
  for (const pair of raw.split('&')) {
    const at = pair.indexOf('=');
    const name = decodeComponent(at < 0 ? pair : pair.slice(0, at));
    if (name === '' || (parameters.get(name) ?? '') !== '') continue;
    parameters.set(name, at < 0 ? '' : decodeComponent(pair.slice(at + 1)));
  }
  return parameters;
}

export type BodyResult =
  | { readonly readable: true; readonly parameters: Parameters }
  | { readonly readable: false; readonly reason: string };

function unreadable(reason: string): BodyResult {
  return { readable: false, reason };
}

function scalar(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return value === null ? '' : undefined;
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
  const parameters = new Map<string, string>();
  for (const [name, value] of Object.entries(parsed)) {
    const text = scalar(value);
    if (text === undefined)
      return unreadable(`the JSON body's "${name.slice(0, 50)}" is not a plain value`);
    parameters.set(name, text);
  }
  return { readable: true, parameters };
}

/** Parses a body that is text. An empty one has no parameters, whatever its type. */
export function parseBody(body: string, contentType: string): BodyResult {
  if (body === '') return { readable: true, parameters: NO_PARAMETERS };
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === 'application/json' || type.endsWith('+json')) return parseJson(body);
  if (type === 'application/x-www-form-urlencoded')
    return { readable: true, parameters: parseQuery(body) };
  if (type === '' || type === 'text/plain') {
    // navigator.sendBeacon sends text/plain; which of the two it is shows in the first character.
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

const TOKEN_IN_QUERY = /(^|[&?])((?:t|%74)(?:o|%6f)(?:k|%6b)(?:e|%65)(?:n|%6e))=[^&\s"]*/gi;
const TOKEN_IN_JSON = /("token"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^,}\s]+)/gi;

/** The text with the value of every `token` parameter replaced by `***`: rows never hold a secret. */
export function blankToken(text: string): string {
  return text.replace(TOKEN_IN_QUERY, '$1$2=***').replace(TOKEN_IN_JSON, '$1"***"');
}
