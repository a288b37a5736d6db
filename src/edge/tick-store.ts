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
import type { Respond } from './uws-adapter.ts';

/** A hit and the answer it gets once it is stored. */
export interface HitToStore {
  readonly kind: ChunkKind;
  readonly endpoint: Endpoint;
  readonly receivedAtMs: number;
  readonly record: string;
  readonly answer: Answer;
}

interface Pending {
  readonly hit: HitToStore;
  readonly respond: Respond;
}

export interface TickStore {
  add(hit: HitToStore, catalogueVersion: number, respond: Respond): void;
}

export function createTickStore(deps: {
  readonly writer: ChunkWriter;
  readonly counters: EdgeCounters;
  readonly reach: Reach;
}): TickStore {
  const { writer, counters, reach } = deps;
  let pending: Pending[] = [];
  let scheduled = false;
  /** When the first hit of this tick came: a chunk opened for them must not be younger than any click id in it. */
  let startedMs = 0;
  let version = 0;

  function refuseAll(batch: readonly Pending[], error: unknown): void {
    counters.refuse('not_stored', batch.length);
    const answer = notStoredAnswer(messageOf(error));
    for (const { hit, respond } of batch) {
      counters.answer(hit.endpoint, answer.status);
      respond(answer);
    }
  }

  function store(kind: ChunkKind, batch: readonly Pending[]): void {
    if (batch.length === 0) return;
    try {
      writer.append(
        kind,
        batch.map(({ hit }) => hit.record),
        { receivedAtMs: startedMs, catalogueVersion: version },
      );
    } catch (error) {
      counters.spoolWritable = false;
      refuseAll(batch, error);
      return;
    }
    reach('spool-written');
    counters.spoolWritable = true;
    counters.store(kind, batch.length);
    for (const { hit, respond } of batch) {
      counters.answer(hit.endpoint, hit.answer.status);
      respond(hit.answer);
    }
    reach('answered');
  }

  function storePending(): void {
    const batch = pending;
    pending = [];
    store(
      'clicks',
      batch.filter(({ hit }) => hit.kind === 'clicks'),
    );
    store(
      'conversions',
      batch.filter(({ hit }) => hit.kind === 'conversions'),
    );
  }

  function endTick(): void {
    scheduled = false;
    storePending();
    writer.closeDue();
  }

  return {
    add(hit, catalogueVersion, respond) {
      // The catalogue changed within the tick: what was judged under the old one is stored under the old one.
      if (pending.length > 0 && catalogueVersion !== version) storePending();
      if (pending.length === 0) {
        startedMs = hit.receivedAtMs;
        version = catalogueVersion;
      }
      pending.push({ hit, respond });
      if (scheduled) return;
      scheduled = true;
      // After the poll phase: every request that this tick brought is in `pending` by then.
      setImmediate(endTick);
    },
  };
}
