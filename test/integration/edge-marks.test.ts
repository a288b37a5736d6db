/**
 * The marks that edges publish: "every click minted here up to then is in ClickHouse". A worker that reads one too high
 * gives 108 for good to a conversion whose click is still in the spool (invariant 3).
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createFolders, type Folders } from '../../src/edge/folders.ts';
import { encodeHit } from '../../src/queue/chunk-job.ts';
import { createRedisKeys, type RedisKeys } from '../../src/redis/keys.ts';
import { createChunkWriter } from '../../src/spool/chunk-writer.ts';
import { createClickClock, type ClickClock } from '../../src/spool/click-clock.ts';
import type { Confirmer } from '../../src/spool/confirmer.ts';
import { claimFolder } from '../../src/spool/folder.ts';
import { openSmallDisk } from '../support/small-disk.ts';
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
/** What recovery had to say. */
let logged: string[] = [];
beforeAll(async () => {
  server = await startRedis();
});
afterAll(async () => {
  await server.close();
});
beforeEach(() => {
  logged = [];
  spoolDir = mkdtempSync(join(tmpdir(), 'sluice-marks-'));
  keys = createRedisKeys(`marks-${process.pid}-${++tests}`);
});
afterEach(() => rmSync(spoolDir, { recursive: true, force: true }));

/** Leaves chunks in a folder, as an edge does that was killed. */
async function leaveChunks(edgeNumber: number, olderChunks = OLDER_CHUNKS): Promise<void> {
  const folder = await claimFolder(spoolDir, edgeNumber);
  if (folder === undefined) throw new Error(`folder ${edgeNumber} is taken`);
  const writer = createChunkWriter({
    dir: folder.dir,
    edgeNumber,
    sync: 'os',
    monotonic: () => NOW,
    bytesFree: () => 1e9,
    outstanding: () => 0,
    onClosed: () => undefined,
    onSyncFailure: () => undefined,
  });
  const record = encodeHit(conversionHit('0190a5b0-0000-7000-8000-000000000001', NOW));
  for (let older = 1; older <= olderChunks; older++) {
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
async function foldersWith(
  onAdd: (folders: Folders) => void,
  clickClock?: ClickClock,
): Promise<Folders> {
  const own = await claimFolder(spoolDir, 0);
  if (own === undefined) throw new Error('folder 0 is taken');
  const clicks = new Map<number, number>();
  const taken = new Set<number>();
  const confirmer: Confirmer = {
    add(_file, header) {
      const { edgeNumber, kind, openedAtMs } = header;
      taken.add(edgeNumber);
      if (kind === 'clicks') clicks.set(edgeNumber, openedAtMs);
      onAdd(folders);
    },
    outstanding: 0,
    stuck: 0,
    outstandingBytes: 0,
    clickhouseReachable: true,
    oldestOpenedAtMs: () => undefined,
    oldestClickChunkMs: (edgeNumber) => clicks.get(edgeNumber),
    hasChunksOf: (edgeNumber) => taken.has(edgeNumber),
    round: () => Promise.resolve(),
    close: () => undefined,
  };
  const folders = createFolders({
    spoolDir,
    own,
    clickClock: clickClock ?? createClickClock(own.dir),
    redis: server.redis,
    keys,
    recovery: {
      quarantineDir: join(spoolDir, 'quarantine'),
      logger: pino({ level: 'error' }, { write: (line) => void logged.push(line) }),
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

test.each([
  ['its own folder', 0],
  ['the folder of a dead edge', 5],
])(
  'while an edge can not read a chunk of %s it publishes no mark, and looks at it again',
  async (_, edgeNumber) => {
    await leaveChunks(edgeNumber, 0);
    const dir = join(spoolDir, String(edgeNumber));
    const chunk = join(dir, readdirSync(dir)[0] ?? '');
    // A directory in its place can't be read, also by root.
    renameSync(chunk, join(spoolDir, 'aside'));
    mkdirSync(chunk);
    const folders = await foldersWith(() => undefined);
    const mark = async (): Promise<number> => {
      await folders.publishMarks();
      return markOf(edgeNumber);
    };
    try {
      await folders.start();
      await waitFor(() => logged.length > 0, { timeoutMs: 10_000, what: 'the chunk to be left' });
      expect(await mark()).toBe(0);
      // Of the folder's owner, who goes on meanwhile.
      const live = join(dir, `${edgeNumber}-${NOW}-1-c.open`);
      writeFileSync(live, '');
      rmSync(chunk, { recursive: true });
      renameSync(join(spoolDir, 'aside'), chunk);
      await waitFor(async () => (await mark()) === CLICKS_AT - 1, {
        timeoutMs: 10_000,
        what: 'the mark before the click',
      });
      expect(logged).toHaveLength(1);
      expect(existsSync(live)).toBe(true);
    } finally {
      await folders.close();
    }
  },
);

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

/** Publishes until a mark is there, which it returns. */
async function publishedMark(folders: Folders, edgeNumber: number): Promise<number> {
  return waitFor(
    async () => {
      await folders.publishMarks();
      return (await markOf(edgeNumber)) || undefined;
    },
    { timeoutMs: 10_000, what: 'a mark' },
  );
}

const HOUR_MS = 3_600_000;

test('no click is minted at a published mark or before it, after a step back and after a restart', async () => {
  const own = join(spoolDir, '0');
  mkdirSync(own);
  const clickClock = createClickClock(own);
  const folders = await foldersWith(() => undefined, clickClock);
  try {
    await folders.start();
    const mark = await publishedMark(folders, 0);
    expect(clickClock.next(mark - HOUR_MS).ms).toBeGreaterThan(mark);
    expect(createClickClock(own).next(mark - HOUR_MS).ms).toBeGreaterThan(mark);
  } finally {
    await folders.close();
  }
});

test('an edge that comes back mints no click that the mark of who kept its folder denies', async () => {
  await leaveChunks(5, 0);
  const folders = await foldersWith(() => undefined);
  let mark = 0;
  try {
    await folders.start();
    mark = await publishedMark(folders, 5);
  } finally {
    await folders.close();
  }
  expect(mark).toBe(CLICKS_AT - 1);
  const comeBack = createClickClock(join(spoolDir, '5'));
  expect(comeBack.next(mark - HOUR_MS).ms).toBeGreaterThan(mark);
  // A round of the confirmer may end after its folders were given back.
  await server.redis.del(keys.edgeMarks);
  await folders.publishMarks();
  expect(await markOf(5)).toBe(0);
});

test('while the disk is full a mark stays behind what the click clock could write, and goes on with it', async () => {
  const disk = openSmallDisk(1);
  try {
    const clickClock = createClickClock(disk.dir);
    const folders = await foldersWith(() => undefined, clickClock);
    try {
      const { ms } = clickClock.next(NOW - HOUR_MS);
      disk.fill();
      await folders.start();
      const mark = await publishedMark(folders, 0);
      expect(mark).toBeLessThan(NOW - HOUR_MS + 60_000);
      expect(mark).toBeGreaterThanOrEqual(ms);
      for (const clock of [clickClock, createClickClock(disk.dir)]) {
        disk.free();
        expect(clock.next(0).ms).toBeGreaterThan(mark);
      }
      await waitFor(async () => (await publishedMark(folders, 0)) > NOW - 2_000, {
        timeoutMs: 5_000,
        what: 'the mark to go on',
      });
    } finally {
      await folders.close();
    }
  } finally {
    disk.close();
  }
});
