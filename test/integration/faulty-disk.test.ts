/**
 * Files that the disk does not give or take for a while: what they hold is not lost, and nothing else waits for them
 * (invariants 2 and 9). A folder in a file's place stands for the fault.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { folderOf, moveFolder } from '../../src/batch/batch-folder.ts';
import { createFeeder } from '../../src/batch/feeder.ts';
import { makeBatch } from '../../src/batch/store-file.ts';
import type { ChunkHeader } from '../../src/domain/hit.ts';
import { encodeHit } from '../../src/queue/chunk-job.ts';
import { createChunkProducer } from '../../src/queue/chunk-producer.ts';
import { encodeFrames } from '../../src/spool/chunk-file.ts';
import { createConfirmer } from '../../src/spool/confirmer.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import { conversionHit } from '../support/test-worker.ts';
import { waitFor } from '../support/wait-for.ts';

const logger = pino({ level: 'silent' });
const SOON = 10_000;

let redis: TestRedis;
let store: TestClickHouse;
let dir = '';
beforeAll(async () => {
  [redis, store] = await Promise.all([startRedis(), startClickHouse()]);
});
afterAll(async () => {
  await Promise.all([redis.close(), store.close()]);
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-faulty-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const recovery = () => ({
  quarantineDir: join(dir, 'quarantine'),
  logger,
  counts: { tornTails: 0, quarantined: 0 },
});

test('a chunk file that can not be read does not keep the others from the queue', async () => {
  const producer = createChunkProducer(redis.redis, `{faulty-${process.pid}}`);
  const confirmer = createConfirmer({
    clickhouse: store.clickhouse,
    producer,
    recovery: recovery(),
    clock: Date.now,
    logger,
  });
  const header = (number: number): ChunkHeader => ({
    chunkId: `0-1000-${number}-${number < 3 ? 'c' : 't'}`,
    kind: number < 3 ? 'clicks' : 'conversions',
    edgeNumber: 0,
    openedAtMs: 1_000,
    catalogueVersion: 1,
  });
  const fileOf = (number: number): string => join(dir, `${header(number).chunkId}.ready`);
  const write = (number: number): void => {
    const hit = encodeHit(conversionHit('0190a5b0-0000-7000-8000-000000000001', 1_000));
    writeFileSync(fileOf(number), encodeFrames([JSON.stringify(header(number)), hit]));
  };
  const isLive = (number: number): Promise<boolean> =>
    producer.isLive(header(number).kind, header(number).chunkId);
  try {
    mkdirSync(fileOf(1));
    for (const number of [2, 3]) write(number);
    for (const number of [1, 2, 3]) confirmer.add(fileOf(number), header(number), 1, 100);
    for (const number of [2, 3])
      await waitFor(() => isLive(number), {
        timeoutMs: SOON,
        what: `chunk ${number} in the queue`,
      });
    expect(confirmer.outstanding).toBe(3);
    rmSync(fileOf(1), { recursive: true });
    write(1);
    await waitFor(() => isLive(1), { timeoutMs: SOON, what: 'chunk 1 in the queue' });
  } finally {
    confirmer.close();
    await producer.close();
  }
});

test('a chunk of a batch that can not be renamed waits, and its batch with it', async () => {
  const upload = join(dir, 'upload');
  writeFileSync(upload, 'click_id,amount\nx,1\n');
  const batch = await makeBatch(
    {
      batchId: 'b1',
      file: upload,
      edgeDir: dir,
      edgeNumber: 3,
      advertiserId: 7,
      kind: 'postbacks',
      author: 'Ada',
      suppressPostbacks: false,
      claim: 'c',
      keyGiven: false,
      receivedAtMs: Date.now(),
      ip: '192.0.2.1',
      userAgent: 'shop/1',
      uploadedBy: 'key',
      catalogueVersion: 1,
      bytesMax: 1e9,
    },
    'os',
    true,
    new AbortController().signal,
  );
  moveFolder(dir, 'b1', '.prepared', '', 'os');
  const folder = folderOf(dir, 'b1', '');
  const inTheWay = join(folder, '000000.v1.ready');
  const producer = createChunkProducer(redis.redis, `{batch-${process.pid}}`, 'batches');
  let rounds = 0;
  const feeder = createFeeder({
    clickhouse: store.clickhouse,
    producer,
    recovery: recovery(),
    sync: 'os',
    catalogueVersion() {
      // Before the first try of a rename.
      if (rounds === 0) mkdirSync(join(inTheWay, 'x'), { recursive: true });
      rounds += 1;
      return Promise.resolve(1);
    },
    clock: Date.now,
    logger,
    onProgress: () => undefined,
  });
  try {
    feeder.add(folder, batch);
    await waitFor(() => rounds > 2, { timeoutMs: SOON, what: 'tries of a rename' });
    rmSync(inTheWay, { recursive: true });
    await waitFor(() => producer.isLive('conversions', 'batch-b1-0'), {
      timeoutMs: SOON,
      what: 'the chunk in the queue',
    });
    expect(existsSync(folder) && readdirSync(folder)).toContain('000000.v1.ready');
    expect(feeder.unfinished).toBe(1);
  } finally {
    feeder.close();
    await producer.close();
  }
});
