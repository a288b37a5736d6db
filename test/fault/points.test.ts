/**
 * A crash at each named point of a hit's way (src/domain/crash-points.ts): the process kills itself there, starts again
 * and goes on; nothing is lost or doubled, and every verdict is explained.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { CRASH_POINTS, type CrashPoint } from '../../src/domain/crash-points.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { waitFor } from '../support/wait-for.ts';
import { check, untilStored } from './harness/checker.ts';
import { startCluster, untilHealthy, type Cluster } from './harness/cluster.ts';
import { startLoad } from './harness/load.ts';
import { untilBack, type ManagedProcess } from './harness/process.ts';
import { report } from './harness/report.ts';

const EDGE_POINTS: ReadonlySet<CrashPoint> = new Set([
  'spool-written',
  'answered',
  'enqueued',
  'confirmed',
]);

let cluster: Cluster;
let edge: ManagedProcess;
let worker: ManagedProcess;
const crashFile = (role: string): string => join(cluster.dataDir, `crash-${role}`);

beforeAll(async () => {
  cluster = await startCluster({
    edges: 0,
    workers: 0,
    catalogue: projectPath('test/fault/catalogue.yaml'),
  });
  edge = cluster.startEdge('edge', { SLUICE_CRASH_FILE: crashFile('edge') });
  worker = cluster.startWorker('worker', { SLUICE_CRASH_FILE: crashFile('worker') });
  await cluster.untilReady();
}, 120_000);
afterAll(async () => {
  await cluster?.close();
});

async function crashAt(point: CrashPoint): Promise<void> {
  const [role, target] = EDGE_POINTS.has(point)
    ? (['edge', edge] as const)
    : (['worker', worker] as const);
  writeFileSync(crashFile(role), point);
  const { pid } = target;
  // It reads the file when it starts.
  await target.kill();
  await untilBack(target, pid);
  const armed = target.pid;
  // A rebuild needs a reason.
  if (point === 'rebuilding') await cluster.redisClient.flushall();
  await waitFor(() => !existsSync(crashFile(role)), {
    timeoutMs: 30_000,
    what: `the ${role} to reach ${point}`,
  });
  await untilBack(target, armed);
}

it('loses nothing, doubles nothing and explains every verdict through a crash at each point', async () => {
  const load = startLoad({ edgeUrls: [cluster.edgeUrl], perSecond: 100, seed: 7 });
  for (const point of CRASH_POINTS) {
    await crashAt(point);
    const before = load.progress();
    await waitFor(() => load.progress() > before + 40, {
      timeoutMs: 30_000,
      what: `traffic after the crash at ${point}`,
    });
  }
  await load.stop();
  await untilStored(cluster.sql, load.ledger, 90_000);
  const checked = await check(cluster.sql, load.ledger);
  report('crash points', { points: CRASH_POINTS.length, ...checked });
  expect(checked.calls).toBeGreaterThan(100);
  expect(edge.deaths + worker.deaths).toBeGreaterThanOrEqual(2 * CRASH_POINTS.length);
  await untilHealthy(cluster);
}, 240_000);

it('doctor finds a counter that is not what the log says, and rebuild mends it', async () => {
  const keys = createRedisKeys();
  await cluster.redisClient.hset(keys.lane.caps(0, 1000), 'g:ever', '1|nobody');
  await expect(cluster.tool('doctor')).rejects.toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/PROBLEM lane 0 counters: goal 1000: Redis 1\|nobody/) as string,
  });
  await cluster.tool('rebuild');
  await untilHealthy(cluster);
}, 120_000);

it('finishes a chunk whose worker was killed five times on it, each time within a minute', async () => {
  const longestMs: number[] = [];
  let hitId = '';
  for (let kill = 0; kill < 5; kill++) {
    await worker.hold();
    writeFileSync(crashFile('worker'), 'judged');
    worker.release();
    const began = Date.now();
    if (hitId === '') {
      const answer = await fetch(`${cluster.edgeUrl}/track/goal-by-click-id?click_id=five-kills`);
      ({ hit_id: hitId } = (await answer.json()) as { hit_id: string });
    }
    await waitFor(() => !existsSync(crashFile('worker')), {
      timeoutMs: 60_000,
      what: `kill ${kill} in the middle of the chunk`,
    });
    longestMs.push(Date.now() - began);
  }
  await waitFor(
    async () =>
      (
        await cluster.sql.query(`SELECT 1 FROM postback_log WHERE hit_id = {hitId:String}`, {
          hitId,
        })
      ).length === 1,
    { timeoutMs: 60_000, intervalMs: 200, what: 'the chunk to be stored' },
  );
  report('five kills on one chunk', { runAgainMs: longestMs });
}, 400_000);
