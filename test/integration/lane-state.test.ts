/** A lane's state in a real Redis: what is applied when, what it holds then, and who may write. The log is an array. */
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCatalogueSnapshot, EMPTY_CATALOGUE } from '../../src/domain/catalogue.ts';
import { claimantOf, type GateRequest, type GateRules } from '../../src/domain/gate-request.ts';
import { FULL_IPS } from '../../src/domain/ip-storage.ts';
import { createRedisKeys, type RedisKeys } from '../../src/redis/keys.ts';
import { claimNames, type GateEvent } from '../../workers/gate/claims.ts';
import type { LaneLog, LoggedEvent } from '../../workers/gate/lane-log.ts';
import { createLaneState, type LaneState } from '../../workers/gate/lane-state.ts';
import { gateRequest, gateRules } from '../support/gate-requests.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';

const LANE = 0;
let server: TestRedis;
let keys: RedisKeys;
let meta: string;
let clicks: string;
/** Blocks of the log, the first at position 1. */
let blocks: GateEvent[][];
let tests = 0;

beforeAll(async () => {
  server = await startRedis();
});
afterAll(async () => {
  await server.close();
});
beforeEach(() => {
  keys = createRedisKeys(`lane-state-${process.pid}-${++tests}`);
  meta = keys.lane.meta(LANE);
  clicks = keys.lane.clicks(LANE, 12);
  blocks = [];
});

const log: LaneLog = {
  ips: FULL_IPS,
  replayed: async () => ({ upTo: blocks.length, transactions: new Map() }),
  lastPosition: async () => blocks.length,
  writerOf: async () => undefined,
  presentChunks: async () => new Set(),
  eventsAfter: async (from, upTo) => ({
    upTo,
    events: blocks.slice(from, upTo).flatMap((events, index) =>
      events.map(({ conversion, releasedBy }): LoggedEvent => ({
        conversion,
        releasedBy,
        position: from + index + 1,
        catalogueVersion: 1,
      })),
    ),
  }),
};

function newState(redis = server.redis, of = log): LaneState {
  return createLaneState({
    redis,
    keys,
    lane: LANE,
    log: of,
    snapshotAt: async () => createCatalogueSnapshot(EMPTY_CATALOGUE),
    logger: pino({ level: 'silent' }),
  });
}

const rulesOf = (rules: GateRules): Map<number, GateRules> => new Map([[16, rules]]);

/** Claims of calls that were judged; `judged` false: as the log says it. */
function claimsOf(requests: readonly GateRequest[], judged = true): GateEvent[] {
  return requests.map((request) => {
    const conversion = claimantOf(request);
    const names = claimNames(conversion, request.rules);
    return { conversion, releasedBy: '', ...(judged && { judged: { request, names } }) };
  });
}

const releaseOf = (request: GateRequest, releasedBy: string): GateEvent => ({
  conversion: claimantOf(request),
  releasedBy,
});

/** Commits a block and applies it. */
async function write(state: LaneState, events: GateEvent[], rules = gateRules()): Promise<void> {
  const position = blocks.push(events);
  await state.applyOwn(position, events, rulesOf(rules));
}

const [first, second] = ['t1', 't5'].map((hitId) => gateRequest({ hitId }));
const asked = gateRequest({ hitId: 't9' });

describe('a block', () => {
  test('is applied once, and names the rules that the state has', async () => {
    const state = newState();
    await state.catchUp();
    await write(state, claimsOf([gateRequest()]));
    expect(await server.redis.hgetall(clicks)).toEqual({ c1: 't1' });
    expect(await server.redis.hgetall(meta)).toEqual({ applied: '1', 'sig:16': 'UTC|off|4' });
    await state.applyOwn(1, claimsOf([gateRequest()]), rulesOf(gateRules()));
    expect(await server.redis.hgetall(clicks)).toEqual({ c1: 't1' });
    expect((await state.judge([asked])).replies).toEqual([
      { kind: 'rejected', code: 101, blockingTransactionId: 't1' },
    ]);
  });

  test('is applied once by workers who do it at the same time', async () => {
    const own = gateRules({ oncePerClick: false });
    const redises = [1, 2, 3].map(() => server.redis.duplicate());
    const states = redises.map((redis) => newState(redis));
    const count = 60;
    for (let position = 1; position <= count; position++) {
      // No rule looked at the click: what it holds is read, and counted on.
      const events = claimsOf([gateRequest({ hitId: `t${position}`, rules: own })], false);
      blocks.push(events);
      await Promise.all(states.map((state) => state.applyOwn(position, events, rulesOf(own))));
    }
    expect(await server.redis.hgetall(clicks)).toEqual({ c1: `t1|t${count}|${count}` });
    for (const redis of redises) redis.disconnect();
    for (const state of states) state.close();
  });

  test('is not applied once the lane has moved between its reading and its writing', async () => {
    const own = gateRules({ oncePerClick: false });
    const events = ['t1', 't2'].map((hitId) =>
      claimsOf([gateRequest({ hitId, rules: own })], false),
    );
    const other = newState();
    await other.catchUp();
    blocks.push(...events);
    // Of what it reads, the replies come late.
    const slow = server.redis.duplicate();
    const duplicate = slow.duplicate.bind(slow);
    slow.duplicate = (options) => {
      const connection = duplicate(options);
      const send = connection.sendCommand.bind(connection);
      connection.sendCommand = async (command) => {
        const reply = await send(command);
        if (command.name === 'hmget') await other.catchUp();
        return reply;
      };
      return connection;
    };
    const state = newState(slow);
    await state.applyOwn(1, events[0] ?? [], rulesOf(own));
    expect(await server.redis.hgetall(clicks)).toEqual({ c1: 't1|t2|2' });
    expect(await server.redis.hget(meta, 'applied')).toBe('2');
    slow.disconnect();
    state.close();
  });

  test('waits for those before it', async () => {
    const state = newState();
    await state.catchUp();
    blocks.push(claimsOf([gateRequest({ hitId: 't1', clickId: 'before' })]));
    await write(state, claimsOf([gateRequest({ hitId: 't2' })]));
    expect(await server.redis.hgetall(clicks)).toEqual({ before: 't1', c1: 't2' });
    expect(await server.redis.hget(meta, 'applied')).toBe('2');
  });

  test('of other rules than the state was built with rebuilds it', async () => {
    const state = newState();
    await state.catchUp();
    await write(state, claimsOf([gateRequest()]));
    await server.redis.hset(clicks, 'stray', 'x');
    const rules = gateRules({ uniqueIpWindow: 'day' });
    expect((await state.judge([{ ...asked, clickId: 'c2', rules }])).replies).toEqual([
      { kind: 'accepted' },
    ]);
    expect(await server.redis.hgetall(clicks)).toEqual({ c1: 't1' });
    expect(await server.redis.hget(meta, 'sig:16')).toBe('UTC|day|4');
  });
});

describe('a judgement', () => {
  test('writes nothing', async () => {
    const state = newState();
    await state.catchUp();
    const before = await server.redis.keys(`{${keys.prefix}:l:*`);
    await state.judge([asked]);
    expect(await server.redis.keys(`{${keys.prefix}:l:*`)).toEqual(before);
    expect(await server.redis.hgetall(meta)).toEqual({ applied: '0' });
  });

  test('is against what another worker has applied meanwhile', async () => {
    const [one, other] = [newState(), newState()];
    await one.judge([asked]);
    await other.catchUp();
    await write(other, claimsOf([gateRequest()]));
    expect(await one.judge([asked])).toMatchObject({
      position: 1,
      replies: [{ kind: 'rejected', code: 101 }],
    });
  });

  test.each([
    ['was lost', async () => server.redis.del(meta, clicks)],
    ['is older than what was known of it', async () => server.redis.hset(meta, 'applied', '0')],
  ])('brings a state level first that %s', async (_, lose) => {
    const state = newState();
    await state.catchUp();
    await write(state, claimsOf([gateRequest()]));
    await lose();
    expect(await state.judge([asked])).toMatchObject({ position: 1, replies: [{ code: 101 }] });
  });
});

test('a rebuild that another one took over loads nothing more, and does not open the lane', async () => {
  const state = newState();
  await state.catchUp();
  await write(state, claimsOf([gateRequest()]));
  const overtaken = newState(server.redis, {
    ...log,
    eventsAfter: async (from, upTo) => {
      await server.redis.hset(meta, 'nonce', 'other');
      return log.eventsAfter(from, upTo);
    },
  });
  expect(await overtaken.rebuild()).toBe(false);
  expect(await server.redis.exists(clicks)).toBe(0);
  expect(await server.redis.hget(meta, 'applied')).toBeNull();
  // It has not said for long that it lives.
  await server.redis.hset(meta, 'progress', '0');
  expect((await newState().judge([asked])).replies).toMatchObject([{ code: 101 }]);
});

test('a rebuild is not completed by a Redis that came back from before some of its steps', async () => {
  const own = gateRules({ oncePerClick: false });
  for (const hitId of ['t1', 't2', 't3', 't4'])
    blocks.push(claimsOf([gateRequest({ hitId, rules: own })], false));
  const names = (): Promise<string[]> => server.redis.keys(`{${keys.prefix}:l:*`);
  let saved: (readonly [string, Buffer])[] = [];
  let pages = 0;
  const rolledBack = newState(server.redis, {
    ...log,
    // A page a block, as a long log has many.
    eventsAfter: async (from) => {
      pages += 1;
      if (pages === 2)
        saved = await Promise.all(
          (await names()).map(
            async (name) => [name, (await server.redis.dumpBuffer(name)) ?? Buffer.of()] as const,
          ),
        );
      if (pages === 4)
        for (const [name, dump] of saved) await server.redis.restore(name, 0, dump, 'REPLACE');
      return log.eventsAfter(from, from + 1);
    },
  });
  expect(await rolledBack.rebuild()).toBe(false);
  await server.redis.hset(meta, 'progress', '0');
  await newState().catchUp();
  expect(await server.redis.hgetall(clicks)).toEqual({ c1: 't1|t4|4' });
});

test('offers whose rules changed rebuild their lane once each, not at each of their blocks', async () => {
  const of = (offerId: number, rules: GateRules): GateRequest =>
    gateRequest({ hitId: `t${offerId}`, offerId, goalId: offerId * 10, rules });
  const offers = [16, 18, 20];
  let rebuilds = 0;
  const state = newState(server.redis, {
    ...log,
    eventsAfter: (from, upTo) => {
      if (from === 0) rebuilds += 1;
      return log.eventsAfter(from, upTo);
    },
  });
  await state.catchUp();
  const before = gateRules();
  const events = claimsOf(offers.map((offerId) => of(offerId, before)));
  blocks.push(events);
  await state.applyOwn(1, events, new Map(offers.map((offerId) => [offerId, before])));
  const after = gateRules({ timezone: 'Europe/Berlin' });
  for (let round = 0; round < 3; round++)
    for (const offerId of offers) await state.judge([of(offerId, after)]);
  expect(rebuilds).toBe(offers.length);
});

test('a rebuild whose last progress is far in the future is taken over', async () => {
  blocks.push(claimsOf([gateRequest()]));
  await server.redis.hset(
    meta,
    'nonce',
    'dead',
    'step',
    '0',
    'progress',
    String(Date.now() + 3_600_000),
  );
  expect((await newState().judge([asked])).replies).toMatchObject([{ code: 101 }]);
});

test('releases: a slot is free when nobody holds it, and a released holder is not named', async () => {
  const state = newState();
  await state.catchUp();
  const verdict = async (): Promise<unknown> => (await state.judge([asked])).replies[0];
  const held = (): Promise<string | null> => server.redis.hget(clicks, 'c1');
  if (first === undefined || second === undefined) throw new Error('no requests');
  await write(state, claimsOf([first, second], false));
  expect(await held()).toBe('t1|t5|2');
  expect(await verdict()).toMatchObject({ code: 101, blockingTransactionId: 't1' });
  await write(state, [releaseOf(first, 'r1')]);
  expect(await held()).toBe('|t5|1');
  expect(await verdict()).toMatchObject({ code: 101, blockingTransactionId: '' });
  await write(state, [releaseOf(second, 'r2')]);
  expect(await held()).toBe('|t5|0');
  expect(await verdict()).toEqual({ kind: 'accepted' });
  await write(state, claimsOf([second], false));
  expect(await held()).toBe('t5');
  expect(await server.redis.hgetall(keys.lane.released(LANE, 12))).toEqual({ t1: 'r1', t5: 'r2' });
  expect(await server.redis.hget(keys.lane.caps(LANE, 12), 'g:ever')).toBe('1|t5');
});

describe('what two conversions with the same ids leave', () => {
  const ids = { orderId: 'o1', trackId: 'k1' };
  const of = (hitId: string, rules: GateRules): GateRequest =>
    gateRequest({ hitId, ...ids, rules });

  async function heldAfter(rules: GateRules, hits: readonly (readonly string[])[]) {
    const state = newState();
    await state.catchUp();
    for (const block of hits)
      await write(state, claimsOf(block.map((hitId) => of(hitId, rules))), rules);
    return {
      click: await server.redis.hget(clicks, 'c1'),
      order: await server.redis.hget(keys.lane.orders(LANE, 12), 'o1'),
      track: await server.redis.hget(keys.lane.tracks(LANE, 12), 'k1'),
    };
  }

  const off = gateRules({ oncePerClick: false });
  const on = gateRules({ uniqueOrderId: true, uniqueTrackId: true });

  test.each([
    ['one block', [['t1', 't5']]],
    ['two', [['t1'], ['t5']]],
  ])('when no rule looks at them, in %s: each counts', async (_, hits) => {
    expect(await heldAfter(off, hits)).toEqual({ click: 't1|t5|2', order: 't1|2', track: 't1|2' });
  });

  test('when only one of them was judged, in one block: each counts', async () => {
    const state = newState();
    await state.catchUp();
    const events = [...claimsOf([of('t1', on)]), ...claimsOf([of('t5', on)], false)];
    await write(state, events, on);
    expect(await server.redis.hget(keys.lane.orders(LANE, 12), 'o1')).toBe('t1|2');
  });

  test('when their rules found everything free: the claim', async () => {
    expect(await heldAfter(on, [['t1']])).toEqual({ click: 't1', order: 't1', track: 't1' });
  });
});
