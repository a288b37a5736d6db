/**
 * The worker as a process: consumes all three queues, a job being a whole chunk, and does the periodic work. A dependency's
 * failure puts the chunk back, never fails it: the job ends only after ClickHouse holds the chunk.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DelayedError, UnrecoverableError, Worker, type Job } from 'bullmq';
import type { Logger } from 'pino';
import { createClickHouse, type ClickHouseSettings } from '../../clickhouse/client.ts';
import type { Retention } from '../../clickhouse/retention.ts';
import { createRollups } from '../../clickhouse/rollups.ts';
import { createCatalogueStore } from '../../src/catalogue/store.ts';
import { AppError, messageOf } from '../../src/domain/app-error.ts';
import type { CatalogueSnapshot } from '../../src/domain/catalogue.ts';
import { createClickIdCodec, type ClickIdCodec } from '../../src/domain/click-id.ts';
import { reachNothing, type Reach } from '../../src/domain/crash-points.ts';
import { createDeviceReader } from '../../src/domain/device.ts';
import { LANE_COUNT } from '../../src/domain/gate-request.ts';
import type { Chunk } from '../../src/domain/hit.ts';
import type { PostbackFields } from '../../src/domain/judge/fields.ts';
import type { IpStorage } from '../../src/domain/ip-storage.ts';
import { decodeChunk, dropContent, readContent } from '../../src/queue/chunk-content.ts';
import { QUEUE_NAMES, type QueueName } from '../../src/queue/chunk-job.ts';
import { connectRedis, createRedisErrorLog } from '../../src/redis/connect.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { createLaneTurn } from '../gate/lane-turn.ts';
import { createLanes } from '../gate/lanes.ts';
import { startMaintenance } from '../maintenance/maintenance.ts';
import { startOutgoing } from '../outgoing/outgoing.ts';
import { createClickAnswers } from './click-answers.ts';
import { createClickStore } from './click-store.ts';
import { createConversionIngest } from './conversions.ts';
import { openCountryReader } from './country.ts';
import { createHitRoom, type HitRoom } from './hit-room.ts';
import { createLiveFirst } from './live-first.ts';
import { createVerdictTail } from './verdict-tail.ts';

export interface WorkerRoleOptions {
  /** Whose spool is looked into for chunks that Redis has no content of. */
  readonly dataDir: string;
  readonly redisUrl: string;
  readonly clickhouse: ClickHouseSettings;
  readonly retention: Retention;
  readonly ips: IpStorage;
  /** CIDRs that affiliate postbacks may go to beside public addresses. */
  readonly outgoingAllow: readonly string[];
  readonly reach?: Reach;
  readonly logger: Logger;
}

export interface WorkerRole {
  close(): Promise<void>;
}

/** Chunks in work at once. */
const CONCURRENCY: Readonly<Record<QueueName, number>> = {
  // Each is an insert of its own: more at once only fill the memory.
  clicks: 4,
  // Enough that a lane finds company for its next block.
  conversions: 16,
  // As many as keep a lane busy: what a live chunk waits for is the block in flight.
  batches: 2,
};
/** A job whose worker died runs again after twice this, at the latest. A lock lost by a slow worker costs work, no more. */
const LOCK_MS = 8_000;
const WAIT_MS = 150;
const RETRY_MS = 1_000;
const HEARTBEAT_MS = 2_000;

export async function startWorkerRole(options: WorkerRoleOptions): Promise<WorkerRole> {
  const { logger } = options;
  const reach = options.reach ?? reachNothing;
  const clock = Date.now;
  const spoolDir = join(options.dataDir, 'spool');
  // The host is for who reads it. In a container every process has the same id, and containers may share a host's name.
  const me = `worker-${hostname()}-${randomUUID()}`;
  const keys = createRedisKeys();
  const onRedisError = createRedisErrorLog(logger);
  const redis = connectRedis(options.redisUrl, 'state', onRedisError);
  const clickhouse = createClickHouse(options.clickhouse);
  const store = createCatalogueStore({ clickhouse, redis, keys, logger });
  const enrichment = { country: await openCountryReader(), device: createDeviceReader() };
  const counters = { chunks: 0, hits: 0, waits: 0, retries: 0 };
  const verdicts: Record<string, number> = {};

  let codec: { readonly version: number; readonly codec: ClickIdCodec } | undefined;
  function codecOf(snapshot: CatalogueSnapshot): ClickIdCodec {
    if (codec?.version !== snapshot.version) {
      codec = {
        version: snapshot.version,
        codec: createClickIdCodec(snapshot.state.click_id_keys),
      };
    }
    return codec.codec;
  }

  const publish = createVerdictTail(redis, keys.verdictTail);

  function onCommitted(fields: readonly PostbackFields[]): void {
    counters.hits += fields.length;
    for (const { verdict } of fields) verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
    publish(fields);
  }

  const clicks = createClickStore({ clickhouse, enrichment, ips: options.ips, clock, reach });
  const lanes = createLanes({
    clickhouse,
    redis,
    keys,
    ips: options.ips,
    snapshotAt: store.at,
    turnOf: (lane) => createLaneTurn({ redis, key: keys.laneTurn(lane), me, clock }),
    clock,
    reach,
    logger,
  });
  const ingestConversions = createConversionIngest({
    clickhouse,
    answerClicks: createClickAnswers({ clicks, redis, keys, clock }),
    lanes,
    snapshotAt: store.at,
    codecOf,
    enrichment,
    ips: options.ips,
    clock,
    onCommitted,
  });

  async function ingest(chunk: Chunk): Promise<'stored' | 'wait'> {
    if (chunk.header.kind === 'clicks') {
      await clicks.storeChunk(chunk, codecOf(await store.at(chunk.header.catalogueVersion)));
      counters.hits += chunk.hits.length;
      return 'stored';
    }
    return (await ingestConversions(chunk)).kind;
  }

  async function putBack(job: Job, token: string | undefined, delayMs: number): Promise<never> {
    await job.moveToDelayed(clock() + delayMs, token);
    throw new DelayedError();
  }

  /** `gone`: done by another, or queued again. */
  async function ingestJob(job: Job): Promise<'stored' | 'wait' | 'gone'> {
    const content = await readContent(redis, keys.queuePrefix, spoolDir, job.id ?? '');
    if (content === undefined) {
      logger.info({ job: job.id }, 'a job without its content: done by another, or queued again');
      return 'gone';
    }
    return ingest(decodeChunk(job.data, content));
  }

  async function ingestOrPutBack(room: HitRoom, job: Job, token?: string): Promise<void> {
    let outcome: 'stored' | 'wait' | 'gone';
    if (job.queueName === ('batches' satisfies QueueName)) await liveFirst.turn();
    try {
      outcome = await room.run(job.data, () => ingestJob(job));
    } catch (error) {
      if (error instanceof AppError && error.code === 'CHUNK_UNREADABLE') {
        // The edge has the file and queues it again once this copy of it is gone: trying that again would bring nothing.
        logger.error({ job: job.id, error: error.message }, 'a job could not be read');
        throw new UnrecoverableError(error.message);
      }
      counters.retries += 1;
      logger.warn({ job: job.id, error: messageOf(error) }, 'a chunk was put back');
      return putBack(job, token, RETRY_MS);
    }
    if (outcome === 'gone') return;
    if (outcome === 'wait') {
      counters.waits += 1;
      return putBack(job, token, WAIT_MS);
    }
    counters.chunks += 1;
    // What a Redis that fails now keeps of it goes by itself.
    await dropContent(redis, keys.queuePrefix, job.id ?? '').catch(() => undefined);
  }

  const liveFirst = createLiveFirst(redis, keys.queuePrefix);
  const connections = QUEUE_NAMES.map((name) => {
    const connection = connectRedis(options.redisUrl, 'worker', onRedisError);
    const room = createHitRoom(name);
    const worker = new Worker(name, (job, token) => ingestOrPutBack(room, job, token), {
      connection,
      prefix: keys.queuePrefix,
      concurrency: CONCURRENCY[name],
      lockDuration: LOCK_MS,
      stalledInterval: LOCK_MS,
      // A chunk must survive any number of worker crashes; the default gives up after one.
      maxStalledCount: 1_000_000,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
      skipVersionCheck: true,
      drainDelay: 1,
    });
    worker.on('error', (error) => logger.debug({ error: error.message }, 'BullMQ'));
    return { connection, worker };
  });

  const consumerRedis = connectRedis(options.redisUrl, 'worker', onRedisError);
  const outgoing = startOutgoing({
    redis,
    consumerRedis,
    keys,
    clickhouse,
    allowed: options.outgoingAllow,
    clock,
    logger,
  });

  const heartbeat = setInterval(() => {
    const beat = {
      role: 'worker',
      pid: process.pid,
      atMs: clock(),
      ...counters,
      verdicts,
      affiliatePostbacks: outgoing.attempts,
    };
    redis.hset(keys.heartbeats, me, JSON.stringify(beat)).catch(() => undefined);
  }, HEARTBEAT_MS);
  const maintenance = startMaintenance({
    redis,
    keys,
    clickhouse,
    store,
    ingestConversions,
    ips: options.ips,
    rollups: createRollups({ clickhouse, retention: options.retention, clock }),
    clock,
    logger,
  });
  logger.info({ lanes: LANE_COUNT }, 'worker consumes');

  return {
    async close() {
      clearInterval(heartbeat);
      await maintenance.close();
      await liveFirst.close();
      await Promise.all([outgoing.close(), ...connections.map(({ worker }) => worker.close())]);
      await redis.hdel(keys.heartbeats, me).catch(() => undefined);
      for (const { connection } of connections) connection.disconnect();
      for (const lane of lanes) lane.close();
      consumerRedis.disconnect();
      redis.disconnect();
      await clickhouse.close();
    },
  };
}
