/** The worker's way from a chunk to rows, without its process and queue: real Redis, real ClickHouse, a catalogue in memory. */
import type { Redis } from 'ioredis';
import { pino } from 'pino';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { createCatalogueSnapshot, type CatalogueState } from '../../src/domain/catalogue.ts';
import { createClickIdCodec } from '../../src/domain/click-id.ts';
import type { Chunk, ClickHit, ConversionHit } from '../../src/domain/hit.ts';
import { FULL_IPS, type IpStorage } from '../../src/domain/ip-storage.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';
import type { LaneSubmission } from '../../workers/gate/lane-writer.ts';
import { createLanes } from '../../workers/gate/lanes.ts';
import { createClickAnswers } from '../../workers/ingest/click-answers.ts';
import { createClickStore, type ClickStore } from '../../workers/ingest/click-store.ts';
import {
  createConversionIngest,
  type IngestConversions,
} from '../../workers/ingest/conversions.ts';

export interface TestWorker {
  readonly ingest: IngestConversions;
  readonly clicks: ClickStore;
}

export function createTestWorker(deps: {
  readonly clickhouse: ClickHouse;
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly catalogue: CatalogueState;
  /** Of the time of day, and of how long an edge is silent. */
  readonly clock?: () => number;
  readonly ips?: IpStorage;
  /** Called when a chunk's calls wait for their lane. */
  readonly onSubmit?: (chunkId: string) => void;
}): TestWorker {
  const { clickhouse, redis, keys } = deps;
  const clock = deps.clock ?? Date.now;
  const logger = pino({ level: 'silent' });
  const snapshot = createCatalogueSnapshot(deps.catalogue);
  const snapshotAt = () => Promise.resolve(snapshot);
  const enrichment = { country: () => '', device: () => ({ device: '', os: '', browser: '' }) };
  const ips = deps.ips ?? FULL_IPS;
  const clicks = createClickStore({ clickhouse, enrichment, ips, clock });
  const lanes = createLanes({ clickhouse, redis, keys, ips, snapshotAt, clock, logger }).map(
    (writer) => ({
      close: () => writer.close(),
      submit: (submission: LaneSubmission) => {
        const submitted = writer.submit(submission);
        deps.onSubmit?.(submission.chunk.chunkId);
        return submitted;
      },
    }),
  );
  const codec = createClickIdCodec(snapshot.state.click_id_keys);
  const ingest = createConversionIngest({
    clickhouse,
    answerClicks: createClickAnswers({ clicks, redis, keys, clock, monotonic: clock }),
    lanes,
    snapshotAt,
    codecOf: () => codec,
    enrichment,
    ips,
    clock,
    onCommitted: () => undefined,
  });
  return { ingest, clicks };
}

export function conversionHit(
  hitId: string,
  receivedAtMs: number,
  fields: Partial<ConversionHit> = {},
): ConversionHit {
  return {
    hitId,
    receivedAtMs,
    endpoint: 'promo',
    method: 'GET',
    path: '/track/promo',
    query: '',
    body: '',
    bodyIsBase64: false,
    contentType: '',
    cookies: '',
    ip: '203.0.113.9',
    userAgent: '',
    referer: '',
    fromBrowser: false,
    ...fields,
  };
}

export function conversionChunk(chunkId: string, hits: readonly ConversionHit[]): Chunk {
  return {
    header: {
      chunkId,
      kind: 'conversions',
      edgeNumber: 0,
      openedAtMs: hits[0]?.receivedAtMs ?? 0,
      catalogueVersion: 1,
    },
    hits,
  };
}

/** A valid click of affiliate 1, as the edge makes it. */
export function clickHit(
  hitId: string,
  clickId: string,
  offerId: number,
  receivedAtMs: number,
): ClickHit {
  return {
    ...conversionHit(hitId, receivedAtMs),
    endpoint: 'click',
    path: '/click',
    query: `o=${offerId}&a=1`,
    clickId,
    offerId,
    affiliateId: 1,
    advertiserId: 1,
    verdictCode: 0,
    detail: '',
  };
}

export function clickChunk(chunkId: string, hits: readonly ClickHit[]): Chunk {
  const { header } = conversionChunk(chunkId, []);
  return { header: { ...header, kind: 'clicks', openedAtMs: hits[0]?.receivedAtMs ?? 0 }, hits };
}
