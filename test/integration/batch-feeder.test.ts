/** Batches that are fed while the folder of one can't be written, or chunks of others can't be read (invariants 1 and 9). */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { createClickHouse, type ClickHouse } from '../../clickhouse/client.ts';
import { folderOf, moveFolder } from '../../src/batch/batch-folder.ts';
import { createFeeder } from '../../src/batch/feeder.ts';
import { makeBatch } from '../../src/batch/store-file.ts';
import { createChunkProducer } from '../../src/queue/chunk-producer.ts';
import { uploadOf } from '../support/batch-upload.ts';
import { startClickHouse } from '../support/start-clickhouse.ts';
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
  const upload = uploadOf(dir, batchId, { lines: 9_000 });
  const batch = await makeBatch(upload, 'os', true, new AbortController().signal);
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

/** A feeder, what it logged, and how many rounds it made. */
async function startFeeder(clickhouse: ClickHouse) {
  const server = await startRedis();
  onTestFinished(() => server.close());
  const producer = createChunkProducer(server.redis, `{feeder-${process.pid}}`, 'batches');
  onTestFinished(() => producer.close());
  const seen = { logged: [] as string[], rounds: 0 };
  const logger = pino({ level: 'error' }, { write: (line) => void seen.logged.push(line) });
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
    monotonic: () => performance.now(),
    logger,
    onProgress: () => void (seen.rounds += 1),
  });
  onTestFinished(() => feeder.close());
  return { feeder, seen };
}

it('chunks of a folder that can not be written wait, and hold up no other batch', async () => {
  // What was fed stays in its folder while no ClickHouse answers.
  const nowhere = { url: 'http://127.0.0.1:1', user: '', password: '', database: 'sluice' };
  const clickhouse = createClickHouse(nowhere);
  onTestFinished(() => clickhouse.close());
  const { feeder, seen } = await startFeeder(clickhouse);
  const [gone, behind] = [await makeThree('b1'), await makeThree('b2')];
  const bytes = gone.batch.chunks.reduce((sum, [, size]) => sum + size, 0);
  feeder.add(gone.folder, gone.batch);
  renameSync(gone.folder, join(dir, 'aside'));
  feeder.add(behind.folder, behind.batch);
  await untilFed(behind.folder);
  const before = seen.rounds;
  await waitFor(() => seen.rounds > before + 4, { timeoutMs: 10_000, what: 'more rounds' });
  expect(seen.logged).toHaveLength(1);
  expect(feeder.bytes).toBe(2 * bytes);
  renameSync(join(dir, 'aside'), gone.folder);
  await untilFed(gone.folder);
  expect(readdirSync(gone.folder)).toEqual([...FED, 'batch.json']);
  expect(feeder.unfinished).toBe(2);
  expect(feeder.bytes).toBe(2 * bytes);
});

it('more unreadable chunks than may be on their way hold up no other batch', async () => {
  const database = await startClickHouse();
  onTestFinished(() => database.close());
  const { feeder, seen } = await startFeeder(database.clickhouse);
  for (const id of ['b1', 'b2', 'b3', 'b4']) {
    const { batch, folder } = await makeThree(id);
    for (const number of [0, 1, 2]) {
      const file = join(folder, `00000${number}.chunk`);
      rmSync(file);
      mkdirSync(join(file, 'not a chunk'), { recursive: true });
    }
    feeder.add(folder, batch);
  }
  const behind = await makeThree('b5');
  feeder.add(behind.folder, behind.batch);
  await untilFed(behind.folder);
  // The last of them may be looked at in the same round, after the chunk behind them was fed.
  await waitFor(() => seen.logged.length >= 12, { timeoutMs: 10_000, what: 'each to be said' });
  expect(seen.logged).toHaveLength(12);
}, 60_000);
