/** The batch process beside its edge: behind it from the first moment, when loading takes the most of a core. */
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { pino } from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import { createBatchProcess } from '../../src/batch/batch-process.ts';
import { BEHIND_ALL } from '../../src/niceness.ts';
import { waitFor } from '../support/wait-for.ts';

it('every thread of the batch process is behind the edge as soon as node runs in it', async () => {
  // Nothing is asked of it: what it would talk to need not be there.
  const nowhere = '127.0.0.1:1';
  const batches = createBatchProcess(
    {
      redisUrl: `redis://${nowhere}`,
      clickhouse: { url: `http://${nowhere}`, user: '', password: '', database: 'sluice' },
      sync: 'os',
      quarantineDir: tmpdir(),
      logLevel: 'silent',
    },
    pino({ level: 'silent' }),
  );
  onTestFinished(() => batches.close());
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
