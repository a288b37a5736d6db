/** What comes before the lanes: a chunk's calls decoded, looked up, judged as far as the catalogue goes. Writes nothing. */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { messageOf } from '../../src/domain/app-error.ts';
import { snapshotOfAdvertiser, type CatalogueSnapshot } from '../../src/domain/catalogue.ts';
import type { ClickIdCodec, OpenedClickId } from '../../src/domain/click-id.ts';
import { claimantOf, laneOf } from '../../src/domain/gate-request.ts';
import { FULL_IPS, type IpStorage } from '../../src/domain/ip-storage.ts';
import type { Chunk, ConversionHit } from '../../src/domain/hit.ts';
import {
  decodeCall,
  parameterOf,
  type Call,
  type ReplayOrigin,
} from '../../src/domain/judge/call.ts';
import { bareFields, withStoredIps, type PostbackFields } from '../../src/domain/judge/fields.ts';
import { judgeCall, repeatedFields, settleCall } from '../../src/domain/judge/judge.ts';
import {
  lookupsOf,
  type ClickAnswer,
  type Lookups,
  type StoredTransaction,
} from '../../src/domain/judge/resolve.ts';
import { msOfUuidV7 } from '../../src/domain/uuid-v7.ts';
import type { LaneCall } from '../gate/lane-block.ts';
import type { AnswerClicks } from './click-answers.ts';
import { inPieces } from '../in-pieces.ts';
import { postbackRow, type Enrichment } from './rows.ts';
import { findTransactions } from './transactions.ts';

/** A transaction that was acknowledged this recently may still be on its way to its verdict. */
const TRANSACTION_YOUNG_MS = 5_000;

/** Batches in work at once come from a few advertisers. */
const VIEWS_MAX = 16;

export interface PreparationDeps {
  readonly clickhouse: ClickHouse;
  readonly answerClicks: AnswerClicks;
  readonly snapshotAt: (version: number) => Promise<CatalogueSnapshot>;
  readonly codecOf: (snapshot: CatalogueSnapshot) => ClickIdCodec;
  readonly enrichment: Enrichment;
  readonly ips?: IpStorage;
  readonly clock: () => number;
}

export type CallsByLane = ReadonlyMap<number, readonly LaneCall[]>;

/** The calls of a chunk by lane, to be judged by its gate. */
export type PreparedCalls =
  | { readonly kind: 'ready'; readonly byLane: CallsByLane }
  | { readonly kind: 'wait' };

interface Prepared {
  readonly call: Call;
  readonly lookups: Lookups;
  /** The catalogue as the call may see it. */
  readonly snapshot: CatalogueSnapshot;
  /** Why a replay can't count, and the transaction that counts instead; decided before any judging. */
  readonly repeats: { readonly detail: string; readonly transactionId: string } | undefined;
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

/** `transactionId` is '' of a call whose first replay went to an offer of another lane and did not count. */
function repeatDetail(original: string, transactionId: string): string {
  return transactionId === ''
    ? `the call ${original} was replayed for another offer before, where alone it can count: enter this one by hand`
    : `the call ${original} counts once; a replay of it did already, as transaction ${transactionId}`;
}

/** A click id or a transaction names the offer for ever; a promo code or a cookie is looked up in the catalogue. */
function mayMove(call: Call): boolean {
  const byClick = call.hit.endpoint !== 'promo' && parameterOf(call, 'click_id') !== '';
  return !byClick || parameterOf(call, 'transaction_id') !== '';
}

/** Why replays of a chunk can't count: the original is no rejected call, or is replayed by an earlier line already. */
function createRepeatFinder() {
  const lines = new Map<string, number>();
  return ({ replayedFrom, countedAs }: ReplayOrigin, line: number): Prepared['repeats'] => {
    if (countedAs !== undefined) {
      const detail = `the call ${replayedFrom} was accepted when it came: only rejected calls are replayed`;
      return { detail, transactionId: countedAs };
    }
    const earlier = lines.get(replayedFrom);
    if (earlier === undefined) {
      lines.set(replayedFrom, line);
      return undefined;
    }
    const detail = `the call ${replayedFrom} is replayed by line ${earlier} already: it counts once`;
    return { detail, transactionId: '' };
  };
}

export function createCallPreparation(deps: PreparationDeps) {
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
    codec: ClickIdCodec,
    click: ClickAnswer,
    transaction: StoredTransaction | undefined,
  ): {
    readonly lane: number;
    readonly call: LaneCall;
    readonly provisional: StoredTransaction | undefined;
  } {
    const { call: decoded, snapshot, repeats } = prepared;
    const input = { snapshot, codec, call: decoded, click, transaction };
    const { hit, replayedFrom } = decoded;
    const place = {
      header: chunk.header,
      chunkHits: chunk.hits.length,
      batchLine: hit.batch?.line ?? 0,
      // A replay keeps quiet when it was asked to, and when the file that brought the original was.
      suppressPostbacks: [chunk.header.batch, decoded.batch].some(
        (batch) => batch?.suppressPostbacks === true,
      ),
      callerIp: hit.ip,
    };
    const kept = (fields: PostbackFields): PostbackFields => withStoredIps(fields, ips);
    const poison = (reason: string): PostbackFields => kept(bareFields(decoded, reason));
    const common: Pick<LaneCall, 'poison' | 'toRow' | 'original' | 'repeat'> = {
      poison,
      toRow: (fields, block) => postbackRow(fields, block, place, deps.enrichment),
      ...(replayedFrom !== '' && {
        original: { hitId: replayedFrom, hitTimeMs: hit.receivedAtMs, mayMove: mayMove(decoded) },
        repeat: (id: string) => kept(repeatedFields(input, repeatDetail(replayedFrom, id), id)),
      }),
    };
    let judged: ReturnType<typeof judgeCall>;
    try {
      judged = judgeCall(input);
    } catch (error) {
      // A defect of ours in one call must not hold up the rest of the chunk (invariant 9).
      const settle = () => poison(`could not be judged: ${messageOf(error)}`);
      return {
        lane: laneOf(0),
        provisional: undefined,
        call: { ...common, request: undefined, settle },
      };
    }
    const { lane } = judged;
    if (repeats !== undefined) {
      const settle = () => kept(repeatedFields(input, repeats.detail, repeats.transactionId));
      // Without an original: it is no replay that could count.
      const { poison: spoil, toRow } = common;
      return {
        lane,
        provisional: undefined,
        call: { request: undefined, settle, poison: spoil, toRow },
      };
    }
    if (judged.kind === 'invalid') {
      const { fields } = judged;
      return {
        lane,
        provisional: undefined,
        call: { ...common, request: undefined, settle: () => kept(fields) },
      };
    }
    const { item } = judged;
    const request = { ...judged.request, uniqueIp: ips.key(judged.request.uniqueIp) };
    return {
      lane,
      provisional: { conversion: claimantOf(request), inBlock: true },
      call: {
        ...common,
        request,
        settle: (reply) =>
          kept(settleCall(item, request, reply ?? { kind: 'transaction-not-found' })),
      },
    };
  }

  return async function prepare(
    chunk: Chunk,
    replay?: ReadonlyMap<string, ReplayOrigin>,
  ): Promise<PreparedCalls> {
    const whole = await deps.snapshotAt(chunk.header.catalogueVersion);
    const codec = deps.codecOf(whole);
    const { batch } = chunk.header;
    const findRepeat = createRepeatFinder();
    const hits = chunk.hits.filter((hit): hit is ConversionHit => hit.endpoint !== 'click');
    const prepared: Prepared[] = [];
    await inPieces(hits, (hit) => {
      const origin = replay?.get(hit.hitId);
      // A replay may do what its original might, whoever asked for it.
      const call = decodeCall(hit, origin, origin === undefined ? batch : origin.batch);
      const snapshot =
        call.batch === undefined || call.batch.advertiserId === 0
          ? whole
          : seenBy(whole, call.batch.advertiserId);
      const repeats = origin && findRepeat(origin, hit.batch?.line ?? 0);
      prepared.push({ call, snapshot, repeats, lookups: lookupsOf(call, snapshot, codec) });
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
    await inPieces(prepared, (item) => {
      const { clickId, transactionId } = item.lookups;
      const click = clickId === '' ? 'not-asked' : (clicks.answers.get(clickId) ?? 'unknown');
      const transaction = transactions.found.get(transactionId) ?? provisional.get(transactionId);
      const made = toLaneCall(item, chunk, codec, click, transaction);
      if (made.provisional !== undefined)
        provisional.set(made.provisional.conversion.transactionId, made.provisional);
      const calls = byLane.get(made.lane);
      if (calls === undefined) byLane.set(made.lane, [made.call]);
      else calls.push(made.call);
    });
    return { kind: 'ready', byLane };
  };
}
