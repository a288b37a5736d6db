/** Batches whose claims are decided after a restart: each for itself. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { batchesDir, folderOf, type Batch } from '../../src/batch/batch-folder.ts';
import type { Claims } from '../../src/batch/claims.ts';
import { createKeeper } from '../../src/batch/keeper.ts';
import { makeBatch } from '../../src/batch/store-file.ts';
import { AppError } from '../../src/domain/app-error.ts';
import { uploadOf } from '../support/batch-upload.ts';
import { waitFor } from '../support/wait-for.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-keeper-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function makePrepared(batchId: string, keyGiven = true): Promise<void> {
  await makeBatch(uploadOf(dir, batchId, { keyGiven }), 'os', true, new AbortController().signal);
}

/** A keeper that adopted `dir`, what it fed, and what it said of failures. */
function adopt(
  take: Claims['take'],
  { monotonic = () => performance.now(), feederFails = false } = {},
) {
  const fed: string[] = [];
  const logged: string[] = [];
  const logger = pino({ level: 'error' }, { write: (line) => void logged.push(line) });
  const keeper = createKeeper({
    claims: { find: () => Promise.resolve(undefined), take },
    feeder: {
      add(_, { batchId }) {
        if (feederFails) throw new Error('EIO: the folder can not be read');
        fed.push(batchId);
      },
      unfinished: 0,
      bytes: 0,
      close: () => undefined,
    },
    recovery: {
      quarantineDir: join(dir, 'quarantine'),
      logger,
      counts: { tornTails: 0, quarantined: 0 },
    },
    sync: 'os',
    monotonic,
    logger,
  });
  onTestFinished(() => keeper.close());
  keeper.adopt(dir);
  return { keeper, fed, logged };
}

const own = ({ batchId, contentHash, receipt }: Batch) => ({
  batch_id: batchId,
  content_hash: contentHash,
  receipt,
});

it('a batch that can not be settled holds up no other, and is settled when it can be', async () => {
  for (const id of ['b1', 'b2', 'b3']) await makePrepared(id);
  let asked = 0;
  const { keeper, fed, logged } = adopt((batch) => {
    if (batch.batchId === 'b1') asked += 1;
    return batch.batchId === 'b1' && asked < 3
      ? Promise.reject(new AppError('CLICKHOUSE_REFUSED', 'not this one'))
      : Promise.resolve(own(batch));
  });
  await waitFor(() => keeper.undecided === 0, { timeoutMs: 10_000, what: 'every batch' });
  expect(fed).toEqual(['b2', 'b3', 'b1']);
  expect(logged).toHaveLength(1);
  expect(readdirSync(batchesDir(dir))).toEqual(['b1', 'b2', 'b3']);
});

it('a batch whose folder is gone holds up no other', async () => {
  for (const id of ['b1', 'b2']) await makePrepared(id);
  const { keeper, fed } = adopt((batch) => Promise.resolve(own(batch)));
  rmSync(folderOf(dir, 'b1', '.prepared'), { recursive: true });
  await waitFor(() => fed.includes('b2'), { timeoutMs: 10_000, what: 'the other to be fed' });
  expect(keeper.undecided).toBe(1);
});

it('while ClickHouse is away one batch a try is asked for, and never the same one only', async () => {
  for (const id of ['b1', 'b2']) await makePrepared(id);
  const asked: string[] = [];
  const { fed, logged } = adopt(({ batchId }) => {
    asked.push(batchId);
    return Promise.reject(new AppError('CLICKHOUSE_UNAVAILABLE', 'away'));
  });
  await waitFor(() => asked.length === 3, { timeoutMs: 10_000, what: 'three tries' });
  expect(asked).toEqual(['b1', 'b2', 'b1']);
  expect([fed, logged]).toEqual([[], []]);
});

it('a batch without a key that was not answered is gone after a restart: nobody could ask for it again', async () => {
  await makePrepared('b1', false);
  await makePrepared('b2');
  const { keeper, fed } = adopt((batch) => Promise.resolve(own(batch)));
  await waitFor(() => keeper.undecided === 0, { timeoutMs: 10_000, what: 'the one with a key' });
  expect(fed).toEqual(['b2']);
  expect(readdirSync(batchesDir(dir))).toEqual(['b2']);
});

it('an upload without a key whose folder fails once it is won leaves nothing, as its answer says', async () => {
  let now = 0;
  const tick = (): number => (now += 15_000);
  const { keeper } = adopt((batch) => Promise.resolve(own(batch)), {
    monotonic: tick,
    feederFails: true,
  });
  const request = { upload: uploadOf(dir, 'b1', { keyGiven: false }), dryRun: false };
  const outcome = await keeper.store(request, new AbortController().signal);
  expect(outcome).toMatchObject({ kind: 'unavailable', uncertain: false });
  expect(readdirSync(batchesDir(dir))).toEqual([]);
});
