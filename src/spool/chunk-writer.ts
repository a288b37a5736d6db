/**
 * Writes hits into chunk files: one write an event-loop tick and kind. `append` returns only when the bytes are with
 * the kernel (survives the death of every process) or, with sync `disk`, on the disk. That sync blocks the event loop
 * on purpose: requests that come meanwhile share the next one, which is a group commit without any state.
 * A write that fails leaves the file as it was: nothing of that tick is stored.
 */
import { randomInt } from 'node:crypto';
import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { AppError, messageOf } from '../domain/app-error.ts';
import type { ChunkHeader, ChunkKind } from '../domain/hit.ts';
import type { ChunkContent } from '../queue/chunk-content.ts';
import { encodeFrames } from './chunk-file.ts';

/**
 * An insert costs ClickHouse about as much as some thousand rows do: at 20,000 clicks/s a row costs a fifth less in
 * chunks of 10,000 than in chunks of 5,000; at 17,500 conversions/s a fifth less in chunks of 6,000 or 7,000. What bounds them is
 * the memory of a worker, which holds two of either, and that a chunk's conversions are one block of their lane.
 */
const CHUNK_HITS_MAX: Readonly<Record<ChunkKind, number>> = { clicks: 10_000, conversions: 6_000 };
const CHUNK_BYTES_MAX = 8 * 1024 * 1024;

/** How long a hit waits for company before it is queued. */
const AGE_MS = { ordinary: 60, busy: 250, busiest: 500 } as const;
/** A chunk with so many hits at the age before is of an edge that is busier than that, and waits for more. */
const BUSY_HITS = 150;
const BUSIEST_HITS = 1_600;

/**
 * With more chunks than this on their way the workers are late, and what a chunk of conversions costs counts more than the
 * wait for it: it takes ClickHouse up to five statements (one of clicks two), and 5,000 conversions/s cost a quarter less
 * in chunks of 500 ms than in chunks of 250.
 */
const CHUNKS_IN_TIME = 4;

function ageMsFor(kind: ChunkKind, hitCount: number, onTheirWay: number): number {
  if (hitCount < BUSY_HITS) return AGE_MS.ordinary;
  const late = kind === 'conversions' && onTheirWay > CHUNKS_IN_TIME;
  return late || hitCount >= BUSIEST_HITS ? AGE_MS.busiest : AGE_MS.busy;
}

/**
 * More chunks than this on their way mean that what is behind pays too much a chunk: then chunks wait longer in
 * proportion, up to the most.
 */
const CHUNKS_ON_THEIR_WAY = 8;
const CHUNK_AGE_BACKLOG_MS = 2_000;
/** Room for the records of a tick; of a larger one they get a buffer of their own. */
const SCRATCH_BYTES = 256 * 1024;

export interface ClosedChunk {
  readonly header: ChunkHeader;
  readonly hitCount: number;
  readonly bytes: number;
  /** What `openContent` gave; it has all bytes of the file. */
  readonly content: ChunkContent | undefined;
}

export interface ChunkWriterOptions {
  readonly dir: string;
  readonly edgeNumber: number;
  readonly sync: 'os' | 'disk';
  /** ms since any moment, for durations: unlike the time of day it never steps. */
  readonly monotonic: () => number;
  /** Bytes the spool may still take beyond the open chunks; checked before each write. */
  readonly bytesFree: () => number;
  /** Closed chunks that ClickHouse does not have yet. */
  readonly outstanding: () => number;
  /** Takes the file's bytes as they are written. Without it the chunk is queued by the confirmer's next round. */
  readonly openContent?: (header: ChunkHeader) => ChunkContent;
  readonly onClosed: (chunk: ClosedChunk) => void;
  /** A failed fsync: what the kernel holds is unknown, so the process must end. */
  readonly onSyncFailure: (error: Error) => void;
  /** fdatasync; another one in tests of what a failing disk does. */
  readonly syncFile?: (fd: number) => void;
}

interface OpenChunk {
  readonly header: ChunkHeader;
  readonly file: string;
  readonly fd: number;
  readonly content: ChunkContent | undefined;
  /** By the monotonic clock: by the time of day a chunk would stay open for as long as that was set back. */
  readonly openedMs: number;
  bytes: number;
  hitCount: number;
}

export interface RecordsOrigin {
  /** When the oldest of the records was received. */
  readonly receivedAtMs: number;
  /** The catalogue that the records were received under; a chunk has one. */
  readonly catalogueVersion: number;
}

export interface ChunkWriter {
  /** Stores records. Durable on return (see above). Throws SPOOL_FULL when they can't be stored, and then none is. */
  append(kind: ChunkKind, records: readonly string[], origin: RecordsOrigin): void;
  /** Closes chunks that are due; with `all`, every open one. */
  closeDue(all?: boolean): void;
  /** When the oldest open chunk of clicks was opened, or undefined. */
  oldestOpenClickMs(): number | undefined;
}

export function createChunkWriter(options: ChunkWriterOptions): ChunkWriter {
  const syncFile = options.syncFile ?? fdatasyncSync;
  const open = new Map<ChunkKind, OpenChunk>();
  // A buffer a tick would be garbage outside of the heap, which brings on full collections.
  const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  // Random, so that a restarted edge whose clock stepped back can't repeat a chunk id.
  let sequence = randomInt(2 ** 31);

  function openBytes(): number {
    let bytes = 0;
    for (const chunk of open.values()) bytes += chunk.bytes;
    return bytes;
  }

  function write(fd: number, data: Buffer, at: number): void {
    if (data.length > options.bytesFree() - openBytes())
      throw new AppError('SPOOL_FULL', 'the spool has reached SLUICE_SPOOL_BYTES_MAX');
    let written = 0;
    try {
      while (written < data.length)
        written += writeSync(fd, data, written, data.length - written, at + written);
    } catch (error) {
      ftruncateSync(fd, at);
      throw new AppError('SPOOL_FULL', `the spool can't be written: ${messageOf(error)}`, error);
    }
  }

  function openChunk(kind: ChunkKind, origin: RecordsOrigin): OpenChunk {
    const { receivedAtMs: openedAtMs, catalogueVersion } = origin;
    sequence += 1;
    const letter = kind === 'clicks' ? 'c' : 't';
    const header: ChunkHeader = {
      chunkId: `${options.edgeNumber}-${openedAtMs}-${sequence}-${letter}`,
      kind,
      edgeNumber: options.edgeNumber,
      openedAtMs,
      catalogueVersion,
    };
    const file = join(options.dir, `${header.chunkId}.open`);
    let fd: number;
    try {
      fd = openSync(file, 'wx');
    } catch (error) {
      throw new AppError('SPOOL_FULL', `the spool can't be written: ${messageOf(error)}`, error);
    }
    const head = encodeFrames([JSON.stringify(header)]);
    try {
      write(fd, head, 0);
      if (options.sync === 'disk') syncFolder();
    } catch (error) {
      closeSync(fd);
      // Or a full disk collects an empty file a tick.
      rmSync(file, { force: true });
      throw error;
    }
    const content = options.openContent?.(header);
    content?.add(head);
    const chunk: OpenChunk = {
      header,
      file,
      fd,
      content,
      openedMs: options.monotonic(),
      bytes: head.length,
      hitCount: 0,
    };
    open.set(kind, chunk);
    return chunk;
  }

  function close(chunk: OpenChunk): void {
    open.delete(chunk.header.kind);
    closeSync(chunk.fd);
    // There was room for its header alone: nobody would take the file over, and a full spool would fill with them.
    if (chunk.hitCount === 0) {
      rmSync(chunk.file, { force: true });
      return;
    }
    renameSync(chunk.file, chunk.file.replace(/\.open$/, '.ready'));
    options.onClosed(chunk);
  }

  /** The marks of edges say of its clicks that none came before it was opened: after a step back comes another chunk. */
  function mayHold({ catalogueVersion, openedAtMs }: ChunkHeader, origin: RecordsOrigin): boolean {
    return catalogueVersion === origin.catalogueVersion && openedAtMs <= origin.receivedAtMs;
  }

  function isDue({ header, openedMs, hitCount, bytes }: OpenChunk): boolean {
    if (hitCount >= CHUNK_HITS_MAX[header.kind] || bytes >= CHUNK_BYTES_MAX) return true;
    const onTheirWay = options.outstanding();
    const crowd = Math.max(1, onTheirWay / CHUNKS_ON_THEIR_WAY);
    const ageMsMax = ageMsFor(header.kind, hitCount, onTheirWay) * crowd;
    return options.monotonic() - openedMs >= Math.min(CHUNK_AGE_BACKLOG_MS, ageMsMax);
  }

  /** Runs a sync; after a failed one nobody knows what is on disk, so the process is told to end. */
  function syncOrEnd(sync: () => void): void {
    try {
      sync();
    } catch (error) {
      options.onSyncFailure(error instanceof Error ? error : new Error(String(error)));
      throw new AppError('SPOOL_FULL', `the spool can't be synced: ${messageOf(error)}`, error);
    }
  }

  function syncFolder(): void {
    const fd = openSync(options.dir, 'r');
    try {
      syncOrEnd(() => fsyncSync(fd));
    } finally {
      closeSync(fd);
    }
  }

  return {
    append(kind, records, origin) {
      let chunk = open.get(kind);
      if (chunk !== undefined && !mayHold(chunk.header, origin)) {
        close(chunk);
        chunk = undefined;
      }
      chunk ??= openChunk(kind, origin);
      const data = encodeFrames(records, scratch);
      const { fd } = chunk;
      write(fd, data, chunk.bytes);
      if (options.sync === 'disk') syncOrEnd(() => syncFile(fd));
      chunk.bytes += data.length;
      chunk.hitCount += records.length;
      chunk.content?.add(data);
    },
    closeDue(all = false) {
      for (const chunk of open.values()) if (all || isDue(chunk)) close(chunk);
    },
    oldestOpenClickMs: () => open.get('clicks')?.header.openedAtMs,
  };
}
