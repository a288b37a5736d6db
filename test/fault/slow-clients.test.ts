/** 5,000 connections that send a little and then nothing: they are dropped within 15 s, and nobody else notices. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { waitFor } from '../support/wait-for.ts';
import { startCluster, type Cluster } from './harness/cluster.ts';
import { percentile, startLoad } from './harness/load.ts';
import { report } from './harness/report.ts';

const STALLED = 5_000;
const PER_SECOND = 100;
const CALM_MS = 5_000;
/** Below this, twice as slow is the machine's noise. */
const P99_FLOOR_MS = 40;
const DROPPED_MS = 15_000;
/** uWebSockets drops what is due in one go, every 4 s, and a close costs the kernel about 20 µs: docs/edge.md. */
const DROP_STALL_MS = 1_000;

let cluster: Cluster;
let stalled: ChildProcessWithoutNullStreams | undefined;
let answers: Interface | undefined;
beforeAll(async () => {
  cluster = await startCluster({ catalogue: projectPath('test/fault/catalogue.yaml') });
}, 120_000);
afterAll(async () => {
  stalled?.kill('SIGKILL');
  await cluster?.close();
});

/** How many of the stalled connections are open. */
function openConnections(): Promise<number> {
  return new Promise((resolve) => {
    answers?.once('line', (line) => resolve(Number(line)));
    stalled?.stdin.write('?\n');
  });
}

it('drops stalled connections within 15 s and serves the others as before', async () => {
  const load = startLoad({ edgeUrls: [cluster.edgeUrl], perSecond: PER_SECOND, seed: 3 });
  const began = Date.now();
  await waitFor(() => Date.now() - began > CALM_MS, { timeoutMs: 10_000, what: 'calm traffic' });
  const normal = percentile(load.ledger, 0.99, began, Date.now());

  stalled = spawn(process.execPath, [
    projectPath('test', 'fault', 'harness', 'stalled-clients.mjs'),
    new URL(cluster.edgeUrl).port,
    String(STALLED),
  ]);
  answers = createInterface({ input: stalled.stdout });
  await waitFor(async () => (await openConnections()) === STALLED, {
    timeoutMs: 10_000,
    what: 'stalled connections',
  });
  const allOpenAt = Date.now();
  const held = await openConnections();
  let heldUntil = allOpenAt;
  await waitFor(
    async () => {
      const open = await openConnections();
      if (open >= held) heldUntil = Date.now();
      return open === 0;
    },
    { timeoutMs: DROPPED_MS + 5_000, what: 'the stalled connections to be dropped' },
  );
  const droppedAt = Date.now();
  await load.stop();
  const during = percentile(load.ledger, 0.99, allOpenAt, heldUntil);
  const slowestAtDrop = percentile(load.ledger, 1, heldUntil - DROP_STALL_MS, droppedAt);
  report('stalled connections', {
    connections: held,
    p99BeforeMs: normal,
    p99DuringMs: during,
    slowestAtDropMs: slowestAtDrop,
    droppedMs: droppedAt - allOpenAt,
  });
  expect(heldUntil - allOpenAt).toBeGreaterThan(CALM_MS);
  expect(droppedAt - allOpenAt).toBeLessThan(DROPPED_MS);
  expect(during).toBeLessThan(Math.max(P99_FLOOR_MS, 2 * normal));
  expect(slowestAtDrop).toBeLessThan(DROP_STALL_MS);
  expect(load.ledger.failed + load.ledger.refused).toBe(0);
});
