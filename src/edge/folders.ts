/**
 * The spool folders that this edge answers for: its own, and those of edges that are gone. Chunks found in them are
 * recovered and seen through; for each folder the edge publishes up to when its clicks are in ClickHouse.
 */
import { existsSync } from 'node:fs';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { foldersWithBatches, hasBatches, removeParts } from '../batch/batch-folder.ts';
import type { BatchProcess } from '../batch/batch-process.ts';
import { messageOf } from '../domain/app-error.ts';
import type { RedisKeys } from '../redis/keys.ts';
import type { ChunkWriter } from '../spool/chunk-writer.ts';
import { createClickClock, type ClickClock } from '../spool/click-clock.ts';
import type { Confirmer } from '../spool/confirmer.ts';
import { claimFolder, foldersWithChunks, type SpoolFolder } from '../spool/folder.ts';
import { createFolderRecovery, type FolderRecovery, type Recovery } from '../spool/recover.ts';

const ADOPT_MS = 2_000;
/** A click of this very tick is minted but not written yet: marks stay this far behind the clock. */
const MARK_BEHIND_MS = 1_000;

interface Held {
  readonly folder: SpoolFolder;
  readonly chunkFiles: FolderRecovery;
  readonly clickClock: ClickClock;
}

export interface Folders {
  /** Publishes, for each folder, up to when every click minted there is in ClickHouse. */
  publishMarks(): Promise<void>;
  /** Recovers the own folder, then every two seconds looks for folders of dead edges and for what could not be recovered. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export function createFolders(deps: {
  readonly spoolDir: string;
  readonly own: SpoolFolder;
  /** Of the own folder. */
  readonly clickClock: ClickClock;
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly recovery: Recovery;
  readonly clock: () => number;
  readonly logger: Logger;
  readonly confirmer: () => Confirmer;
  readonly writer: () => ChunkWriter;
  readonly batches: Pick<BatchProcess, 'adopt' | 'release'>;
}): Folders {
  const { own, redis, keys, clock, logger } = deps;
  const folders = new Map<number, Held>();
  /** Folders whose every chunk is known. Before that a mark could pass a click that was not found yet. */
  const recovered = new Set<number>();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let closed = false;

  /**
   * What a mark vouches for is over: before it is published the folder's click clock has left it behind, on disk too. Else
   * after a step back, here or in who has the folder next, clicks would be minted that the mark denies already. All that
   * was minted before is of the time that its chunk was opened at, or later.
   */
  async function publishMarks(): Promise<void> {
    for (const [edgeNumber, { clickClock }] of folders) {
      // A round that outlives us must not write into a folder that is another's by now.
      if (closed) return;
      if (!recovered.has(edgeNumber)) continue;
      const candidates = [
        deps.confirmer().oldestClickChunkMs(edgeNumber),
        edgeNumber === own.edgeNumber ? deps.writer().oldestOpenClickMs() : undefined,
      ];
      const oldest = Math.min(...candidates.map((ms) => ms ?? Infinity), clock() - MARK_BEHIND_MS);
      const mark = clickClock.leaveBehind(oldest - 1);
      await redis.hset(keys.edgeMarks, String(edgeNumber), `${mark}:${clock()}`);
    }
  }

  async function recoverChunks({ folder, chunkFiles }: Held): Promise<void> {
    for (const chunk of chunkFiles.chunks()) {
      deps.confirmer().add(chunk.file, chunk.header, chunk.records.length, chunk.bytes);
      // An edge that adopts a large folder goes on answering.
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (chunkFiles.isWhole) recovered.add(folder.edgeNumber);
  }

  async function takeOver(folder: SpoolFolder): Promise<void> {
    const held = {
      folder,
      chunkFiles: createFolderRecovery(folder.dir, deps.recovery),
      clickClock: folder === own ? deps.clickClock : createClickClock(folder.dir),
    };
    folders.set(folder.edgeNumber, held);
    await recoverChunks(held);
    removeParts(folder.dir);
    if (hasBatches(folder.dir)) deps.batches.adopt(folder.dir);
  }

  async function releaseEmptied(): Promise<void> {
    for (const [edgeNumber, { folder }] of folders) {
      if (folder === own || deps.confirmer().hasChunksOf(edgeNumber)) continue;
      if (!recovered.has(edgeNumber) || hasBatches(folder.dir)) continue;
      await publishMarks().catch(() => undefined);
      folders.delete(edgeNumber);
      deps.batches.release(folder.dir);
      recovered.delete(edgeNumber);
      await folder.release();
    }
  }

  async function adopt(): Promise<void> {
    for (const held of folders.values())
      if (!recovered.has(held.folder.edgeNumber)) await recoverChunks(held);
    await releaseEmptied();
    if (!existsSync(deps.spoolDir)) return;
    const left = [...foldersWithChunks(deps.spoolDir), ...foldersWithBatches(deps.spoolDir)];
    for (const edgeNumber of new Set(left)) {
      if (folders.has(edgeNumber)) continue;
      const folder = await claimFolder(deps.spoolDir, edgeNumber);
      if (folder === undefined) continue;
      logger.info({ edgeNumber }, 'adopted the spool folder of an edge that is gone');
      await takeOver(folder);
    }
  }

  return {
    publishMarks,
    async start() {
      await takeOver(own);
      timer = setInterval(() => {
        running ??= adopt()
          .catch((error: unknown) =>
            logger.warn({ error: messageOf(error) }, 'a spool folder could not be adopted'),
          )
          .finally(() => {
            running = undefined;
          });
      }, ADOPT_MS);
    },
    async close() {
      closed = true;
      clearInterval(timer);
      await running;
      await Promise.all([...folders.values()].map(({ folder }) => folder.release()));
    },
  };
}
