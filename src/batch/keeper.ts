/**
 * Takes uploads and keeps batches: makes a folder of an upload, has its claim decided, and feeds it when it is the one.
 * A folder whose claim could not be decided (ClickHouse was away) is tried again until it can.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { AppError, isRetryable, messageOf } from '../domain/app-error.ts';
import type { Recovery } from '../spool/recover.ts';
import {
  folderOf,
  moveFolder,
  recoverBatches,
  removeFolder,
  type Batch,
  type SpoolSync,
} from './batch-folder.ts';
import type { ClaimHolder, Claims } from './claims.ts';
import type { Feeder } from './feeder.ts';
import type { StoreOutcome, StoreRequest } from './messages.ts';
import { FileRefused } from './record.ts';
import { hashFile, makeBatch, type Upload } from './store-file.ts';

/** How long an upload waits for ClickHouse to decide its claim; a client waits for the answer meanwhile. */
const CLAIM_WAIT_MS = 20_000;
const CLAIM_RETRY_MS = 500;

interface Prepared {
  readonly edgeDir: string;
  readonly batch: Batch;
}

export interface Keeper {
  store(request: StoreRequest, signal: AbortSignal): Promise<StoreOutcome>;
  /** Takes over what is whole in an edge's folder and clears what is not. */
  adopt(edgeDir: string): void;
  /** Batches whose claim is not decided. */
  readonly undecided: number;
  close(): void;
}

export interface KeeperDeps {
  readonly claims: Claims;
  readonly feeder: Feeder;
  readonly recovery: Recovery;
  readonly sync: SpoolSync;
  /** ms since any moment, for durations: unlike the time of day it never steps. */
  readonly monotonic: () => number;
  readonly logger: Logger;
}

function refusedOutcome(error: FileRefused): StoreOutcome {
  const { status, line, column } = error;
  return { kind: 'refused', status, reason: error.message, line, column };
}

export function createKeeper(deps: KeeperDeps): Keeper {
  const { claims, feeder, sync, logger } = deps;
  const undecided = new Map<string, Prepared>();
  /** Those of them that failed for a reason of their own: said once. */
  const refused = new Set<string>();
  let closed = false;

  /** The one place where a prepared batch begins or ceases to exist. */
  function settle({ edgeDir, batch }: Prepared, holder: ClaimHolder): boolean {
    const isOurs = holder.batch_id === batch.batchId;
    if (isOurs) {
      moveFolder(edgeDir, batch.batchId, '.prepared', '', sync);
      feeder.add(folderOf(edgeDir, batch.batchId, ''), batch);
    } else removeFolder(folderOf(edgeDir, batch.batchId, '.prepared'));
    return isOurs;
  }

  /** Nobody can ask for a batch without a key again, so it must not come into being behind the client's back. */
  function drop({ edgeDir, batch }: Prepared): void {
    removeFolder(folderOf(edgeDir, batch.batchId, '.prepared'));
    // Where its claim was won, and its folder failed after the rename.
    removeFolder(folderOf(edgeDir, batch.batchId, ''));
  }

  function outcomeOf(holder: ClaimHolder, contentHash: string, ours: boolean): StoreOutcome {
    if (ours) return { kind: 'stored', receipt: holder.receipt, repeated: false };
    if (holder.content_hash !== contentHash) return { kind: 'conflict', batchId: holder.batch_id };
    return { kind: 'stored', receipt: holder.receipt, repeated: true };
  }

  async function decide(prepared: Prepared): Promise<StoreOutcome> {
    const until = deps.monotonic() + CLAIM_WAIT_MS;
    const { batch } = prepared;
    for (;;) {
      try {
        const holder = await claims.take(batch);
        return outcomeOf(holder, batch.contentHash, settle(prepared, holder));
      } catch (error) {
        logger.warn(
          { batch: batch.batchId, error: messageOf(error) },
          'a claim is not decided yet',
        );
        if (deps.monotonic() > until) break;
        await pause(CLAIM_RETRY_MS);
      }
    }
    const reason = 'ClickHouse does not answer';
    if (batch.keyGiven) {
      undecided.set(batch.batchId, prepared);
      return { kind: 'unavailable', reason, uncertain: true };
    }
    drop(prepared);
    return { kind: 'unavailable', reason, uncertain: false };
  }

  /** An upload under a key that is held already: nothing is made, only its content compared. */
  async function repeat(
    upload: Upload,
    held: ClaimHolder,
    signal: AbortSignal,
  ): Promise<StoreOutcome> {
    return outcomeOf(held, await hashFile(upload.file, signal), false);
  }

  async function storeOrThrow(
    { upload, dryRun }: StoreRequest,
    signal: AbortSignal,
  ): Promise<StoreOutcome> {
    if (dryRun) {
      const { receipt } = await makeBatch(upload, sync, false, signal);
      return { kind: 'dry-run', receipt };
    }
    const held = upload.keyGiven ? await claims.find(upload.claim) : undefined;
    if (held !== undefined) return repeat(upload, held, signal);
    const batch = await makeBatch(upload, sync, true, signal);
    return decide({ edgeDir: upload.edgeDir, batch });
  }

  async function decideUndecided(): Promise<void> {
    const line = [...undecided.values()];
    for (const prepared of line) {
      const { batchId } = prepared.batch;
      try {
        settle(prepared, await claims.take(prepared.batch));
        undecided.delete(batchId);
        refused.delete(batchId);
      } catch (error) {
        // To the end of the line, so that it never stands before the others.
        undecided.delete(batchId);
        undecided.set(batchId, prepared);
        // ClickHouse is away, for the others too.
        if (isRetryable(error)) throw error;
        if (!refused.has(batchId))
          logger.error(
            { batch: batchId, error: messageOf(error) },
            'a batch can not be settled; it is tried again',
          );
        refused.add(batchId);
      }
    }
  }

  let deciding: Promise<void> | undefined;
  const timer = setInterval(() => {
    if (undecided.size === 0 || closed) return;
    deciding ??= decideUndecided()
      .catch((error: unknown) => logger.debug({ error: messageOf(error) }, 'claims wait'))
      .finally(() => {
        deciding = undefined;
      });
  }, CLAIM_RETRY_MS);
  timer.unref();

  return {
    async store(request, signal) {
      try {
        return await storeOrThrow(request, signal);
      } catch (error) {
        if (signal.aborted) return { kind: 'cancelled' };
        if (error instanceof FileRefused) return refusedOutcome(error);
        if (error instanceof AppError && error.retryable)
          return { kind: 'unavailable', reason: error.message, uncertain: false };
        throw error;
      }
    },
    adopt(edgeDir) {
      for (const { folder, batch, prepared } of recoverBatches(edgeDir, deps.recovery)) {
        try {
          // Its client was told that nothing was stored, or nothing: a 202 comes after the last rename.
          const isForgotten = prepared && !batch.keyGiven;
          if (isForgotten) removeFolder(folder);
          else if (prepared) undecided.set(batch.batchId, { edgeDir, batch });
          else feeder.add(folder, batch);
          logger.info({ batch: batch.batchId, prepared, isForgotten }, 'took over a batch');
        } catch (error) {
          logger.error(
            { batch: batch.batchId, error: messageOf(error) },
            'a batch was not taken over; its folder stays',
          );
        }
      }
    },
    get undecided() {
      return undecided.size;
    },
    close() {
      closed = true;
      clearInterval(timer);
    },
  };
}
