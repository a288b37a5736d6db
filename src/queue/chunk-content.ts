/**
 * A chunk's hits on their way to a worker: the bytes of its file, or where edge and worker have one spool the file itself.
 * The bytes go under a key of their own beside the job. Inside of the job they would pass through JSON and BullMQ's
 * scripts, which cost the edge more than all the rest of queueing (ADR 0015).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { Chunk } from '../domain/hit.ts';
import { decodeChunkFile } from '../spool/chunk-file.ts';
import { chunkContentKey } from '../redis/keys.ts';
import { decodeHit, parseHeader, unreadable } from './chunk-job.ts';

/**
 * Content that no job refers to goes by itself. A job whose content has gone ends without a row, and the edge, which has
 * the file, queues the chunk again.
 */
const EXPIRY_S = 24 * 60 * 60;

/** So much is gathered for one command. Larger ones cost more a byte, and hold the event loop. */
const PIECE_BYTES = 64 * 1024;

/** The content of a chunk on its way to Redis, piece by piece while the chunk is open: closing one must hold up no answer. */
export interface ChunkContent {
  /** Copies the bytes. */
  add(bytes: Buffer): void;
  /** Sends the rest. Rejects when Redis did not take all: then the chunk is to be queued from its file. Commands of the same connection come after. */
  end(): Promise<void>;
}

/** Of a chunk whose file the worker reads: nothing is sent. */
export const CONTENT_IN_FILE: ChunkContent = {
  add: () => undefined,
  end: () => Promise.resolve(),
};

/**
 * Pieces that Redis has taken, to be filled again. New ones would be garbage outside of the heap: at 16,000 hits/s that
 * brought on a full collection a second, and held up answers for 30 ms.
 */
export type PiecePool = Buffer<ArrayBuffer>[];
/** After a Redis that was slow for a while the rest is let go. */
const POOL_PIECES_MAX = 64;

/** Contents of one connection share a pool, empty at first. */
export function createChunkContent(
  redis: Redis,
  prefix: string,
  chunkId: string,
  pool: PiecePool,
): ChunkContent {
  const key = chunkContentKey(prefix, chunkId);
  let piece = Buffer.alloc(0);
  let filled = 0;
  let sent: Promise<unknown> | undefined;

  function send(): void {
    const used = piece;
    const bytes = piece.subarray(0, filled);
    filled = 0;
    const command: Promise<unknown> =
      sent === undefined ? redis.set(key, bytes, 'EX', EXPIRY_S) : redis.append(key, bytes);
    const taken = command.then(() => {
      // An empty content has no piece.
      if (used.length === PIECE_BYTES && pool.length < POOL_PIECES_MAX) pool.push(used);
    });
    sent = sent === undefined ? taken : Promise.all([sent, taken]);
    // It is `end` that tells.
    sent.catch(() => undefined);
  }

  return {
    add(bytes) {
      for (let taken = 0; taken < bytes.length;) {
        if (filled === 0) piece = pool.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
        const copied = bytes.copy(piece, filled, taken);
        filled += copied;
        taken += copied;
        if (filled === PIECE_BYTES) send();
      }
    },
    async end() {
      if (filled > 0 || sent === undefined) send();
      await sent;
    },
  };
}

const CHUNK_ID = /^([0-9]+)-[0-9]+-[0-9]+-[ct]$/;

/** The file of a closed chunk, or undefined when there is none in this spool. */
async function readClosedFile(spoolDir: string, chunkId: string): Promise<Buffer | undefined> {
  const [, edgeNumber] = CHUNK_ID.exec(chunkId) ?? [];
  if (edgeNumber === undefined) return undefined;
  try {
    return await readFile(join(spoolDir, edgeNumber, `${chunkId}.ready`));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Undefined: Redis has lost it, or another worker was done with the chunk. What Redis has goes first: of a damaged file
 * the edge sends there what is intact.
 */
export async function readContent(
  redis: Redis,
  prefix: string,
  spoolDir: string,
  chunkId: string,
): Promise<Buffer | undefined> {
  const sent = await redis.getBuffer(chunkContentKey(prefix, chunkId));
  return sent ?? readClosedFile(spoolDir, chunkId);
}

export async function dropContent(redis: Redis, prefix: string, chunkId: string): Promise<void> {
  await redis.del(chunkContentKey(prefix, chunkId));
}

/** The chunk of a job and its content; throws CHUNK_UNREADABLE. The edge still has the file: what can't be read loses nothing. */
export function decodeChunk(job: unknown, content: Buffer): Chunk {
  if (typeof job !== 'object' || job === null) unreadable('a job without data');
  const { header, hitCount } = job as Record<string, unknown>;
  const parsed = parseHeader(header);
  const hits = decodeChunkFile(content).records.map(decodeHit);
  if (hits.length !== hitCount)
    unreadable(`job ${parsed.chunkId} has ${hits.length} of ${String(hitCount)} hits`);
  return { header: parsed, hits };
}
