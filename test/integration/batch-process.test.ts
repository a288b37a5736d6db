/**
 * The batch process beside its edge: behind it from the first moment, when loading takes the most of a core, and not
 * ended by what it finds on the disk.
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
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { createBatchProcess, type BatchProcess } from '../../src/batch/batch-process.ts';
import { BEHIND_ALL } from '../../src/niceness.ts';
import { uploadOf } from '../support/batch-upload.ts';
import { waitFor } from '../support/wait-for.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-batch-process-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** What it would talk to need not be there. */
function createProcess(): BatchProcess {
  const nowhere = '127.0.0.1:1';
  const batches = createBatchProcess(
    {
      redisUrl: `redis://${nowhere}`,
      clickhouse: { url: `http://${nowhere}`, user: '', password: '', database: 'sluice' },
      sync: 'os',
      quarantineDir: join(dir, 'quarantine'),
      logLevel: 'silent',
    },
    pino({ level: 'silent' }),
  );
  onTestFinished(() => batches.close());
  return batches;
}

it('every thread of the batch process is behind the edge as soon as node runs in it', async () => {
  const batches = createProcess();
  batches.start();
  const folder = `/proc/${String(batches.pid)}`;
  await waitFor(() => readFileSync(`${folder}/cmdline`, 'utf8').startsWith(process.execPath), {
    what: 'node in the batch process',
    timeoutMs: 10_000,
    intervalMs: 1,
  });
  const nicest = Math.min(19, getPriority() + BEHIND_ALL);
  const threads = readdirSync(`${folder}/task`).map((thread) => getPriority(Number(thread)));
  expect(new Set(threads)).toEqual(new Set([nicest]));
});

it('a batch whose description is damaged does not end the process, and is counted', async () => {
  const edgeDir = join(dir, '0');
  const folder = join(edgeDir, 'batches', 'b1');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'batch.json'), '');
  writeFileSync(join(folder, '000000.chunk'), 'hits');
  const batches = createProcess();
  batches.adopt(edgeDir);
  const { pid } = batches;
  await waitFor(() => batches.quarantined === 1, { timeoutMs: 20_000, what: 'the quarantine' });
  expect(readdirSync(join(dir, 'quarantine'))).toEqual(['batch-b1']);
  expect(batches.unfinished).toBe(0);
  expect(batches.pid).toBe(pid);
});

it('an upload whose process dies is answered by what is on the disk', async () => {
  const edgeDir = join(dir, '0');
  const batches = createProcess();
  const batchesOf = (): string[] =>
    existsSync(join(edgeDir, 'batches')) ? readdirSync(join(edgeDir, 'batches')) : [];
  /** Uploads while no claim can be decided, and ends the process when its batch is whole but not answered. */
  const uploadAndKill = async (batchId: string, beforeKill: () => void) => {
    const upload = uploadOf(dir, batchId, { edgeDir, keyGiven: false });
    const answer = batches.store({ upload, dryRun: false }, new AbortController().signal);
    await waitFor(() => batchesOf().includes(`${batchId}.prepared`), {
      timeoutMs: 20_000,
      what: 'the batch to be whole',
    });
    beforeKill();
    process.kill(Number(batches.pid), 'SIGKILL');
    return answer;
  };
  const folder = join(edgeDir, 'batches', 'b1');
  // As the process does when the claim is won, right before it answers.
  const stored = await uploadAndKill('b1', () => renameSync(`${folder}.prepared`, folder));
  expect(stored).toMatchObject({ kind: 'stored', receipt: { batch_id: 'b1', lines: 1 } });
  const lost = await uploadAndKill('b2', () => undefined);
  expect(lost).toMatchObject({ kind: 'unavailable', uncertain: false });
  await waitFor(() => !batchesOf().includes('b2.prepared'), {
    timeoutMs: 20_000,
    what: 'the batch that was not stored to be gone',
  });
});
