/**
 * Sees existing batches through: hands their chunks to the queue of batches, a few at a time and in turn among batches,
 * until ClickHouse has confirmed each. What waits is files on disk, so that neither Redis nor memory holds a batch.
 */
import { readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { messageOf } from '../domain/app-error.ts';
import type { ChunkProducer } from '../queue/chunk-producer.ts';
import { createConfirmer } from '../spool/confirmer.ts';
import type { Recovery } from '../spool/recover.ts';
import {
  chunkHeaderOf,
  removeFolder,
  syncFolder,
  type Batch,
  type SpoolSync,
} from './batch-folder.ts';

/** Chunks on their way at once: enough that workers never wait for the next, little enough for Redis. */
const WINDOW_CHUNKS = 12;
const FED = /^(\d{6})\.v(\d+)\.ready$/;
const WAITING = /^(\d{6})\.chunk$/;

interface Feeding {
  readonly batch: Batch;
  readonly folder: string;
  /** File names of chunks that are not queued yet, last first. */
  readonly waiting: string[];
  bytesWaiting: number;
  /** Its folder gave trouble at the last try: said once, and tried again in each round. */
  stuck: boolean;
}

export interface Feeder {
  /** Takes over a batch that exists. */
  add(folder: string, batch: Batch): void;
  /** Batches that are not confirmed whole, and the bytes of their chunks. */
  readonly unfinished: number;
  readonly bytes: number;
  close(): void;
}

export interface FeederDeps {
  readonly clickhouse: ClickHouse;
  readonly producer: ChunkProducer;
  readonly recovery: Recovery;
  readonly sync: SpoolSync;
  /** The catalogue version in force: a chunk is judged under that of its first queueing. */
  readonly catalogueVersion: () => Promise<number>;
  readonly monotonic: () => number;
  readonly logger: Logger;
  readonly onProgress: () => void;
}

export function createFeeder(deps: FeederDeps): Feeder {
  const batches = new Map<string, Feeding>();
  const confirmer = createConfirmer({
    clickhouse: deps.clickhouse,
    producer: deps.producer,
    recovery: deps.recovery,
    monotonic: deps.monotonic,
    logger: deps.logger,
    onRound: round,
  });

  function watch(feeding: Feeding, name: string): void {
    const match = FED.exec(name);
    const number = Number(match?.[1] ?? 0);
    const [hits = 0, bytes = 0] = feeding.batch.chunks[number] ?? [];
    const header = chunkHeaderOf(feeding.batch, number, Number(match?.[2] ?? 0));
    confirmer.add(join(feeding.folder, name), header, hits, bytes);
  }

  /** Whether the folder let us do it. One batch's trouble with its folder must not hold up the others. */
  function tryFolder(feeding: Feeding, work: () => void): boolean {
    try {
      work();
      feeding.stuck = false;
    } catch (error) {
      if (!feeding.stuck)
        deps.logger.error(
          { folder: feeding.folder, error: messageOf(error) },
          'a batch waits for its folder, which is tried again',
        );
      feeding.stuck = true;
    }
    return !feeding.stuck;
  }

  /**
   * The version goes into the file's name before the chunk is queued: every delivery is then judged alike. Until it is,
   * the chunk waits under the name that its file has.
   */
  function feed(feeding: Feeding, versionNow: number): void {
    const { batch, folder, waiting } = feeding;
    let name = waiting.at(-1);
    if (name === undefined) return;
    const number = name.slice(0, 6);
    if (WAITING.test(name)) {
      const fed = `${number}.v${Math.max(batch.catalogueVersion, versionNow)}.ready`;
      renameSync(join(folder, name), join(folder, fed));
      waiting[waiting.length - 1] = name = fed;
    }
    syncFolder(folder, deps.sync);
    watch(feeding, name);
    waiting.pop();
    feeding.bytesWaiting -= batch.chunks[Number(number)]?.[1] ?? 0;
  }

  function finish(id: string, { batch, folder }: Feeding): void {
    if (readdirSync(folder).some((name) => FED.test(name) || WAITING.test(name))) return;
    removeFolder(folder);
    batches.delete(id);
    deps.logger.info({ batch: id, lines: batch.receipt.lines }, 'a batch is judged');
  }

  function finishWhole(): void {
    for (const [id, feeding] of batches)
      if (feeding.waiting.length === 0) tryFolder(feeding, () => finish(id, feeding));
  }

  async function topUp(): Promise<void> {
    const open = [...batches.values()].filter(({ waiting }) => waiting.length > 0);
    // What is stuck is not on its way: else a dozen unreadable files would hold up every batch.
    const hasRoom = (): boolean => confirmer.outstanding - confirmer.stuck < WINDOW_CHUNKS;
    if (open.length === 0 || !hasRoom()) return;
    const version = await deps.catalogueVersion();
    while (hasRoom()) {
      const next = open.shift();
      if (next === undefined) return;
      const isFed = tryFolder(next, () => feed(next, version));
      if (isFed && next.waiting.length > 0) open.push(next);
    }
  }

  async function round(): Promise<void> {
    await topUp();
    finishWhole();
    deps.onProgress();
  }

  return {
    add(folder, batch) {
      if (batches.has(batch.batchId)) return;
      const names = readdirSync(folder).toSorted();
      const waiting = names.filter((name) => WAITING.test(name)).toReversed();
      const feeding: Feeding = { batch, folder, waiting, bytesWaiting: 0, stuck: false };
      for (const name of waiting)
        feeding.bytesWaiting += batch.chunks[Number(name.slice(0, 6))]?.[1] ?? 0;
      batches.set(batch.batchId, feeding);
      for (const name of names) if (FED.test(name)) watch(feeding, name);
      confirmer
        .round()
        .catch((error: unknown) => deps.logger.warn({ error: messageOf(error) }, 'a round failed'));
    },
    get unfinished() {
      return batches.size;
    },
    get bytes() {
      let bytes = confirmer.outstandingBytes;
      for (const { bytesWaiting } of batches.values()) bytes += bytesWaiting;
      return bytes;
    },
    close: () => confirmer.close(),
  };
}
