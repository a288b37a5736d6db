/**
 * 64 producers at once at ten times a cap, four workers that are killed, every chunk played again: exactly the cap is
 * accepted.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { waitFor } from '../support/wait-for.ts';
import { startCluster, untilHealthy, type Cluster } from './harness/cluster.ts';
import { report } from './harness/report.ts';

const PRODUCERS = 64;
/** test/fault/catalogue.yaml: offer 103, daily 120, and 40 of them for affiliate 2. */
const CAP = 120;
const CAP_AFFILIATE_2 = 40;
const CALLS_EACH = Math.ceil((10 * CAP) / PRODUCERS);
const KILL_EVERY = 200;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({
    edges: 2,
    workers: 4,
    catalogue: projectPath('test/fault/catalogue.yaml'),
  });
}, 120_000);
afterAll(async () => {
  await cluster?.close();
});

async function answerOf(path: string): Promise<Record<string, string>> {
  const response = await fetch(`${cluster.edgeUrl}${path}`);
  if (response.status !== 200) throw new Error(`${path}: ${response.status}`);
  return (await response.json()) as Record<string, string>;
}

async function produce(producer: number, acknowledged: Set<string>): Promise<void> {
  const click = await answerOf(`/click?o=103&a=${1 + (producer % 2)}&return=click_id`);
  for (let call = 0; call < CALLS_EACH; call++) {
    const order = `${producer}-${call}`;
    const { hit_id } = await answerOf(
      `/track/goal-by-click-id?click_id=${click['click_id'] ?? ''}&adv_order_id=${order}`,
    );
    acknowledged.add(hit_id ?? '');
  }
}

it('accepts exactly the cap', async () => {
  const acknowledged = new Set<string>();
  let over = false;
  const producing = Promise.all(
    Array.from({ length: PRODUCERS }, (_, producer) => produce(producer, acknowledged)),
  ).finally(() => {
    over = true;
  });
  let kills = 0;
  let killedAt = 0;
  for (;;) {
    await waitFor(() => over || acknowledged.size > killedAt + KILL_EVERY, {
      timeoutMs: 60_000,
      what: 'calls',
    });
    if (over) break;
    killedAt = acknowledged.size;
    await cluster.workers[kills % cluster.workers.length]?.kill();
    kills += 1;
    // A lane without its state is played again from its log.
    if (kills % 2 === 0) await cluster.redisClient.del(createRedisKeys().lane.meta(103 % 4));
  }
  await producing;
  const counts = async () => {
    const [row] = await cluster.sql.query<{
      rows: number;
      hits: number;
      accepted: number;
      second: number;
    }>(
      `SELECT count() AS rows, uniqExact(hit_id) AS hits, countIf(verdict_code = 0) AS accepted,
         countIf(verdict_code = 0 AND affiliate_id = 2) AS second FROM postback_log`,
    );
    return row;
  };
  await waitFor(async () => ((await counts())?.rows ?? 0) >= acknowledged.size, {
    timeoutMs: 90_000,
    intervalMs: 200,
    what: 'every call to have a row',
  });
  const found = await counts();
  report('cap', { producers: PRODUCERS, calls: acknowledged.size, kills, ...found });
  expect(found).toMatchObject({
    rows: acknowledged.size,
    hits: acknowledged.size,
    accepted: CAP,
  });
  expect(found?.second).toBeLessThanOrEqual(CAP_AFFILIATE_2);
  await untilHealthy(cluster);
}, 240_000);
