/** A chunk of conversion calls: prepared, then given to the lanes. One promise a chunk and lane, none a hit. */
import { FULL_IPS } from '../../src/domain/ip-storage.ts';
import type { Chunk } from '../../src/domain/hit.ts';
import type { ReplayOrigin } from '../../src/domain/judge/call.ts';
import type { PostbackFields } from '../../src/domain/judge/fields.ts';
import type { LaneCall } from '../gate/lane-block.ts';
import type { LaneWriter } from '../gate/lane-writer.ts';
import { createReplayLanes } from '../gate/replay-lanes.ts';
import {
  createCallPreparation,
  type CallsByLane,
  type PreparationDeps,
  type PreparedCalls,
} from './prepare-calls.ts';
import { readReplayedCalls } from './replayed-calls.ts';

export type ChunkOutcome = { readonly kind: 'stored' } | { readonly kind: 'wait' };

export interface ConversionDeps extends PreparationDeps {
  readonly lanes: readonly LaneWriter[];
  readonly onCommitted: (fields: readonly PostbackFields[]) => void;
}

export function createConversionIngest(deps: ConversionDeps) {
  const prepare = createCallPreparation(deps);
  const decideLanes = createReplayLanes(deps.clickhouse);

  /** A chunk that comes again finds more transactions: what they change stays in the lane where it may be stored already. */
  async function keepChanges(byLane: CallsByLane): Promise<CallsByLane> {
    const wanted = new Map<string, number>();
    for (const [lane, calls] of byLane)
      for (const { change } of calls) if (change) wanted.set(`change:${change.hitId}`, lane);
    const decided = await decideLanes(wanted);
    if (decided.size === 0) return byLane;
    const kept = new Map<number, LaneCall[]>();
    for (const [lane, calls] of byLane)
      for (const call of calls) {
        const { change } = call;
        const first = (change && decided.get(`change:${change.hitId}`)) ?? lane;
        const stays = first === lane || change === undefined;
        const known = kept.get(first) ?? [];
        kept.set(first, known);
        known.push(stays ? call : { ...call, request: undefined, settle: () => change.late() });
      }
    return kept;
  }

  /** Replays that were decided to be judged in another lane can't count in the one that they fell into now. */
  async function keepInLanes(byLane: CallsByLane): Promise<CallsByLane> {
    const wanted = new Map<string, number>();
    for (const [lane, calls] of byLane)
      for (const { original, request } of calls)
        if (original?.mayMove === true && request !== undefined) wanted.set(original.hitId, lane);
    const decided = await decideLanes(wanted);
    if (decided.size === 0) return byLane;
    const stays = (call: LaneCall, lane: number): LaneCall => {
      const { original, repeat } = call;
      const elsewhere = original !== undefined && (decided.get(original.hitId) ?? lane) !== lane;
      if (!elsewhere || repeat === undefined) return call;
      return { ...call, request: undefined, settle: () => repeat('') };
    };
    return new Map([...byLane].map(([lane, calls]) => [lane, calls.map((c) => stays(c, lane))]));
  }

  /** A replay's chunk names stored calls; any other holds its own. */
  function prepareAny(
    chunk: Chunk,
    replay: ReadonlyMap<string, ReplayOrigin> | undefined,
  ): Promise<PreparedCalls> {
    if (chunk.header.batch?.kind !== 'replay') return prepare(chunk, replay);
    return readReplayedCalls(deps.clickhouse, deps.ips ?? FULL_IPS, chunk).then((read) =>
      prepare(read.chunk, read.origins),
    );
  }

  /** Judges and stores a chunk. `wait`: nothing was stored; deliver it again a little later. */
  return async function ingest(
    chunk: Chunk,
    replay?: ReadonlyMap<string, ReplayOrigin>,
  ): Promise<ChunkOutcome> {
    const prepared = await prepareAny(chunk, replay);
    if (prepared.kind === 'wait') return prepared;
    const byLane = await keepInLanes(await keepChanges(prepared.byLane));
    const { chunkId, openedAtMs, catalogueVersion } = chunk.header;
    await Promise.all(
      [...byLane].map(([lane, calls]) => {
        const writer = deps.lanes[lane];
        if (writer === undefined) throw new Error(`no lane ${lane}`);
        return writer.submit({
          chunk: { chunkId, openedAtMs },
          catalogueVersion,
          calls,
          ofBatch: chunk.header.batch !== undefined,
          onCommitted: deps.onCommitted,
        });
      }),
    );
    return { kind: 'stored' };
  };
}
export type IngestConversions = ReturnType<typeof createConversionIngest>;
