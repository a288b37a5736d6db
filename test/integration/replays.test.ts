/**
 * Replays under attack: the same calls in several replays at once, by several workers, delivered again, with a Redis
 * that loses everything in between. Whatever happens, a call counts once and every line is one row.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { createBatchHitIds } from '../../src/domain/batch-hit-id.ts';
import { createCatalogueSnapshot, type CatalogueState } from '../../src/domain/catalogue.ts';
import { createClickIdCodec } from '../../src/domain/click-id.ts';
import type { Chunk, ConversionHit } from '../../src/domain/hit.ts';
import { createIpStorage, FULL_IPS, type IpStorage } from '../../src/domain/ip-storage.ts';
import { hashToken } from '../../src/domain/judge/call.ts';
import { createHitIds, msOfUuidV7 } from '../../src/domain/uuid-v7.ts';
import { createRedisKeys, type RedisKeys } from '../../src/redis/keys.ts';
import {
  advertiser,
  catalogue,
  goal,
  NO_CAPS,
  offer,
  promoCode,
  TEST_KEY,
} from '../support/catalogue.ts';
import { replayLateClicks } from '../../workers/maintenance/late-clicks.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import {
  clickChunk,
  clickHit,
  conversionChunk,
  conversionHit,
  createTestWorker,
  type TestWorker,
} from '../support/test-worker.ts';

const OFFERS = [4, 5, 6, 7];
const CALLED_AT = Date.parse('2026-06-15T12:00:00Z');
const CAP = 15;

const offers = OFFERS.map((id) => offer({ id }));
const codes = OFFERS.map((offerId, index) =>
  promoCode({ id: index + 1, code: `CODE${offerId}`, offer_id: offerId, sequence: index + 1 }),
);
const goalOf = (offerId: number) =>
  goal({ id: offerId * 10, offer_id: offerId, multiple_conversions: true });

/** The goals that the calls name do not exist. */
const BROKEN = catalogue({ offers, promo_codes: codes, goals: [goal({ id: 1, offer_id: 4 })] });
const FIXED = catalogue({ offers, promo_codes: codes, goals: OFFERS.map(goalOf) });

let server: TestRedis;
let database: TestClickHouse;
let clickhouse: ClickHouse;
let keys: RedisKeys;
let tests = 0;

beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
  clickhouse = database.clickhouse;
}, 120_000);
afterAll(async () => {
  await Promise.all([server.close(), database.close()]);
});
beforeEach(() => {
  keys = createRedisKeys(`replays-${process.pid}-${++tests}`);
});
afterEach(async () => {
  await clickhouse.command('TRUNCATE TABLE postback_log');
  await clickhouse.command('TRUNCATE TABLE click_log');
  await clickhouse.command(`TRUNCATE TABLE ${clickhouse.privateDatabase}.replay_lanes`);
});

const worker = (state: CatalogueState, ips?: IpStorage, clock?: () => number): TestWorker =>
  createTestWorker({
    clickhouse,
    redis: server.redis,
    keys,
    catalogue: state,
    ...(ips !== undefined && { ips }),
    ...(clock !== undefined && { clock }),
  });

const hitIds = createHitIds(() => CALLED_AT);

/** Calls that name goals which do not exist, over all lanes. */
function brokenCalls(count: number): ConversionHit[] {
  return Array.from({ length: count }, (_, n) => {
    const offerId = OFFERS[n % OFFERS.length] ?? 4;
    return conversionHit(hitIds(), CALLED_AT + n, {
      query: `code=CODE${offerId}&goal_id=${offerId * 10}&adv_order_id=o${n}`,
    });
  });
}

let replays = 0;

/** A chunk of a replay, as the batch process makes it. */
function replayChunk(ids: readonly string[], batchId = `replay-batch-${++replays}`): Chunk {
  const receivedAtMs = CALLED_AT + 86_400_000;
  const idOf = createBatchHitIds(batchId, receivedAtMs);
  const hits = ids.map((id, index) =>
    conversionHit(idOf(index), receivedAtMs, {
      endpoint: 'unknown',
      method: 'POST',
      path: '/track/batch',
      body: JSON.stringify({ hit_id: id }),
      contentType: 'application/json',
      batch: { line: index + 1, error: '' },
    }),
  );
  const { header } = conversionChunk(`batch-${batchId}-0`, hits);
  const batch = {
    batchId,
    advertiserId: 0,
    kind: 'replay' as const,
    author: 'olga',
    suppressPostbacks: true,
  };
  return { header: { ...header, batch }, hits };
}

interface LogRow {
  readonly hit_id: string;
  readonly hit_ms: number;
  readonly verdict: string;
  readonly row_kind: string;
  readonly replayed_from: string;
  readonly transaction_id: string;
  readonly blocking_transaction_id: string;
  readonly detail: string;
  readonly channel: string;
  readonly batch_id: string;
  readonly batch_line: number;
  readonly author: string;
  readonly suppress_postbacks: number;
  readonly payout: number | null;
}

const rows = (where = '1'): Promise<LogRow[]> =>
  clickhouse.query<LogRow>(
    `SELECT hit_id, toUnixTimestamp64Milli(hit_time) AS hit_ms, verdict, toString(row_kind) AS row_kind, replayed_from, transaction_id,
       blocking_transaction_id, detail, toString(channel) AS channel, batch_id, batch_line, author, suppress_postbacks, toFloat64(payout) AS payout
     FROM postback_log WHERE ${where} ORDER BY batch_id, batch_line, hit_id`,
  );

async function storeBroken(count: number): Promise<ConversionHit[]> {
  const calls = brokenCalls(count);
  expect(await worker(BROKEN).ingest(conversionChunk(`broken-${tests}`, calls))).toEqual({
    kind: 'stored',
  });
  const stored = await rows();
  expect(stored.every(({ verdict }) => verdict === 'goal_not_found')).toBe(true);
  return calls;
}

test('a replayed call keeps its receipt time, gets a new id, names its original and becomes a transaction', async () => {
  const [call] = await storeBroken(1);
  if (call === undefined) throw new Error('no call');
  await worker(FIXED).ingest(replayChunk([call.hitId], 'one'));
  const [replay] = await rows(`batch_id = 'one'`);
  expect(replay).toMatchObject({
    hit_ms: CALLED_AT,
    verdict: 'accepted',
    replayed_from: call.hitId,
    channel: 'replay',
    batch_line: 1,
    author: 'olga',
    suppress_postbacks: 1,
    payout: 5,
  });
  expect(replay?.transaction_id).toBe(replay?.hit_id);
  expect(replay?.hit_id).not.toBe(call.hitId);
  // Look-ups of transactions go by the time in the id.
  expect(msOfUuidV7(replay?.hit_id ?? '')).toBe(CALLED_AT);
  expect(await rows(`hit_id = '${call.hitId}'`)).toMatchObject([{ verdict: 'goal_not_found' }]);
});

test('a call that came after its edge was set back by more than a minute can be replayed, also by its replay', async () => {
  let clock = CALLED_AT;
  const ids = createHitIds(() => clock);
  ids();
  clock -= 2 * 3_600_000;
  // The second is where its id says.
  const calls = [clock, CALLED_AT].map((receivedAtMs, n) =>
    conversionHit(ids(), receivedAtMs, { query: `code=CODE4&goal_id=40&adv_order_id=back${n}` }),
  );
  await worker(BROKEN).ingest(conversionChunk('set-back', calls));
  const names = calls.map(({ hitId }) => hitId);
  await worker(BROKEN).ingest(replayChunk(names));
  const failed = (await rows("replayed_from != ''")).map(({ hit_id }) => hit_id);
  expect(failed).toHaveLength(2);
  await worker(FIXED).ingest(replayChunk(failed));
  const counted = await rows("row_kind = 'conversion'");
  expect(new Map(counted.map((row) => [row.replayed_from, row.hit_ms]))).toEqual(
    new Map(calls.map(({ hitId, receivedAtMs }) => [hitId, receivedAtMs])),
  );
});

test('what stays invalid says so and may be replayed again after the next fix', async () => {
  const [call] = await storeBroken(1);
  const id = call?.hitId ?? '';
  await worker(BROKEN).ingest(replayChunk([id], 'first'));
  expect(await rows(`batch_id = 'first'`)).toMatchObject([
    { verdict: 'goal_not_found', row_kind: 'invalid', replayed_from: id },
  ]);
  const [first] = await rows(`batch_id = 'first'`);
  // Whether the original is named or its rejected replay: it is the same call.
  await worker(FIXED).ingest(replayChunk([first?.hit_id ?? ''], 'second'));
  await worker(FIXED).ingest(replayChunk([id], 'third'));
  const [second] = await rows(`batch_id = 'second'`);
  expect(second).toMatchObject({ verdict: 'accepted', replayed_from: id });
  expect(await rows(`batch_id = 'third'`)).toMatchObject([
    {
      verdict: 'multiple_conversions',
      replayed_from: id,
      blocking_transaction_id: second?.transaction_id,
    },
  ]);
});

test('rows of rejected calls name the replay that counts, else the newest, also to who sees them in SQL', async () => {
  const [call] = await storeBroken(2);
  const id = call?.hitId ?? '';
  const replayedAs = () =>
    clickhouse.query<{ hit_id: string; replayed_as: string }>(
      'SELECT hit_id, replayed_as FROM invalid_traffic ORDER BY hit_time, chunk_id',
    );
  for (const [state, batchId] of [
    [BROKEN, 'a'],
    [BROKEN, 'b'],
  ] as const)
    await worker(state).ingest(replayChunk([id], batchId));
  const hitOf = async (batchId: string): Promise<string> =>
    (await rows(`batch_id = '${batchId}'`))[0]?.hit_id ?? '';
  const [a, b] = [await hitOf('a'), await hitOf('b')];
  expect((await replayedAs()).filter((row) => [id, a, b].includes(row.hit_id))).toEqual(
    expect.arrayContaining([
      { hit_id: id, replayed_as: b },
      { hit_id: a, replayed_as: b },
      { hit_id: b, replayed_as: '' },
    ]),
  );
  await worker(FIXED).ingest(replayChunk([id], 'c'));
  await worker(FIXED).ingest(replayChunk([id], 'd'));
  const c = await hitOf('c');
  const [invalid] = await clickhouse.query<{ named: string[]; unnamed: number }>(
    `SELECT groupUniqArrayIf(replayed_as, replayed_as != '') AS named, countIf(replayed_as = '') AS unnamed FROM invalid_traffic`,
  );
  expect(invalid).toEqual({ named: [c], unnamed: 1 });
  expect(
    await clickhouse.query(`SELECT hit_id, replayed_from, replayed_as FROM transactions`),
  ).toEqual([{ hit_id: c, replayed_from: id, replayed_as: '' }]);
});

test('ten replays of the same calls by four workers at once, delivered twice, with Redis emptied meanwhile, count each once', async () => {
  const calls = await storeBroken(80);
  const ids = calls.map(({ hitId }) => hitId);
  const chunks = Array.from({ length: 10 }, (_, n) =>
    replayChunk(n % 2 === 0 ? ids : ids.toReversed(), `race-${n}`),
  );
  const workers = [worker(FIXED), worker(FIXED), worker(FIXED), worker(FIXED)];
  let done = 0;
  await Promise.all(
    [...chunks, ...chunks].map(async (chunk, index) => {
      await workers[index % workers.length]?.ingest(chunk);
      if (++done === 7) await server.redis.flushall();
    }),
  );
  const replayed = await rows(`replayed_from != ''`);
  expect(replayed).toHaveLength(10 * ids.length);
  expect(new Set(replayed.map(({ hit_id }) => hit_id)).size).toBe(replayed.length);
  const accepted = replayed.filter(({ verdict }) => verdict === 'accepted');
  expect(accepted.map(({ replayed_from }) => replayed_from).toSorted()).toEqual(ids.toSorted());
  const transactionOf = new Map(accepted.map((row) => [row.replayed_from, row.transaction_id]));
  for (const row of replayed) {
    if (row.verdict === 'accepted') continue;
    expect(row.verdict).toBe('multiple_conversions');
    expect(row.blocking_transaction_id).toBe(transactionOf.get(row.replayed_from));
    expect(row.detail).toContain(row.replayed_from);
  }
});

test('a code that moved to an offer of another lane between two replays at once counts once', async () => {
  const codeAt = (offerId: number, enabled = true): CatalogueState =>
    catalogue({
      offers: OFFERS.map((id) => offer({ id, promo_codes_enabled: enabled })),
      promo_codes: [promoCode({ id: 1, code: 'MOVED', offer_id: offerId, sequence: 1 })],
      goals: OFFERS.map((id) => ({ ...goalOf(id), default: true })),
    });
  const calls = Array.from({ length: 16 }, (_, n) =>
    conversionHit(hitIds(), CALLED_AT + n, { query: `code=MOVED&adv_order_id=m${n}` }),
  );
  await worker(codeAt(4, false)).ingest(conversionChunk('off', calls));
  expect(await rows(`verdict = 'promo_codes_disabled'`)).toHaveLength(calls.length);
  const chunks = calls.map(({ hitId }, n) =>
    [4, 5].map((offerId) => ({ offerId, chunk: replayChunk([hitId], `moved-${offerId}-${n}`) })),
  );
  const workers = new Map([4, 5].map((id) => [id, worker(codeAt(id))]));
  await Promise.all(
    chunks.flat().map(async ({ offerId, chunk }) => workers.get(offerId)?.ingest(chunk)),
  );
  const counted = await rows(`row_kind = 'conversion'`);
  expect(counted.map(({ replayed_from }) => replayed_from).toSorted()).toEqual(
    calls.map(({ hitId }) => hitId).toSorted(),
  );
  expect(await rows(`batch_id != '' AND verdict = 'multiple_conversions'`)).toHaveLength(
    calls.length,
  );
});

test('the automatic replay of a late click and one by hand at once: the call counts once', async () => {
  const codec = createClickIdCodec([TEST_KEY]);
  const clickedAt = Date.now() - 600_000;
  const clickIds = Array.from({ length: 8 }, (_, n) => codec.mint(clickedAt, 4, 1, 100 + n));
  const recent = createHitIds(Date.now);
  const calls = clickIds.map((id) =>
    conversionHit(recent(), Date.now(), {
      endpoint: 'goal-by-click-id',
      path: '/track/goal-by-click-id',
      query: `click_id=${id}&goal_id=40`,
    }),
  );
  let now = Date.now();
  const by = worker(FIXED, undefined, () => now);
  expect((await by.ingest(conversionChunk('pending', calls))).kind).toBe('wait');
  // Nothing is heard of the clicks' edge.
  now += 11_000;
  await by.ingest(conversionChunk('pending', calls));
  expect(await rows('click_pending = 1')).toHaveLength(calls.length);
  const clicks = clickIds.map((id) => clickHit(recent(), id, 4, clickedAt));
  await by.clicks.storeChunk(clickChunk('late', clicks), codec);
  const automatic = () =>
    replayLateClicks({
      clickhouse,
      store: { current: () => Promise.resolve(createCatalogueSnapshot(FIXED)) },
      ingestConversions: worker(FIXED).ingest,
      ips: FULL_IPS,
    });
  const ids = calls.map(({ hitId }) => hitId);
  await Promise.all([automatic(), worker(FIXED).ingest(replayChunk(ids)), automatic()]);
  const counted = await rows(`row_kind = 'conversion'`);
  expect(counted.map(({ replayed_from }) => replayed_from).toSorted()).toEqual(ids.toSorted());
  expect(await automatic()).toBe(0);
});

test('replays that race fill a cap exactly, and live calls of other workers count with them', async () => {
  const capped = catalogue({
    offers,
    promo_codes: codes,
    goals: OFFERS.map((id) => ({ ...goalOf(id), caps: { ...NO_CAPS, total: CAP } })),
  });
  const calls = await storeBroken(80);
  const ids = calls.map(({ hitId }) => hitId);
  const live = conversionChunk(
    'live',
    OFFERS.map((id, n) =>
      conversionHit(hitIds(), CALLED_AT + 200 + n, { query: `code=CODE${id}&goal_id=${id * 10}` }),
    ),
  );
  const workers = [worker(capped), worker(capped)];
  await Promise.all([
    ...[0, 1, 2, 3].map((n) => workers[n % 2]?.ingest(replayChunk(ids, `cap-${n}`))),
    workers[1]?.ingest(live),
  ]);
  const accepted = await rows(`row_kind = 'conversion'`);
  expect(accepted).toHaveLength(OFFERS.length * CAP);
  const originals = accepted.flatMap((row) =>
    row.replayed_from === '' ? [] : [row.replayed_from],
  );
  expect(new Set(originals).size).toBe(originals.length);
});

test('a line that names an accepted call, the same call twice, or nothing stored is one row all the same', async () => {
  const [call] = await storeBroken(1);
  const good = conversionHit(hitIds(), CALLED_AT + 5, { query: 'code=CODE5&goal_id=50' });
  await worker(FIXED).ingest(conversionChunk('good', [good]));
  const unknown = hitIds();
  const named = [call?.hitId ?? '', good.hitId, call?.hitId ?? '', unknown, 'nonsense'];
  await worker(FIXED).ingest(replayChunk(named, 'odd'));
  const odd = await rows(`batch_id = 'odd'`);
  expect(odd.map(({ verdict }) => verdict)).toEqual([
    'accepted',
    'multiple_conversions',
    'multiple_conversions',
    'malformed',
    'malformed',
  ]);
  expect(odd[1]).toMatchObject({ blocking_transaction_id: good.hitId });
  expect(odd[2]?.detail).toContain('line 1');
  expect(odd[3]?.detail).toContain(unknown);
  expect(await rows(`row_kind = 'conversion'`)).toHaveLength(2);
});

test('a rejected change is replayed once: a later change is not undone by replaying it again', async () => {
  const withToken = (goals: CatalogueState['goals']): CatalogueState =>
    catalogue({
      offers,
      promo_codes: codes,
      goals,
      advertisers: [advertiser({ token: hashToken('right') })],
    });
  const transaction = conversionHit(hitIds(), CALLED_AT, { query: 'code=CODE4&goal_id=40' });
  const change = (query: string): ConversionHit =>
    conversionHit(hitIds(), CALLED_AT + 10, {
      endpoint: 'conv-change',
      path: '/track/conv-change',
      query: `transaction_id=${transaction.hitId}&${query}`,
    });
  const right = change('conv_status=rejected&goal_alias=renamed&token=right');
  const wrong = change('conv_status=rejected&goal_alias=renamed&token=guessed');
  const before = worker(withToken(OFFERS.map(goalOf)));
  await before.ingest(conversionChunk('made', [transaction]));
  await before.ingest(conversionChunk('changed', [right, wrong]));
  expect(await rows(`row_kind = 'invalid'`)).toMatchObject([
    { verdict: 'goal_not_found' },
    { verdict: 'goal_not_found' },
  ]);
  const renamed = OFFERS.map(goalOf).map((of) => (of.id === 40 ? { ...of, alias: 'renamed' } : of));
  const after = worker(withToken(renamed));
  const ids = [right.hitId, wrong.hitId];
  await after.ingest(replayChunk(ids, 'a-first'));
  await after.ingest(replayChunk(ids, 'b-second'));
  expect((await rows(`batch_id != ''`)).map((row) => [row.row_kind, row.verdict])).toEqual([
    ['change', 'accepted'],
    ['invalid', 'invalid_token'],
    ['invalid', 'multiple_conversions'],
    ['invalid', 'invalid_token'],
  ]);
});

test('replays of pixel and promo calls compare the address that the calls came from, also where only its hash is kept', async () => {
  const ips = createIpStorage('hashed', 'secret');
  const unique = OFFERS.map((id) => offer({ id, unique_ip: { enabled: true, window: 'ever' } }));
  const state = (goals: CatalogueState['goals']): CatalogueState =>
    catalogue({ offers: unique, promo_codes: codes, goals });
  const broken = worker(state([goal({ id: 1, offer_id: 4 })]), ips);
  const calls = ['198.51.100.7', '198.51.100.7', '198.51.100.8'].map((ip, n) =>
    conversionHit(hitIds(), CALLED_AT + n, { query: `code=CODE4&goal_id=40&ip=${ip}` }),
  );
  await broken.ingest(conversionChunk('hashed', calls));
  await worker(state(OFFERS.map(goalOf)), ips).ingest(
    replayChunk(
      calls.map(({ hitId }) => hitId),
      'hashed',
    ),
  );
  const verdicts = (await rows(`batch_id = 'hashed'`)).map(({ verdict }) => verdict);
  expect(verdicts).toEqual(['accepted', 'unique_ip', 'accepted']);
});

test('a replay of a server call is checked against the address of its server, and one of a batch may only what the batch might', async () => {
  const codec = createClickIdCodec([TEST_KEY]);
  const clickId = codec.mint(CALLED_AT - 60_000, 4, 1, 7);
  const setUp = worker(BROKEN);
  await setUp.clicks.storeChunk(
    clickChunk('c', [clickHit(hitIds(), clickId, 4, CALLED_AT - 60_000)]),
    codec,
  );
  const call = conversionHit(hitIds(), CALLED_AT, {
    endpoint: 'goal-by-click-id',
    path: '/track/goal-by-click-id',
    query: `click_id=${clickId}&goal_id=40`,
    ip: '192.0.2.1',
  });
  await setUp.ingest(conversionChunk('server', [call]));
  const theirs = replayChunk([], 'theirs');
  const line = conversionHit(hitIds(), CALLED_AT, {
    endpoint: 'goal-by-click-id',
    body: JSON.stringify({ click_id: clickId, goal_id: 40 }),
    contentType: 'application/json',
    batch: { line: 1, error: '' },
  });
  const { batch } = theirs.header;
  if (batch === undefined) throw new Error('no batch');
  const header = {
    ...theirs.header,
    batch: { ...batch, kind: 'postbacks' as const, advertiserId: 2 },
  };
  await setUp.ingest({ header, hits: [line] });
  const guarded = catalogue({
    offers: [offer({ id: 4, postback_ips: { allow: ['192.0.2.1/32'], deny: [] } })],
    promo_codes: codes.slice(0, 1),
    goals: [goalOf(4)],
    advertisers: [...BROKEN.advertisers, ...BROKEN.advertisers.map((one) => ({ ...one, id: 2 }))],
  });
  await worker(guarded).ingest(replayChunk([line.hitId, call.hitId], 'both'));
  expect((await rows(`batch_id = 'both'`)).map(({ verdict }) => verdict)).toEqual([
    'goal_not_found',
    'accepted',
  ]);
});
