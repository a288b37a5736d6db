/**
 * What stored calls would become if they were replayed now: judged together, in the order of receipt, against the newest
 * catalogue and the gate's state. Records nothing and claims nothing. Exact as long as nothing else happens: calls that
 * arrive in between, and other replays, may take what the preview saw free.
 */
import { AppError, messageOf } from '../../domain/app-error.ts';
import type { CatalogueSnapshot } from '../../domain/catalogue.ts';
import { createClickIdCodec } from '../../domain/click-id.ts';
import type { Chunk } from '../../domain/hit.ts';
import type { PostbackFields } from '../../domain/judge/fields.ts';
import type { ClickAnswer } from '../../domain/judge/resolve.ts';
import { createLaneLog } from '../../../workers/gate/lane-log.ts';
import { createLaneState } from '../../../workers/gate/lane-state.ts';
import type { LaneCall } from '../../../workers/gate/lane-block.ts';
import { judgeOnce } from '../../../workers/gate/replay-claims.ts';
import type { ClickAnswers } from '../../../workers/ingest/click-answers.ts';
import { createClickStore } from '../../../workers/ingest/click-store.ts';
import { findOriginals, hitOfOriginal, originOf } from '../../../workers/ingest/originals.ts';
import { createCallPreparation } from '../../../workers/ingest/prepare-calls.ts';
import type { ApiContext } from '../context.ts';

type PreviewContext = Pick<
  ApiContext,
  'clickhouse' | 'redis' | 'keys' | 'store' | 'ips' | 'logger'
>;

/** No rows are made: nobody asks where a caller is. */
const NO_ENRICHMENT = {
  country: () => '',
  device: () => ({ device: '', os: '', browser: '' }),
} as const;

function preparationOf(context: PreviewContext, snapshot: CatalogueSnapshot) {
  const { clickhouse, ips } = context;
  const clicks = createClickStore({ clickhouse, enrichment: NO_ENRICHMENT, ips, clock: Date.now });
  const codec = createClickIdCodec(snapshot.state.click_id_keys);
  return createCallPreparation({
    clickhouse,
    // A click that is not stored now is none: a preview does not wait.
    async answerClicks(ids): Promise<ClickAnswers> {
      const answers: ReadonlyMap<string, ClickAnswer> = await clicks.find(ids);
      return { kind: 'known', answers };
    },
    snapshotAt: () => Promise.resolve(snapshot),
    codecOf: () => codec,
    enrichment: NO_ENRICHMENT,
    ips,
    clock: Date.now,
  });
}

async function judgeLane(
  context: PreviewContext,
  lane: number,
  calls: readonly LaneCall[],
): Promise<PostbackFields[]> {
  const log = createLaneLog(context.clickhouse, lane, context.ips);
  const state = createLaneState({
    redis: context.redis,
    keys: context.keys,
    lane,
    log,
    snapshotAt: context.store.at,
    logger: context.logger,
  });
  const { judgement, repeats } = await judgeOnce(calls, log, state).finally(() => state.close());
  let asked = 0;
  return calls.map((call) => {
    const repeated = repeats.get(call);
    if (repeated !== undefined && call.repeat !== undefined) return call.repeat(repeated);
    return call.settle(call.request === undefined ? undefined : judgement.replies[asked++]);
  });
}

/** By hit id of the call; what is not stored any more is missing. */
export async function previewReplay(
  context: PreviewContext,
  ids: readonly string[],
): Promise<{ readonly catalogueVersion: number; readonly would: Map<string, PostbackFields> }> {
  const snapshot = await context.store.current();
  const originals = await findOriginals(context.clickhouse, ids);
  const rows = ids.flatMap((id) => originals.get(id) ?? []);
  const hits = rows.map((row) => hitOfOriginal(row, row.hit_id, undefined, context.ips));
  const chunk: Chunk = {
    header: {
      chunkId: 'preview',
      kind: 'conversions',
      edgeNumber: 0,
      openedAtMs: 0,
      catalogueVersion: snapshot.version,
    },
    hits,
  };
  const origins = new Map(rows.map((row) => [row.hit_id, originOf(row, context.ips)]));
  const prepared = await preparationOf(context, snapshot)(chunk, origins);
  if (prepared.kind === 'wait')
    throw new AppError('GATE_BUSY', 'a transaction that a call names is on its way: try again');
  try {
    const judged = await Promise.all(
      [...prepared.byLane].map(([lane, calls]) => judgeLane(context, lane, calls)),
    );
    const would = new Map(judged.flat().map((fields) => [fields.hit_id, fields]));
    return { catalogueVersion: snapshot.version, would };
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('REDIS_UNAVAILABLE', `the gate did not answer: ${messageOf(error)}`, error);
  }
}
