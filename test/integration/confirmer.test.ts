/**
 * Chunks that are seen through beside others whose files give trouble (invariants 2 and 9): real Redis, real ClickHouse.
 * A directory in the place of a file is one that can't be read or removed, also for root.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ChunkHeader, ChunkKind } from '../../src/domain/hit.ts';
import { encodeHit } from '../../src/queue/chunk-job.ts';
import { createChunkProducer, type ChunkProducer } from '../../src/queue/chunk-producer.ts';
import { encodeFrames } from '../../src/spool/chunk-file.ts';
import { createConfirmer, type Confirmer } from '../../src/spool/confirmer.ts';
import { openSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import { conversionHit } from '../support/test-worker.ts';
import { waitFor } from '../support/wait-for.ts';

const PREFIX = `{confirmer-${process.pid}}`;
const OPENED_AT = Date.now() - 60_000;
const RECORD = encodeHit(conversionHit('0190a5b0-0000-7000-8000-000000000001', OPENED_AT));
/** More than are queued again in one round. */
const UNREADABLE = 101;

let server: TestRedis;
let database: TestClickHouse;
let producer: ChunkProducer;
beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
  producer = createChunkProducer(server.redis, PREFIX);
}, 120_000);
afterAll(async () => {
  await producer.close();
  await Promise.all([server.close(), database.close()]);
});

let dir = '';
let quarantineDir = '';
let disk: SmallDisk | undefined;
let confirmer: Confirmer;
let now = 0;
let chunks = 0;
let logged: string[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-confirmer-'));
  quarantineDir = join(dir, 'quarantine');
  now = Date.now();
  logged = [];
});
afterEach(() => {
  confirmer.close();
  disk?.close();
  disk = undefined;
  rmSync(dir, { recursive: true, force: true });
});

function startConfirmer(): void {
  const logger = pino({ level: 'error' }, { write: (line) => void logged.push(line) });
  confirmer = createConfirmer({
    clickhouse: database.clickhouse,
    producer,
    recovery: { quarantineDir, logger, counts: { tornTails: 0, quarantined: 0 } },
    monotonic: () => now,
    logger,
  });
}

interface Made {
  readonly file: string;
  readonly header: ChunkHeader;
}

function makeChunk(kind: ChunkKind): Made {
  chunks += 1;
  const chunkId = `7-${OPENED_AT}-${chunks}-${kind === 'clicks' ? 'c' : 't'}`;
  const header = { chunkId, kind, edgeNumber: 7, openedAtMs: OPENED_AT, catalogueVersion: 1 };
  const file = join(dir, `${chunkId}.ready`);
  writeFileSync(file, encodeFrames([JSON.stringify(header), RECORD]));
  confirmer.add(file, header, 1, readFileSync(file).length);
  return { file, header };
}

/** Puts a directory in the place of the file until the function it returns is called. */
function block({ file }: Made): () => void {
  renameSync(file, `${file}.aside`);
  mkdirSync(join(file, 'not-empty'), { recursive: true });
  return () => {
    rmSync(file, { recursive: true });
    renameSync(`${file}.aside`, file);
  };
}

const untilQueued = ({ header }: Made): Promise<true> =>
  waitFor(() => producer.isLive(header.kind, header.chunkId), {
    timeoutMs: 10_000,
    what: `chunk ${header.chunkId} to be queued`,
  });

async function store({ header }: Made): Promise<void> {
  await database.clickhouse.command(
    `INSERT INTO click_log (hit_id, chunk_id, chunk_time, chunk_hits)
     VALUES ({id:String}, {id:String}, fromUnixTimestamp64Milli({time:Int64}), 1)`,
    { id: header.chunkId, time: header.openedAtMs },
  );
}

test('chunks whose files can not be read hold up no other, are said once each, and are queued when they can be', async () => {
  startConfirmer();
  const blocked = Array.from({ length: UNREADABLE }, () => makeChunk('conversions'));
  const unblock = blocked.map(block);
  const behind = makeChunk('conversions');
  await untilQueued(behind);
  now += 60_000;
  await confirmer.round();
  await confirmer.round();
  expect(logged).toHaveLength(UNREADABLE);
  expect(confirmer.outstanding).toBe(UNREADABLE + 1);
  for (const free of unblock) free();
  now += 60_000;
  for (const chunk of blocked) await untilQueued(chunk);
});

test('a stored chunk whose file can not be removed holds up no other and no mark, and goes when it can be', async () => {
  startConfirmer();
  const blocked = makeChunk('clicks');
  const unblock = block(blocked);
  const behind = makeChunk('clicks');
  expect(confirmer.oldestClickChunkMs(7)).toBe(OPENED_AT);
  await store(blocked);
  await store(behind);
  await waitFor(() => !existsSync(behind.file), { timeoutMs: 10_000, what: 'the other to go' });
  await confirmer.round();
  expect(confirmer.outstanding).toBe(1);
  expect(confirmer.oldestClickChunkMs(7)).toBeUndefined();
  expect(
    logged.filter((line) => line.includes(blocked.file) && line.includes('removed')),
  ).toHaveLength(1);
  unblock();
  await waitFor(() => confirmer.outstanding === 0, { timeoutMs: 10_000, what: 'the chunk to go' });
  expect(existsSync(blocked.file)).toBe(false);
});

test('damaged bytes that the quarantine had no room for are kept once it has', async () => {
  disk = openSmallDisk(1);
  quarantineDir = disk.dir;
  disk.fill();
  startConfirmer();
  const damaged = makeChunk('conversions');
  const bytes = Buffer.concat([Buffer.alloc(9_000, 'damage'), readFileSync(damaged.file)]);
  writeFileSync(damaged.file, bytes);
  await waitFor(() => logged.length > 0, { timeoutMs: 10_000, what: 'the failure' });
  expect(readFileSync(damaged.file)).toEqual(bytes);
  disk.free();
  now += 60_000;
  await untilQueued(damaged);
  const kept = readdirSync(quarantineDir);
  expect(kept).toEqual([`${damaged.header.chunkId}.ready.0`]);
  expect(readFileSync(join(quarantineDir, kept[0] ?? ''))).toEqual(bytes.subarray(0, 9_000));
});

test('damage in chunks whose files have the same name, as those of batches do, is kept of each', async () => {
  startConfirmer();
  const damaged = ['one', 'two'].map((folder) => {
    const made = makeChunk('conversions');
    const file = join(dir, folder, '000000.v1.ready');
    mkdirSync(join(dir, folder));
    writeFileSync(file, Buffer.concat([Buffer.from(folder), readFileSync(made.file)]));
    const header = { ...made.header, chunkId: `${made.header.chunkId}-${folder}` };
    confirmer.add(file, header, 1, 0);
    return { file, header };
  });
  for (const chunk of damaged) await untilQueued(chunk);
  const kept = readdirSync(quarantineDir).map((name) => readFileSync(join(quarantineDir, name)));
  expect(kept.map(String).toSorted()).toEqual(['one', 'two']);
});
