/**
 * A lane's state in Redis: judging against it, applying blocks to it, and bringing it level with the log when Redis
 * lost or rolled back anything (invariant 6). Nothing here writes to ClickHouse.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { AppError } from '../../src/domain/app-error.ts';
import type { CatalogueSnapshot } from '../../src/domain/catalogue.ts';
import type { Reach } from '../../src/domain/crash-points.ts';
import type { GateReply, GateRequest } from '../../src/domain/gate-request.ts';
import { groupBy } from '../../src/domain/group-by.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';
import {
  parseSignature,
  signatureText,
  type ClaimNames,
  type GateEvent,
  type RuleSignature,
} from './claims.ts';
import { blockChanges } from './block-changes.ts';
import { askBlock } from './judge-block.ts';
import type { LaneLog, LoggedEvent } from './lane-log.ts';
import { createLaneRebuild } from './lane-rebuild.ts';
import { createLaneStore, type LaneReading, type Signatures } from './lane-store.ts';

/** A state that keeps moving under us this often means more writers than the lane can serve. */
const ROUNDS_MAX = 50;

const REBUILD_LOOK_MS = 100;

const NO_RULES: ReadonlyMap<number, RuleSignature> = new Map();

export interface LaneStateDeps {
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly lane: number;
  readonly log: LaneLog;
  readonly snapshotAt: (version: number) => Promise<CatalogueSnapshot>;
  readonly reach?: Reach;
  readonly logger: Logger;
}

export interface Judgement {
  /** The requests were judged against exactly the blocks up to it. */
  readonly position: number;
  /** Of each request, in their order. */
  readonly replies: readonly GateReply[];
  readonly names: readonly ClaimNames[];
}

export interface LaneState {
  /** Judges requests against exactly the blocks up to the returned position; brings the state level first if needed. */
  judge(requests: readonly GateRequest[]): Promise<Judgement>;
  /** Applies the block at `position`; its rules are those it was judged under. A no-op when it is applied already. */
  applyOwn(
    position: number,
    events: readonly GateEvent[],
    rules: ReadonlyMap<number, RuleSignature>,
  ): Promise<void>;
  /** Applies every block of the log that the state lacks; rebuilds when the state is lost or ahead of the log. */
  catchUp(): Promise<void>;
  /** Rebuilds the lane from the log; false when another worker is at it. */
  rebuild(): Promise<boolean>;
  /** Closes connections of its own, not `redis`. */
  close(): void;
}

export function createLaneState(deps: LaneStateDeps): LaneState {
  const { redis, keys, lane, log, logger } = deps;
  const metaKey = keys.lane.meta(lane);
  const store = createLaneStore(redis, metaKey);
  let believed = -1;

  /** State that compares hashes of addresses is another state than one that compares addresses. */
  function signaturesOf(rules: ReadonlyMap<number, RuleSignature>): Signatures {
    return new Map(
      [...rules].map(([offerId, rule]) => [offerId, signatureText(rule, log.ips.hashes)]),
    );
  }

  async function readApplied(): Promise<number> {
    const applied = await redis.hget(metaKey, 'applied');
    return applied === null ? -1 : Number(applied);
  }

  /** Signatures that the state holds, and for offers it does not hold those of the conversion's catalogue. */
  async function rulesFor(
    events: readonly LoggedEvent[],
    adopted: ReadonlyMap<number, RuleSignature> = NO_RULES,
  ): Promise<Map<number, RuleSignature>> {
    const newest = new Map(
      events.map(({ conversion, catalogueVersion }) => [conversion.offerId, catalogueVersion]),
    );
    const rules = new Map<number, RuleSignature>();
    if (newest.size === 0) return rules;
    const held = await redis.hmget(
      metaKey,
      ...[...newest.keys()].map((offerId) => `sig:${offerId}`),
    );
    for (const [index, [offerId, version]] of [...newest].entries()) {
      const text = held[index];
      const rule = adopted.get(offerId);
      if (rule !== undefined) {
        rules.set(offerId, rule);
        continue;
      }
      if (typeof text === 'string') {
        rules.set(offerId, parseSignature(text));
        continue;
      }
      const offer = (await deps.snapshotAt(version)).offer(offerId);
      rules.set(offerId, {
        timezone: offer?.timezone ?? 'UTC',
        uniqueIpWindow: offer?.unique_ip.enabled === true ? offer.unique_ip.window : null,
      });
    }
    return rules;
  }

  /**
   * Writes the claims and releases of a stretch of the log, and `moved` into the lane's meta, if the lane then stands as
   * `stands` says and all signatures are its own. Resolves to the reading that decided.
   */
  function write(
    events: readonly GateEvent[],
    rules: ReadonlyMap<number, RuleSignature>,
    stands: (reading: LaneReading) => boolean,
    moved: readonly string[],
  ): Promise<LaneReading> {
    const used = new Map<number, RuleSignature>();
    const rulesOf = (offerId: number): RuleSignature => {
      const rule = rules.get(offerId);
      if (rule === undefined) throw new Error(`no rules for offer ${offerId}`);
      used.set(offerId, rule);
      return rule;
    };
    const { fields, changes } = blockChanges(events, rulesOf, keys, lane);
    const signatures = signaturesOf(used);
    const built = [...signatures].flatMap(([offerId, text]) => [`sig:${offerId}`, text]);
    return store.update(signatures, fields, (reading) => {
      if (!stands(reading) || reading.staleOfferId !== undefined) return undefined;
      const meta = { set: [...built, ...moved], removed: [] };
      return new Map([...changes(reading.fields), [metaKey, meta]]);
    });
  }

  /** Applies a committed block, once: only a lane that stands right before it takes it. */
  async function apply(
    position: number,
    events: readonly GateEvent[],
    rules: ReadonlyMap<number, RuleSignature>,
  ): Promise<'applied' | 'elsewhere' | 'stale'> {
    const isBefore = ({ applied }: LaneReading): boolean => applied === position - 1;
    const reading = await write(events, rules, isBefore, ['applied', String(position)]);
    if (!isBefore(reading)) return 'elsewhere';
    return reading.staleOfferId === undefined ? 'applied' : 'stale';
  }

  const rebuildFromLog = createLaneRebuild({
    redis,
    keys,
    lane,
    log,
    onCleared: () => deps.reach?.('rebuilding'),
  });

  /** What the state holds of other offers' rules stays, or each of them would rebuild the lane in its turn. */
  async function rebuild(changed: ReadonlyMap<number, RuleSignature> = NO_RULES): Promise<boolean> {
    const held = Object.entries(await redis.hgetall(metaKey)).flatMap(
      ([field, text]): [number, RuleSignature][] =>
        field.startsWith('sig:') ? [[Number(field.slice(4)), parseSignature(text)]] : [],
    );
    const adopted = new Map([...held, ...changed]);
    const position = await rebuildFromLog(async (events, { nonce, step }) => {
      const stands = (reading: LaneReading): boolean =>
        reading.nonce === nonce && reading.step === String(step);
      const moved = ['step', String(step + 1)];
      const reading = await write(events, await rulesFor(events, adopted), stands, moved);
      return stands(reading) && reading.staleOfferId === undefined;
    });
    if (position === undefined) return false;
    logger.info({ lane, position }, 'rebuilt the state of a lane from the log');
    return true;
  }

  async function catchUp(): Promise<void> {
    for (let rounds = 0; rounds < ROUNDS_MAX; rounds++) {
      const applied = await readApplied();
      const last = await log.lastPosition();
      if (applied < 0 || applied > last) {
        // Another worker is at it: look again soon, so that nobody's chunk waits for a second delivery.
        if (!(await rebuild())) await pause(REBUILD_LOOK_MS);
        continue;
      }
      believed = applied;
      if (applied === last) return;
      const { events: missing, upTo } = await log.eventsAfter(applied, last);
      const byPosition = groupBy(missing, ({ position }) => position);
      for (let position = applied + 1; position <= upTo; position++) {
        const events = byPosition.get(position) ?? [];
        const outcome = await apply(position, events, await rulesFor(events));
        // A state in another spelling, or of other rules, is of no use to the blocks that follow.
        if (outcome === 'stale') await rebuild();
        if (outcome !== 'applied') break;
        believed = position;
      }
      // A log of any length is applied to its end, as long as it is applied.
      if (believed === upTo) rounds = 0;
    }
    throw new AppError('GATE_BUSY', `lane ${lane} could not be brought level with its log`);
  }

  /** Switching a rule on or changing a zone changes what counted before: the lane is rebuilt with the offer's new rules. */
  async function adoptRules(
    offerId: number,
    rules: ReadonlyMap<number, RuleSignature>,
  ): Promise<void> {
    logger.info({ lane, offerId }, "an offer's rules changed what counts; rebuilding its lane");
    // When another worker is at it, its rules may differ: the next judgement says.
    await rebuild(rules);
    await catchUp();
  }

  async function judge(requests: readonly GateRequest[]): Promise<Judgement> {
    const rules = new Map(requests.map((request) => [request.offerId, request.rules]));
    const question = askBlock(requests, keys, lane);
    const signatures = signaturesOf(rules);
    for (let round = 0; round < ROUNDS_MAX; round++) {
      if (believed < 0) await catchUp();
      const reading = await store.read(signatures, question.fields);
      if (reading.applied < believed) await catchUp();
      else if (reading.staleOfferId !== undefined) await adoptRules(reading.staleOfferId, rules);
      else {
        believed = reading.applied;
        const replies = question.judge(reading.fields);
        return { position: believed, replies, names: question.names };
      }
    }
    throw new AppError('GATE_BUSY', `lane ${lane} moved under ${ROUNDS_MAX} attempts`);
  }

  return {
    judge,
    async applyOwn(position, events, rules) {
      if ((await apply(position, events, rules)) === 'applied') believed = position;
      else await catchUp();
    },
    catchUp,
    rebuild: () => rebuild(),
    close: () => store.close(),
  };
}
