/**
 * Sees every closed chunk through: queues it, waits until ClickHouse has all its rows, deletes the file (invariant 2).
 * A chunk that is not confirmed and has no live job is queued again, so Redis may lose anything at any time.
 * Payloads are not kept: a second queueing reads the file.
 */
import { existsSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Logger } from 'pino';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { messageOf } from '../domain/app-error.ts';
import type { Reach } from '../domain/crash-points.ts';
import { CHUNK_KINDS, type ChunkHeader, type ChunkKind } from '../domain/hit.ts';
import type { ChunkContent } from '../queue/chunk-content.ts';
import type { ChunkJob } from '../queue/chunk-job.ts';
import type { ChunkProducer } from '../queue/chunk-producer.ts';
import { encodeFrames } from './chunk-file.ts';
import { readChunk, type Recovery } from './recover.ts';

const ROUND_MS = 200;
/** A job may wait in a backlog for long; asking whether it is still live costs a call a chunk, so rarely. */
const REQUEUE_AFTER_MS = 5_000;
/** Chunks asked for in one look-up. */
const LOOKUP_MAX = 500;
const REQUEUES_A_ROUND = 100;

const TABLES: Readonly<Record<ChunkKind, string>> = {
  clicks: 'click_log',
  conversions: 'postback_log',
};

interface Outstanding {
  readonly header: ChunkHeader;
  readonly file: string;
  /** Intact records; fewer after damage on disk was found. */
  hitCount: number;
  readonly bytes: number;
  queued: boolean;
  /** By the monotonic clock: by the time of day nothing would be queued again for as long as that was set back. */
  checkedMs: number;
  /** ClickHouse has all of it; its file could not be removed yet. */
  stored: boolean;
  /** Its file could not be read or removed at the last try: said once, and tried again later. */
  stuck: boolean;
}

export interface Confirmer {
  /** Takes over a closed chunk; with `content` when that is on its way to Redis already. */
  add(
    file: string,
    header: ChunkHeader,
    hitCount: number,
    bytes: number,
    content?: ChunkContent,
  ): void;
  readonly outstanding: number;
  /** Of these, those whose file gave trouble at the last try. */
  readonly stuck: number;
  readonly outstandingBytes: number;
  /** The last question to ClickHouse was answered. */
  readonly clickhouseReachable: boolean;
  oldestOpenedAtMs(): number | undefined;
  /** Opening time of the oldest unconfirmed click chunk of an edge number, or undefined. */
  oldestClickChunkMs(edgeNumber: number): number | undefined;
  hasChunksOf(edgeNumber: number): boolean;
  /** One round now; used at shutdown. */
  round(): Promise<void>;
  close(): void;
}

export interface ConfirmerDeps {
  readonly clickhouse: ClickHouse;
  readonly producer: ChunkProducer;
  readonly recovery: Recovery;
  /** ms since any moment, for durations: unlike the time of day it never steps. */
  readonly monotonic: () => number;
  readonly reach?: Reach;
  readonly logger: Logger;
  /** Each round, after ClickHouse was asked, also when it did not answer. */
  readonly onRound?: () => Promise<void>;
}

export function createConfirmer(deps: ConfirmerDeps): Confirmer {
  const chunks = new Map<string, Outstanding>();
  let bytes = 0;
  let healthy = true;
  let clickhouseReachable = true;
  let running: Promise<void> | undefined;

  function noteHealth(ok: boolean, error?: unknown): void {
    if (ok === healthy) return;
    healthy = ok;
    if (ok) deps.logger.info('chunks are being confirmed again');
    else
      deps.logger.warn(
        { error: messageOf(error), unconfirmed: chunks.size },
        'chunks cannot be confirmed for now; they stay in the spool',
      );
  }

  /** Whether Redis took the job. */
  async function enqueue(
    chunk: Outstanding,
    send: (job: ChunkJob) => Promise<void>,
  ): Promise<boolean> {
    const { header, hitCount } = chunk;
    try {
      await send({ header, hitCount });
      deps.reach?.('enqueued');
      chunk.queued = true;
    } catch (error) {
      chunk.queued = false;
      noteHealth(false, error);
    }
    chunk.checkedMs = deps.monotonic();
    return chunk.queued;
  }

  /** What the work with its file gave. One chunk's trouble with it must not hold up the others. */
  function tryFile<T>(chunk: Outstanding, work: () => T): T | 'stuck' {
    try {
      const result = work();
      chunk.stuck = false;
      return result;
    } catch (error) {
      if (!chunk.stuck)
        deps.logger.error(
          { file: chunk.file, error: messageOf(error) },
          'a chunk file could not be read or removed; it stays, and is tried again',
        );
      chunk.stuck = true;
      return 'stuck';
    }
  }

  function forget(chunk: Outstanding): void {
    chunks.delete(chunk.header.chunkId);
    bytes -= chunk.bytes;
  }

  async function confirmKind(kind: ChunkKind): Promise<void> {
    const asked = [...chunks.values()]
      .filter(({ header }) => header.kind === kind)
      .slice(0, LOOKUP_MAX);
    if (asked.length === 0) return;
    const times = asked.map(({ header }) => header.openedAtMs);
    clickhouseReachable = false;
    const rows = await deps.clickhouse.query<{ chunk_id: string; stored: number }>(
      `SELECT chunk_id, count() AS stored FROM ${TABLES[kind]}
       WHERE chunk_time BETWEEN fromUnixTimestamp64Milli({from:Int64}) AND fromUnixTimestamp64Milli({to:Int64})
         AND chunk_id IN {ids:Array(String)} GROUP BY chunk_id`,
      {
        from: Math.min(...times),
        to: Math.max(...times),
        ids: asked.map(({ header }) => header.chunkId),
      },
    );
    clickhouseReachable = true;
    const stored = new Map(rows.map((row) => [row.chunk_id, row.stored]));
    for (const chunk of asked) {
      chunk.stored = (stored.get(chunk.header.chunkId) ?? 0) >= chunk.hitCount;
      if (chunk.stored) deps.reach?.('confirmed');
      const isGone =
        chunk.stored && tryFile(chunk, () => rmSync(chunk.file, { force: true })) !== 'stuck';
      if (isGone) forget(chunk);
      else {
        // To the end of the line, so that chunks which wait long don't hide the others from the bounded look-up.
        chunks.delete(chunk.header.chunkId);
        chunks.set(chunk.header.chunkId, chunk);
      }
    }
  }

  function dueOf(kind: ChunkKind, now: number): Outstanding[] {
    return [...chunks.values()]
      .filter(({ header, stored, queued, stuck, checkedMs }) => {
        if (header.kind !== kind || stored) return false;
        return (!queued && !stuck) || now - checkedMs > REQUEUE_AFTER_MS;
      })
      .slice(0, REQUEUES_A_ROUND);
  }

  /** The content of a chunk's file, of one with damage only what is intact. Undefined: there is nothing to queue now. */
  function readContent(chunk: Outstanding): Buffer | undefined {
    if (!existsSync(chunk.file)) {
      deps.logger.error(
        { file: chunk.file },
        'someone removed a chunk file before its hits were confirmed',
      );
      forget(chunk);
      return undefined;
    }
    // Files of batches have the same names in every folder.
    const name = `${chunk.header.chunkId}.ready`;
    const read = tryFile(chunk, () => readChunk(chunk.file, deps.recovery, name));
    if (read === 'stuck') return undefined;
    if (read === undefined) {
      forget(chunk);
      return undefined;
    }
    chunk.hitCount = read.records.length;
    return encodeFrames([JSON.stringify(chunk.header), ...read.records]);
  }

  /** Whether Redis took all that was due. */
  async function requeueKind(kind: ChunkKind): Promise<boolean> {
    const now = deps.monotonic();
    for (const chunk of dueOf(kind, now)) {
      chunk.checkedMs = now;
      if (chunk.queued && (await deps.producer.isLive(kind, chunk.header.chunkId))) continue;
      const content = readContent(chunk);
      if (content === undefined) continue;
      // Reading files holds up answers: while Redis takes nothing, one a round is enough to know when it does again.
      if (!(await enqueue(chunk, (job) => deps.producer.requeue(job, content)))) return false;
    }
    return true;
  }

  async function confirmAll(): Promise<boolean> {
    try {
      for (const kind of CHUNK_KINDS) await confirmKind(kind);
      return true;
    } catch (error) {
      noteHealth(false, error);
      return false;
    }
  }

  async function runRound(): Promise<void> {
    const confirmed = await confirmAll();
    try {
      await deps.onRound?.();
      // Without ClickHouse nothing is lost by waiting: no job comes to its end.
      if (!confirmed) return;
      if ((await requeueKind('clicks')) && (await requeueKind('conversions'))) noteHealth(true);
    } catch (error) {
      noteHealth(false, error);
    }
  }

  function round(): Promise<void> {
    running ??= runRound().finally(() => {
      running = undefined;
    });
    return running;
  }

  const timer = setInterval(() => void round(), ROUND_MS);
  timer.unref();

  return {
    add(file, header, hitCount, size, content) {
      const chunk: Outstanding = {
        header,
        file,
        hitCount,
        bytes: size,
        queued: false,
        checkedMs: -Infinity,
        stored: false,
        stuck: false,
      };
      chunks.set(header.chunkId, chunk);
      bytes += size;
      if (content !== undefined) {
        // Claimed before the answer is there, so that a round in between does not queue it as well.
        chunk.queued = true;
        chunk.checkedMs = deps.monotonic();
        void enqueue(chunk, (job) => deps.producer.enqueue(job, content));
      }
    },
    get outstanding() {
      return chunks.size;
    },
    get stuck() {
      return [...chunks.values()].filter(({ stuck }) => stuck).length;
    },
    get outstandingBytes() {
      return bytes;
    },
    get clickhouseReachable() {
      return clickhouseReachable;
    },
    oldestOpenedAtMs() {
      let oldest: number | undefined;
      for (const { header } of chunks.values())
        oldest = Math.min(oldest ?? Infinity, header.openedAtMs);
      return oldest;
    },
    oldestClickChunkMs(edgeNumber) {
      let oldest: number | undefined;
      for (const { header, stored } of chunks.values()) {
        if (header.kind === 'clicks' && header.edgeNumber === edgeNumber && !stored)
          oldest = Math.min(oldest ?? Infinity, header.openedAtMs);
      }
      return oldest;
    },
    hasChunksOf: (edgeNumber) =>
      [...chunks.values()].some(({ file }) => basename(dirname(file)) === String(edgeNumber)),
    round,
    close: () => clearInterval(timer),
  };
}
