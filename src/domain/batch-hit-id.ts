/**
 * Hit ids of a batch's lines: UUIDv7s that follow from receipt time, batch and record number alone, so that a line has
 * one id however often its file is read. In order of the records: 48 bit ms, 24 bit record number, 50 bit of the batch.
 */
import { createHash } from 'node:crypto';
import { headOfUuidV7 } from './uuid-v7.ts';

/** Largest record number that fits. */
export const BATCH_RECORDS_MAX = 2 ** 24 - 1;

/** Makes the ids of one batch; `record` counts from 0. */
export function createBatchHitIds(
  batchId: string,
  receivedAtMs: number,
): (record: number) => string {
  const hash = createHash('sha256').update(`batch ${batchId}`).digest('hex');
  const head = headOfUuidV7(receivedAtMs);
  const variant = '89ab'.charAt(Number.parseInt(hash.charAt(0), 16) & 3);
  const tail = hash.slice(1, 13);
  return (record) => {
    if (record > BATCH_RECORDS_MAX) throw new Error(`record ${record} is beyond a batch's limit`);
    const text = record.toString(16).padStart(6, '0');
    return `${head}${text.slice(0, 3)}-${variant}${text.slice(3)}-${tail}`;
  };
}
