/** One statement of a known user, from its text to its answer: a read, an INSERT, or a command. */
import type { ServerResponse } from 'node:http';
import type { Role } from './access.ts';
import type { AnalystDoor } from './analyst.ts';
import { createAnswer, type Answer } from './answer.ts';
import type { Engine } from './engine.ts';
import { faultOf, RequestFault } from './http-errors.ts';
import { INSERT_TEXT_BYTES_MAX, runInsertRequest, STATEMENT_HEAD_BYTES } from './insert-request.ts';
import type { RequestBody } from './request-body.ts';
import type { RequestFields } from './request.ts';
import type { StatementOptions } from './sessions.ts';
import { quoteString } from '../quote-string.ts';
import { isStacked, kindOf, splitFormat, withoutSemicolon } from './statement.ts';

/** Statement text and parameters, in memory. Look-ups of many ids come as one parameter. */
export const TEXT_BYTES_MAX: Readonly<Record<Role, number>> = {
  owner: INSERT_TEXT_BYTES_MAX,
  analyst: 2 * 1024 ** 2,
};

export interface StatementDeps {
  readonly engine: Engine;
  readonly door: AnalystDoor;
  /** A path for a private file, new each time. */
  temporaryFile(): string;
  /** Ends the request of that id; whether there was one. */
  endRequest(queryId: string): boolean;
}

export interface Call {
  readonly fields: RequestFields;
  readonly body: RequestBody;
  readonly options: StatementOptions;
  readonly queryId: string;
  readonly response: ServerResponse;
  /** Fires when the client goes before it has its answer, or somebody ends its statement. */
  readonly signal: AbortSignal;
}

function answerTo(deps: StatementDeps, call: Call, format: string): Answer {
  return createAnswer(call.response, {
    queryId: call.queryId,
    format,
    encoding: call.fields.encoding,
    waitFile: call.fields.waitForEnd ? deps.temporaryFile() : undefined,
  });
}

interface Parts {
  readonly sql: string;
  readonly format: string;
  readonly settings: string;
}

function partsOf(call: Call, text: string): Parts {
  const { sql, format: named, settings } = splitFormat(withoutSemicolon(text));
  const format = named ?? call.fields.format ?? 'TabSeparated';
  if (!/^\w+$/.test(format))
    throw new RequestFault(73, 'UNKNOWN_FORMAT', `Unknown format ${format}`);
  return { sql, format, settings };
}

async function runRead(deps: StatementDeps, call: Call, parts: Parts): Promise<void> {
  const { options, signal } = call;
  const analyst = options.role === 'analyst';
  if (analyst) deps.door.judgeClauses(parts.format, parts.settings);
  const answer = answerTo(deps, call, parts.format);
  try {
    const outcome = await deps.engine.read({
      options,
      text: (ask) => (analyst ? deps.door.admit(parts.sql, ask) : parts.sql),
      format: parts.format,
      settings: parts.settings,
      consume: (chunk) => answer.write(chunk),
      signal,
    });
    await answer.finish(outcome);
  } catch (error) {
    await answer.fail(faultOf(error));
  }
}

async function runInsert(deps: StatementDeps, call: Call): Promise<void> {
  const outcome = await runInsertRequest(
    { ...call, query: call.fields.query },
    deps.engine,
    deps.temporaryFile(),
  );
  await answerTo(deps, call, 'Null').finish(outcome);
}

async function runCommand(deps: StatementDeps, call: Call, parts: Parts): Promise<void> {
  const result = await deps.engine.command(
    `${parts.sql} ${parts.settings}`,
    parts.format,
    call.options,
  );
  const answer = answerTo(deps, call, parts.format);
  await answer.write(result);
  await answer.finish({});
}

const KILL_BY_ID = /^\s*KILL\s+QUERY\s+WHERE\s+query_id\s*=\s*'([^'\\]*)'\s*(?:SYNC|ASYNC)?\s*$/i;

/** The engine gives statements ids of its own: KILL QUERY by the id of a request is ours to do. */
function killById(deps: StatementDeps, parts: Parts): Parts | undefined {
  const id = KILL_BY_ID.exec(parts.sql)?.[1];
  if (id === undefined) return undefined;
  const found = deps.endRequest(id);
  return {
    ...parts,
    sql: `SELECT 'waiting' AS kill_status, ${quoteString(id)} AS query_id, 'sluice' AS user, '' AS query WHERE ${found ? 1 : 0}`,
  };
}

export async function runStatement(deps: StatementDeps, call: Call): Promise<void> {
  const { fields, body, options } = call;
  const beginning = await body.beginning(fields.query === '' ? STATEMENT_HEAD_BYTES : 1);
  if (body.compression !== undefined && fields.query === '') {
    throw new RequestFault(
      48,
      'NOT_IMPLEMENTED',
      `Content-Encoding ${body.compression} is supported for data only: put the statement in the URL`,
    );
  }
  const owner = options.role === 'owner';
  const kind = kindOf(fields.query === '' ? beginning.toString('utf8') : fields.query);
  if (kind === 'insert' && owner) return runInsert(deps, call);
  // Text in the URL goes on in the body, as the server has it.
  const rest = (await body.whole(TEXT_BYTES_MAX[options.role])).toString('utf8');
  const text = [fields.query, rest].filter((part) => part !== '').join('\n');
  if (isStacked(text))
    throw new RequestFault(62, 'SYNTAX_ERROR', 'Syntax error (Multi-statements are not allowed)');
  const parts = partsOf(call, text);
  if (kind === 'read' || !owner) return runRead(deps, call, parts);
  const kill = killById(deps, parts);
  return kill === undefined ? runCommand(deps, call, parts) : runRead(deps, call, kill);
}
