/**
 * One call counts once, however often it is replayed: which replays repeat one that counted follows from the log alone,
 * never from Redis. Exact within a lane; `replay-lanes.ts` keeps the replays of a call in one.
 */
import type { GateRequest } from '../../src/domain/gate-request.ts';
import type { LaneLog, Original, ReplayClaims } from './lane-log.ts';
import type { Judgement, LaneState } from './lane-state.ts';

/** As much of a call in a lane as is needed here. */
export interface JudgeableCall {
  readonly request: GateRequest | undefined;
  readonly original?: Original | undefined;
}

/** Of the calls, those whose original was replayed with success before, with its transaction. */
export type Repeats<Call> = ReadonlyMap<Call, string>;

function repeatsOf<Call extends JudgeableCall>(
  calls: readonly Call[],
  claims: ReplayClaims,
): Repeats<Call> {
  const repeats = new Map<Call, string>();
  for (const call of calls) {
    const transaction = call.original && claims.transactions.get(call.original.hitId);
    if (transaction !== undefined) repeats.set(call, transaction);
  }
  return repeats;
}

/** What the gate is asked of these calls, in their order. */
export function requestsOf<Call extends JudgeableCall>(
  calls: readonly Call[],
  repeats: Repeats<Call>,
): readonly GateRequest[] {
  return calls
    .filter((call) => !repeats.has(call))
    .map(({ request }) => request)
    .filter((request) => request !== undefined);
}

/**
 * Judges the calls against the blocks up to a position, and replays also against the log: what it holds up to there is
 * known, and the block can only become the next position. Calls of one original must not meet in `calls`.
 */
export async function judgeOnce<Call extends JudgeableCall>(
  calls: readonly Call[],
  log: Pick<LaneLog, 'replayed'>,
  state: Pick<LaneState, 'judge'>,
): Promise<{ readonly judgement: Judgement; readonly repeats: Repeats<Call> }> {
  const originals = calls
    .map(({ original }) => original)
    .filter((original) => original !== undefined);
  if (originals.length === 0) {
    const repeats: Repeats<Call> = new Map();
    return { judgement: await state.judge(requestsOf(calls, repeats)), repeats };
  }
  let claims = await log.replayed(originals);
  for (;;) {
    const repeats = repeatsOf(calls, claims);
    const judgement = await state.judge(requestsOf(calls, repeats));
    if (judgement.position <= claims.upTo) return { judgement, repeats };
    // Blocks came in between: they change nothing unless they hold replays of the same calls.
    const later = await log.replayed(originals);
    if (later.transactions.size === claims.transactions.size) return { judgement, repeats };
    claims = later;
  }
}
