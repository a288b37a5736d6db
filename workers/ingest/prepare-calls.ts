/** What comes before the lanes: a chunk's calls decoded, looked up, judged as far as the catalogue goes. Writes nothing. */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { messageOf } from '../../src/domain/app-error.ts';
import { snapshotOfAdvertiser, type CatalogueSnapshot } from '../../src/domain/catalogue.ts';
import { withOpened, type ClickIdCodec, type OpenedClickId } from '../../src/domain/click-id.ts';
import { claimantOf, laneOf, type GateRequest } from '../../src/domain/gate-request.ts';
import { FULL_IPS, type IpStorage } from '../../src/domain/ip-storage.ts';
import type { Chunk, ConversionHit } from '../../src/domain/hit.ts';
import {
  decodeCall,
  parameterOf,
  type Call,
  type ReplayOrigin,
} from '../../src/domain/judge/call.ts';
import { bareFields, withStoredIps, type PostbackFields } from '../../src/domain/judge/fields.ts';
import {
  judgeCall,
  lateChangeFields,
  repeatedFields,
  settleCall,
} from '../../src/domain/judge/judge.ts';
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
/**
 * Its id is of the edge's clock, its age of ours: hosts that are kept in time differ by less than this. Not more, or an id
 * that someone made up would hold up its chunk for as long as it is in the future.
 */
const CLOCKS_APART_MS = 5_000;

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

interface Decoded {
  readonly call: Call;
  /** The catalogue as the call may see it. */
  readonly snapshot: CatalogueSnapshot;
  /** Why a replay can't count, and the transaction that counts instead; decided before any judging. */
  readonly repeats: { readonly detail: string; readonly transactionId: string } | undefined;
}

interface Prepared {
  readonly decoded: Decoded;
  readonly lookups: Lookups;
}

/** A call as its lane takes it. */
interface InLane {
  readonly lane: number;
  readonly call: LaneCall;
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
  return ({ replayedFrom, countedAs }: ReplayOrigin, line: number): Decoded['repeats'] => {
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
  const kept = (fields: PostbackFields): PostbackFields => withStoredIps(fields, ips);

  const seenBy = createAdvertiserViews();

  async function transactionsOf(prepared: readonly Prepared[]): Promise<Transactions> {
    const ids = new Set(
      prepared.map(({ lookups }) => lookups.transactionId).filter((id) => id !== ''),
    );
    if (ids.size === 0) return { kind: 'known', found: new Map() };
    const found = await findTransactions(deps.clickhouse, ids, ips);
    const inChunk = new Set(prepared.map(({ decoded }) => decoded.call.hit.hitId));
    for (const { decoded, lookups } of prepared) {
      const { transactionId: id } = lookups;
      if (id === '' || found.has(id) || inChunk.has(id)) continue;
      const { hitId, receivedAtMs } = decoded.call.hit;
      // An edge whose clock was set back goes on with ids of the time before: by how much tells that of the change.
      const aheadMs = (msOfUuidV7(hitId) ?? receivedAtMs) - receivedAtMs;
      const age = deps.clock() + aheadMs - (msOfUuidV7(id) ?? 0);
      if (age > -CLOCKS_APART_MS && age < TRANSACTION_YOUNG_MS) return { kind: 'wait' };
    }
    return { kind: 'known', found };
  }

  function toLaneCall(
    { call, snapshot, repeats }: Decoded,
    chunk: Chunk,
    codec: ClickIdCodec,
    click: ClickAnswer,
    transaction: StoredTransaction | undefined,
    namesTransaction: boolean,
  ): InLane {
    const input = { snapshot, codec, call, click, transaction };
    const { hit, replayedFrom } = call;
    const place = {
      header: chunk.header,
      chunkHits: chunk.hits.length,
      batchLine: hit.batch?.line ?? 0,
      // A replay keeps quiet when it was asked to, and when the file that brought the original was.
      suppressPostbacks:
        chunk.header.batch?.suppressPostbacks === true || call.batch?.suppressPostbacks === true,
      callerIp: hit.ip,
    };
    const poison = (reason: string): PostbackFields => kept(bareFields(call, reason));
    const isReplay = replayedFrom !== '';
    const laneCall = (request: GateRequest | undefined, settle: LaneCall['settle']): LaneCall => ({
      request,
      settle,
      poison,
      toRow: (fields, block) => postbackRow(fields, block, place, deps.enrichment),
      change: namesTransaction
        ? { hitId: hit.hitId, late: () => kept(lateChangeFields(input)) }
        : undefined,
      original: isReplay
        ? { hitId: replayedFrom, hitTimeMs: hit.receivedAtMs, mayMove: mayMove(call) }
        : undefined,
      repeat: isReplay
        ? (id) => kept(repeatedFields(input, repeatDetail(replayedFrom, id), id))
        : undefined,
    });
    const rejected = (lane: number, settle: () => PostbackFields): InLane => ({
      lane,
      call: laneCall(undefined, settle),
    });

    let judged: ReturnType<typeof judgeCall>;
    try {
      judged = judgeCall(input);
    } catch (error) {
      // A defect of ours in one call must not hold up the rest of the chunk (invariant 9).
      return rejected(laneOf(0), () => poison(`could not be judged: ${messageOf(error)}`));
    }
    const { lane } = judged;
    if (repeats !== undefined) {
      const settle = () => kept(repeatedFields(input, repeats.detail, repeats.transactionId));
      // Without an original: it is no replay that could count.
      return {
        lane,
        call: { ...laneCall(undefined, settle), original: undefined, repeat: undefined },
      };
    }
    if (judged.kind === 'invalid') {
      const { fields } = judged;
      return rejected(lane, () => kept(fields));
    }
    const { item } = judged;
    const request = ips.hashes
      ? { ...judged.request, uniqueIp: ips.key(judged.request.uniqueIp) }
      : judged.request;
    return {
      lane,
      call: laneCall(request, (reply) =>
        kept(settleCall(item, request, reply ?? { kind: 'transaction-not-found' })),
      ),
    };
  }

  return async function prepare(
    chunk: Chunk,
    replay?: ReadonlyMap<string, ReplayOrigin>,
  ): Promise<PreparedCalls> {
    const whole = await deps.snapshotAt(chunk.header.catalogueVersion);
    const { batch } = chunk.header;
    const findRepeat = createRepeatFinder();
    const hits = chunk.hits.filter((hit): hit is ConversionHit => hit.endpoint !== 'click');
    const decoded: Decoded[] = [];
    await inPieces(hits, (hit) => {
      const origin = replay?.get(hit.hitId);
      // A replay may do what its original might, whoever asked for it.
      const call = decodeCall(hit, origin, origin === undefined ? batch : origin.batch);
      const snapshot =
        call.batch === undefined || call.batch.advertiserId === 0
          ? whole
          : seenBy(whole, call.batch.advertiserId);
      const repeats = origin && findRepeat(origin, hit.batch?.line ?? 0);
      decoded.push({ call, snapshot, repeats });
    });
    const codec = withOpened(
      deps.codecOf(whole),
      decoded.map(({ call }) => parameterOf(call, 'click_id')),
    );
    const prepared: Prepared[] = [];
    await inPieces(decoded, (item) => {
      prepared.push({ decoded: item, lookups: lookupsOf(item.call, item.snapshot, codec) });
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
    // What calls become if the gate accepts them: later ones of the chunk may change that.
    const provisional = new Map<string, StoredTransaction>();
    const namesTransactions = prepared.some(({ lookups }) => lookups.transactionId !== '');
    await inPieces(prepared, (item) => {
      const { clickId, transactionId } = item.lookups;
      const click = clickId === '' ? 'not-asked' : (clicks.answers.get(clickId) ?? 'unknown');
      const transaction = transactions.found.get(transactionId) ?? provisional.get(transactionId);
      const names = transactionId !== '';
      const { lane, call } = toLaneCall(item.decoded, chunk, codec, click, transaction, names);
      if (namesTransactions && call.request !== undefined)
        provisional.set(call.request.hitId, {
          conversion: claimantOf(call.request),
          inBlock: true,
        });
      const calls = byLane.get(lane);
      if (calls === undefined) byLane.set(lane, [call]);
      else calls.push(call);
    });
    return { kind: 'ready', byLane };
  };
}
