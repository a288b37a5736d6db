/**
 * An INSERT with its data, which goes through a private file: memory stays bounded whatever the size and the format,
 * and nothing runs before the whole body is here, so an upload that breaks off leaves nothing behind.
 */
import { rm } from 'node:fs/promises';
import type { Engine, WriteOutcome } from './engine.ts';
import { readInsertHead, withDataFile, type InsertHead } from './insert-statement.ts';
import type { RequestBody } from './request-body.ts';
import type { StatementOptions } from './sessions.ts';
import { withoutSemicolon } from './statement.ts';

/** Beginning of the text in which a statement's kind and an INSERT's FORMAT clause are sought. */
export const STATEMENT_HEAD_BYTES = 256 * 1024;
/** An INSERT … SELECT, or any other statement, is text in memory. */
export const INSERT_TEXT_BYTES_MAX = 256 * 1024 ** 2;

export interface InsertRequest {
  /** Text of the URL; the body goes on where it ends. */
  readonly query: string;
  readonly body: RequestBody;
  readonly options: StatementOptions;
  readonly signal: AbortSignal;
}

/** `file` does not exist yet, and is gone when this ends. */
export async function runInsertRequest(
  request: InsertRequest,
  engine: Engine,
  file: string,
): Promise<WriteOutcome> {
  const { body, options, signal } = request;
  const { compression } = body;
  const inUrl = Buffer.from(request.query === '' ? '' : `${withoutSemicolon(request.query)}\n`);
  const beginning = compression === undefined ? await body.beginning(1) : Buffer.alloc(0);
  const text = Buffer.concat([inUrl, beginning]);
  // Latin-1 keeps offsets in bytes; the statement is then read as UTF-8.
  const headOf = (bytes: Buffer): InsertHead => readInsertHead(bytes.toString('latin1'));
  const named = headOf(inUrl);
  const head =
    named.format === undefined
      ? headOf(text.subarray(0, inUrl.length + STATEMENT_HEAD_BYTES))
      : named;
  if (head.format === undefined) {
    const rest = (await body.whole(INSERT_TEXT_BYTES_MAX)).toString('utf8');
    return engine.write(withoutSemicolon(`${inUrl.toString('utf8')}${rest}`), options, signal);
  }
  const statement = Buffer.from(head.statement, 'latin1').toString('utf8');
  try {
    const first = text.subarray(head.dataOffset, inUrl.length);
    await body.save(file, first, Math.max(0, head.dataOffset - inUrl.length));
    return await engine.write(
      withDataFile({ ...head, statement }, file, compression),
      options,
      signal,
    );
  } finally {
    await rm(file, { force: true });
  }
}
