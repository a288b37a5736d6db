/**
 * SIGKILL of every role at random, FLUSHALL, and a Redis that comes back with an older log, all under load. Nothing
 * acknowledged is lost or doubled, and a plain model explains every verdict.
 *
 * SLUICE_FAULT_KILLS (default 20) and SLUICE_FAULT_SEED set the length and the schedule.
 */
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { waitFor } from '../support/wait-for.ts';
import { check, untilStored } from './harness/checker.ts';
import { startCluster, untilHealthy, type Cluster } from './harness/cluster.ts';
import { createRandom, startLoad } from './harness/load.ts';
import { untilBack } from './harness/process.ts';
import { report } from './harness/report.ts';

const KILLS = Number(process.env['SLUICE_FAULT_KILLS'] ?? 20);
const SEED = Number(process.env['SLUICE_FAULT_SEED'] ?? Date.now() % 1_000_000);
const PER_SECOND = 150;
const CALM_MS_MAX = 2_500;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({
    edges: 2,
    workers: 2,
    catalogue: projectPath('test/fault/catalogue.yaml'),
    ownRedis: true,
  });
}, 120_000);
afterAll(async () => {
  await cluster?.close();
});

/** Cuts the newest increment of the append-only file back by a tenth, as a lost disk write would. */
function cutRedisLog(): void {
  const dir = join(cluster.dataDir, 'redis', 'appendonlydir');
  const increments = readdirSync(dir).filter((name) => name.endsWith('.incr.aof'));
  const file = join(dir, increments.toSorted().at(-1) ?? '');
  truncateSync(file, Math.floor(statSync(file).size * 0.9));
}

it(`loses nothing, doubles nothing and explains every verdict through ${KILLS} kills (SLUICE_FAULT_SEED=${SEED})`, async () => {
  const random = createRandom(SEED);
  const load = startLoad({ edgeUrls: [cluster.edgeUrl], perSecond: PER_SECOND, seed: SEED });
  const targets = [
    ...cluster.edges,
    ...cluster.workers,
    ...cluster.workers,
    cluster.redis,
    cluster.clickhouse,
  ];
  for (let kill = 0; kill < KILLS; kill++) {
    const before = load.progress();
    const calmMs = 300 + random(CALM_MS_MAX);
    await waitFor(() => load.progress() > before + (calmMs / 1000) * PER_SECOND * 0.5, {
      timeoutMs: 60_000,
      what: `traffic after kill ${kill}`,
    });
    const choice = random(targets.length + 2);
    const target = targets[choice];
    if (target === undefined && choice === targets.length) {
      await cluster.redisClient.flushall();
    } else if (target === undefined) {
      await cluster.redis.hold();
      cutRedisLog();
      cluster.redis.release();
      await untilBack(cluster.redis);
    } else {
      const { pid } = target;
      await target.kill();
      await untilBack(target, pid);
    }
  }
  await load.stop();
  await cluster.untilReady();
  await untilStored(cluster.sql, load.ledger, 90_000);
  const checked = await check(cluster.sql, load.ledger);
  report('kills', { seed: SEED, kills: KILLS, ...checked });
  expect(checked.verdicts).toMatchObject({ 0: expect.any(Number) as number });
  for (const code of [101, 102, 103, 107, 122])
    expect(checked.verdicts[code], `verdict ${code}`).toBeGreaterThan(0);
  await untilHealthy(cluster);
}, 3_600_000);
