/**
 * The hits of one event-loop tick: stored by one write a kind, and only then answered (invariant 1). A tick's hits were
 * judged under one catalogue version, which their chunk's header names.
 */
import { messageOf } from '../domain/app-error.ts';
import type { Reach } from '../domain/crash-points.ts';
import type { ChunkKind, Endpoint } from '../domain/hit.ts';
import type { ChunkWriter } from '../spool/chunk-writer.ts';
import { notStoredAnswer, type Answer } from './answers.ts';
import type { EdgeCounters } from './counters.ts';
import { createGather } from './gather.ts';
import type { Respond } from './uws-adapter.ts';

/** A hit and the answer it gets once it is stored. */
export interface HitToStore {
  readonly kind: ChunkKind;
  readonly endpoint: Endpoint;
  readonly receivedAtMs: number;
  readonly record: string;
  readonly answer: Answer;
}

/** The hits of a tick and kind, side by side: their records are written as they are. */
interface Batch {
  readonly hits: HitToStore[];
  readonly records: string[];
  readonly responds: Respond[];
}

const emptyBatch = (): Batch => ({ hits: [], records: [], responds: [] });

export interface TickStore {
  add(hit: HitToStore, catalogueVersion: number, respond: Respond): void;
}

export function createTickStore(deps: {
  readonly writer: ChunkWriter;
  readonly counters: EdgeCounters;
  readonly reach: Reach;
}): TickStore {
  const { writer, counters, reach } = deps;
  const gather = createGather();
  let pending: Record<ChunkKind, Batch> = { clicks: emptyBatch(), conversions: emptyBatch() };
  let isEmpty = true;
  let scheduled = false;
  /** When the oldest hit of this tick came: a chunk opened for them must not be younger than any click id in it. */
  let startedMs = 0;
  let version = 0;

  function refuseAll({ hits, responds }: Batch, error: unknown): void {
    counters.refuse('not_stored', hits.length);
    const answer = notStoredAnswer(messageOf(error));
    for (const [index, hit] of hits.entries()) {
      counters.answer(hit.endpoint, answer.status);
      responds[index]?.(answer);
    }
  }

  function store(kind: ChunkKind, batch: Batch): void {
    const { hits, records, responds } = batch;
    if (hits.length === 0) return;
    try {
      writer.append(kind, records, { receivedAtMs: startedMs, catalogueVersion: version });
    } catch (error) {
      counters.spoolWritable = false;
      refuseAll(batch, error);
      return;
    }
    reach('spool-written');
    counters.spoolWritable = true;
    counters.store(kind, hits.length);
    for (const [index, { endpoint, answer }] of hits.entries()) {
      counters.answer(endpoint, answer.status);
      responds[index]?.(answer);
    }
    reach('answered');
  }

  function storePending(): number {
    if (isEmpty) return 0;
    const { clicks, conversions } = pending;
    // Answers may bring new requests: they belong to the next batch.
    pending = { clicks: emptyBatch(), conversions: emptyBatch() };
    isEmpty = true;
    store('clicks', clicks);
    store('conversions', conversions);
    return clicks.hits.length + conversions.hits.length;
  }

  function endTick(): void {
    scheduled = false;
    const hits = storePending();
    writer.closeDue();
    gather.afterTick(hits);
  }

  return {
    add(hit, catalogueVersion, respond) {
      // The catalogue changed within the tick: what was judged under the old one is stored under the old one.
      if (!isEmpty && catalogueVersion !== version) storePending();
      if (isEmpty) {
        isEmpty = false;
        startedMs = Infinity;
        version = catalogueVersion;
      }
      // The clock may be set back between two of them.
      startedMs = Math.min(startedMs, hit.receivedAtMs);
      const batch = pending[hit.kind];
      batch.hits.push(hit);
      batch.records.push(hit.record);
      batch.responds.push(respond);
      if (scheduled) return;
      scheduled = true;
      // After the poll phase: every request that this tick brought is in `pending` by then.
      setImmediate(endTick);
    },
  };
}
