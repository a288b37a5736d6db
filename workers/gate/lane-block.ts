/** A block of a lane: calls, judged together against one state, as the rows that may become the next position. */
import { randomUUID } from 'node:crypto';
import type { Row } from '../../clickhouse/insert.ts';
import { messageOf } from '../../src/domain/app-error.ts';
import type { AcceptedConversion, GateReply, GateRequest } from '../../src/domain/gate-request.ts';
import type { PostbackFields } from '../../src/domain/judge/fields.ts';
import type { ClaimNames, GateEvent, RuleSignature } from './claims.ts';
import type { LaneLog, Original } from './lane-log.ts';
import type { LaneState } from './lane-state.ts';
import { inPieces } from '../in-pieces.ts';
import { judgeOnce, requestsOf } from './replay-claims.ts';

/** One call on its way through a lane. */
export interface LaneCall {
  /** Undefined: rejected before the gate; `settle` is then called with undefined. */
  readonly request: GateRequest | undefined;
  readonly settle: (reply: GateReply | undefined) => PostbackFields;
  /** The fields when the call itself is at fault: nothing derived from it. */
  readonly poison: (reason: string) => PostbackFields;
  /** The transaction that the call names tells its lane: the first delivery decides it. The fields when it was another. */
  readonly change?: { readonly hitId: string; readonly late: () => PostbackFields } | undefined;
  /** The call that this one replays: of all its replays, in whatever chunks, one counts. */
  readonly original?: Original | undefined;
  /** The fields when a replay of the original counted before, with the transaction that it created or changed. */
  readonly repeat?: ((transactionId: string) => PostbackFields) | undefined;
  /** The rest of the row: client and chunk columns are the caller's. */
  readonly toRow: (fields: PostbackFields, block: BlockColumns) => Row;
}

export interface BlockColumns {
  readonly lane: number;
  readonly position: number;
  readonly blockRow: number;
  readonly writer: string;
  readonly blockTimeS: number;
}

export interface Block {
  readonly position: number;
  readonly writer: string;
  readonly rows: readonly Row[];
  readonly fields: readonly PostbackFields[];
  readonly events: readonly GateEvent[];
  readonly rules: ReadonlyMap<number, RuleSignature>;
}

function acceptedOf(request: GateRequest, fields: PostbackFields): AcceptedConversion {
  return {
    transactionId: fields.hit_id,
    hitTimeMs: fields.hit_time_ms,
    offerId: fields.offer_id,
    goalId: fields.goal_id,
    affiliateId: fields.affiliate_id,
    clickId: request.clickId,
    orderId: fields.adv_order_id,
    trackId: fields.track_id,
    uniqueIp: request.uniqueIp,
  };
}

/** What a settled call does to the gate's state: as the log will say it (`lane-log.ts`). */
function eventOf(
  request: GateRequest,
  names: ClaimNames | undefined,
  fields: PostbackFields,
): GateEvent | undefined {
  if (fields.row_kind === 'conversion')
    return {
      conversion: acceptedOf(request, fields),
      releasedBy: '',
      judged: names && { request, names },
    };
  if (request.release === undefined || fields.released === 0) return undefined;
  return { conversion: request.release, releasedBy: fields.hit_id };
}

/** A defect of ours in one call must not hold up the rest of its block (invariant 9). */
function settleCall(
  call: LaneCall,
  reply: GateReply | undefined,
  repeated: string | undefined,
  block: BlockColumns,
): { readonly settled: PostbackFields; readonly row: Row } {
  try {
    const settled =
      repeated === undefined || call.repeat === undefined
        ? call.settle(reply)
        : call.repeat(repeated);
    return { settled, row: call.toRow(settled, block) };
  } catch (error) {
    const settled = call.poison(`could not be judged: ${messageOf(error)}`);
    return { settled, row: call.toRow(settled, block) };
  }
}

/** The call as a row of the raw request alone. */
export function poisoned(call: LaneCall, reason: string): LaneCall {
  return { ...call, request: undefined, settle: () => call.poison(reason) };
}

interface BlockDeps {
  readonly lane: number;
  readonly log: LaneLog;
  readonly state: LaneState;
  readonly clock: () => number;
}

/** Judges the calls against the lane as it stands, and makes the block that may become its next position. */
export async function makeBlock(
  { lane, log, state, clock }: BlockDeps,
  calls: readonly LaneCall[],
): Promise<Block> {
  const { judgement, repeats } = await judgeOnce(calls, log, state);
  const requests = requestsOf(calls, repeats);
  const writer = randomUUID();
  const position = judgement.position + 1;
  const blockTimeS = Math.floor(clock() / 1000);
  const events: GateEvent[] = [];
  const rows: Row[] = [];
  const fields: PostbackFields[] = [];
  let asked = 0;
  await inPieces(calls, (call, blockRow) => {
    const asks = call.request !== undefined && !repeats.has(call);
    const number = asks ? asked++ : -1;
    const reply = judgement.replies[number];
    const { settled, row } = settleCall(call, reply, repeats.get(call), {
      lane,
      position,
      blockRow,
      writer,
      blockTimeS,
    });
    fields.push(settled);
    rows.push(row);
    const event = call.request && eventOf(call.request, judgement.names[number], settled);
    if (event !== undefined) events.push(event);
  });
  const rules = new Map(requests.map((request) => [request.offerId, request.rules]));
  return { position, writer, rows, fields, events, rules };
}
