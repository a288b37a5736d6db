/**
 * Writes hits into chunk files: one write an event-loop tick and kind. `append` returns only when the bytes are with
 * the kernel (survives the death of every process); with sync `disk` the caller waits for `synced` before it answers.
 * A write that fails leaves the file as it was: nothing of that tick is stored.
 */
import { closeSync, fdatasync, ftruncateSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AppError, messageOf } from '../domain/app-error.ts';
import type { ChunkHeader, ChunkKind } from '../domain/hit.ts';
import { encodeFrames } from './chunk-file.ts';

/** A chunk this large is a good job and a good insert; larger ones only wait longer. */
const CHUNK_HITS_MAX = 1_000;
const CHUNK_BYTES_MAX = 512 * 1024;
/** At ordinary load a hit waits this long for company before it is queued. */
const CHUNK_AGE_MAX_MS = 60;

export interface ClosedChunk {
  readonly header: ChunkHeader;
  readonly hitCount: number;
  readonly records: string;
  readonly bytes: number;
}

export interface ChunkWriterOptions {
  readonly dir: string;
  readonly edgeNumber: number;
  readonly sync: 'os' | 'disk';
  readonly clock: () => number;
  readonly catalogueVersion: () => number;
  /** Bytes the spool may still take; checked before each write. */
  readonly bytesFree: () => number;
  readonly onClosed: (chunk: ClosedChunk) => void;
  /** A failed fsync: what the kernel holds is unknown, so the process must end. */
  readonly onSyncFailure: (error: Error) => void;
}

interface OpenChunk {
  readonly header: ChunkHeader;
  readonly file: string;
  readonly fd: number;
  readonly records: string[];
  bytes: number;
}

export interface ChunkWriter {
  /** Stores records; throws SPOOL_FULL when they can't be stored, and then none is. */
  append(kind: ChunkKind, records: readonly string[]): void;
  /** Resolves when everything appended before is on disk; at once with sync `os`. */
  synced(): Promise<void>;
  /** Closes chunks that are due; with `all`, every open one. */
  closeDue(all?: boolean): void;
  /** When the oldest open chunk of clicks was opened, or undefined. */
  oldestOpenClickMs(): number | undefined;
}

export function createChunkWriter(options: ChunkWriterOptions): ChunkWriter {
  const open = new Map<ChunkKind, OpenChunk>();
  let sequence = 0;
  let lastOpenedMs = 0;

  function write(fd: number, data: Buffer, at: number): void {
    if (data.length > options.bytesFree()) throw new AppError('SPOOL_FULL', 'the spool has reached SLUICE_SPOOL_BYTES_MAX');
    let written = 0;
    try {
      while (written < data.length) written += writeSync(fd, data, written, data.length - written, at + written);
    } catch (error) {
      ftruncateSync(fd, at);
      throw new AppError('SPOOL_FULL', `the spool can't be written: ${messageOf(error)}`, error);
    }
  }

  function openChunk(kind: ChunkKind): OpenChunk {
    // Never twice the same id, also when the clock steps back.
    lastOpenedMs = Math.max(lastOpenedMs, options.clock());
    sequence += 1;
    const letter = kind === 'clicks' ? 'c' : 't';
    const header: ChunkHeader = {
      chunkId: `${options.edgeNumber}-${lastOpenedMs}-${sequence}-${letter}`,
      kind,
      edgeNumber: options.edgeNumber,
      openedAtMs: lastOpenedMs,
      catalogueVersion: options.catalogueVersion(),
    };
    const file = join(options.dir, `${header.chunkId}.open`);
    let fd: number;
    try {
      fd = openSync(file, 'wx');
    } catch (error) {
      throw new AppError('SPOOL_FULL', `the spool can't be written: ${messageOf(error)}`, error);
    }
    const chunk: OpenChunk = { header, file, fd, records: [], bytes: 0 };
    const head = encodeFrames([JSON.stringify(header)]);
    try {
      write(fd, head, 0);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    chunk.bytes = head.length;
    open.set(kind, chunk);
    return chunk;
  }

  function close(chunk: OpenChunk): void {
    open.delete(chunk.header.kind);
    closeSync(chunk.fd);
    renameSync(chunk.file, chunk.file.replace(/\.open$/, '.ready'));
    if (chunk.records.length === 0) return;
    options.onClosed({
      header: chunk.header,
      hitCount: chunk.records.length,
      records: chunk.records.join('\n'),
      bytes: chunk.bytes,
    });
  }

  function isDue(chunk: OpenChunk): boolean {
    return (
      chunk.records.length >= CHUNK_HITS_MAX ||
      chunk.bytes >= CHUNK_BYTES_MAX ||
      options.clock() - chunk.header.openedAtMs >= CHUNK_AGE_MAX_MS ||
      chunk.header.catalogueVersion !== options.catalogueVersion()
    );
  }

  function syncFolder(): void {
    const fd = openSync(options.dir, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  return {
    append(kind, records) {
      let chunk = open.get(kind);
      if (chunk !== undefined && chunk.header.catalogueVersion !== options.catalogueVersion()) {
        close(chunk);
        chunk = undefined;
      }
      chunk ??= openChunk(kind);
      const data = encodeFrames(records);
      write(chunk.fd, data, chunk.bytes);
      chunk.bytes += data.length;
      chunk.records.push(...records);
    },
    async synced() {
      if (options.sync === 'os') return;
      try {
        await Promise.all(
          [...open.values()].map(
            ({ fd }) => new Promise<void>((resolve, reject) => fdatasync(fd, (error) => (error === null ? resolve() : reject(error)))),
          ),
        );
        syncFolder();
      } catch (error) {
        options.onSyncFailure(error instanceof Error ? error : new Error(String(error)));
        throw error;
      }
    },
    closeDue(all = false) {
      for (const chunk of open.values()) if (all || isDue(chunk)) close(chunk);
    },
    oldestOpenClickMs: () => open.get('clicks')?.header.openedAtMs,
  };
}
