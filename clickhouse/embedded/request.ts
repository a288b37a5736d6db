/** What a request's line and headers say, as ClickHouse's interface understands them: who, settings, parameters, what comes back. */
import type { IncomingMessage } from 'node:http';
import { RequestFault } from './http-errors.ts';

export interface RequestFields {
  readonly user: string;
  readonly password: string;
  /** Statement text that came outside the body. */
  readonly query: string;
  readonly settings: ReadonlyMap<string, string>;
  readonly parameters: ReadonlyMap<string, string>;
  readonly database: string | undefined;
  readonly format: string | undefined;
  /** For the answer. */
  readonly encoding: 'gzip' | 'deflate' | undefined;
  /** Nothing of the answer is sent before the statement has ended. */
  readonly waitForEnd: boolean;
}

/** Request parameters that are not settings. */
const NOT_SETTINGS: ReadonlySet<string> = new Set([
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
  'http_response_buffer_size',
  'http_wait_end_of_query',
  'cancel_http_readonly_queries_on_client_close',
  'add_http_cors_header',
  'quota_key',
  'role',
  'stacktrace',
  'client_protocol_version',
  'close_session',
]);

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}

function readCredentials(
  request: IncomingMessage,
  fields: ReadonlyMap<string, string>,
): { user: string; password: string } {
  const basic = /^Basic\s+(\S+)/i.exec(request.headers.authorization ?? '')?.[1];
  if (basic !== undefined) {
    const text = Buffer.from(basic, 'base64').toString('utf8');
    const at = text.indexOf(':');
    return { user: at < 0 ? text : text.slice(0, at), password: at < 0 ? '' : text.slice(at + 1) };
  }
  if (request.headers.authorization !== undefined) {
    throw new RequestFault(
      516,
      'AUTHENTICATION_FAILED',
      'Invalid authentication: only the Basic HTTP authorization scheme is supported',
    );
  }
  return {
    user: header(request, 'x-clickhouse-user') ?? fields.get('user') ?? '',
    password: header(request, 'x-clickhouse-key') ?? fields.get('password') ?? '',
  };
}

function readEncoding(
  request: IncomingMessage,
  fields: ReadonlyMap<string, string>,
): 'gzip' | 'deflate' | undefined {
  if (!isOn(fields.get('enable_http_compression'))) return undefined;
  const accepted = [request.headers['accept-encoding'] ?? []].flat().join(',');
  return accepted.includes('gzip') ? 'gzip' : accepted.includes('deflate') ? 'deflate' : undefined;
}

function isOn(value: string | undefined): boolean {
  return value === '1' || value === 'true';
}

/** What this server does not do is refused, where silence would lead to a wrong result. */
function refuseUnsupported(fields: ReadonlyMap<string, string>): void {
  if (isOn(fields.get('decompress')) || isOn(fields.get('compress'))) {
    throw new RequestFault(
      48,
      'NOT_IMPLEMENTED',
      'compress and decompress are not supported: use gzip with enable_http_compression=1',
    );
  }
  if (isOn(fields.get('session_check')))
    throw new RequestFault(372, 'SESSION_NOT_FOUND', 'Session not found', 404);
  const role = fields.get('role');
  if (role !== undefined)
    throw new RequestFault(512, 'SET_NON_GRANTED_ROLE', `Role ${role} should be granted to set`);
}

/** Path and parameters of a request, whatever a stranger sent: not every target is a URL (`//`). */
export function targetOf(request: IncomingMessage): {
  readonly path: string;
  readonly parameters: URLSearchParams;
} {
  const target = request.url ?? '/';
  const mark = target.indexOf('?');
  if (mark < 0) return { path: target, parameters: new URLSearchParams() };
  return {
    path: target.slice(0, mark),
    parameters: new URLSearchParams(target.slice(mark)),
  };
}

/** `multipart`: the plain fields of a form, which count like parameters of the URL. */
export function readRequestFields(
  request: IncomingMessage,
  multipart: ReadonlyMap<string, string> = new Map(),
): RequestFields {
  const fields = new Map([...targetOf(request).parameters, ...multipart]);
  refuseUnsupported(fields);
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
  return {
    ...readCredentials(request, fields),
    query: fields.get('query') ?? '',
    settings,
    parameters,
    database: fields.get('database') ?? header(request, 'x-clickhouse-database'),
    format: fields.get('default_format') ?? header(request, 'x-clickhouse-format'),
    encoding: readEncoding(request, fields),
    waitForEnd: isOn(fields.get('wait_end_of_query')) || isOn(fields.get('http_wait_end_of_query')),
  };
}

/** Plain fields of a multipart form; a file part is external data, which this server does not take. */
export function readMultipart(body: Buffer, contentType: string): ReadonlyMap<string, string> {
  const boundary = /boundary="?([^";]+)"?/.exec(contentType)?.[1];
  if (boundary === undefined)
    throw new RequestFault(36, 'BAD_ARGUMENTS', 'a multipart body without a boundary');
  const fields = new Map<string, string>();
  // The delimiter's line break belongs to it: the one before the first is added.
  const parts = `\r\n${body.toString('utf8')}`.split(`\r\n--${boundary}`);
  for (const part of parts.slice(1, -1)) {
    const at = part.indexOf('\r\n\r\n');
    const head = part.slice(0, at);
    if (/filename=/.test(head)) {
      throw new RequestFault(
        48,
        'NOT_IMPLEMENTED',
        'external data is not supported: send ids as a query parameter {ids:Array(String)}',
      );
    }
    fields.set(/name="([^"]+)"/.exec(head)?.[1] ?? '', part.slice(at + 4));
  }
  return fields;
}
