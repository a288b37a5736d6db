/**
 * The gate's Lua in a real Redis against a plain model, on generated histories: caps, windows, zones through both clock
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
import type { GateReply, GateRequest, GateRules } from '../../src/domain/gate-request.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import type { LaneLog, LoggedConversion } from '../../workers/gate/lane-log.ts';
import { createLaneState, type LaneState } from '../../workers/gate/lane-state.ts';
import { createGateModel } from '../support/gate-model.ts';
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
  mode: fc.constantFrom('create', 'create', 'create', 'create', 'change', 'change-or-create'),
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

/** A log in memory: positions of accepted conversions, as ClickHouse would hold them. */
function createLog() {
  const entries: LoggedConversion[] = [];
  let last = 0;
  const log: LaneLog = {
    ips: FULL_IPS,
    lastPosition: async () => last,
    writerOf: async () => undefined,
    presentChunks: async () => new Set(),
    accepted: async (from, to) =>
      entries.filter(({ position }) => position > from && position <= to),
  };
  return {
    log,
    last: () => last,
    commit(
      conversions: readonly Omit<LoggedConversion, 'position' | 'catalogueVersion'>[],
    ): number {
      last += 1;
      for (const conversion of conversions)
        entries.push({ ...conversion, position: last, catalogueVersion: 1 });
      return last;
    },
  };
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
      clock: Date.now,
      logger,
    }),
  );
  const model = createGateModel();
  const names = async (): Promise<string[]> => server.redis.keys(`{t${cases}:l:*`);
  let saved: (readonly [string, Buffer])[] = [];
  let hits = 0;

  function toRequest(
    made: History['steps'][number] & { kind: 'block' },
    index: number,
  ): GateRequest {
    const asked = made.calls[index];
    if (asked === undefined) throw new Error('no call');
    const offer = rules.get(asked.offer) ?? given.offers[0];
    const goalId = asked.offer * 10 + asked.goal;
    const goal = goals[(asked.offer === 4 ? 0 : 2) + asked.goal - 1] ?? given.goals[0];
    const gateRules: GateRules = {
      oncePerClick: goal.once,
      uniqueOrderId: goal.order,
      uniqueTrackId: goal.track,
      uniqueIpWindow: offer.window,
      caps: goal.caps,
      affiliateCaps: goal.affiliateCaps,
      timezone: offer.zone,
    };
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
      rules: gateRules,
      mode: asked.mode,
      targetTransactionId: '',
      targetInBlock: false,
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
      const requests = made.calls.map((_, index) => toRequest(made, index));
      const expected: GateReply[] = requests.map((request) => model.decide(request));
      const worker = workers[made.worker];
      if (worker === undefined) throw new Error('no worker');
      let judged = await worker.judge(requests);
      // The log refuses a block that was judged against an older position: the writer catches up and judges again.
      if (judged.position !== memory.last()) {
        await worker.catchUp();
        judged = await worker.judge(requests);
      }
      expect(judged.replies).toEqual(expected);
      const accepted = requests
        .filter((_, index) => judged.replies[index]?.kind === 'accepted')
        .map((request) => ({
          transactionId: request.hitId,
          hitTimeMs: request.hitTimeMs,
          offerId: request.offerId,
          goalId: request.goalId,
          affiliateId: request.affiliateId,
          clickId: request.clickId,
          orderId: request.orderId,
          trackId: request.trackId,
          uniqueIp: request.uniqueIp,
        }));
      const position = memory.commit(accepted);
      expect(position).toBe(judged.position + 1);
      // A worker killed between insert and apply leaves the block to the next one.
      if (made.applied) {
        const own = new Map(requests.map((request) => [request.offerId, request.rules]));
        await worker.applyOwn(position, accepted, own);
        // A repeated apply of the same block must change nothing.
        await worker.applyOwn(position, accepted, own);
      }
    }
  }
  const left = await names();
  if (left.length > 0) await server.redis.del(...left);
}

it('gives the verdicts of the plain model on generated histories', async () => {
  await fc.assert(fc.asyncProperty(history, replay), {
    numRuns: Number(process.env['SLUICE_GATE_CASES'] ?? 3_000),
  });
}, 300_000);
