/**
 * The gate in a real Redis against a plain model, on generated histories: caps, windows, zones through both clock
 * changes, rule changes, lost and rolled-back state, several workers taking turns. The log is an array: what is tested
 * here is the state machine, not ClickHouse.
 */
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  createCatalogueSnapshot,
  EMPTY_CATALOGUE,
  type UniqueIpWindow,
} from '../../src/domain/catalogue.ts';
import { FULL_IPS } from '../../src/domain/ip-storage.ts';
import {
  claimantOf,
  type GateReply,
  type GateRequest,
  type GateRules,
} from '../../src/domain/gate-request.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { claimNames, type GateEvent } from '../../workers/gate/claims.ts';
import type { LaneLog, LoggedEvent } from '../../workers/gate/lane-log.ts';
import { createLaneState, type LaneState } from '../../workers/gate/lane-state.ts';
import { createGateModel } from '../support/gate-model.ts';
import { gateRequest, gateRules } from '../support/gate-requests.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';

let server: TestRedis;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(async () => {
  await server.close();
});

const ZONES = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Pacific/Kiritimati',
  'Australia/Lord_Howe',
  'Pacific/Niue',
] as const;
/** Around both clock changes, a month's end and a year's end. */
const MOMENTS = [
  '2026-03-29T00:30:00Z',
  '2026-03-29T01:10:00Z',
  '2026-10-25T00:20:00Z',
  '2026-10-25T01:20:00Z',
  '2026-03-08T06:50:00Z',
  '2026-03-08T07:10:00Z',
  '2026-11-01T05:40:00Z',
  '2026-11-01T06:40:00Z',
  '2026-01-31T23:59:59Z',
  '2026-02-01T00:00:00Z',
  '2026-12-31T10:30:00Z',
  '2027-01-01T09:30:00Z',
  '2026-04-04T14:50:00Z',
  '2026-04-04T15:10:00Z',
  '2026-04-04T15:40:00Z',
].map((text) => Date.parse(text));

interface OfferRules {
  readonly zone: (typeof ZONES)[number];
  readonly window: UniqueIpWindow | null;
}

const limit = fc.option(fc.integer({ min: 0, max: 4 }), { freq: 2 });
const caps = fc.record({ daily: limit, monthly: limit, total: limit });
const offerRules = fc.record({
  zone: fc.constantFrom(...ZONES),
  window: fc.option(fc.constantFrom<UniqueIpWindow>('hour', 'day', 'week', 'month', 'ever'), {
    freq: 3,
  }),
});
const goalRules = fc.record({
  once: fc.boolean(),
  order: fc.boolean(),
  track: fc.boolean(),
  caps,
  affiliateCaps: fc.option(caps, { freq: 2 }),
});
const call = fc.record({
  moment: fc.constantFrom(...MOMENTS),
  offer: fc.constantFrom(4, 8),
  goal: fc.constantFrom(1, 2),
  affiliate: fc.constantFrom(1, 2),
  click: fc.constantFrom('', 'c1', 'c2', 'c3'),
  order: fc.constantFrom('', 'o1', 'o2'),
  track: fc.constantFrom('', 't1', 't2'),
  ip: fc.constantFrom('', '10.0.0.1', '10.0.0.2'),
  mode: fc.constantFrom(
    'create',
    'create',
    'create',
    'create',
    'change',
    'change-or-create',
    'release',
    'correct',
  ),
  /** Which of the transactions so far, or of this block, a release or a correction names. */
  target: fc.nat(30),
});
const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('block' as const),
      worker: fc.integer({ min: 0, max: 2 }),
      calls: fc.array(call, { minLength: 1, maxLength: 6 }),
      applied: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('lose' as const),
      how: fc.constantFrom('flush', 'rollback', 'mark'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('rules' as const),
      offer: fc.constantFrom(4, 8),
      rules: offerRules,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('goal' as const),
      goal: fc.integer({ min: 0, max: 3 }),
      rules: goalRules,
    }),
  },
);
const history = fc.record({
  offers: fc.tuple(offerRules, offerRules),
  goals: fc.tuple(goalRules, goalRules, goalRules, goalRules),
  steps: fc.array(step, { minLength: 3, maxLength: 14 }),
});
type History = typeof history extends fc.Arbitrary<infer T> ? T : never;

const logger = pino({ level: 'silent' });
let cases = 0;

/** A log in memory: positions of claims and releases, as ClickHouse would hold them. */
function createLog() {
  const entries: LoggedEvent[] = [];
  let last = 0;
  const log: LaneLog = {
    ips: FULL_IPS,
    replayed: async () => ({ upTo: last, transactions: new Map() }),
    lastPosition: async () => last,
    writerOf: async () => undefined,
    presentChunks: async () => new Set(),
    eventsAfter: async (from, upTo) => ({
      upTo,
      events: entries.filter(({ position }) => position > from && position <= upTo),
    }),
  };
  return {
    log,
    last: () => last,
    commit(events: readonly GateEvent[]): number {
      last += 1;
      for (const { conversion, releasedBy } of events)
        entries.push({ conversion, releasedBy, position: last, catalogueVersion: 1 });
      return last;
    },
  };
}

const EMPTY_REQUEST = gateRequest({
  hitId: '',
  offerId: 4,
  goalId: 41,
  clickId: '',
  rules: gateRules({ oncePerClick: false }),
  mode: 'change',
});

/** What a judged request does to the state, as the log says it. */
function eventsOf(request: GateRequest, reply: GateReply | undefined): GateEvent[] {
  if (reply?.kind === 'accepted')
    return [
      {
        conversion: claimantOf(request),
        releasedBy: '',
        judged: { request, names: claimNames(request, request.rules) },
      },
    ];
  if (reply?.kind !== 'changed' || reply.released !== 'now' || request.release === undefined)
    return [];
  return [{ conversion: request.release, releasedBy: request.hitId }];
}

/**
 * The replies are the model's. Who holds a slot may go unnamed once something was released: the gate keeps how many
 * hold it, not all their names. A name that it gives is of one that counts.
 */
function expectReplies(
  replies: readonly GateReply[],
  expected: readonly GateReply[],
  counts: (transactionId: string) => boolean,
  released: boolean,
): void {
  if (!released) {
    expect(replies).toEqual(expected);
    return;
  }
  const named = (reply: GateReply): string =>
    'blockingTransactionId' in reply ? reply.blockingTransactionId : '';
  const unnamed = (reply: GateReply): GateReply =>
    'blockingTransactionId' in reply ? { ...reply, blockingTransactionId: '' } : reply;
  expect(replies.map(unnamed)).toEqual(expected.map(unnamed));
  for (const reply of replies) {
    if (named(reply) !== '') expect(counts(named(reply))).toBe(true);
  }
}

async function replay(given: History): Promise<void> {
  cases += 1;
  const keys = createRedisKeys(`t${cases}`);
  const lane = 0;
  const rules = new Map<number, OfferRules>([
    [4, given.offers[0]],
    [8, given.offers[1]],
  ]);
  const goals = [...given.goals];
  const memory = createLog();
  const snapshot = createCatalogueSnapshot(EMPTY_CATALOGUE);
  const workers: LaneState[] = [0, 1, 2].map(() =>
    createLaneState({
      redis: server.redis,
      keys,
      lane,
      log: memory.log,
      snapshotAt: async () => snapshot,
      logger,
    }),
  );
  const model = createGateModel();
  const names = async (): Promise<string[]> => server.redis.keys(`{t${cases}:l:*`);
  let saved: (readonly [string, Buffer])[] = [];
  let hits = 0;
  let releasedOnce = false;

  function rulesNow(offerId: number, goalNumber: number): GateRules {
    const offer = rules.get(offerId) ?? given.offers[0];
    const goal = goals[(offerId === 4 ? 0 : 2) + goalNumber - 1] ?? given.goals[0];
    return {
      oncePerClick: goal.once,
      uniqueOrderId: goal.order,
      uniqueTrackId: goal.track,
      uniqueIpWindow: offer.window,
      caps: goal.caps,
      affiliateCaps: goal.affiliateCaps,
      timezone: offer.zone,
    };
  }

  function toRequest(
    made: History['steps'][number] & { kind: 'block' },
    index: number,
    before: readonly GateRequest[],
  ): GateRequest {
    const asked = made.calls[index];
    if (asked === undefined) throw new Error('no call');
    if (asked.mode === 'release' || asked.mode === 'correct')
      return toCorrection(asked.mode, asked.target, before);
    const goalId = asked.offer * 10 + asked.goal;
    hits += 1;
    return {
      hitId: `hit-${hits}`,
      hitTimeMs: asked.moment,
      offerId: asked.offer,
      goalId,
      affiliateId: asked.affiliate,
      clickId: asked.mode === 'create' ? asked.click : asked.click || 'c1',
      orderId: asked.order,
      trackId: asked.track,
      uniqueIp: asked.ip,
      rules: rulesNow(asked.offer, asked.goal),
      mode: asked.mode,
      targetTransactionId: '',
      targetInBlock: false,
      release: undefined,
    };
  }

  /** A change that names its transaction: one of the log, or one that an earlier call of the block may become. */
  function toCorrection(
    mode: 'release' | 'correct',
    number: number,
    before: readonly GateRequest[],
  ): GateRequest {
    const ofLog = model.all();
    const creating = before.filter((request) => request.mode === 'create');
    const choice = [...ofLog, ...creating];
    const target = choice[number % Math.max(1, choice.length)];
    hits += 1;
    const base = target ?? EMPTY_REQUEST;
    return {
      ...base,
      hitId: `hit-${hits}`,
      mode: 'change',
      rules: rulesNow(base.offerId, base.goalId % 10),
      targetTransactionId: target?.hitId ?? '',
      targetInBlock: target !== undefined && !ofLog.includes(target),
      release: target !== undefined && mode === 'release' ? claimantOf(target) : undefined,
    };
  }

  for (const made of given.steps) {
    if (made.kind === 'rules') {
      rules.set(made.offer, made.rules);
    } else if (made.kind === 'goal') {
      goals[made.goal] = made.rules;
    } else if (made.kind === 'lose') {
      const all = await names();
      if (made.how === 'mark') {
        const dumps = await Promise.all(all.map((name) => server.redis.dumpBuffer(name)));
        saved = all.flatMap((name, index) => {
          const dump = dumps[index];
          return dump === null || dump === undefined ? [] : [[name, dump] as const];
        });
      } else {
        if (all.length > 0) await server.redis.del(...all);
        // An old snapshot comes back: behind the log, never ahead of it.
        if (made.how === 'rollback')
          for (const [name, dump] of saved) await server.redis.restore(name, 0, dump, 'REPLACE');
      }
    } else {
      const requests: GateRequest[] = [];
      for (const index of made.calls.keys()) requests.push(toRequest(made, index, requests));
      const heldBefore = new Set(
        model
          .all()
          .map(({ hitId }) => hitId)
          .filter(model.counts),
      );
      const expected = model.decideBlock(requests);
      const countedBefore = (id: string): boolean =>
        heldBefore.has(id) || requests.some(({ hitId }) => hitId === id);
      const worker = workers[made.worker];
      if (worker === undefined) throw new Error('no worker');
      let judged = await worker.judge(requests);
      // The log refuses a block that was judged against an older position: the writer catches up and judges again.
      if (judged.position !== memory.last()) {
        await worker.catchUp();
        judged = await worker.judge(requests);
      }
      releasedOnce ||= expected.some(
        (reply) => reply.kind === 'changed' && reply.released === 'now',
      );
      expectReplies(judged.replies, expected, countedBefore, releasedOnce);
      const events = requests.flatMap((request, index) => eventsOf(request, judged.replies[index]));
      const position = memory.commit(events);
      expect(position).toBe(judged.position + 1);
      // A worker killed between insert and apply leaves the block to the next one.
      if (made.applied) {
        const own = new Map(requests.map((request) => [request.offerId, request.rules]));
        await worker.applyOwn(position, events, own);
        // A repeated apply of the same block must change nothing.
        await worker.applyOwn(position, events, own);
      }
    }
  }
  for (const worker of workers) worker.close();
  const left = await names();
  if (left.length > 0) await server.redis.del(...left);
}

it('gives the verdicts of the plain model on generated histories', async () => {
  await fc.assert(fc.asyncProperty(history, replay), {
    numRuns: Number(process.env['SLUICE_GATE_CASES'] ?? 3_000),
  });
}, 300_000);
