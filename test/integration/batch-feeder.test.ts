/**
 * Batches that are fed while the folder of one can't be written (invariants 1 and 9). ClickHouse does not answer, so that
 * what was fed stays in its folder.
 */
import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { createClickHouse } from '../../clickhouse/client.ts';
import { folderOf, moveFolder } from '../../src/batch/batch-folder.ts';
import { createFeeder } from '../../src/batch/feeder.ts';
import { makeBatch } from '../../src/batch/store-file.ts';
import { createChunkProducer } from '../../src/queue/chunk-producer.ts';
import { startRedis } from '../support/start-redis.ts';
import { waitFor } from '../support/wait-for.ts';

const VERSION = 5;

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-feeder-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A batch that exists, of three chunks. */
async function makeThree(batchId: string) {
  const file = join(dir, 'upload');
  writeFileSync(file, `click_id\n${'x\n'.repeat(9_000)}`);
  const batch = await makeBatch(
    {
      batchId,
      file,
      edgeDir: dir,
      edgeNumber: 3,
      advertiserId: 7,
      kind: 'postbacks',
      author: '',
      suppressPostbacks: false,
      claim: batchId,
      keyGiven: true,
      receivedAtMs: Date.now(),
      ip: '192.0.2.1',
      userAgent: '',
      uploadedBy: 'key',
      catalogueVersion: 1,
      bytesMax: 1e9,
    },
    'os',
    true,
    new AbortController().signal,
  );
  expect(batch.chunks).toHaveLength(3);
  moveFolder(dir, batchId, '.prepared', '', 'os');
  return { batch, folder: folderOf(dir, batchId, '') };
}

const FED = [0, 1, 2].map((number) => `00000${number}.v${VERSION}.ready`);
const untilFed = (folder: string): Promise<true> =>
  waitFor(() => readdirSync(folder).filter((name) => FED.includes(name)).length === 3, {
    timeoutMs: 10_000,
    what: 'every chunk to be fed',
  });

it('chunks of a folder that can not be written wait, and hold up no other batch', async () => {
  const server = await startRedis();
  onTestFinished(() => server.close());
  const nowhere = { url: 'http://127.0.0.1:1', user: '', password: '', database: 'sluice' };
  const clickhouse = createClickHouse(nowhere);
  onTestFinished(() => clickhouse.close());
  const producer = createChunkProducer(server.redis, `{feeder-${process.pid}}`, 'batches');
  onTestFinished(() => producer.close());
  const logged: string[] = [];
  const logger = pino({ level: 'error' }, { write: (line) => void logged.push(line) });
  const feeder = createFeeder({
    clickhouse,
    producer,
    recovery: {
      quarantineDir: join(dir, 'quarantine'),
      logger,
      counts: { tornTails: 0, quarantined: 0 },
    },
    sync: 'os',
    catalogueVersion: () => Promise.resolve(VERSION),
    clock: Date.now,
    logger,
    onProgress: () => void (rounds += 1),
  });
  onTestFinished(() => feeder.close());
  let rounds = 0;
  const [gone, behind] = [await makeThree('b1'), await makeThree('b2')];
  const bytes = gone.batch.chunks.reduce((sum, [, size]) => sum + size, 0);
  feeder.add(gone.folder, gone.batch);
  renameSync(gone.folder, join(dir, 'aside'));
  feeder.add(behind.folder, behind.batch);
  await untilFed(behind.folder);
  const before = rounds;
  await waitFor(() => rounds > before + 4, { timeoutMs: 10_000, what: 'more rounds' });
  expect(logged).toHaveLength(1);
  expect(feeder.bytes).toBe(2 * bytes);
  renameSync(join(dir, 'aside'), gone.folder);
  await untilFed(gone.folder);
  expect(readdirSync(gone.folder)).toEqual([...FED, 'batch.json']);
  expect(feeder.unfinished).toBe(2);
  expect(feeder.bytes).toBe(2 * bytes);
});
