/** A chunk of conversion calls: decode → look up → judge → lanes. One promise a chunk and lane, none a hit. */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { messageOf } from '../../src/domain/app-error.ts';
import { snapshotOfAdvertiser, type CatalogueSnapshot } from '../../src/domain/catalogue.ts';
import type { ClickIdCodec, OpenedClickId } from '../../src/domain/click-id.ts';
import { claimantOf, laneOf } from '../../src/domain/gate-request.ts';
import { FULL_IPS, type IpStorage } from '../../src/domain/ip-storage.ts';
import type { Chunk, ConversionHit } from '../../src/domain/hit.ts';
import { decodeCall, type Call, type ReplayOrigin } from '../../src/domain/judge/call.ts';
import { bareFields, withStoredIps, type PostbackFields } from '../../src/domain/judge/fields.ts';
import { judgeCall, settleCall } from '../../src/domain/judge/judge.ts';
import {
  lookupsOf,
  type ClickAnswer,
  type Lookups,
  type StoredTransaction,
} from '../../src/domain/judge/resolve.ts';
import { msOfUuidV7 } from '../../src/domain/uuid-v7.ts';
import type { LaneCall, LaneWriter } from '../gate/lane-writer.ts';
import type { AnswerClicks } from './click-answers.ts';
import { postbackRow, type Enrichment } from './rows.ts';
import { findTransactions } from './transactions.ts';

/** A transaction that was acknowledged this recently may still be on its way to its verdict. */
const TRANSACTION_YOUNG_MS = 5_000;

/** Batches in work at once come from a few advertisers. */
const VIEWS_MAX = 16;

export type ChunkOutcome = { readonly kind: 'stored' } | { readonly kind: 'wait' };

export interface ConversionDeps {
  readonly clickhouse: ClickHouse;
  readonly answerClicks: AnswerClicks;
  readonly lanes: readonly LaneWriter[];
  readonly snapshotAt: (version: number) => Promise<CatalogueSnapshot>;
  readonly codecOf: (snapshot: CatalogueSnapshot) => ClickIdCodec;
  readonly enrichment: Enrichment;
  readonly ips?: IpStorage;
  readonly clock: () => number;
  readonly onCommitted: (fields: readonly PostbackFields[]) => void;
}

interface Prepared {
  readonly call: Call;
  readonly lookups: Lookups;
}

type Transactions =
  | { readonly kind: 'known'; readonly found: ReadonlyMap<string, StoredTransaction> }
  | { readonly kind: 'wait' };

/** The catalogue as an advertiser sees it, kept for the next chunk of their batch. */
function createAdvertiserViews() {
  const views = new Map<string, CatalogueSnapshot>();
  return (snapshot: CatalogueSnapshot, advertiserId: number): CatalogueSnapshot => {
    const key = `${snapshot.version}:${advertiserId}`;
    let view = views.get(key);
    if (view === undefined) {
      if (views.size >= VIEWS_MAX) views.clear();
      view = snapshotOfAdvertiser(snapshot, advertiserId);
      views.set(key, view);
    }
    return view;
  };
}

export function createConversionIngest(deps: ConversionDeps) {
  const ips = deps.ips ?? FULL_IPS;

  const seenBy = createAdvertiserViews();

  async function transactionsOf(prepared: readonly Prepared[]): Promise<Transactions> {
    const ids = new Set(
      prepared.map(({ lookups }) => lookups.transactionId).filter((id) => id !== ''),
    );
    const found = await findTransactions(deps.clickhouse, ids, ips);
    const inChunk = new Set(prepared.map(({ call }) => call.hit.hitId));
    for (const id of ids) {
      const age = deps.clock() - (msOfUuidV7(id) ?? 0);
      if (!found.has(id) && !inChunk.has(id) && age >= 0 && age < TRANSACTION_YOUNG_MS)
        return { kind: 'wait' };
    }
    return { kind: 'known', found };
  }

  function toLaneCall(
    prepared: Prepared,
    chunk: Chunk,
    context: { readonly snapshot: CatalogueSnapshot; readonly codec: ClickIdCodec },
    click: ClickAnswer,
    transaction: StoredTransaction | undefined,
  ): {
    readonly lane: number;
    readonly call: LaneCall;
    readonly provisional: StoredTransaction | undefined;
  } {
    const input = { ...context, call: prepared.call, click, transaction };
    const place = {
      header: chunk.header,
      chunkHits: chunk.hits.length,
      batchLine: prepared.call.hit.batch?.line ?? 0,
      suppressPostbacks: prepared.call.batch?.suppressPostbacks === true,
      callerIp: prepared.call.hit.ip,
    };
    const toRow: LaneCall['toRow'] = (fields, block) =>
      postbackRow(fields, block, place, deps.enrichment);
    const kept = (fields: PostbackFields): PostbackFields => withStoredIps(fields, ips);
    const poison = (reason: string): PostbackFields => kept(bareFields(prepared.call, reason));
    let judged: ReturnType<typeof judgeCall>;
    try {
      judged = judgeCall(input);
    } catch (error) {
      // A defect of ours in one call must not hold up the rest of the chunk (invariant 9).
      const settle = () => poison(`could not be judged: ${messageOf(error)}`);
      const call = { request: undefined, settle, poison, toRow };
      return { lane: laneOf(0), provisional: undefined, call };
    }
    if (judged.kind === 'invalid') {
      const { fields, lane } = judged;
      const call = { request: undefined, settle: () => kept(fields), poison, toRow };
      return { lane, provisional: undefined, call };
    }
    const { item } = judged;
    const request = { ...judged.request, uniqueIp: ips.key(judged.request.uniqueIp) };
    return {
      lane: judged.lane,
      provisional: { conversion: claimantOf(request), inBlock: true },
      call: {
        request,
        settle: (reply) =>
          kept(settleCall(item, request, reply ?? { kind: 'transaction-not-found' })),
        poison,
        toRow,
      },
    };
  }

  /** Judges and stores a chunk. `wait`: nothing was stored; deliver it again a little later. */
  return async function ingest(
    chunk: Chunk,
    replay?: ReadonlyMap<string, ReplayOrigin>,
  ): Promise<ChunkOutcome> {
    const whole = await deps.snapshotAt(chunk.header.catalogueVersion);
    const codec = deps.codecOf(whole);
    const { batch } = chunk.header;
    const snapshot =
      batch === undefined || batch.advertiserId === 0 ? whole : seenBy(whole, batch.advertiserId);
    const hits = chunk.hits.filter((hit): hit is ConversionHit => hit.endpoint !== 'click');
    const prepared = hits.map((hit) => {
      const origin = replay?.get(hit.hitId);
      const call = decodeCall(hit, origin, batch ?? origin?.batch);
      return { call, lookups: lookupsOf(call, snapshot, codec) };
    });
    const ids = new Map<string, OpenedClickId>();
    for (const { lookups } of prepared) {
      if (lookups.clickId !== '' && lookups.openedClickId !== undefined)
        ids.set(lookups.clickId, lookups.openedClickId);
    }
    const clicks = await deps.answerClicks(ids);
    if (clicks.kind === 'wait') return { kind: 'wait' };
    const transactions = await transactionsOf(prepared);
    if (transactions.kind === 'wait') return { kind: 'wait' };

    const byLane = new Map<number, LaneCall[]>();
    const provisional = new Map<string, StoredTransaction>();
    for (const item of prepared) {
      const { clickId, transactionId } = item.lookups;
      const click = clickId === '' ? 'not-asked' : (clicks.answers.get(clickId) ?? 'unknown');
      const transaction = transactions.found.get(transactionId) ?? provisional.get(transactionId);
      const made = toLaneCall(item, chunk, { snapshot, codec }, click, transaction);
      if (made.provisional !== undefined)
        provisional.set(made.provisional.conversion.transactionId, made.provisional);
      const calls = byLane.get(made.lane);
      if (calls === undefined) byLane.set(made.lane, [made.call]);
      else calls.push(made.call);
    }
    const { chunkId, openedAtMs, catalogueVersion } = chunk.header;
    await Promise.all(
      [...byLane].map(([lane, calls]) => {
        const writer = deps.lanes[lane];
        if (writer === undefined) throw new Error(`no lane ${lane}`);
        return writer.submit({
          chunk: { chunkId, openedAtMs },
          catalogueVersion,
          calls,
          ofBatch: batch !== undefined,
          onCommitted: deps.onCommitted,
        });
      }),
    );
    return { kind: 'stored' };
  };
}
export type IngestConversions = ReturnType<typeof createConversionIngest>;
