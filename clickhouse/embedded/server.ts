/**
 * ClickHouse's HTTP interface over the chDB engine in this process: `@clickhouse/client`, curl and HTTP drivers talk
 * to it as to a server. One process owns a data directory; everyone else goes through this port.
 * Not here: native protocol, external data, LZ4 framing, sessions that live across requests.
 */
import { randomUUID, timingSafeEqual } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createDeflate, createGzip } from 'node:zlib';
import type { Logger } from 'pino';
import { ANALYST_LIMITS, ANALYST_SETTINGS, createAnalystDoor } from './analyst.ts';
import { createEngine, type StatementOptions } from './engine.ts';
import { faultOf, type EngineFault } from './http-errors.ts';
import { readClickHouseRequest, RequestFault, type ClickHouseRequest } from './request.ts';
import {
  blankLiterals,
  insertDataOffset,
  isStacked,
  kindOf,
  splitFormat,
  withoutSemicolon,
} from './statement.ts';

export interface EmbeddedClickHouseOptions {
  /** The engine's own folder; this process must be its only owner. */
  readonly dataDir: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly database: string;
  /** User `sluice`: everything, from loopback only. */
  readonly sluicePassword: string;
  /** User `analyst`: reads the documented views. Null: no password, from loopback only. */
  readonly analystPassword: string | null;
  readonly analystRelations: readonly string[];
  readonly logger: Logger;
}

export interface EmbeddedClickHouse {
  readonly port: number;
  close(): Promise<void>;
}

/** Formats whose chunks may simply follow each other. Others carry a frame and are made in one piece. */
const STREAMED = new Set([
  'JSONEachRow',
  'JSONLines',
  'NDJSON',
  'JSONStringsEachRow',
  'JSONCompactEachRow',
  'JSONCompactStringsEachRow',
  'CSV',
  'TSV',
  'TabSeparated',
  'TabSeparatedRaw',
  'TSVRaw',
  'RowBinary',
  'Native',
  'LineAsString',
  'RawBLOB',
]);
const CONTENT_TYPES: readonly (readonly [RegExp, string])[] = [
  [/^JSON|^NDJSON/, 'application/json; charset=UTF-8'],
  [/^CSV/, 'text/csv; charset=UTF-8; header=absent'],
  [/^(TSV|TabSeparated)/, 'text/tab-separated-values; charset=UTF-8'],
  [/^(RowBinary|Native|Parquet|Arrow|ORC)/, 'application/octet-stream'],
];
/** Statement head in which an INSERT's FORMAT clause is sought when text and data come in one body. */
const INSERT_HEAD_BYTES = 256 * 1024;
const HEADER_BYTES_MAX = 4 * 1024 ** 2;

type Principal = 'sluice' | 'analyst';

function isLoopback(request: IncomingMessage): boolean {
  const address = request.socket.remoteAddress ?? '';
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function contentTypeOf(format: string): string {
  return CONTENT_TYPES.find(([shape]) => shape.test(format))?.[1] ?? 'text/plain; charset=UTF-8';
}

export async function createEmbeddedClickHouse(
  options: EmbeddedClickHouseOptions,
): Promise<EmbeddedClickHouse> {
  const enginePath = join(options.dataDir, 'engine');
  mkdirSync(enginePath, { recursive: true });
  const engine = createEngine(enginePath, join(options.dataDir, 'tmp'));
  const plain: StatementOptions = {
    settings: new Map(),
    parameters: new Map(),
    database: 'system',
    readonly: false,
  };
  for (const name of [options.database, `${options.database}_private`]) {
    await engine.query(`CREATE DATABASE IF NOT EXISTS ${name}`, 'TSV', plain);
  }
  const admit = createAnalystDoor(engine, options.database, options.analystRelations);

  function authenticate(request: IncomingMessage, asked: ClickHouseRequest): Principal {
    const user = asked.user === '' || asked.user === 'default' ? 'analyst' : asked.user;
    if (
      user === 'sluice' &&
      isLoopback(request) &&
      sameText(asked.password, options.sluicePassword)
    )
      return 'sluice';
    if (user === 'analyst') {
      if (
        options.analystPassword === null
          ? isLoopback(request)
          : sameText(asked.password, options.analystPassword)
      )
        return 'analyst';
    }
    throw new RequestFault(
      516,
      'AUTHENTICATION_FAILED',
      `${user}: Authentication failed: password is incorrect, or there is no user with such name`,
    );
  }

  function statementOptions(
    asked: ClickHouseRequest,
    principal: Principal,
    method: string,
  ): StatementOptions {
    const settings = new Map(
      [...asked.settings].filter(([name]) => principal === 'sluice' || ANALYST_SETTINGS.has(name)),
    );
    if (principal === 'analyst')
      for (const [name, value] of ANALYST_LIMITS) settings.set(name, value);
    const database = asked.database ?? options.database;
    const allowed =
      principal === 'sluice' || database === options.database || database === 'default';
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(database) || !allowed) {
      throw new RequestFault(81, 'UNKNOWN_DATABASE', `Database ${database} does not exist`);
    }
    return {
      settings,
      parameters: asked.parameters,
      database: database === 'default' ? options.database : database,
      readonly: principal === 'analyst' || method === 'GET',
    };
  }

  function refuse(response: ServerResponse, found: EngineFault): void {
    if (response.headersSent) {
      response.destroy();
      return;
    }
    response.writeHead(found.status, {
      'content-type': 'text/plain; charset=UTF-8',
      'x-clickhouse-exception-code': String(found.code),
      'x-clickhouse-server-display-name': 'sluice',
    });
    response.end(`${found.message}\n`);
  }

  interface Summary {
    readonly readRows: number;
    readonly readBytes: number;
    readonly writtenRows: number;
    readonly writtenBytes: number;
    readonly elapsedNs: number;
  }

  function begin(
    response: ServerResponse,
    asked: ClickHouseRequest,
    format: string,
    queryId: string,
    summary: Summary,
  ): NodeJS.WritableStream {
    response.writeHead(200, {
      'content-type': contentTypeOf(format),
      'x-clickhouse-format': format,
      'x-clickhouse-query-id': queryId,
      'x-clickhouse-timezone': 'UTC',
      'x-clickhouse-server-display-name': 'sluice',
      'x-clickhouse-summary': JSON.stringify({
        read_rows: String(summary.readRows),
        read_bytes: String(summary.readBytes),
        written_rows: String(summary.writtenRows),
        written_bytes: String(summary.writtenBytes),
        total_rows_to_read: '0',
        result_rows: String(summary.writtenRows),
        result_bytes: '0',
        elapsed_ns: String(summary.elapsedNs),
      }),
      ...(asked.encoding && { 'content-encoding': asked.encoding }),
    });
    if (asked.encoding === undefined) return response;
    const encoder = asked.encoding === 'gzip' ? createGzip() : createDeflate();
    encoder.pipe(response);
    return encoder;
  }

  const noRows: Summary = {
    readRows: 0,
    readBytes: 0,
    writtenRows: 0,
    writtenBytes: 0,
    elapsedNs: 0,
  };

  async function runInsert(
    asked: ClickHouseRequest,
    response: ServerResponse,
    use: StatementOptions,
    queryId: string,
  ): Promise<void> {
    let prefix = asked.sql;
    let data = asked.body;
    if (!asked.bodyIsData) {
      const head = (asked.sql === '' ? asked.body : Buffer.from(asked.sql))
        .subarray(0, INSERT_HEAD_BYTES)
        .toString('latin1');
      const offset = insertDataOffset(head);
      const whole = asked.sql === '' ? asked.body : Buffer.from(asked.sql);
      prefix = whole.subarray(0, offset ?? whole.length).toString('utf8');
      data = whole.subarray(offset ?? whole.length);
      if (offset === undefined) {
        const result = await engine.query(withoutSemicolon(prefix), 'Null', use);
        begin(response, asked, 'Null', queryId, { ...noRows, readRows: result.rowsRead }).end();
        return;
      }
    }
    const started = performance.now();
    const written = await engine.insert(`${withoutSemicolon(prefix).trimEnd()}\n`, data, use);
    begin(response, asked, 'Null', queryId, {
      ...noRows,
      writtenRows: written.rowsWritten,
      writtenBytes: written.bytesWritten,
      elapsedNs: Math.round((performance.now() - started) * 1e6),
    }).end();
  }

  /** Undefined: go on. A client that has gone never drains: without a look at it the statement's place is lost for good. */
  function write(
    out: NodeJS.WritableStream,
    response: ServerResponse,
    chunk: Uint8Array,
  ): Promise<void> | undefined {
    if (response.destroyed || out.write(chunk)) return undefined;
    return new Promise((resolve) => {
      out.once('drain', resolve);
      response.once('close', resolve);
    });
  }

  async function runQuery(
    asked: ClickHouseRequest,
    response: ServerResponse,
    use: StatementOptions,
    queryId: string,
  ): Promise<void> {
    const split = splitFormat(withoutSemicolon(asked.sql));
    const format = split.format ?? asked.format ?? 'TabSeparated';
    const tag = `/*${queryId}:${randomUUID()}*/`;
    let gone = false;
    response.once('close', () => {
      gone = !response.writableFinished;
      if (gone)
        void engine
          .kill(tag)
          .catch((error: unknown) =>
            options.logger.warn({ error: String(error) }, 'a statement could not be killed'),
          );
    });
    const sql = `${tag} ${split.sql}`;
    if (/^[\s(]*(select|with)\b/i.test(blankLiterals(split.sql)) && STREAMED.has(format)) {
      let out: NodeJS.WritableStream | undefined;
      await engine.stream(sql, format, use, async (chunk) => {
        out ??= begin(response, asked, format, queryId, noRows);
        await write(out, response, chunk);
        return !gone;
      });
      out ??= begin(response, asked, format, queryId, noRows);
      out.end();
      return;
    }
    const result = await engine.query(sql, format, use);
    const summary = {
      ...noRows,
      readRows: result.rowsRead,
      readBytes: result.bytesRead,
      elapsedNs: Math.round(result.elapsed * 1e9),
    };
    begin(response, asked, format, queryId, summary).end(result.bytes());
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?', 1)[0];
    if (path === '/ping' || path === '/replicas_status') {
      response.end(path === '/ping' ? 'Ok.\n' : '');
      return;
    }
    const received = await readClickHouseRequest(request);
    if (received.sql === '' && received.body.length === 0) {
      response.end('Ok.\n');
      return;
    }
    const principal = authenticate(request, received);
    const use = statementOptions(received, principal, request.method ?? 'GET');
    const queryId = received.queryId ?? randomUUID();
    const head =
      received.sql === '' ? received.body.subarray(0, 4096).toString('utf8') : received.sql;
    if (kindOf(head) === 'insert' && principal === 'sluice') {
      await runInsert(received, response, use, queryId);
      return;
    }
    // Text in the URL goes on in the body, as the server has it.
    const joined = [received.sql, received.body.toString('utf8')]
      .filter((part) => part !== '')
      .join('\n');
    const asked = { ...received, sql: joined };
    if (isStacked(asked.sql))
      throw new RequestFault(62, 'SYNTAX_ERROR', 'Multi-statements are not allowed');
    if (principal === 'analyst') {
      const bare = splitFormat(withoutSemicolon(asked.sql)).sql;
      const found = await admit(bare, use);
      if (found !== undefined) {
        refuse(response, found);
        return;
      }
    }
    await runQuery(asked, response, use, queryId);
  }

  const server: Server = createServer(
    { maxHeaderSize: HEADER_BYTES_MAX, keepAliveTimeout: 10_000 },
    (request, response) => {
      handle(request, response).catch((error: unknown) => {
        refuse(response, error instanceof RequestFault ? error.fault : faultOf(error));
      });
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  // A TCP server's address is always an object.
  const { port } = server.address() as AddressInfo;
  options.logger.info({ port, dataDir: options.dataDir }, 'embedded ClickHouse listens');
  return {
    port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      await engine.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
