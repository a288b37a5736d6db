/**
 * Everything that was acknowledged ends as exactly one row, and a cap holds, while each role is killed and Redis is
 * emptied under load. Real processes; every acknowledged id is looked up.
 */
import { Redis } from 'ioredis';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

let sluice: RunningSluice;

beforeAll(async () => {
  sluice = await startSluice({ SLUICE_WORKERS: '2' });
  await sluice.run(['catalogue', 'apply', projectPath('test/e2e/contract-catalogue.yaml')]);
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

async function sql<T>(query: string): Promise<T[]> {
  const response = await fetch(`${sluice.clickhouseUrl}/?user=analyst`, {
    method: 'POST',
    body: `${query} FORMAT JSONEachRow`,
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

interface Acknowledged {
  readonly clicks: Set<string>;
  readonly hits: Set<string>;
  /** Calls on the goal whose daily cap is 3. */
  readonly capped: Set<string>;
}

/** One client: clicks and conversions one after the other; notes what was acknowledged, forgets what was not. */
const isEdgeReady = (): Promise<boolean> =>
  fetch(`${sluice.edgeUrl}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );

async function client(acknowledged: Acknowledged, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    try {
      const click = await fetch(`${sluice.edgeUrl}/click?o=16&a=1&return=click_id`);
      if (click.status !== 200) throw new Error(String(click.status));
      const { click_id } = (await click.json()) as { click_id: string };
      acknowledged.clicks.add(click_id);
      for (const goal of ['sale', 'capped'] as const) {
        const call = await fetch(
          `${sluice.edgeUrl}/track/goal-by-click-id?click_id=${click_id}&goal_alias=${goal}`,
        );
        if (call.status !== 200) throw new Error(String(call.status));
        const { hit_id } = (await call.json()) as { hit_id: string };
        (goal === 'capped' ? acknowledged.capped : acknowledged.hits).add(hit_id);
      }
    } catch {
      // Not acknowledged: nothing is promised about it. The edge is on its way back.
      await waitFor(async () => isOver() || (await isEdgeReady()), {
        timeoutMs: 60_000,
        what: 'the edge to be back',
      });
    }
  }
}

async function flushRedis(): Promise<void> {
  const { redisPassword } = JSON.parse(
    readFileSync(join(sluice.dataDir, 'secrets.json'), 'utf8'),
  ) as { redisPassword: string };
  const redis = new Redis(
    `redis://:${redisPassword}@127.0.0.1:${sluice.env['SLUICE_REDIS_PORT'] ?? ''}`,
    { maxRetriesPerRequest: null },
  );
  redis.on('error', () => undefined);
  await redis.flushall();
  redis.disconnect();
}

it('loses nothing, doubles nothing and keeps the cap through kills of every role and a FLUSHALL', async () => {
  const acknowledged: Acknowledged = { clicks: new Set(), hits: new Set(), capped: new Set() };
  let over = false;
  const clients = Array.from({ length: 4 }, () => client(acknowledged, () => over));
  const progress = (): number => acknowledged.clicks.size;

  for (const role of [
    'worker',
    'edge',
    'redis-server',
    'clickhouse',
    'worker',
    'flush',
    'edge',
    'clickhouse',
    'api',
  ] as const) {
    const before = progress();
    await waitFor(() => progress() > before + 60, {
      timeoutMs: 30_000,
      what: `traffic before the end of ${role}`,
    });
    if (role === 'flush') {
      await flushRedis();
      continue;
    }
    const [pid] = sluice.pidsOf(role);
    if (pid === undefined) throw new Error(`no process of ${role}`);
    process.kill(pid, 'SIGKILL');
    await waitFor(() => sluice.pidsOf(role).some((other) => other !== pid), {
      timeoutMs: 15_000,
      what: `${role} to be started again`,
    });
  }
  over = true;
  await Promise.all(clients);

  const hits = [...acknowledged.hits, ...acknowledged.capped];
  await waitFor(
    async () => {
      const [row] = await sql<{ c: number; p: number }>(
        'SELECT (SELECT count() FROM clicks WHERE offer_id = 16) AS c, (SELECT count() FROM postbacks) AS p',
      ).catch(() => []);
      return row !== undefined && row.c >= acknowledged.clicks.size && row.p >= hits.length;
    },
    {
      timeoutMs: 90_000,
      intervalMs: 500,
      what: `${acknowledged.clicks.size} clicks and ${hits.length} calls to be rows`,
    },
  );
  const clicks = new Map(
    (
      await sql<{ click_id: string; n: number }>(
        'SELECT click_id, count() AS n FROM clicks GROUP BY click_id',
      )
    ).map((row) => [row.click_id, row.n]),
  );
  const rows = new Map(
    (
      await sql<{ hit_id: string; n: number; v: number }>(
        'SELECT hit_id, count() AS n, any(verdict_code) AS v FROM postbacks GROUP BY hit_id',
      )
    ).map((row) => [row.hit_id, row]),
  );
  expect([...acknowledged.clicks].filter((id) => clicks.get(id) !== 1)).toEqual([]);
  expect(hits.filter((id) => rows.get(id)?.n !== 1)).toEqual([]);
  // Every sale had a click of its own: whatever happened, each counts.
  expect([...acknowledged.hits].filter((id) => rows.get(id)?.v !== 0)).toEqual([]);
  const [accepted] = await sql<{ n: number }>(
    'SELECT count() AS n FROM transactions WHERE goal_id = 18',
  );
  expect(Number(accepted?.n)).toBe(3);
  expect(acknowledged.clicks.size).toBeGreaterThan(500);
  await sluice.run(['doctor']);
}, 240_000);

it('ends cleanly on SIGTERM and leaves no process behind', async () => {
  const pids = ['edge', 'worker', 'api', 'clickhouse', 'redis-server'].flatMap((role) =>
    sluice.pidsOf(role),
  );
  expect(pids.length).toBeGreaterThanOrEqual(6);
  expect(await sluice.stop()).toBe(0);
  const alive = pids.filter((pid) => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  });
  expect(alive).toEqual([]);
}, 60_000);

it('leaves no process behind when the supervisor is killed under load, and the stores with it', async () => {
  const doomed = await startSluice();
  const pids = ['edge', 'worker', 'api', 'clickhouse', 'redis-server'].flatMap((role) =>
    doomed.pidsOf(role),
  );
  const stores = [...doomed.pidsOf('clickhouse'), ...doomed.pidsOf('redis-server')];
  for (let n = 0; n < 50; n++)
    await fetch(`${doomed.edgeUrl}/track/goal-by-click-id?click_id=${n}`);
  doomed.kill();
  for (const pid of stores) process.kill(pid, 'SIGKILL');
  await waitFor(() => pids.every((pid) => !existsSync(`/proc/${pid}`)), {
    timeoutMs: 30_000,
    what: 'every process to be gone',
  });
  rmSync(doomed.dataDir, { recursive: true, force: true });
}, 90_000);
