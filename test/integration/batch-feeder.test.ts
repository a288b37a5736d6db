/** A disk that refuses a step of a batch for a while: its acknowledged hits are not lost (invariant 2). */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { folderOf, moveFolder } from '../../src/batch/batch-folder.ts';
import { createFeeder } from '../../src/batch/feeder.ts';
import { makeBatch } from '../../src/batch/store-file.ts';
import { createChunkProducer } from '../../src/queue/chunk-producer.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
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
