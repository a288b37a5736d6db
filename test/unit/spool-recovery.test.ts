/** Invariants 1, 2 and 9 at the level of chunk files: cut everywhere, flipped everywhere, a disk that is full. */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ConversionHit } from '../../src/domain/hit.ts';
import { decodeHit, encodeHit } from '../../src/queue/chunk-job.ts';
import { decodeChunkFile } from '../../src/spool/chunk-file.ts';
import {
  createChunkWriter,
  type ChunkWriterOptions,
  type ClosedChunk,
} from '../../src/spool/chunk-writer.ts';
import { claimFolder } from '../../src/spool/folder.ts';
import { createFolderRecovery, type Recovery } from '../../src/spool/recover.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-spool-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function hit(index: number): ConversionHit {
  return {
    hitId: `00000000-0000-7000-8000-00000000000${index}`,
    receivedAtMs: 1_000 + index,
    endpoint: 'goal',
    method: 'GET',
    path: '/track/goal',
    query: `amount=${index}&x=\t\\\n`,
    body: 'é\r\u0000',
    bodyIsBase64: false,
    contentType: '',
    cookies: '',
    ip: '127.0.0.1',
    userAgent: 'a\tb',
    referer: '',
    fromBrowser: false,
  };
}

const RECORDS = [1, 2, 3].map((index) => encodeHit(hit(index)));

function recovery(): Recovery {
  return {
    quarantineDir: join(dir, 'quarantine'),
    logger: pino({ level: 'silent' }),
    counts: { tornTails: 0, quarantined: 0 },
  };
}

const from = (receivedAtMs: number) => ({ receivedAtMs, catalogueVersion: 1 });

function writer(options: Partial<ChunkWriterOptions> = {}) {
  return createChunkWriter({
    dir,
    edgeNumber: 0,
    sync: 'disk',
    monotonic: () => 5_000,
    bytesFree: () => 1e9,
    outstanding: () => 0,
    onClosed: () => undefined,
    onSyncFailure(error) {
      throw error;
    },
    ...options,
  });
}

function wholeChunk(): Buffer {
  const spool = writer();
  spool.append('conversions', RECORDS, from(4_990));
  spool.closeDue(true);
  const name = readdirSync(dir).find((file) => file.endsWith('.ready')) ?? '';
  const bytes = readFileSync(join(dir, name));
  rmSync(join(dir, name));
  return bytes;
}

test('a record survives encoding with tabs, line ends, backslashes and NUL', () => {
  expect(decodeHit(encodeHit(hit(7)))).toEqual(hit(7));
});

test('a chunk is as old as its oldest hit, not as its file', () => {
  const closed: ClosedChunk[] = [];
  const spool = writer({ onClosed: (chunk) => closed.push(chunk) });
  spool.append('clicks', RECORDS, from(4_990));
  expect(spool.oldestOpenClickMs()).toBe(4_990);
  spool.closeDue(true);
  expect(closed[0]?.header.openedAtMs).toBe(4_990);
});

test('a file cut at any offset gives every whole record and loses no byte', () => {
  const bytes = wholeChunk();
  const ends = RECORDS.map(
    (_, index) =>
      bytes.length -
      RECORDS.slice(index + 1).reduce((sum, line) => sum + 12 + Buffer.byteLength(line), 0),
  );
  for (let cut = 1; cut <= bytes.length; cut++) {
    writeFileSync(join(dir, '0-5000-1-t.open'), bytes.subarray(0, cut));
    const chunks = [...createFolderRecovery(dir, recovery()).chunks()];
    const records = chunks.flatMap((chunk) => chunk.records);
    expect(records, `cut at ${cut}`).toEqual(
      RECORDS.filter((_, index) => (ends[index] ?? 0) <= cut),
    );
    const kept = readdirSync(dir).includes('quarantine')
      ? readdirSync(join(dir, 'quarantine')).reduce(
          (sum, file) => sum + readFileSync(join(dir, 'quarantine', file)).length,
          0,
        )
      : 0;
    expect(kept + (chunks[0]?.bytes ?? 0), `cut at ${cut}`).toBeGreaterThanOrEqual(
      Math.min(cut, records.length === 0 ? 0 : cut),
    );
    rmSync(join(dir, 'quarantine'), { recursive: true, force: true });
    for (const chunk of chunks) rmSync(chunk.file);
  }
});

test('a flipped bit anywhere costs at most one record, and what it hit is in quarantine', () => {
  const bytes = wholeChunk();
  for (let at = 0; at < bytes.length; at++) {
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] ?? 0) ^ 0x10;
    writeFileSync(join(dir, '0-5000-1-t.ready'), flipped);
    const chunks = [...createFolderRecovery(dir, recovery()).chunks()];
    const records = chunks.flatMap((chunk) => chunk.records);
    expect(records.every((line) => RECORDS.includes(line))).toBe(true);
    // A damaged header takes the whole chunk to quarantine: nothing in it can be attributed.
    if (chunks.length > 0) expect(records.length, `flipped at ${at}`).toBe(RECORDS.length - 1);
    expect(readdirSync(join(dir, 'quarantine')).length, `flipped at ${at}`).toBeGreaterThan(0);
    rmSync(join(dir, 'quarantine'), { recursive: true });
    for (const chunk of chunks) rmSync(chunk.file);
  }
});

test('a spool over its limit refuses, keeps what it has, and takes hits again when there is room', () => {
  let free = 1e9;
  const closed: ClosedChunk[] = [];
  const sent: Buffer[] = [];
  const spool = writer({
    bytesFree: () => free,
    openContent: () => ({
      add: (bytes) => sent.push(Buffer.from(bytes)),
      end: () => Promise.resolve(),
    }),
    onClosed: (chunk) => closed.push(chunk),
  });
  spool.append('conversions', RECORDS.slice(0, 1), from(5_000));
  free = 0;
  expect(() => spool.append('conversions', RECORDS.slice(1, 2), from(5_000))).toThrow(
    /SLUICE_SPOOL_BYTES_MAX/,
  );
  expect(() => spool.append('clicks', RECORDS.slice(1, 2), from(5_000))).toThrow(
    /SLUICE_SPOOL_BYTES_MAX/,
  );
  expect(readdirSync(dir).length).toBe(1);
  free = 1e9;
  spool.append('conversions', RECORDS.slice(2), from(5_000));
  spool.closeDue(true);
  expect(closed[0]?.hitCount).toBe(2);
  expect(decodeChunkFile(Buffer.concat(sent)).records).toEqual([RECORDS[0], RECORDS[2]]);
  expect(
    [...createFolderRecovery(dir, recovery()).chunks()].flatMap((chunk) => chunk.records),
  ).toEqual([RECORDS[0], RECORDS[2]]);
});

test('a chunk that there was room for, but not for its hits, leaves no file', () => {
  const closed: ClosedChunk[] = [];
  const header = wholeChunk().indexOf(RECORDS[0] ?? '') - 12;
  const spool = writer({
    bytesFree: () => header + 20,
    onClosed: (chunk) => closed.push(chunk),
  });
  for (let tick = 0; tick < 3; tick++) {
    expect(() => spool.append('conversions', RECORDS, from(4_990))).toThrow(
      /SLUICE_SPOOL_BYTES_MAX/,
    );
    expect(readdirSync(dir)).toHaveLength(1);
    spool.closeDue(true);
    expect(readdirSync(dir)).toEqual([]);
  }
  expect(closed).toEqual([]);
});

test('a folder has one owner until it is released', async () => {
  const first = await claimFolder(dir, 3);
  expect(await claimFolder(dir, 3)).toBeUndefined();
  await first?.release();
  const second = await claimFolder(dir, 3);
  expect(second?.edgeNumber).toBe(3);
  await second?.release();
});

test('no chunk holds hits that came before it was opened: after a step back comes another', () => {
  const closed: ClosedChunk[] = [];
  const spool = writer({ sync: 'os', onClosed: (chunk) => closed.push(chunk) });
  for (const receivedAtMs of [5_000, 5_000, 5_001, 4_999, 5_002])
    spool.append('clicks', RECORDS.slice(0, 1), from(receivedAtMs));
  spool.closeDue(true);
  expect(closed.map(({ header, hitCount }) => [header.openedAtMs, hitCount])).toEqual([
    [5_000, 3],
    [4_999, 2],
  ]);
});

test('a folder that is reached by two paths has one owner, also when the spool is not there yet', async () => {
  symlinkSync(dir, join(dir, 'link'));
  const spools = [join(dir, 'data', 'spool'), join(dir, 'link', 'data', 'spool')];
  for (const [path, other] of [spools, spools.toReversed()]) {
    const first = await claimFolder(path ?? '', 3);
    const second = await claimFolder(other ?? '', 3);
    await first?.release();
    await second?.release();
    expect([first?.edgeNumber, second]).toEqual([3, undefined]);
  }
});

test('a chunk closes early at ordinary load, and grows while much is on its way', () => {
  let now = 5_000;
  let outstanding = 0;
  const closed: ClosedChunk[] = [];
  const spool = writer({
    sync: 'os',
    monotonic: () => now,
    outstanding: () => outstanding,
    onClosed: (chunk) => closed.push(chunk),
  });
  spool.append('conversions', RECORDS.slice(0, 1), from(5_000));
  now = 5_100;
  outstanding = 1_000;
  spool.closeDue();
  expect(closed).toHaveLength(0);
  outstanding = 3;
  spool.closeDue();
  expect(closed).toHaveLength(1);
});

test.each([
  ['clicks', 149, 4, 60],
  ['clicks', 150, 4, 250],
  ['clicks', 1_599, 5, 250],
  ['clicks', 1_600, 4, 500],
  ['conversions', 149, 5, 60],
  ['conversions', 150, 4, 250],
  ['conversions', 150, 5, 500],
  ['conversions', 1_600, 4, 500],
] as const)(
  'a chunk of %s with %i hits, %i others on their way, waits %i ms for more',
  (kind, hits, onTheirWay, ageMs) => {
    let now = 5_000;
    const closed: ClosedChunk[] = [];
    const spool = writer({
      monotonic: () => now,
      outstanding: () => onTheirWay,
      onClosed: (chunk) => closed.push(chunk),
    });
    spool.append(
      kind,
      Array.from({ length: hits }, () => RECORDS[0] ?? ''),
      from(5_000),
    );
    now += ageMs - 1;
    spool.closeDue();
    expect(closed).toEqual([]);
    now += 1;
    spool.closeDue();
    expect(closed.map(({ header, hitCount }) => [header.kind, hitCount])).toEqual([[kind, hits]]);
  },
);

test('a failed sync stores nothing and tells the process to end', () => {
  const failures: string[] = [];
  const spool = writer({
    onSyncFailure: (error) => failures.push(error.message),
    syncFile() {
      throw new Error('EIO: i/o error, fdatasync');
    },
  });
  expect(() => spool.append('conversions', RECORDS.slice(0, 1), from(5_000))).toThrow(
    "the spool can't be synced",
  );
  expect(failures).toEqual(['EIO: i/o error, fdatasync']);
});
