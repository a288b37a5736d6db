/**
 * A request's body, decompressed as it comes. Its beginning is looked at in memory; the rest goes to a private file or,
 * when it is a statement's text, to memory up to a limit. A body that breaks off or can't be decompressed throws, and
 * nothing of it has run.
 */
import { open } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { RequestFault } from './http-errors.ts';

/** A client that sends nothing for so long has gone. */
const STALL_MS = 60_000;
/** How long the rest of a refused body is taken and thrown away. */
const DISCARD_MS = 5_000;
/** The engine reads these by itself, from the file. */
const ENGINE_ENCODINGS: ReadonlySet<string> = new Set(['zstd', 'lz4', 'xz', 'bz2', 'snappy']);

export interface RequestBody {
  /** What the engine must still decompress; undefined: the bytes are plain. */
  readonly compression: string | undefined;
  /** The first bytes: `max` or a little more, less only when the body ends before. */
  beginning(max: number): Promise<Buffer>;
  /** All of it in memory; a body beyond `max` is refused with 413. */
  whole(max: number): Promise<Buffer>;
  /** Writes `first`, and then everything from byte `from` of the beginning on, to a new file. */
  save(path: string, first: Buffer, from: number): Promise<void>;
  /** Must be called at last: what nobody has read is thrown away. */
  release(): Promise<void>;
}

function openDecoder(encoding: string) {
  if (encoding === 'gzip' || encoding === 'x-gzip') return createGunzip();
  if (encoding === 'deflate') return createInflate();
  if (encoding === 'br') return createBrotliDecompress();
  throw new RequestFault(48, 'NOT_IMPLEMENTED', `Content-Encoding ${encoding} is not supported`);
}

/** The request's own stream stays open when its data is bad: the answer goes the same way. */
function decoded(request: IncomingMessage, encoding: string): Readable {
  if (encoding === '') return request;
  const decoder = openDecoder(encoding);
  request.pipe(decoder);
  request.once('close', () => {
    if (!request.complete) decoder.destroy(new Error('the upload broke off'));
  });
  return decoder;
}

async function* readChunks(request: IncomingMessage, encoding: string): AsyncGenerator<Buffer> {
  const source = decoded(request, encoding);
  request.setTimeout(STALL_MS, () => request.destroy(new Error('the body stalled')));
  try {
    // Streams without an encoding yield Buffers.
    const chunks = source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    for await (const chunk of chunks) yield chunk;
  } catch (error) {
    throw new RequestFault(
      354,
      'ZLIB_INFLATE_FAILED',
      `the body can't be read: ${error instanceof Error ? error.message : String(error)}`,
      400,
    );
  } finally {
    request.setTimeout(0);
  }
}

/** Takes what is left of a body that nobody wants, so that its client reads the answer; cuts off one that goes on. */
function discardRest(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  const cut = setTimeout(() => request.destroy(), DISCARD_MS);
  const done = (): void => clearTimeout(cut);
  request.once('end', done).once('close', done);
  request.unpipe();
  request.resume();
}

export function openRequestBody(request: IncomingMessage): RequestBody {
  const named = (request.headers['content-encoding'] ?? '').trim().toLowerCase();
  const encoding = named === 'identity' ? '' : named;
  const compression = ENGINE_ENCODINGS.has(encoding) ? encoding : undefined;
  const chunks = readChunks(request, compression === undefined ? encoding : '');
  let held: Buffer[] = [];
  let bytes = 0;

  async function take(enough: number): Promise<void> {
    while (bytes < enough) {
      const next = await chunks.next();
      if (next.done === true) return;
      held.push(next.value);
      bytes += next.value.length;
    }
  }

  function joined(): Buffer {
    const [first, second] = held;
    if (first !== undefined && second === undefined) return first;
    const all = Buffer.concat(held);
    held = [all];
    return all;
  }

  return {
    compression,
    async beginning(max) {
      await take(max);
      return joined();
    },
    async whole(max) {
      await take(max + 1);
      if (bytes > max)
        throw new RequestFault(229, 'QUERY_IS_TOO_LARGE', `a text of more than ${max} bytes`);
      return joined();
    },
    async save(path, first, from) {
      const file = await open(path, 'wx', 0o600);
      try {
        await file.writeFile(Buffer.concat([first, joined().subarray(from)]));
        held = [];
        for await (const chunk of chunks) await file.writeFile(chunk);
      } finally {
        await file.close();
      }
    },
    async release() {
      await chunks.return(undefined);
      discardRest(request);
    },
  };
}
