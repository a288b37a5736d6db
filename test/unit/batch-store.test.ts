/** A batch file on its way to a folder of chunks: whole or not at all, the same hits each time, within its limits. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  batchesDir,
  folderOf,
  hasBatches,
  moveFolder,
  readBatch,
  recoverBatches,
  removeParts,
  type Batch,
} from '../../src/batch/batch-folder.ts';
import { claimOf } from '../../src/batch/claims.ts';
import { makeBatch, type Upload } from '../../src/batch/store-file.ts';
import { decodeHit, parseHeader } from '../../src/queue/chunk-job.ts';
import { msOfUuidV7 } from '../../src/domain/uuid-v7.ts';
import { decodeChunkFile } from '../../src/spool/chunk-file.ts';
import type { Recovery } from '../../src/spool/recover.ts';
import { BATCH_KINDS, type Hit } from '../../src/domain/hit.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-batch-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const never = new AbortController().signal;

function uploadOf(content: Buffer | string, batchId = 'b1'): Upload {
  const file = join(dir, `${batchId}.upload`);
  writeFileSync(file, content);
  return {
    batchId,
    file,
    edgeDir: dir,
    edgeNumber: 3,
    advertiserId: 7,
    kind: 'postbacks',
    author: 'Ada',
    suppressPostbacks: true,
    claim: 'c',
    keyGiven: true,
    receivedAtMs: 1_800_000_000_000,
    ip: '192.0.2.1',
    userAgent: 'shop/1',
    uploadedBy: 'key',
    catalogueVersion: 5,
    bytesMax: 1e9,
  };
}

function recovery(): Recovery {
  return {
    quarantineDir: join(dir, 'quarantine'),
    logger: pino({ level: 'silent' }),
    counts: { tornTails: 0, quarantined: 0 },
  };
}

function hitsOf(folder: string): Hit[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.chunk'))
    .toSorted()
    .flatMap((name) => {
      const { header, records } = decodeChunkFile(readFileSync(join(folder, name)));
      expect(header?.batch).toEqual({
        batchId: 'b1',
        advertiserId: 7,
        kind: 'postbacks',
        author: 'Ada',
        suppressPostbacks: true,
      });
      return records.map(decodeHit);
    });
}

const csv = (lines: number): string =>
  `click_id;amount;endpoint\n${Array.from({ length: lines }, (_, index) => `id${index};${index % 10 === 9 ? 'x' : index};${index % 7 === 6 ? 'conv' : ''}\n`).join('')}`;

it('every line becomes one hit with its line number, and an id that follows from batch and line alone', async () => {
  const batch = await makeBatch(uploadOf(csv(9_000)), 'disk', true, never);
  expect(batch.receipt).toMatchObject({
    lines: 9_000,
    hits: 9_000,
    rejected_lines: 900,
    ignored_columns: [],
  });
  expect(batch.receipt.rejected[0]).toMatchObject({ line: 11, column: 'amount' });
  expect(batch.chunks.map(([hits]) => hits)).toEqual([4_000, 4_000, 1_000]);
  const hits = hitsOf(folderOf(dir, 'b1', '.prepared'));
  expect(hits.map((hit) => (hit.endpoint === 'click' ? 0 : hit.batch?.line))).toEqual(
    hits.map((_, index) => index + 2),
  );
  const ids = hits.map(({ hitId }) => hitId);
  expect(new Set(ids).size).toBe(9_000);
  expect(ids).toEqual(ids.toSorted());
  expect(ids.every((id) => msOfUuidV7(id) === 1_800_000_000_000)).toBe(true);
  expect(hits[6]).toMatchObject({
    endpoint: 'conv',
    ip: '192.0.2.1',
    path: '/track/batch',
    body: '{"click_id":"id6","amount":"6","endpoint":"conv"}',
  });
  rmSync(batchesDir(dir), { recursive: true });
  await makeBatch(uploadOf(gzipSync(csv(9_000))), 'os', true, never);
  expect(hitsOf(folderOf(dir, 'b1', '.prepared')).map(({ hitId }) => hitId)).toEqual(ids);
});

it('plain and gzip are the same content; another byte is another', async () => {
  const hashes = [];
  for (const [index, content] of [csv(10), gzipSync(csv(10)), csv(11)].entries())
    hashes.push((await makeBatch(uploadOf(content, `b${index}`), 'os', false, never)).contentHash);
  expect(hashes[1]).toBe(hashes[0]);
  expect(hashes[2]).not.toBe(hashes[0]);
  expect(hasBatches(dir)).toBe(false);
});

it('a gzip that is cut anywhere, or damaged, is refused and leaves nothing', async () => {
  const packed = gzipSync(Buffer.from(csv(300)));
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: packed.length - 1 }),
      fc.boolean(),
      async (at, cut) => {
        const bytes = cut ? packed.subarray(0, at) : Buffer.from(packed);
        if (!cut) bytes[at] = (bytes[at] ?? 0) ^ 0x55;
        const made = makeBatch(uploadOf(bytes), 'os', true, never).then(
          ({ receipt }) => receipt.lines,
          () => 'refused',
        );
        // A few header bytes (time, name, system) mean nothing to the content.
        if (cut || at > 9) expect(await made).toBe('refused');
        else await made;
        const left = readdirSync(batchesDir(dir)).filter((name) => !name.endsWith('.prepared'));
        expect(left).toEqual([]);
        rmSync(batchesDir(dir), { recursive: true });
      },
    ),
    { numRuns: 60 },
  );
});

it('an upload that is given up or does not fit leaves nothing', async () => {
  const abort = new AbortController();
  abort.abort();
  await expect(makeBatch(uploadOf(csv(5_000)), 'os', true, abort.signal)).rejects.toThrow();
  expect(readdirSync(batchesDir(dir))).toEqual([]);
  await expect(
    makeBatch({ ...uploadOf(csv(5_000)), bytesMax: 200_000 }, 'os', true, never),
  ).rejects.toThrow(/SLUICE_SPOOL_BYTES_MAX/);
  expect(readdirSync(batchesDir(dir))).toEqual([]);
});

it('a gzip bomb ends at 1 GiB', async () => {
  const start = gzipSync('click_id;amount\nx;1\n');
  const block = gzipSync(Buffer.alloc(32 * 1024 * 1024, 'y'));
  const bomb = Buffer.concat([start, ...Array.from({ length: 33 }, () => block)]);
  await expect(makeBatch(uploadOf(bomb), 'os', true, never)).rejects.toMatchObject({ status: 413 });
  expect(readdirSync(batchesDir(dir))).toEqual([]);
}, 120_000);

it('after a kill what was not whole is gone, what was whole is found, step by step', async () => {
  const found = (): { prepared: boolean; batch: Batch }[] => recoverBatches(dir, recovery());
  mkdirSync(folderOf(dir, 'half', '.new'), { recursive: true });
  writeFileSync(join(folderOf(dir, 'half', '.new'), '000000.chunk'), 'x');
  mkdirSync(folderOf(dir, 'going', ''), { recursive: true });
  writeFileSync(join(folderOf(dir, 'going', ''), '000001.v1.ready'), 'x');
  writeFileSync(join(batchesDir(dir), 'u.part'), 'x');
  expect(found()).toEqual([]);
  expect(readdirSync(batchesDir(dir))).toEqual(['u.part']);
  removeParts(dir);
  expect(hasBatches(dir)).toBe(false);
  const batch = await makeBatch(uploadOf(csv(10)), 'os', true, never);
  expect(found()).toMatchObject([{ prepared: true, batch }]);
  moveFolder(dir, 'b1', '.prepared', '', 'os');
  // Of two processes that take the step, the second finds it taken.
  moveFolder(dir, 'b1', '.prepared', '', 'os');
  expect(found()).toMatchObject([{ prepared: false, batch }]);
});

it.each([
  ['empty', ''],
  ['cut', '{"batchId":"b1","chunks":[['],
  ['of zeros', '\0'.repeat(200)],
  ['of another folder', '{"batchId":"b0"}'],
  ['no object', 'null'],
])(
  'a batch whose description is %s goes to quarantine whole, and holds up no other',
  async (_, text) => {
    for (const id of ['b1', 'b2']) await makeBatch(uploadOf(csv(10), id), 'os', true, never);
    const folder = folderOf(dir, 'b1', '');
    moveFolder(dir, 'b1', '.prepared', '', 'os');
    const chunk = readFileSync(join(folder, '000000.chunk'));
    writeFileSync(join(folder, 'batch.json'), text);
    const kept = recovery();
    expect(recoverBatches(dir, kept)).toMatchObject([{ batch: { batchId: 'b2' } }]);
    expect(kept.counts.quarantined).toBe(1);
    expect(readdirSync(kept.quarantineDir)).toEqual(['batch-b1']);
    expect(readFileSync(join(kept.quarantineDir, 'batch-b1', '000000.chunk'))).toEqual(chunk);
    expect(readdirSync(batchesDir(dir))).toEqual(['b2.prepared']);
  },
);

it('a batch that can not be read now stays where it is, and holds up no other', async () => {
  for (const id of ['b1', 'b2']) await makeBatch(uploadOf(csv(10), id), 'os', true, never);
  const description = join(folderOf(dir, 'b1', '.prepared'), 'batch.json');
  rmSync(description);
  mkdirSync(description);
  expect(recoverBatches(dir, recovery())).toMatchObject([{ batch: { batchId: 'b2' } }]);
  expect(readdirSync(batchesDir(dir))).toEqual(['b1.prepared', 'b2.prepared']);
});

it('headers and folders from before there were kinds are batches of postbacks', async () => {
  const header = { chunkId: 'batch-b1-0', kind: 'conversions', edgeNumber: 3, openedAtMs: 5 };
  const batch = { batchId: 'b1', advertiserId: 7 };
  const before = { kind: 'postbacks', author: '', suppressPostbacks: false };
  expect(parseHeader({ ...header, catalogueVersion: 2, batch }).batch).toEqual({
    ...batch,
    ...before,
  });
  expect(() =>
    parseHeader({ ...header, catalogueVersion: 2, batch: { ...batch, kind: 'x' } }),
  ).toThrow(/names no batch/);
  const made = await makeBatch(uploadOf(csv(1)), 'os', true, never);
  const file = join(folderOf(dir, 'b1', '.prepared'), 'batch.json');
  const { kind: _, author: __, suppressPostbacks: ___, ...old } = made;
  writeFileSync(file, JSON.stringify(old));
  expect(readBatch(join(file, '..'))).toEqual({ ...old, ...before });
});

it('lines of a kind have its columns and its endpoint, and name no other', async () => {
  const upload = uploadOf('transaction_id,release,notes,endpoint,payout\nt1,true,why,conv,1\n');
  const batch = await makeBatch({ ...upload, kind: 'corrections' }, 'os', true, never);
  expect(batch.receipt.ignored_columns).toEqual(['endpoint']);
  const [file = ''] = readdirSync(folderOf(dir, 'b1', '.prepared'));
  const bytes = readFileSync(join(folderOf(dir, 'b1', '.prepared'), file));
  const { header, records } = decodeChunkFile(bytes);
  expect(header?.batch?.kind).toBe('corrections');
  expect(records.map(decodeHit)).toMatchObject([
    {
      endpoint: 'conv-change',
      body: '{"transaction_id":"t1","release":"true","notes":"why","payout":"1"}',
    },
  ]);
});

it('one idempotency key may be used once for each kind', () => {
  const claims = BATCH_KINDS.map((kind) => claimOf(kind, 1, 'k', 'b'));
  expect(new Set(claims).size).toBe(BATCH_KINDS.length);
});
