/** One HTTP request from its first byte to its answer: where it goes, who asks, what for, under which settings. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Role } from './access.ts';
import type { AnalystDoor } from './analyst.ts';
import { sendFault } from './answer.ts';
import type { Engine } from './engine.ts';
import { faultOf, RequestFault } from './http-errors.ts';
import { openRequestBody, type RequestBody } from './request-body.ts';
import { readMultipart, readRequestFields, targetOf, type RequestFields } from './request.ts';
import { runStatement, TEXT_BYTES_MAX, type StatementDeps } from './run-statement.ts';
import type { StatementOptions } from './sessions.ts';
import { authenticate, type Passwords } from './users.ts';

export interface HandlerDeps {
  readonly engine: Engine;
  readonly door: AnalystDoor;
  readonly temporaryDir: string;
  readonly database: string;
  readonly passwords: Passwords;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

function statementOptions(
  deps: HandlerDeps,
  fields: RequestFields,
  role: Role,
  method: string,
): StatementOptions {
  const asked = fields.database ?? deps.database;
  const database = asked === 'default' ? deps.database : asked;
  if (!/^[A-Za-z_]\w*$/.test(database) || (role === 'analyst' && database !== deps.database))
    throw new RequestFault(81, 'UNKNOWN_DATABASE', `Database ${asked} does not exist`);
  return {
    settings: role === 'analyst' ? deps.door.settings(fields.settings) : fields.settings,
    parameters: fields.parameters,
    database,
    role,
    readonly: role === 'analyst' ? 1 : method === 'POST' || method === 'PUT' ? 0 : 2,
  };
}

interface Asked {
  readonly fields: RequestFields;
  readonly role: Role;
  readonly body: RequestBody;
}

/** Who asks is settled before a byte of the body is taken. */
async function readAsked(
  request: IncomingMessage,
  body: RequestBody,
  passwords: Passwords,
): Promise<Asked> {
  const contentType = request.headers['content-type'] ?? '';
  const fields = readRequestFields(request);
  const role = authenticate(request, fields, passwords);
  if (!contentType.startsWith('multipart/form-data')) return { fields, role, body };
  const form = readMultipart(await body.whole(TEXT_BYTES_MAX[role]), contentType);
  // The form is the whole body: no statement text is left in it.
  const empty = (): Promise<Buffer> => Promise.resolve(Buffer.alloc(0));
  return {
    fields: readRequestFields(request, form),
    role,
    body: { ...body, beginning: empty, whole: empty },
  };
}

const KILLED = 'Code: 394. DB::Exception: Query was cancelled. (QUERY_WAS_CANCELLED)';
const GONE = 'Code: 210. DB::Exception: the client has gone. (NETWORK_ERROR)';

export function createHandler(deps: HandlerDeps): Handler {
  const running = new Map<string, AbortController>();
  const statements: StatementDeps = {
    engine: deps.engine,
    door: deps.door,
    temporaryFile: () => join(deps.temporaryDir, randomUUID()),
    endRequest(queryId) {
      running.get(queryId)?.abort(new Error(KILLED));
      return running.has(queryId);
    },
  };

  async function serve(
    request: IncomingMessage,
    response: ServerResponse,
    received: RequestBody,
    queryId: string,
    stop: AbortController,
  ): Promise<void> {
    const { fields, role, body } = await readAsked(request, received, deps.passwords);
    if (fields.query === '' && (await body.beginning(1)).length === 0) {
      response.end('Ok.\n');
      return;
    }
    const options = statementOptions(deps, fields, role, request.method ?? 'GET');
    if (running.has(queryId)) {
      throw new RequestFault(
        216,
        'QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING',
        `Query with id = ${queryId} is already running`,
      );
    }
    running.set(queryId, stop);
    try {
      const call = { fields, body, options, queryId, response, signal: stop.signal };
      await runStatement(statements, call);
    } finally {
      running.delete(queryId);
    }
  }

  async function answer(
    request: IncomingMessage,
    response: ServerResponse,
    queryId: string,
  ): Promise<void> {
    const body = openRequestBody(request);
    const stop = new AbortController();
    // Writing to a client that has gone is no fault of ours; 'close' tells what must end.
    response.on('error', () => undefined);
    response.once('close', () => {
      if (!response.writableFinished) stop.abort(new Error(GONE));
    });
    try {
      await serve(request, response, body, queryId, stop);
    } catch (error) {
      if (response.headersSent || response.destroyed) response.destroy();
      else sendFault(response, faultOf(error), queryId);
    }
    await body.release();
  }

  return async function handle(request, response) {
    const { path, parameters } = targetOf(request);
    if (path === '/ping' || path === '/replicas_status') {
      response.end('Ok.\n');
    } else if (path === '/' || path === '/query') {
      await answer(request, response, parameters.get('query_id') || randomUUID());
    } else {
      response.writeHead(404).end('There is no handle here: send statements to /\n');
    }
  };
}
