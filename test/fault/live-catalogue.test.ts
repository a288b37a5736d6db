/**
 * The catalogue while everything runs, with real processes: in force within a second, through a Redis that is down,
 * emptied or behind, and with several writers at once.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPublished } from '../../src/catalogue/published.ts';
import { projectPath } from '../../src/project-root.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import {
  createApiClient,
  sendCall,
  sendClick,
  type ApiClient,
  type Row,
} from '../support/api-client.ts';
import { freePort } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';
import { startCluster, type Cluster } from './harness/cluster.ts';
import { untilBack } from './harness/process.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ADMIN_KEY = 'admin-key-of-the-test';
const IN_FORCE_MS = 1_000;

let cluster: Cluster;
let api: ApiClient;
let otherApi: ApiClient;

async function startApi(name: string): Promise<ApiClient> {
  const port = await freePort();
  const apiUrl = `http://127.0.0.1:${port}`;
  cluster.startApi(name, { SLUICE_API_PORT: String(port) });
  await waitFor(async () => (await fetch(`${apiUrl}/healthz`).catch(() => undefined))?.ok, {
    timeoutMs: 30_000,
    what: `${name} to answer`,
  });
  return createApiClient({ apiUrl }, ADMIN_KEY);
}

/** What the edge says about a click of an offer. */
async function verdictOfClick(offer: number): Promise<string> {
  const response = await fetch(`${cluster.edgeUrl}/click?o=${offer}&a=1`, { redirect: 'manual' });
  return response.headers.get('x-sluice-verdict') ?? '';
}

async function versionAtEdge(): Promise<number> {
  const text = await (await fetch(`${cluster.edgeUrl}/metrics`)).text();
  return Number(/^sluice_edge_catalogue_version (\d+)$/m.exec(text)?.[1]);
}

/** Ms until a condition holds; rejects when it takes longer than a change may take. */
async function timeUntil(condition: () => Promise<boolean>, what: string): Promise<number> {
  const began = performance.now();
  await waitFor(condition, { timeoutMs: IN_FORCE_MS, what, intervalMs: 10 });
  return performance.now() - began;
}

async function newestVersion(): Promise<number> {
  const [row] = await cluster.sql.query<{ version: number }>(
    'SELECT max(version) AS version FROM sluice_private.catalogue_log',
  );
  return row?.version ?? 0;
}

beforeAll(async () => {
  cluster = await startCluster({
    catalogue: projectPath('test/fault/catalogue.yaml'),
    env: { SLUICE_ADMIN_KEY: ADMIN_KEY },
  });
  api = await startApi('api-0');
  otherApi = await startApi('api-1');
}, 180_000);

afterAll(async () => {
  await cluster?.close();
});

describe('a change', () => {
  it('by the API is in force at edge and worker within a second', async () => {
    for (const [status, verdict] of [
      ['inactive', 'offer_not_active'],
      ['active', 'accepted'],
    ] as const) {
      expect((await api.send('PATCH', '/offers/100', { status })).status).toBe(200);
      const took = await timeUntil(async () => (await verdictOfClick(100)) === verdict, verdict);
      expect(took).toBeLessThan(IN_FORCE_MS);
    }
    expect((await api.send('PATCH', '/goals/1000', { payout: '3.75' })).status).toBe(200);
    const version = await newestVersion();
    await timeUntil(async () => (await versionAtEdge()) === version, 'the new payout at the edge');
    const clickId = await sendClick(cluster, 'o=100&a=1');
    const row = await sendCall(cluster, api, `conv?click_id=${clickId}`);
    expect(row).toMatchObject({ verdict: 'accepted', payout: 3.75, catalogue_version: version });
  });

  it('by apply is in force within a second after it returns', async () => {
    const file = join(cluster.dataDir, 'change.yaml');
    writeFileSync(
      file,
      'offers: [{id: 500, advertiser_id: 1, title: New, url: "https://new.example/", goals: [{id: 5000, alias: a, default: true, payout: 2}]}]',
    );
    expect(await verdictOfClick(500)).toBe('offer_not_found');
    expect(await cluster.tool('catalogue', 'apply', file)).toContain('created');
    await timeUntil(async () => (await verdictOfClick(500)) === 'accepted', 'the new offer');
  });

  it('made through one API process is what the other reads at once', async () => {
    const made = await api.send('POST', '/affiliates', { name: 'Read elsewhere' });
    expect((await otherApi.get(`/affiliates/${String(made.body['id'])}`)).body).toEqual(made.body);
  });

  it('a key revoked through one API process is refused by the other within a second', async () => {
    const made = await api.send('POST', '/api-keys', { role: 'manager', name: 'short lived' });
    const url = otherApi.urlOf('/offers');
    const headers = { authorization: `Bearer ${String(made.body['key'])}` };
    await timeUntil(async () => (await fetch(url, { headers })).status === 200, 'the new key');
    await api.send('DELETE', `/api-keys/${String(made.body['id'])}`);
    await waitFor(async () => (await fetch(url, { headers })).status === 401, {
      timeoutMs: 1_500,
      what: 'the key to be refused',
      intervalMs: 20,
    });
  });
});

describe('without Redis', () => {
  it('an edge that starts serves from its last copy; a change is stored, and in force when Redis is back', async () => {
    const version = await versionAtEdge();
    const [edge] = cluster.edges;
    if (edge === undefined) throw new Error('no edge');
    await cluster.redis.hold();
    try {
      const { pid } = edge;
      await edge.kill();
      await untilBack(edge, pid);
      await cluster.untilReady();
      expect(await versionAtEdge()).toBe(version);
      expect(await verdictOfClick(500)).toBe('accepted');
      const answer = await api.send('PATCH', '/offers/500', { status: 'inactive' });
      expect(answer.status).toBe(200);
      expect(await newestVersion()).toBe(version + 1);
      expect((await api.get('/offers/500')).body).toMatchObject({ status: 'inactive' });
      expect(await verdictOfClick(500)).toBe('accepted');
    } finally {
      cluster.redis.release();
    }
    await waitFor(async () => (await verdictOfClick(500)) === 'offer_not_active', {
      timeoutMs: 15_000,
      what: 'the change to be in force',
    });
    expect(await versionAtEdge()).toBe(version + 1);
  });
});

describe('Redis that lost things', () => {
  const keys = createRedisKeys();

  it('is refilled from the log after FLUSHALL, whole', async () => {
    const before = await readPublished(cluster.redisClient, keys);
    expect(before?.offers.length).toBeGreaterThan(3);
    await cluster.redisClient.flushall();
    const after = await waitFor(() => readPublished(cluster.redisClient, keys), {
      timeoutMs: 5_000,
      what: 'Redis to be refilled',
    });
    expect(after).toEqual(before);
    expect((await api.send('PATCH', '/offers/500', { status: 'active' })).status).toBe(200);
    await timeUntil(async () => (await verdictOfClick(500)) === 'accepted', 'the offer to be on');
  });

  it('and holds an older catalogue does not take the edge back to it', async () => {
    const older = await readPublished(cluster.redisClient, keys);
    if (older === undefined) throw new Error('nothing is published');
    expect((await api.send('PATCH', '/offers/500', { status: 'inactive' })).status).toBe(200);
    const version = await newestVersion();
    await timeUntil(async () => (await versionAtEdge()) === version, 'the newest version');
    const seen: number[] = [];
    for (let round = 0; round < 5; round++) {
      // As a failover to a replica that lags would have it, with the news of it.
      const offers = older.offers.map((offer) => [String(offer.id), JSON.stringify(offer)]);
      await cluster.redisClient
        .multi()
        .set(keys.catalogueVersion, older.version)
        .hset(keys.catalogue('offers'), Object.fromEntries(offers))
        .publish(keys.catalogueChanged, String(older.version))
        .exec();
      seen.push(await versionAtEdge());
      expect(await verdictOfClick(500)).toBe('offer_not_active');
      await waitFor(
        async () => Number(await cluster.redisClient.get(keys.catalogueVersion)) === version,
        { timeoutMs: 5_000, what: 'the newest version to be published again' },
      );
    }
    expect(seen).toEqual(seen.map(() => version));
    const held = await readPublished(cluster.redisClient, keys);
    expect(held?.offers.find(({ id }) => id === 500)?.status).toBe('inactive');
  });
});

describe('several writers at once', () => {
  it('lose no change of each other, and every version has one writer', async () => {
    const before = await newestVersion();
    const file = join(cluster.dataDir, 'race.yaml');
    writeFileSync(file, 'affiliates: [{id: 700, name: From the file}]');
    const writes = Array.from({ length: 24 }, (_, n) => {
      const client = n % 2 === 0 ? api : otherApi;
      return n % 3 === 0
        ? client.send('PATCH', '/goals/5000', { affiliate_caps: { [String(n + 1)]: { daily: n } } })
        : client.send('POST', '/affiliates', { name: `Racer ${n}` });
    });
    const [answers] = await Promise.all([
      Promise.all(writes),
      cluster.tool('catalogue', 'apply', file),
    ]);
    for (const answer of answers) expect([200, 201], answer.text).toContain(answer.status);
    const racers = (await api.get('/affiliates')).rows.filter(({ name }) =>
      String(name).startsWith('Racer'),
    );
    expect(racers.map(({ name }) => String(name)).toSorted()).toEqual(
      Array.from({ length: 24 }, (_, n) => n)
        .filter((n) => n % 3 !== 0)
        .map((n) => `Racer ${n}`)
        .toSorted(),
    );
    expect(new Set(racers.map(({ id }) => id)).size).toBe(racers.length);
    // Each of these changed one field of the same goal: none overwrote another.
    const caps = (await api.get('/goals/5000')).body['affiliate_caps'] as Row;
    expect(Object.keys(caps).map(Number)).toEqual([1, 4, 7, 10, 13, 16, 19, 22]);
    expect((await api.get('/affiliates/700')).status).toBe(200);
    const versions = await cluster.sql.query<{ version: number; writers: number }>(
      'SELECT version, uniqExact(writer) AS writers FROM sluice_private.catalogue_log GROUP BY version ORDER BY version',
    );
    expect(versions.every(({ writers }) => writers === 1)).toBe(true);
    const newest = before + 25;
    expect(versions.map(({ version }) => version)).toEqual(
      Array.from({ length: newest }, (_, n) => n + 1),
    );
    await waitFor(async () => (await versionAtEdge()) === newest, {
      timeoutMs: 5_000,
      what: 'the last version at the edge',
    });
  });
});
