/**
 * Writes a lane: merges what waits into one block, judges it, commits it as the next position of the log, applies it.
 * The insert is the commit point: its guard lets exactly one writer have a position, and a chunk be in the lane once.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { insertGuarded, refusedRows } from '../../clickhouse/insert.ts';
import { POSTBACK_COLUMNS } from '../../clickhouse/tables.ts';
import { AppError, isRetryable, messageOf } from '../../src/domain/app-error.ts';
import { reachNothing, type Reach } from '../../src/domain/crash-points.ts';
import type { PostbackFields } from '../../src/domain/judge/fields.ts';
import { makeBlock, poisoned, type Block, type LaneCall } from './lane-block.ts';
import { inChunks, type ChunkReference, type LaneLog } from './lane-log.ts';
import type { LaneState } from './lane-state.ts';
import type { LaneTurn } from './lane-turn.ts';

/** The calls of one chunk that belong to the lane. */
export interface LaneSubmission {
  readonly chunk: ChunkReference;
  readonly catalogueVersion: number;
  readonly calls: readonly LaneCall[];
  /** Of a batch file: takes what room live calls leave. */
  readonly ofBatch: boolean;
  /** Called once per committed block with the rows' fields, after the commit. */
  readonly onCommitted: (fields: readonly PostbackFields[]) => void;
}

export interface LaneWriter {
  /** Resolves when every call of the submission is in the log, written by us or by an earlier delivery. */
  submit(submission: LaneSubmission): Promise<void>;
  /** Closes what the lane's state holds open; to be called when nothing is submitted any more. */
  close(): void;
}

/** Bounds of a block: larger ones only make everyone in it wait longer. */
const BLOCK_CALLS_MAX = 5_000;
const ATTEMPTS_MAX = 200;
const RETRY_MS = 50;
/**
 * How long an owner is looked for before the token counts as burned. A second token for a position that is being taken
 * under the first one could take it twice, so this is far longer than a commit.
 */
const BURNED_LOOKS = 20;
const BURNED_LOOK_MS = 100;
/** Kept of an error in a row's detail. */
const REASON_MAX = 300;

interface Waiting {
  readonly submission: LaneSubmission;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Not by flatMap, which takes a runtime call an element. */
const callsOf = (items: readonly Waiting[]): readonly LaneCall[] =>
  ([] as LaneCall[]).concat(...items.map(({ submission }) => submission.calls));

/** The items with the calls of these indexes (counted over all items) poisoned. */
function withPoisoned(
  items: readonly Waiting[],
  indexes: ReadonlySet<number>,
  reason: string,
): readonly Waiting[] {
  let at = 0;
  return items.map((item) => {
    const calls = item.submission.calls.map((call) =>
      indexes.has(at++) ? poisoned(call, reason) : call,
    );
    return { ...item, submission: { ...item.submission, calls } };
  });
}

/** Condition: the position before is in the log. It may have gone from there, with a ClickHouse that was restored from before it. */
function hasBefore(lane: number, position: number): string {
  return position === 1
    ? '1'
    : `EXISTS (SELECT 1 FROM postback_log WHERE lane = ${lane} AND position = ${position - 1})`;
}

export function createLaneWriter(deps: {
  readonly clickhouse: ClickHouse;
  readonly lane: number;
  readonly log: LaneLog;
  readonly state: LaneState;
  readonly turn: LaneTurn;
  readonly clock: () => number;
  readonly reach?: Reach;
  readonly logger: Logger;
}): LaneWriter {
  const { clickhouse, lane, log, state, logger, turn } = deps;
  const reach = deps.reach ?? reachNothing;
  let waiting: Waiting[] = [];
  let running = false;
  let lastHadBatch = false;

  /** Who may be in the next block: a live call waits for one block with batch calls at the most, and batches for one without. */
  function eligible(): readonly Waiting[] {
    const live = waiting.filter(({ submission }) => !submission.ofBatch);
    if (live.length > 0 && lastHadBatch) return live;
    return [...live, ...waiting.filter(({ submission }) => submission.ofBatch)];
  }

  /** What goes into the next block: of one catalogue version, so that one set of rules holds for it. */
  function takeBlock(): Waiting[] {
    const candidates = eligible();
    const version = candidates[0]?.submission.catalogueVersion;
    const taken = new Set<Waiting>();
    const chunks = new Set<string>();
    let calls = 0;
    const originals = new Set<string>();
    for (const item of candidates) {
      const { submission } = item;
      const fits = taken.size === 0 || calls + submission.calls.length <= BLOCK_CALLS_MAX;
      if (!fits || submission.catalogueVersion !== version || chunks.has(submission.chunk.chunkId))
        continue;
      const replayed = submission.calls
        .map(({ original }) => original?.hitId)
        .filter((hitId) => hitId !== undefined);
      // Two replays of one call must not meet in a block: the log could not tell which of them counts.
      if (replayed.some((hitId) => originals.has(hitId))) continue;
      for (const hitId of replayed) originals.add(hitId);
      taken.add(item);
      chunks.add(submission.chunk.chunkId);
      calls += submission.calls.length;
    }
    waiting = waiting.filter((item) => !taken.has(item));
    lastHadBatch = [...taken].some(({ submission }) => submission.ofBatch);
    return [...taken];
  }

  /** Inserts the block; resolves to who owns the position then. Repeats the question until ClickHouse answers. */
  async function commit(
    block: Block,
    items: readonly Waiting[],
    attempt: number,
  ): Promise<string | undefined> {
    const chunks = items.map(({ submission }) => submission.chunk);
    try {
      const inserting = insertGuarded(clickhouse, {
        table: 'postback_log',
        columns: POSTBACK_COLUMNS,
        rows: block.rows,
        token: `${lane}:${block.position}#${attempt}`,
        guard: `${hasBefore(lane, block.position)} AND NOT EXISTS (SELECT 1 FROM postback_log WHERE lane = ${lane} AND position >= ${block.position})
          AND NOT EXISTS (SELECT 1 FROM postback_log WHERE lane = ${lane} AND ${inChunks(chunks)})`,
      });
      setImmediate(() => reach('inserting'));
      await inserting;
      reach('inserted');
    } catch (error) {
      // It may have landed all the same: ask, whatever the error says.
      logger.warn(
        { lane, position: block.position, error: messageOf(error) },
        'an insert failed; reading back',
      );
      const owner = await log.writerOf(block.position);
      if (owner === undefined) throw error;
      return owner;
    }
    return (await log.writerOf(block.position)) ?? (await secondLook(block.position));
  }

  async function secondLook(position: number): Promise<string | undefined> {
    await pause(RETRY_MS);
    return log.writerOf(position);
  }

  async function isBurned(position: number): Promise<boolean> {
    for (let look = 0; look < BURNED_LOOKS; look++) {
      if ((await log.writerOf(position)) !== undefined) return false;
      await pause(BURNED_LOOK_MS);
    }
    return true;
  }

  function finish(items: readonly Waiting[], block: Block): void {
    let at = 0;
    for (const { submission, resolve } of items) {
      const end = at + submission.calls.length;
      submission.onCommitted(block.fields.slice(at, end));
      at = end;
      resolve();
    }
  }

  /** Commits the items; returns those that are still to be written. */
  async function writeOnce(
    items: readonly Waiting[],
    burned: Map<number, number>,
  ): Promise<readonly Waiting[]> {
    const block = await makeBlock(deps, callsOf(items));
    reach('judged');
    const owner = await commit(block, items, burned.get(block.position) ?? 0);
    if (owner === block.writer) {
      reach('committed');
      await state.applyOwn(block.position, block.events, block.rules);
      reach('applied');
      finish(items, block);
      return [];
    }
    if (owner !== undefined) {
      await state.catchUp();
      return items;
    }
    // Nobody has the position: chunks were there already, or the token was burned by a kill.
    const present = await log.presentChunks(items.map(({ submission }) => submission.chunk));
    if (present.size === 0) {
      if (await isBurned(block.position))
        burned.set(block.position, (burned.get(block.position) ?? 0) + 1);
      await state.catchUp();
      return items;
    }
    const stored = items.filter(({ submission }) => present.has(submission.chunk.chunkId));
    for (const item of stored) item.resolve();
    return items.filter((item) => !stored.includes(item));
  }

  async function writeAll(items: readonly Waiting[]): Promise<void> {
    const burned = new Map<number, number>();
    let left = items;
    for (let attempt = 0; left.length > 0; attempt++) {
      if (attempt === ATTEMPTS_MAX)
        throw new AppError('GATE_BUSY', `lane ${lane} was taken ${ATTEMPTS_MAX} times`);
      // Renewed: a block that took long may have lost its turn.
      await turn.take();
      left = await writeOnce(left, burned);
    }
  }

  /** The items with what ClickHouse refuses of them poisoned, or undefined when it can read all of it. */
  async function withoutRefused(
    items: readonly Waiting[],
    reason: string,
  ): Promise<readonly Waiting[] | undefined> {
    const { rows } = await makeBlock(deps, callsOf(items));
    const refused = await refusedRows(clickhouse, POSTBACK_COLUMNS, rows);
    if (refused.length === 0) return undefined;
    logger.error({ lane, rows: refused.length, error: reason }, 'ClickHouse refused rows');
    return withPoisoned(items, new Set(refused), `could not be stored as judged: ${reason}`);
  }

  /** Rows that ClickHouse refuses are found and stored as malformed; any other failure is the callers' to repeat. */
  async function writeOrReject(items: readonly Waiting[]): Promise<void> {
    try {
      try {
        await writeAll(items);
      } catch (error) {
        if (isRetryable(error)) throw error;
        const storable = await withoutRefused(items, messageOf(error).slice(0, REASON_MAX));
        if (storable === undefined) throw error;
        await writeAll(storable);
      }
    } catch (error) {
      for (const item of items) item.reject(error);
    }
  }

  async function run(): Promise<void> {
    while (waiting.length > 0) {
      // Before the block is made up: what is submitted meanwhile is in it, too.
      await turn.take();
      await writeOrReject(takeBlock());
      turn.release();
    }
    // In the same turn as the last look at the list: nothing can slip in between.
    running = false;
  }

  return {
    submit(submission) {
      return new Promise((resolve, reject) => {
        waiting.push({ submission, resolve, reject });
        if (running) return;
        running = true;
        // After this turn: chunks that arrive together share a block.
        setImmediate(() => {
          run().catch((error: unknown) => {
            running = false;
            logger.error({ lane, error: messageOf(error) }, 'a lane writer failed');
          });
        });
      });
    },
    close: () => state.close(),
  };
}
