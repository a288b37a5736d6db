/**
 * An answer as the server gives it: headers with the summary, the result, compressed or not. The first MiB is held
 * back, so that a statement that fails soon gets its status and a short result its full summary. A failure after that
 * ends the body with the exception block that clients look for, and breaks the connection for those that do not.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream, rmSync, type WriteStream } from 'node:fs';
import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createDeflate, createGzip } from 'node:zlib';
import type { EngineFault } from './http-errors.ts';

const HELD_BYTES_MAX = 1024 * 1024;
/** A client that takes nothing for so long has gone: its statement must not keep its place. */
const STALL_MS = 60_000;

export interface Summary {
  /** Rows and bytes of the result. The engine does not tell how many it read for it. */
  readonly resultRows?: number;
  readonly resultBytes?: number;
  readonly writtenRows?: number;
  readonly writtenBytes?: number;
  readonly elapsedSeconds?: number;
}

export interface AnswerShape {
  readonly queryId: string;
  readonly format: string;
  readonly encoding: 'gzip' | 'deflate' | undefined;
  /** Where an answer that must wait for the end is kept beyond the held bytes; undefined: it does not wait. */
  readonly waitFile: string | undefined;
}

export interface Answer {
  write(chunk: Buffer): Promise<void> | undefined;
  finish(summary: Summary): Promise<void>;
  fail(fault: EngineFault): Promise<void>;
}

const CONTENT_TYPES: readonly (readonly [RegExp, string])[] = [
  [
    /^(JSONEachRow|JSONLines|NDJSON|JSONCompact\w*EachRow|JSONStringsEachRow)/,
    'application/x-ndjson; charset=UTF-8',
  ],
  [/^JSON/, 'application/json; charset=UTF-8'],
  [/^CSVWithNames/, 'text/csv; charset=UTF-8; header=present'],
  [/^CSV/, 'text/csv; charset=UTF-8; header=absent'],
  [/^(TSV|TabSeparated)/, 'text/tab-separated-values; charset=UTF-8'],
  [/^XML/, 'application/xml; charset=UTF-8'],
  [/^(RowBinary|Native|Parquet|Arrow|ORC)/, 'application/octet-stream'],
];

function contentTypeOf(format: string): string {
  return CONTENT_TYPES.find(([shape]) => shape.test(format))?.[1] ?? 'text/plain; charset=UTF-8';
}

function summaryText(summary: Summary): string {
  const elapsedNs = Math.round((summary.elapsedSeconds ?? 0) * 1e9);
  return JSON.stringify({
    read_rows: String(summary.resultRows ?? 0),
    read_bytes: String(summary.resultBytes ?? 0),
    written_rows: String(summary.writtenRows ?? 0),
    written_bytes: String(summary.writtenBytes ?? 0),
    total_rows_to_read: '0',
    result_rows: String(summary.resultRows ?? summary.writtenRows ?? 0),
    result_bytes: String(summary.resultBytes ?? summary.writtenBytes ?? 0),
    elapsed_ns: String(elapsedNs),
  });
}

function standardHeaders(queryId: string): Record<string, string> {
  return {
    'x-clickhouse-query-id': queryId,
    'x-clickhouse-timezone': 'UTC',
    'x-clickhouse-server-display-name': 'sluice',
  };
}

/** Answers with a fault's status, when nothing has been sent yet. */
export function sendFault(response: ServerResponse, found: EngineFault, queryId: string): void {
  response.writeHead(found.status, {
    'content-type': 'text/plain; charset=UTF-8',
    'x-clickhouse-exception-code': String(found.code),
    ...(found.status === 401 && { 'www-authenticate': 'Basic realm="ClickHouse server HTTP API"' }),
    ...standardHeaders(queryId),
  });
  response.end(`${found.message}\n`);
}

function exceptionBlock(tag: string, message: string): string {
  const text = `${message}\n`;
  return `\r\n__exception__\r\n${tag}\r\n${text}${Buffer.byteLength(text)} ${tag}\r\n__exception__\r\n`;
}

/** Resolves when `out` takes more, or is of no use any more; a client that stalls is cut off. */
function untilDrained(out: Writable, response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const stalled = setTimeout(() => response.destroy(), STALL_MS);
    const done = (): void => {
      clearTimeout(stalled);
      out.off('drain', done);
      response.off('close', done);
      resolve();
    };
    out.once('drain', done);
    response.once('close', done);
    if (response.destroyed) done();
  });
}

/** Not events.once: a stream cut off in the middle of a write also reports an error, and that must not hide its end. */
function closeOf(stream: WriteStream): Promise<void> {
  if (stream.closed) return Promise.resolve();
  return new Promise((resolve) => stream.once('close', resolve));
}

export function createAnswer(response: ServerResponse, shape: AnswerShape): Answer {
  const tag = randomBytes(8).toString('hex');
  let held: Buffer[] = [];
  let heldBytes = 0;
  let out: Writable | undefined;
  let waiting: WriteStream | undefined;
  /** What broke the wait file: without a listener it would end the process. */
  let waitFault: Error | undefined;

  function keep(file: string): WriteStream {
    const stream = createWriteStream(file, { mode: 0o600, flags: 'wx' });
    stream.on('error', (error) => (waitFault = error));
    return stream;
  }

  function handOn(target: Writable, chunk: Buffer | string): Promise<void> | undefined {
    return target.write(chunk) ? undefined : untilDrained(target, response);
  }

  function begin(summary: Summary): Writable {
    response.writeHead(200, {
      'content-type': contentTypeOf(shape.format),
      'x-clickhouse-format': shape.format,
      ...standardHeaders(shape.queryId),
      'x-clickhouse-exception-tag': tag,
      'x-clickhouse-summary': summaryText(summary),
      ...(shape.encoding !== undefined && { 'content-encoding': shape.encoding }),
    });
    if (shape.encoding === undefined) return response;
    const encoder = shape.encoding === 'gzip' ? createGzip({ level: 3 }) : createDeflate();
    // A client that goes ends the response; the statement learns of it by the signal.
    encoder.on('error', () => response.destroy());
    encoder.pipe(response);
    return encoder;
  }

  function release(target: Writable): Promise<void> | undefined {
    const first = Buffer.concat(held);
    held = [];
    return first.length === 0 ? undefined : handOn(target, first);
  }

  return {
    write(chunk) {
      if (out !== undefined) return handOn(out, chunk);
      if (waitFault !== undefined) throw waitFault;
      if (waiting !== undefined) return handOn(waiting, chunk);
      held.push(chunk);
      heldBytes += chunk.length;
      if (heldBytes < HELD_BYTES_MAX) return undefined;
      if (shape.waitFile === undefined) return release((out = begin({})));
      return release((waiting = keep(shape.waitFile)));
    },
    async finish(summary) {
      if (waiting !== undefined && shape.waitFile !== undefined) {
        await closeOf(waiting.end());
        if (waitFault !== undefined) throw waitFault;
        const kept = createReadStream(shape.waitFile);
        // An open file outlives its name: nothing to clean up afterwards.
        await once(kept, 'open');
        rmSync(shape.waitFile);
        response.setTimeout(STALL_MS, () => response.destroy());
        await pipeline(kept, (out = begin(summary)));
        return;
      }
      const target = out ?? begin(summary);
      await release(target);
      target.end();
    },
    async fail(found) {
      if (waiting !== undefined && shape.waitFile !== undefined) {
        await closeOf(waiting.destroy());
        rmSync(shape.waitFile, { force: true });
      }
      if (out === undefined) {
        sendFault(response, found, shape.queryId);
        return;
      }
      if (response.destroyed) return;
      await handOn(out, exceptionBlock(tag, found.message));
      if (out !== response && 'flush' in out && typeof out.flush === 'function') {
        const flush = out.flush.bind(out) as (done: () => void) => void;
        await new Promise<void>((resolve) => flush(resolve));
      }
      // Sent what there is, then no closing chunk: a client that knows nothing of the block sees a broken transfer.
      response.write('', () => response.destroy());
    },
  };
}
