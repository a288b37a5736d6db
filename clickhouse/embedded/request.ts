/** One HTTP request as ClickHouse's interface understands it: statement, data, settings, parameters, who asks, what comes back. */
import type { IncomingMessage } from 'node:http';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import { fault, type EngineFault } from './http-errors.ts';

export interface ClickHouseRequest {
  /** The statement's text; of an INSERT with data only up to the data. */
  readonly sql: string;
  /** What follows an INSERT's FORMAT clause; undefined when the statement brings none. */
  readonly body: Buffer;
  /** The statement came in the URL, and the body is data. */
  readonly bodyIsData: boolean;
  readonly settings: ReadonlyMap<string, string>;
  readonly parameters: ReadonlyMap<string, string>;
  readonly user: string;
  readonly password: string;
  readonly database: string | undefined;
  readonly format: string | undefined;
  readonly queryId: string | undefined;
  /** gzip or deflate for the answer, or undefined. */
  readonly encoding: 'gzip' | 'deflate' | undefined;
}

/** Largest body held in memory; an INSERT beyond it is split by any client. */
const BODY_BYTES_MAX = 512 * 1024 ** 2;
/** Request parameters that are not settings. */
const NOT_SETTINGS = new Set([
  'query',
  'database',
  'default_format',
  'user',
  'password',
  'query_id',
  'session_id',
  'session_timeout',
  'session_check',
  'compress',
  'decompress',
  'enable_http_compression',
  'http_zlib_compression_level',
  'wait_end_of_query',
  'buffer_size',
  'send_progress_in_http_headers',
  'http_headers_progress_interval_ms',
  'quota_key',
  'role',
  'stacktrace',
  'client_protocol_version',
]);

export class RequestFault extends Error {
  readonly fault: EngineFault;
  constructor(code: number, name: string, message: string, status?: number) {
    super(message);
    const made = fault(code, name, message);
    this.fault = status === undefined ? made : { ...made, status };
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX)
      throw new RequestFault(
        307,
        'TOO_MANY_BYTES',
        `a body of more than ${BODY_BYTES_MAX} bytes`,
        413,
      );
    chunks.push(chunk);
  }
  const body = chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks);
  return body.length === 0 ? body : decode(body, request.headers['content-encoding'] ?? 'identity');
}

function decode(body: Buffer, encoding: string): Buffer {
  const options = { maxOutputLength: BODY_BYTES_MAX };
  try {
    if (encoding === 'identity') return body;
    if (encoding === 'gzip') return gunzipSync(body, options);
    if (encoding === 'deflate') return inflateSync(body, options);
    if (encoding === 'br') return brotliDecompressSync(body, options);
  } catch (error) {
    throw new RequestFault(
      354,
      'ZLIB_INFLATE_FAILED',
      `the ${encoding} body can't be read: ${String(error)}`,
      400,
    );
  }
  throw new RequestFault(48, 'NOT_IMPLEMENTED', `Content-Encoding ${encoding} is not supported`);
}

/** Plain fields of a multipart form; a file part is external data, which this server does not take. */
function parseMultipart(body: Buffer, contentType: string): Map<string, string> {
  const boundary = /boundary="?([^";]+)"?/.exec(contentType)?.[1];
  if (boundary === undefined)
    throw new RequestFault(36, 'BAD_ARGUMENTS', 'a multipart body without a boundary', 400);
  const fields = new Map<string, string>();
  const text = body.toString('utf8');
  for (const part of text.split(`--${boundary}`).slice(1, -1)) {
    const at = part.indexOf('\r\n\r\n');
    const head = part.slice(0, at);
    const name = /name="([^"]+)"/.exec(head)?.[1] ?? '';
    if (/filename=/.test(head)) {
      throw new RequestFault(
        48,
        'NOT_IMPLEMENTED',
        'external data is not supported: send ids as a query parameter {ids:Array(String)}',
      );
    }
    fields.set(name, part.slice(at + 4, -2));
  }
  return fields;
}

function credentials(request: IncomingMessage, url: URL): { user: string; password: string } {
  const header = request.headers.authorization ?? '';
  if (header.startsWith('Basic ')) {
    const text = Buffer.from(header.slice(6), 'base64').toString('utf8');
    const at = text.indexOf(':');
    return { user: at < 0 ? text : text.slice(0, at), password: at < 0 ? '' : text.slice(at + 1) };
  }
  const named = (name: string): string | undefined => {
    const value = request.headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    user: named('x-clickhouse-user') ?? url.searchParams.get('user') ?? '',
    password: named('x-clickhouse-key') ?? url.searchParams.get('password') ?? '',
  };
}

function encodingOf(request: IncomingMessage, url: URL): 'gzip' | 'deflate' | undefined {
  if (url.searchParams.get('enable_http_compression') !== '1') return undefined;
  const accepted = [request.headers['accept-encoding'] ?? []].flat().join(',');
  return accepted.includes('gzip') ? 'gzip' : accepted.includes('deflate') ? 'deflate' : undefined;
}

export async function readClickHouseRequest(request: IncomingMessage): Promise<ClickHouseRequest> {
  const url = new URL(request.url ?? '/', 'http://clickhouse');
  if (url.searchParams.get('decompress') === '1' || url.searchParams.get('compress') === '1') {
    throw new RequestFault(
      48,
      'NOT_IMPLEMENTED',
      'compress and decompress are not supported: use gzip with enable_http_compression=1',
    );
  }
  let body = request.method === 'GET' ? Buffer.alloc(0) : await readBody(request);
  const fields = new Map(url.searchParams);
  const contentType = request.headers['content-type'] ?? '';
  if (contentType.startsWith('multipart/form-data')) {
    for (const [name, value] of parseMultipart(body, contentType)) fields.set(name, value);
    body = Buffer.alloc(0);
  }
  const settings = new Map<string, string>();
  const parameters = new Map<string, string>();
  for (const [name, value] of fields) {
    if (name.startsWith('param_')) parameters.set(name.slice(6), value);
    else if (!NOT_SETTINGS.has(name)) settings.set(name, value);
  }
  for (const name of [...settings.keys(), ...parameters.keys()]) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      throw new RequestFault(115, 'UNKNOWN_SETTING', `Unknown setting '${name}'`);
  }
  const inUrl = fields.get('query') ?? '';
  const header = request.headers['x-clickhouse-database'];
  return {
    ...credentials(request, url),
    sql: inUrl,
    body,
    bodyIsData: inUrl !== '' && body.length > 0,
    settings,
    parameters,
    database: fields.get('database') ?? (typeof header === 'string' ? header : undefined),
    format:
      fields.get('default_format') ??
      (typeof request.headers['x-clickhouse-format'] === 'string'
        ? request.headers['x-clickhouse-format']
        : undefined),
    queryId: fields.get('query_id'),
    encoding: encodingOf(request, url),
  };
}
