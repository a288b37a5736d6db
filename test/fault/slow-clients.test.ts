/** 5,000 connections that send a little and then nothing: they are dropped within 15 s, and nobody else notices. */
import { connect, type Socket } from 'node:net';
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
/** What a stalled client has sent when it stops: nothing, a piece of the head, a whole head and no body. */
const BEGINNINGS = [
  '',
  'GET /track/goal?x=1 HTTP/1.1\r\nHost: a\r\nX-Long: ',
  'POST /track/goal HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc',
];

let cluster: Cluster;
const sockets: Socket[] = [];
beforeAll(async () => {
  cluster = await startCluster({ catalogue: projectPath('test/fault/catalogue.yaml') });
}, 120_000);
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await cluster?.close();
});

it('drops stalled connections within 15 s and serves the others as before', async () => {
  const load = startLoad({ edgeUrls: [cluster.edgeUrl], perSecond: PER_SECOND, seed: 3 });
  const began = Date.now();
  await waitFor(() => Date.now() - began > CALM_MS, { timeoutMs: 10_000, what: 'calm traffic' });
  const stalledAt = Date.now();
  const normal = percentile(load.ledger, 0.99, began, stalledAt);

  const port = Number(new URL(cluster.edgeUrl).port);
  let open = 0;
  for (let n = 0; n < STALLED; n++) {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.once('connect', () => {
      open += 1;
      socket.write(BEGINNINGS[n % BEGINNINGS.length] ?? '');
    });
    socket.once('close', () => (open -= 1));
    // So many at once only fill the backlog of the listening socket.
    if (n % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
  }
  await waitFor(() => open > STALLED * 0.9, { timeoutMs: 10_000, what: 'stalled connections' });
  const allOpenAt = Date.now();
  await waitFor(() => open === 0, {
    timeoutMs: DROPPED_MS + 5_000,
    what: 'the stalled connections to be dropped',
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; ${open} are open`);
  });
  const droppedMs = Date.now() - allOpenAt;
  const during = percentile(load.ledger, 0.99, allOpenAt, Date.now());
  await load.stop();
  report('stalled connections', {
    connections: STALLED,
    p99BeforeMs: normal,
    p99DuringMs: during,
    droppedMs,
  });
  expect(droppedMs).toBeLessThan(DROPPED_MS);
  expect(during).toBeLessThan(Math.max(P99_FLOOR_MS, 2 * normal));
  expect(load.ledger.failed + load.ledger.refused).toBe(0);
});
