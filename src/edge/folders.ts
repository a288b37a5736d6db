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
import type { Confirmer } from '../spool/confirmer.ts';
import { claimFolder, foldersWithChunks, type SpoolFolder } from '../spool/folder.ts';
import { recoverFolder, type Recovery } from '../spool/recover.ts';

const ADOPT_MS = 2_000;
/** A click of this very tick is minted but not written yet: marks stay this far behind the clock. */
const MARK_BEHIND_MS = 1_000;

export interface Folders {
  /** Publishes, for each folder, up to when every click minted there is in ClickHouse. */
  publishMarks(): Promise<void>;
  /** Recovers the own folder, then looks for folders of dead edges every two seconds. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export function createFolders(deps: {
  readonly spoolDir: string;
  readonly own: SpoolFolder;
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
  const folders = new Map<number, SpoolFolder>([[own.edgeNumber, own]]);
  /** Folders whose every chunk is known. Before that a mark could pass a click that was not found yet. */
  const recovered = new Set<number>();
  /** Names of files in the other folders that could not be read yet. */
  const unread = new Map<number, readonly string[]>();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;

  async function publishMarks(): Promise<void> {
    for (const edgeNumber of recovered) {
      const candidates = [
        deps.confirmer().oldestClickChunkMs(edgeNumber),
        edgeNumber === own.edgeNumber ? deps.writer().oldestOpenClickMs() : undefined,
      ];
      const oldest = Math.min(...candidates.map((ms) => ms ?? Infinity), clock() - MARK_BEHIND_MS);
      await redis.hset(keys.edgeMarks, String(edgeNumber), `${oldest - 1}:${clock()}`);
    }
  }

  /** `names`: of files that an earlier try could not read. */
  async function recover(folder: SpoolFolder, names?: readonly string[]): Promise<void> {
    const chunks = recoverFolder(folder.dir, deps.recovery, names);
    let next = chunks.next();
    for (; next.done !== true; next = chunks.next()) {
      const { file, header, records, bytes } = next.value;
      deps.confirmer().add(file, header, records.length, bytes);
      // An edge that adopts a large folder goes on answering.
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (next.value.length > 0) {
      unread.set(folder.edgeNumber, next.value);
      return;
    }
    unread.delete(folder.edgeNumber);
    recovered.add(folder.edgeNumber);
  }

  async function takeOver(folder: SpoolFolder): Promise<void> {
    await recover(folder);
    removeParts(folder.dir);
    if (hasBatches(folder.dir)) deps.batches.adopt(folder.dir);
  }

  async function recoverUnread(): Promise<void> {
    for (const [edgeNumber, names] of unread) {
      const folder = folders.get(edgeNumber);
      if (folder !== undefined) await recover(folder, names);
    }
  }

  async function releaseEmptied(): Promise<void> {
    for (const [edgeNumber, folder] of folders) {
      if (folder === own || unread.has(edgeNumber)) continue;
      if (deps.confirmer().hasChunksOf(edgeNumber)) continue;
      if (hasBatches(folder.dir)) continue;
      await publishMarks().catch(() => undefined);
      folders.delete(edgeNumber);
      deps.batches.release(folder.dir);
      recovered.delete(edgeNumber);
      await folder.release();
    }
  }

  async function adopt(): Promise<void> {
    await recoverUnread();
    await releaseEmptied();
    if (!existsSync(deps.spoolDir)) return;
    const left = [...foldersWithChunks(deps.spoolDir), ...foldersWithBatches(deps.spoolDir)];
    for (const edgeNumber of new Set(left)) {
      if (folders.has(edgeNumber)) continue;
      const folder = await claimFolder(deps.spoolDir, edgeNumber);
      if (folder === undefined) continue;
      logger.info({ edgeNumber }, 'adopted the spool folder of an edge that is gone');
      folders.set(edgeNumber, folder);
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
      clearInterval(timer);
      await running;
      await Promise.all([...folders.values()].map((folder) => folder.release()));
    },
  };
}
