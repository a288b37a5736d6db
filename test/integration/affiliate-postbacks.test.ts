/** Affiliate postbacks from the log to the affiliate's server: real Redis, real ClickHouse, real HTTP servers. */
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createCatalogueStore, type CatalogueStore } from '../../src/catalogue/store.ts';
import type { AffiliatePostback, CatalogueState } from '../../src/domain/catalogue.ts';
import type { BatchOrigin, ConversionHit } from '../../src/domain/hit.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import { connectRedis } from '../../src/redis/connect.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import {
  startOutgoing,
  type Outgoing,
  type OutgoingDeps,
} from '../../workers/outgoing/outgoing.ts';
import { startAffiliateEndpoint, type AffiliateEndpoint } from '../support/affiliate-endpoint.ts';
import { advertiser, affiliate, catalogue, goal } from '../support/catalogue.ts';
import type { Attempt } from '../../clickhouse/affiliate-postback-log.ts';
import { createAttemptWriter } from '../../workers/outgoing/attempt-writer.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import { conversionChunk, conversionHit, createTestWorker } from '../support/test-worker.ts';
import { waitFor } from '../support/wait-for.ts';

const logger = pino({ level: 'silent' });
const hitId = createHitIds(Date.now);
const keys = createRedisKeys('outgoing');
const LIMITS = { connectMs: 1_000, totalMs: 1_500, bodyBytesMax: 64 * 1024 };
/** Several attempts within a test; full jitter over 20 ms, 100 ms, 500 ms, 2.5 s, … */
const FAST = { firstDelayMs: 20 };

let server: TestRedis;
let database: TestClickHouse;
let store: CatalogueStore;
let endpoint: AffiliateEndpoint;
let state: CatalogueState;
let running: { readonly outgoing: Outgoing; readonly disconnect: () => void }[] = [];
let chunks = 0;

beforeAll(async () => {
  [server, database, endpoint] = await Promise.all([
    startRedis(),
    startClickHouse(),
    startAffiliateEndpoint(),
  ]);
  const { clickhouse } = database;
  store = createCatalogueStore({
    clickhouse,
    redis: server.redis,
    keys,
    outgoingAllow: ['127.0.0.0/8'],
    logger,
  });
  const base = catalogue({
    advertisers: [advertiser({ token: null })],
    affiliates: [affiliate(), affiliate({ id: 2, name: 'Other' })],
    goals: [
      goal({ multiple_conversions: true }),
      goal({
        id: 13,
        alias: 'lead',
        default: false,
        conversion_status: 'pending',
        multiple_conversions: true,
      }),
    ],
  });
  ({ state } = await store.change(() => base, 'test'));
}, 120_000);
beforeEach(async () => {
  await setEntries([]);
});
afterEach(async () => {
  await Promise.all(running.map(({ outgoing }) => outgoing.close()));
  for (const { disconnect } of running) disconnect();
  running = [];
});
afterAll(async () => {
  await endpoint?.close();
  await Promise.all([server.close(), database.close()]);
});

type Draft = Partial<AffiliatePostback> & Pick<AffiliatePostback, 'url'>;
let lastEntry = 0;

/** The affiliate's entries from now on, each new: rows of one test are nobody else's. */
async function setEntries(drafts: readonly Draft[]): Promise<readonly number[]> {
  const entries = drafts.map((draft): AffiliatePostback => {
    lastEntry += 1;
    const defaults = { affiliate_id: 1, offer_id: null, goal_id: null, method: 'GET' } as const;
    return { ...defaults, statuses: ['approved'], status: 'active', ...draft, id: lastEntry };
  });
  ({ state } = await store.change((held) => ({ ...held, affiliate_postbacks: entries }), 'test'));
  return entries.map(({ id }) => id);
}

function start(more: Partial<OutgoingDeps> = {}): Outgoing {
  const redis = connectRedis(server.url, 'state', () => undefined);
  const consumerRedis = connectRedis(server.url, 'worker', () => undefined);
  const outgoing = startOutgoing({
    redis,
    consumerRedis,
    keys,
    clickhouse: database.clickhouse,
    allowed: ['127.0.0.1/32'],
    clock: Date.now,
    logger,
    limits: LIMITS,
    pace: FAST,
    ...more,
  });
  running.push({
    outgoing,
    disconnect: () => {
      consumerRedis.disconnect();
      redis.disconnect();
    },
  });
  return outgoing;
}

/** Judged and stored; resolves to the hit ids. */
async function keep(hits: readonly ConversionHit[], batch?: BatchOrigin): Promise<void> {
  const worker = createTestWorker({
    clickhouse: database.clickhouse,
    redis: server.redis,
    keys,
    catalogue: state,
  });
  const chunk = conversionChunk(`t-${++chunks}`, hits);
  const header = { ...chunk.header, catalogueVersion: state.version, ...(batch && { batch }) };
  expect(await worker.ingest({ ...chunk, header })).toEqual({ kind: 'stored' });
}

const call = (query: string, fields: Partial<ConversionHit> = {}): ConversionHit =>
  conversionHit(hitId(), Date.now(), { query, ...fields });
const conversion = (more = ''): ConversionHit => call(`code=PROMO22&offer_id=16&amount=20${more}`);

interface AttemptRow {
  readonly postback_id: string;
  readonly hit_id: string;
  readonly attempt: number;
  readonly outcome: string;
  readonly final: number;
  readonly status_code: number;
  readonly duration_ms: number;
  readonly url: string;
  readonly answer: string;
  readonly error: string;
}
const attemptsOf = (entryId: number): Promise<AttemptRow[]> =>
  database.clickhouse.query<AttemptRow>(
    'SELECT * FROM affiliate_postbacks WHERE entry_id = {entryId:UInt32} ORDER BY attempt_time, attempt',
    { entryId },
  );
const ended = (entryId: number, count = 1): Promise<AttemptRow[]> =>
  waitFor(
    async () => {
      const rows = await attemptsOf(entryId);
      return rows.filter(({ final }) => final === 1).length >= count && rows;
    },
    { timeoutMs: 30_000, what: `${count} postbacks of entry ${entryId} to end` },
  );

it('tells the affiliate of an accepted conversion, macros filled, and logs the attempt', async () => {
  const url = `${endpoint.url}/first?tx={transaction_id}&p={payout}&s={conv_status}&g={goal_alias}&sub={sub_id1}&id={postback_id}&n={aff_click_id}`;
  const [id = 0] = await setEntries([{ url }]);
  start();
  const hit = conversion('&sub_id1=a%26b');
  await keep([hit]);
  const [row] = await ended(id);
  expect(row).toMatchObject({ outcome: 'sent', attempt: 1, status_code: 200, answer: 'ok' });
  const [received] = endpoint.callsTo('/first');
  expect(Object.fromEntries(received?.query ?? [])).toEqual({
    tx: hit.hitId,
    p: '5',
    s: 'approved',
    g: 'sale',
    sub: 'a&b',
    id: row?.postback_id,
    n: '',
  });
  expect(received?.headers['x-sluice-postback-id']).toBe(row?.postback_id);
  expect(row?.url).toContain('sub=a%26b');
});

it('sends nothing of what is rejected, kept quiet, of another affiliate, or was before the entry', async () => {
  const early = conversion();
  await keep([early]);
  const [id = 0] = await setEntries([
    { url: `${endpoint.url}/quiet?h={transaction_id}`, statuses: ['approved', 'pending'] },
  ]);
  await keep([conversion(), call('code=NOSUCH')], {
    batchId: 'b',
    advertiserId: 1,
    kind: 'postbacks',
    author: '',
    suppressPostbacks: true,
  });
  const wanted = conversion();
  await keep([wanted]);
  start();
  await ended(id);
  // A second one, after which whatever was queued with the first has been sent.
  const last = conversion();
  await keep([last]);
  await ended(id, 2);
  expect(endpoint.callsTo('/quiet').map(({ query }) => query.get('h'))).toEqual([
    wanted.hitId,
    last.hitId,
  ]);
});

it('tells of a change of status, in its order, and not of one that changes nothing', async () => {
  const [id = 0] = await setEntries([
    {
      url: `${endpoint.url}/change?s={conv_status}&p={payout}`,
      method: 'POST',
      statuses: ['pending', 'approved', 'rejected'],
      offer_id: 16,
    },
  ]);
  start();
  const batch = {
    batchId: 'c',
    advertiserId: 1,
    kind: 'postbacks',
    author: '',
    suppressPostbacks: false,
  } as const;
  const change = (of: ConversionHit, what: string): ConversionHit =>
    call(`transaction_id=${of.hitId}&${what}`, { endpoint: 'conv-change' });
  const first = conversion('&goal_alias=lead');
  await keep([first]);
  await ended(id, 1);
  await keep([change(first, 'payout=7')], batch);
  await keep([change(first, 'conv_status=approved'), change(first, 'conv_status=approved')], batch);
  await keep([change(first, 'conv_status=rejected')], batch);
  await ended(id, 3);
  expect(endpoint.callsTo('/change').map(({ body }) => body)).toEqual([
    's=pending&p=5',
    's=approved&p=7',
    's=rejected&p=7',
  ]);
});

it('repeats what failed under the same id until it is taken; a refusal is for good', async () => {
  let times = 0;
  endpoint.answer('/flaky', (response) => {
    response.statusCode = ++times < 3 ? 500 : 204;
    response.end();
  });
  endpoint.answer('/gone', (response) => {
    response.statusCode = 410;
    response.end('gone');
  });
  const [flaky = 0, gone = 0] = await setEntries([
    { url: `${endpoint.url}/flaky` },
    { url: `${endpoint.url}/gone` },
  ]);
  start();
  await keep([conversion()]);
  const rows = await ended(flaky);
  expect(rows.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
    [1, 'retry'],
    [2, 'retry'],
    [3, 'sent'],
  ]);
  expect(
    new Set(endpoint.callsTo('/flaky').map(({ headers }) => headers['x-sluice-postback-id'])),
  ).toEqual(new Set([rows[0]?.postback_id]));
  expect(await ended(gone)).toMatchObject([
    { outcome: 'failed', status_code: 410, answer: 'gone' },
  ]);
});

it('a slow, a dead and an endless server are given up on within the limits', async () => {
  endpoint.answer('/slow', () => undefined);
  let cut = false;
  endpoint.answer('/huge', (response, _call, request) => {
    request.socket.once('close', () => (cut = true));
    const write = (): void => {
      while (!response.destroyed && response.write('x'.repeat(16_384)));
    };
    response.on('drain', write);
    write();
  });
  const dead = await startAffiliateEndpoint();
  await dead.close();
  const [slow = 0, gone = 0, huge = 0] = await setEntries([
    { url: `${endpoint.url}/slow` },
    { url: `${dead.url}/dead` },
    { url: `${endpoint.url}/huge` },
  ]);
  start({ pace: { firstDelayMs: 1 } });
  await keep([conversion()]);
  const [sent] = await ended(huge);
  expect(sent).toMatchObject({ outcome: 'sent', status_code: 200 });
  expect(sent?.answer).toHaveLength(500);
  await waitFor(() => cut, { timeoutMs: 5_000, what: 'the endless answer to be cut off' });
  const first = await waitFor(async () => (await attemptsOf(slow))[0], {
    timeoutMs: 20_000,
    what: 'the slow attempt to be given up',
  });
  expect(first).toMatchObject({ outcome: 'retry', status_code: 0 });
  expect(first.error).toContain('1500 ms');
  const attempts = await waitFor(
    async () => {
      const rows = await attemptsOf(gone);
      return rows.length >= 5 && rows;
    },
    { timeoutMs: 40_000, what: 'the dead server to be tried again and again' },
  );
  expect(attempts[0]?.error).toContain('ECONNREFUSED');
}, 90_000);

it('never calls an inside address: by name, by redirect, or by a name that changes', async () => {
  const inside = await startAffiliateEndpoint('127.0.0.2');
  try {
    endpoint.answer('/away', (response) => {
      response.writeHead(302, { location: `${inside.url}/stolen` }).end();
    });
    let again = 0;
    endpoint.answer('/rebind', (response) => {
      response.statusCode = ++again === 1 ? 500 : 200;
      response.end();
    });
    let asked = 0;
    const resolve = async (host: string): Promise<readonly string[]> => {
      if (host === 'mixed.test') return ['127.0.0.1', '127.0.0.2'];
      if (host === 'rebind.test') return ++asked === 1 ? ['127.0.0.1'] : ['127.0.0.2'];
      return [host];
    };
    const [away = 0, mixed = 0, rebind = 0] = await setEntries([
      { url: `${endpoint.url}/away` },
      { url: `http://mixed.test:${inside.port}/stolen` },
      { url: `http://rebind.test:${endpoint.port}/rebind` },
    ]);
    start({ resolve });
    await keep([conversion()]);
    expect(await ended(away)).toMatchObject([{ outcome: 'refused', final: 1 }]);
    expect(await ended(mixed)).toMatchObject([{ outcome: 'refused', status_code: 0 }]);
    // The first attempt went to what was checked, under its name; the second found another address.
    expect(await ended(rebind)).toMatchObject([
      { outcome: 'retry', status_code: 500 },
      { outcome: 'refused', status_code: 0 },
    ]);
    expect(endpoint.callsTo('/rebind')[0]?.headers.host).toBe(`rebind.test:${endpoint.port}`);
    expect(inside.calls).toEqual([]);
  } finally {
    await inside.close();
  }
});

it('sends everything once when Redis is emptied with postbacks outstanding, by two workers at once', async () => {
  let open = false;
  endpoint.answer('/flushed', (response) => {
    response.statusCode = open ? 200 : 503;
    response.end();
  });
  const [id = 0] = await setEntries([{ url: `${endpoint.url}/flushed?h={transaction_id}` }]);
  const waiting = Array.from({ length: 20 }, () => conversion());
  await keep(waiting);
  start({ pace: { firstDelayMs: 3_000 } });
  start({ pace: { firstDelayMs: 3_000 } });
  await waitFor(async () => (await attemptsOf(id)).length >= 20, {
    timeoutMs: 20_000,
    what: 'the first attempts to fail',
  });
  open = true;
  await server.redis.flushall();
  const more = Array.from({ length: 20 }, () => conversion());
  await keep(more);
  const rows = await ended(id, 40);
  const sent = rows.filter(({ outcome }) => outcome === 'sent').map(({ hit_id }) => hit_id);
  expect(sent.toSorted()).toEqual([...waiting, ...more].map((hit) => hit.hitId).toSorted());
}, 60_000);

it.each([
  ['forward', 3_600_000],
  ['back', -3_600_000],
])(
  'a clock that is set %s during a call does not change how long the call took',
  async (way, stepMs) => {
    const path = `/clock-${way}`;
    const [id = 0] = await setEntries([{ url: `${endpoint.url}${path}` }]);
    let aheadMs = 0;
    endpoint.answer(path, (response) => {
      aheadMs = stepMs;
      setTimeout(() => response.end('ok'), 50);
    });
    start({ clock: () => Date.now() + aheadMs });
    await keep([conversion()]);
    const [row] = await ended(id);
    expect(row).toMatchObject({ outcome: 'sent', url: `${endpoint.url}${path}` });
    expect(row?.duration_ms).toBeGreaterThanOrEqual(40);
    expect(row?.duration_ms).toBeLessThan(60_000);
  },
);

it('an attempt that ClickHouse refuses is stored bare, and those beside it whole', async () => {
  const writer = createAttemptWriter({ clickhouse: database.clickhouse, clock: Date.now, logger });
  const attempt = (number: number, statusCode: number): Attempt => ({
    postbackId: randomUUID(),
    entryId: 987_654,
    fanout: 0,
    transactionId: `t-${number}`,
    hitId: `h-${number}`,
    eventTimeS: Math.floor(Date.now() / 1000),
    offerId: 16,
    goalId: 12,
    affiliateId: 1,
    convStatus: 'approved',
    startedAtMs: Date.now(),
    attempt: number,
    outcome: 'sent',
    resentBy: '',
    method: 'GET',
    url: 'https://x.example/',
    statusCode,
    durationMs: 1,
    answer: 'ok',
    error: '',
    nextAttemptMs: null,
  });
  // No status code is below 0: the column takes none such.
  const codes = [200, 200, -1, 200, -1];
  await Promise.all(codes.map((code, number) => writer.write(attempt(number, code))));
  const rows = (await attemptsOf(987_654)).toSorted((a, b) => a.attempt - b.attempt);
  expect(rows.map(({ status_code }) => status_code)).toEqual([200, 200, 0, 200, 0]);
  expect(rows.map(({ url }) => url !== '')).toEqual([true, true, false, true, false]);
  expect(rows[2]?.error).toContain('not storable');
});
