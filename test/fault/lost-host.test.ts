/**
 * A host that dies with a full spool while its conversions come in elsewhere, and comes back later: its clicks are
 * stored, and the conversions that were rejected for want of them are replayed by themselves, once.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { freePort } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';
import { startCluster, untilHealthy, type Cluster } from './harness/cluster.ts';
import { report } from './harness/report.ts';

const CLICKS = 40;
/** A young click is waited for; then its conversion is rejected as pending. */
const PENDING_MS = 90_000;

let cluster: Cluster;
let hostDir: string;
beforeAll(async () => {
  cluster = await startCluster({ catalogue: projectPath('test/fault/catalogue.yaml') });
  hostDir = mkdtempSync(join(tmpdir(), 'sluice-host-'));
}, 120_000);
afterAll(async () => {
  await cluster?.close();
  rmSync(hostDir, { recursive: true, force: true });
});

const count = async (sql: string): Promise<number> =>
  (await cluster.sql.query<{ n: number }>(`SELECT count() AS n FROM ${sql}`))[0]?.n ?? 0;

it('stores the clicks of a host that was away, and its conversions are not lost', async () => {
  const port = await freePort();
  const host = cluster.startEdge('host', {
    SLUICE_DATA_DIR: hostDir,
    SLUICE_EDGE_PORT: String(port),
    SLUICE_EDGE_NUMBER_BASE: '500',
    CLICKHOUSE_URL: `http://sluice:${encodeURIComponent(cluster.sqlPassword)}@${new URL(cluster.clickhouseUrl).host}`,
  });
  const away = `http://127.0.0.1:${port}`;
  await waitFor(
    async () => (await fetch(`${away}/readyz`).catch(() => undefined))?.status === 200,
    {
      timeoutMs: 30_000,
      what: 'the other host to be ready',
    },
  );
  const clickIds: string[] = [];
  // Nothing behind the edge takes its chunks from here on.
  for (const worker of cluster.workers) await worker.hold();
  for (let n = 0; n < CLICKS; n++) {
    const answer = await fetch(`${away}/click?o=100&a=1&return=click_id`);
    clickIds.push(((await answer.json()) as { click_id: string }).click_id);
  }
  await host.hold();
  const spool = join(hostDir, 'spool', '500');
  expect(readdirSync(spool).some((name) => /\.(open|ready)$/.test(name))).toBe(true);
  // What it had queued is lost with it: only its disk knows the clicks.
  await cluster.redisClient.flushall();
  for (const worker of cluster.workers) worker.release();

  for (const clickId of clickIds) {
    const call = await fetch(`${cluster.edgeUrl}/track/goal-by-click-id?click_id=${clickId}`);
    expect(call.status).toBe(200);
  }
  await waitFor(async () => (await count('postback_log WHERE click_pending = 1')) === CLICKS, {
    timeoutMs: PENDING_MS,
    intervalMs: 500,
    what: 'the conversions to be rejected as pending',
  });
  expect(await count('click_log')).toBe(0);

  host.release();
  await waitFor(async () => (await count('transactions')) === CLICKS, {
    timeoutMs: 60_000,
    intervalMs: 500,
    what: 'the conversions to be replayed',
  });
  report('lost host', { clicks: await count('clicks'), replayed: await count('transactions') });
  expect(await count('clicks')).toBe(CLICKS);
  expect(await count("postback_log WHERE replayed_from != ''")).toBe(CLICKS);
  await untilHealthy(cluster);
}, 300_000);
