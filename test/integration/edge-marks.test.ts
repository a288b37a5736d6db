/**
 * The marks that edges publish: "every click minted here up to then is in ClickHouse". A worker that reads one too high
 * gives 108 for good to a conversion whose click is still in the spool (invariant 3).
 */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createFolders, type Folders } from '../../src/edge/folders.ts';
import { encodeHit } from '../../src/queue/chunk-job.ts';
import { createRedisKeys, type RedisKeys } from '../../src/redis/keys.ts';
import { createChunkWriter } from '../../src/spool/chunk-writer.ts';
import type { Confirmer } from '../../src/spool/confirmer.ts';
import { claimFolder } from '../../src/spool/folder.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import { conversionHit } from '../support/test-worker.ts';
import { waitFor } from '../support/wait-for.ts';

const NOW = Date.now();
/** The click chunk of a folder is younger than so many others: it is recovered after them. */
const OLDER_CHUNKS = 200;
const CLICKS_AT = NOW - 50_000;

let server: TestRedis;
let spoolDir = '';
let keys: RedisKeys;
let tests = 0;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(async () => {
  await server.close();
});
beforeEach(() => {
  spoolDir = mkdtempSync(join(tmpdir(), 'sluice-marks-'));
  keys = createRedisKeys(`marks-${process.pid}-${++tests}`);
});
afterEach(() => rmSync(spoolDir, { recursive: true, force: true }));

/** Leaves chunks in a folder, as an edge does that was killed. */
async function leaveChunks(edgeNumber: number): Promise<void> {
  const folder = await claimFolder(spoolDir, edgeNumber);
  if (folder === undefined) throw new Error(`folder ${edgeNumber} is taken`);
  const writer = createChunkWriter({
    dir: folder.dir,
    edgeNumber,
    sync: 'os',
    clock: () => NOW,
    bytesFree: () => 1e9,
    outstanding: () => 0,
    onClosed: () => undefined,
    onSyncFailure: () => undefined,
  });
  const record = encodeHit(conversionHit('0190a5b0-0000-7000-8000-000000000001', NOW));
  for (let older = 1; older <= OLDER_CHUNKS; older++) {
    writer.append('conversions', [record], {
      receivedAtMs: CLICKS_AT - older,
      catalogueVersion: 1,
    });
    writer.closeDue(true);
  }
  writer.append('clicks', [record], { receivedAtMs: CLICKS_AT, catalogueVersion: 1 });
  writer.closeDue(true);
  await folder.release();
}

async function markOf(edgeNumber: number): Promise<number> {
  const text = await server.redis.hget(keys.edgeMarks, String(edgeNumber));
  return text === null ? 0 : Number(text.split(':')[0]);
}

/** Folders whose confirmer never confirms; `onAdd` runs whenever it takes over a chunk. */
async function foldersWith(onAdd: (folders: Folders) => void): Promise<Folders> {
  const own = await claimFolder(spoolDir, 0);
  if (own === undefined) throw new Error('folder 0 is taken');
  const clicks = new Map<number, number>();
  const confirmer: Confirmer = {
    add(_file, header) {
      const { edgeNumber, kind, openedAtMs } = header;
      if (kind === 'clicks') clicks.set(edgeNumber, openedAtMs);
      onAdd(folders);
    },
    outstanding: 0,
    outstandingBytes: 0,
    clickhouseReachable: true,
    oldestOpenedAtMs: () => undefined,
    oldestClickChunkMs: (edgeNumber) => clicks.get(edgeNumber),
    hasChunksOf: () => true,
    round: () => Promise.resolve(),
    close: () => undefined,
  };
  const folders = createFolders({
    spoolDir,
    own,
    redis: server.redis,
    keys,
    recovery: {
      quarantineDir: join(spoolDir, 'quarantine'),
      logger: pino({ level: 'silent' }),
      counts: { tornTails: 0, quarantined: 0 },
    },
    clock: Date.now,
    logger: pino({ level: 'silent' }),
    confirmer: () => confirmer,
    batches: { adopt: () => undefined, release: () => undefined },
    writer: () => ({
      append: () => undefined,
      closeDue: () => undefined,
      oldestOpenClickMs: () => undefined,
    }),
  });
  return folders;
}

test.each([
  ['its own folder', 0],
  ['the folder of a dead edge', 5],
])(
  'while an edge recovers %s no mark passes a click that it has not found yet',
  async (_, edgeNumber) => {
    await leaveChunks(edgeNumber);
    const published: number[] = [];
    const monitor = await server.redis.monitor();
    monitor.on('monitor', (_time: string, [command, key, field, value]: readonly string[]) => {
      if (command === 'hset' && key === keys.edgeMarks && field === String(edgeNumber))
        published.push(Number(value?.split(':')[0]));
    });
    let added = 0;
    // A round of the confirmer may publish between any two chunks.
    const folders = await foldersWith((made) => {
      added += 1;
      void made.publishMarks();
    });
    try {
      await folders.start();
      await waitFor(() => added > OLDER_CHUNKS, { timeoutMs: 10_000, what: 'every chunk' });
      await folders.publishMarks();
      await waitFor(() => published.at(-1) === CLICKS_AT - 1, {
        timeoutMs: 5_000,
        what: 'the mark before the click',
      });
      for (const mark of published) expect(mark).toBeLessThan(CLICKS_AT);
    } finally {
      monitor.disconnect();
      await folders.close();
    }
  },
);

test('a mark says nothing of a folder with a chunk that could not be read yet', async () => {
  await leaveChunks(5);
  const dir = join(spoolDir, '5');
  const name = readdirSync(dir).find((file) => file.endsWith('c.ready')) ?? '';
  renameSync(join(dir, name), join(spoolDir, 'hidden'));
  mkdirSync(join(dir, name));
  let added = 0;
  const folders = await foldersWith(() => (added += 1));
  try {
    await folders.start();
    await waitFor(() => added === OLDER_CHUNKS, { timeoutMs: 10_000, what: 'the other chunks' });
    await folders.publishMarks();
    expect(await markOf(5)).toBe(0);
    rmSync(join(dir, name), { recursive: true });
    renameSync(join(spoolDir, 'hidden'), join(dir, name));
    await waitFor(() => added > OLDER_CHUNKS, { timeoutMs: 10_000, what: 'the last chunk' });
    await folders.publishMarks();
    expect(await markOf(5)).toBe(CLICKS_AT - 1);
  } finally {
    await folders.close();
  }
});

test('without chunks a mark stays behind the clock by more than a tick', async () => {
  const folders = await foldersWith(() => undefined);
  try {
    await folders.start();
    await folders.publishMarks();
    const mark = await markOf(0);
    expect(mark).toBeGreaterThan(NOW - 2_000);
    expect(mark).toBeLessThan(Date.now() - 900);
  } finally {
    await folders.close();
  }
});
