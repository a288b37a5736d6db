/**
 * Which batch an idempotency key stands for, decided inside ClickHouse for every edge of every host: one guarded insert
 * under one token, then reading back who has the row. Also the register that status and lines are answered from.
 */
import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { insertGuarded, timeText } from '../../clickhouse/insert.ts';
import { BATCH_COLUMNS } from '../../clickhouse/tables.ts';
import { AppError } from '../domain/app-error.ts';
import type { BatchKind } from '../domain/hit.ts';
import type { Batch, Receipt } from './batch-folder.ts';

export interface ClaimHolder {
  readonly batch_id: string;
  readonly content_hash: string;
  readonly receipt: Receipt;
}

export interface Claims {
  /** Who holds a claim, or undefined. Throws when ClickHouse does not answer. */
  find(claim: string): Promise<ClaimHolder | undefined>;
  /**
   * Registers the batch unless its claim is held; resolves to the holder, which may be the batch itself. Repeatable.
   * After an error the outcome is unknown: ask again.
   */
  take(batch: Batch): Promise<ClaimHolder>;
}

/** A token may be burned by a kill in the middle of its insert; each kill burns one. */
const TOKENS_MAX = 20;
const SECOND_LOOK_MS = 100;

/** What an idempotency key claims, per advertiser and kind; without a key a batch claims its own id. */
export function claimOf(
  kind: BatchKind,
  advertiserId: number,
  key: string,
  batchId: string,
): string {
  // Keys hold no line break, so that no key of postbacks spells one of another kind.
  const space = kind === 'postbacks' ? '' : `${kind}\n`;
  const text = key === '' ? `batch ${batchId}` : `key ${space}${advertiserId} ${key}`;
  return createHash('sha256').update(text).digest('hex');
}

export function createClaims(clickhouse: ClickHouse): Claims {
  const table = `${clickhouse.privateDatabase}.batches`;

  async function find(claim: string): Promise<ClaimHolder | undefined> {
    const rows = await clickhouse.query<{
      batch_id: string;
      content_hash: string;
      receipt: string;
    }>(
      `SELECT batch_id, content_hash, receipt FROM ${table} WHERE claim = {claim:String} LIMIT 1`,
      { claim },
    );
    // The receipt was written by `take`.
    return rows[0] && { ...rows[0], receipt: JSON.parse(rows[0].receipt) as Receipt };
  }

  async function insert(batch: Batch, token: number): Promise<void> {
    const { receipt } = batch;
    await insertGuarded(clickhouse, {
      table,
      columns: BATCH_COLUMNS,
      rows: [
        [
          batch.batchId,
          batch.claim,
          batch.advertiserId,
          batch.contentHash,
          timeText(batch.receivedAtMs),
          batch.format,
          receipt.lines,
          receipt.hits,
          receipt.rejected_lines,
          JSON.stringify(receipt),
          batch.uploadedBy,
          batch.kind,
          batch.author,
        ],
      ],
      token: `batch:${batch.claim}#${token}`,
      guard: `NOT EXISTS (SELECT 1 FROM ${table} WHERE claim = '${batch.claim}')`,
    });
  }

  return {
    find,
    async take(batch) {
      for (let token = 0; token < TOKENS_MAX; token++) {
        const before = await find(batch.claim);
        if (before !== undefined) return before;
        await insert(batch, token);
        const holder = await find(batch.claim);
        if (holder !== undefined) return holder;
        await pause(SECOND_LOOK_MS);
      }
      const message = `batch ${batch.batchId} is not registered after ${TOKENS_MAX} inserts`;
      throw new AppError('CLICKHOUSE_UNAVAILABLE', message);
    },
  };
}
