/** One HTTP request from its first byte to its answer: who asks, what kind of statement it is, and the way it runs. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Role } from './access.ts';
import type { AnalystDoor } from './analyst.ts';
import { createAnswer, sendFault, type Answer } from './answer.ts';
import type { Engine, StatementOptions } from './engine.ts';
import { faultOf, RequestFault } from './http-errors.ts';
import { INSERT_TEXT_BYTES_MAX, runInsertRequest, STATEMENT_HEAD_BYTES } from './insert-request.ts';
import { openRequestBody, type RequestBody } from './request-body.ts';
import { readMultipart, readRequestFields, type RequestFields } from './request.ts';
import { isStacked, kindOf, splitFormat, withoutSemicolon } from './statement.ts';
import { authenticate, type Passwords } from './users.ts';

/** Statement text and parameters, in memory. Look-ups of many ids come as one parameter. */
const TEXT_BYTES_MAX: Readonly<Record<Role, number>> = {
  owner: INSERT_TEXT_BYTES_MAX,
  analyst: 2 * 1024 ** 2,
};

export interface HandlerDeps {
  readonly engine: Engine;
  readonly door: AnalystDoor;
  readonly temporaryDir: string;
  readonly database: string;
  readonly passwords: Passwords;
  readonly logger: Logger;
}

/** What is known of a request once its statement can run. */
interface Call {
  readonly fields: RequestFields;
  readonly body: RequestBody;
  readonly options: StatementOptions;
  readonly queryId: string;
  readonly response: ServerResponse;
  /** Fires when the client goes before it has its answer. */
  readonly signal: AbortSignal;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

export function createHandler(deps: HandlerDeps): Handler {
  const { engine, door } = deps;
  const running = new Set<string>();

  function temporaryFile(): string {
    return join(deps.temporaryDir, randomUUID());
  }

  function statementOptions(fields: RequestFields, role: Role, method: string): StatementOptions {
    const asked = fields.database ?? deps.database;
    const database = asked === 'default' ? deps.database : asked;
    if (!/^[A-Za-z_]\w*$/.test(database) || (role === 'analyst' && database !== deps.database))
      throw new RequestFault(81, 'UNKNOWN_DATABASE', `Database ${asked} does not exist`);
    return {
      settings: role === 'analyst' ? door.settings(fields.settings) : fields.settings,
      parameters: fields.parameters,
      database,
      role,
      readonly: role === 'analyst' ? 1 : method === 'POST' || method === 'PUT' ? 0 : 2,
    };
  }

  function answerTo(call: Call, format: string): Answer {
    return createAnswer(call.response, {
      queryId: call.queryId,
      format,
      encoding: call.fields.encoding,
      waitFile: call.fields.waitForEnd ? temporaryFile() : undefined,
    });
  }

  async function runRead(call: Call, text: string): Promise<void> {
    const { fields, options, signal } = call;
    const { sql, format: named, settings } = splitFormat(withoutSemicolon(text));
    const format = named ?? fields.format ?? 'TabSeparated';
    if (!/^\w+$/.test(format))
      throw new RequestFault(73, 'UNKNOWN_FORMAT', `Unknown format ${format}`);
    const analyst = options.role === 'analyst';
    if (analyst) {
      door.judgeFormat(format);
      if (settings !== '')
        throw new RequestFault(
          497,
          'ACCESS_DENIED',
          'analyst: SETTINGS in the statement are not allowed',
        );
    }
    const answer = answerTo(call, format);
    try {
      const outcome = await engine.read({
        options,
        text: (ask) => (analyst ? door.admit(sql, ask) : sql),
        format,
        settings,
        consume: (chunk) => answer.write(chunk),
        signal,
      });
      await answer.finish(outcome);
    } catch (error) {
      await answer.fail(faultOf(error));
    }
  }

  async function runInsert(call: Call): Promise<void> {
    const outcome = await runInsertRequest(
      { ...call, query: call.fields.query },
      engine,
      temporaryFile(),
    );
    await answerTo(call, 'Null').finish(outcome);
  }

  async function runStatement(call: Call): Promise<void> {
    const { fields, body, options } = call;
    const beginning = await body.beginning(fields.query === '' ? STATEMENT_HEAD_BYTES : 1);
    if (body.compression !== undefined && fields.query === '') {
      throw new RequestFault(
        48,
        'NOT_IMPLEMENTED',
        `Content-Encoding ${body.compression} is supported for data only: put the statement in the URL`,
      );
    }
    const kind = kindOf(fields.query === '' ? beginning.toString('utf8') : fields.query);
    if (kind === 'insert' && options.role === 'owner') {
      await runInsert(call);
      return;
    }
    // Text in the URL goes on in the body, as the server has it.
    const rest = (await body.whole(TEXT_BYTES_MAX[options.role])).toString('utf8');
    const text = [fields.query, rest].filter((part) => part !== '').join('\n');
    if (isStacked(text))
      throw new RequestFault(62, 'SYNTAX_ERROR', 'Syntax error (Multi-statements are not allowed)');
    if (kind === 'read' || options.role === 'analyst') {
      await runRead(call, text);
      return;
    }
    const { sql, format: named, settings } = splitFormat(withoutSemicolon(text));
    const format = named ?? fields.format ?? 'TabSeparated';
    const result = await engine.command(`${sql} ${settings}`, format, options);
    const answer = answerTo(call, format);
    await answer.write(result);
    await answer.finish({});
  }

  async function readFields(request: IncomingMessage, body: RequestBody) {
    const contentType = request.headers['content-type'] ?? '';
    const outside = readRequestFields(request);
    const role = authenticate(request, outside, deps.passwords);
    if (!contentType.startsWith('multipart/form-data')) return { fields: outside, role, body };
    const form = readMultipart(await body.whole(TEXT_BYTES_MAX[role]), contentType);
    // The form is the whole body: no statement text is left in it.
    const empty: RequestBody = {
      ...body,
      beginning: () => Promise.resolve(Buffer.alloc(0)),
      whole: () => Promise.resolve(Buffer.alloc(0)),
    };
    return { fields: readRequestFields(request, form), role, body: empty };
  }

  async function serve(
    request: IncomingMessage,
    response: ServerResponse,
    received: RequestBody,
    queryId: string,
    signal: AbortSignal,
  ): Promise<void> {
    const method = request.method ?? 'GET';
    const { fields, role, body } = await readFields(request, received);
    if (fields.query === '' && (await body.beginning(1)).length === 0) {
      response.end('Ok.\n');
      return;
    }
    const options = statementOptions(fields, role, method);
    if (running.has(queryId)) {
      throw new RequestFault(
        216,
        'QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING',
        `Query with id = ${queryId} is already running`,
      );
    }
    running.add(queryId);
    try {
      await runStatement({ fields, body, options, queryId, response, signal });
    } finally {
      running.delete(queryId);
    }
  }

  return async function handle(request, response) {
    const url = new URL(request.url ?? '/', 'http://clickhouse');
    if (url.pathname === '/ping' || url.pathname === '/replicas_status') {
      response.end('Ok.\n');
      return;
    }
    if (url.pathname !== '/' && url.pathname !== '/query') {
      response.writeHead(404).end('There is no handle here: send statements to /\n');
      return;
    }
    const queryId = url.searchParams.get('query_id') || randomUUID();
    const body = openRequestBody(request);
    const gone = new AbortController();
    // Writing to a client that has gone is no fault of ours; 'close' tells what must end.
    response.on('error', () => undefined);
    response.once('close', () => {
      if (!response.writableFinished)
        gone.abort(new Error('Code: 210. DB::Exception: the client has gone. (NETWORK_ERROR)'));
    });
    try {
      await serve(request, response, body, queryId, gone.signal);
    } catch (error) {
      if (response.headersSent || response.destroyed) response.destroy();
      else sendFault(response, faultOf(error), queryId);
    }
    await body.release();
  };
}
