/**
 * The edge as a process: takes a spool folder, follows the catalogue, listens, and sees its chunks through to
 * ClickHouse. Reads no settings and exits nothing: `cli/edge.ts` does.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { createClickHouse, type ClickHouseSettings } from '../../clickhouse/client.ts';
import { createBatchProcess } from '../batch/batch-process.ts';
import { createCatalogueFollower } from '../catalogue/follower.ts';
import { messageOf } from '../domain/app-error.ts';
import { reachNothing, type Reach } from '../domain/crash-points.ts';
import { createHitIds } from '../domain/uuid-v7.ts';
import { CONTENT_IN_FILE } from '../queue/chunk-content.ts';
import { createChunkProducer } from '../queue/chunk-producer.ts';
import { connectRedis, createRedisErrorLog } from '../redis/connect.ts';
import { createRedisKeys, type RedisKeys } from '../redis/keys.ts';
import { createChunkWriter, type ChunkWriter } from '../spool/chunk-writer.ts';
import { createClickClock } from '../spool/click-clock.ts';
import { createConfirmer, type Confirmer } from '../spool/confirmer.ts';
import { claimFirstFolder } from '../spool/folder.ts';
import type { Recovery } from '../spool/recover.ts';
import { refusalAnswer } from './answers.ts';
import { createBatchUploads } from './batch-upload.ts';
import { createClientReader } from './client.ts';
import { createEdgeCounters, createEdgeRegistry, type EdgeCounters } from './counters.ts';
import { createEdge } from './edge.ts';
import { createFolders } from './folders.ts';
import { createStatus } from './status.ts';
import { listen } from './uws-adapter.ts';

export interface EdgeRoleOptions {
  readonly dataDir: string;
  readonly host: string;
  readonly port: number;
  readonly edgeNumberBase: number;
  readonly sync: 'os' | 'disk';
  readonly spoolBytesMax: number;
  readonly trustedProxies: readonly string[];
  readonly trafficbackUrl: string | null;
  /** May upload batches for any advertiser. */
  readonly adminKey: string;
  readonly redisUrl: string;
  /** Workers read chunks from their files: what is under `dataDir` is theirs as well. Unset: chunks go through Redis. */
  readonly workersHaveSpool?: boolean;
  readonly clickhouse: ClickHouseSettings;
  /** ms since 1970; Date.now unless a test has clocks that differ. */
  readonly clock?: () => number;
  readonly reach?: Reach;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

export interface EdgeRole {
  readonly port: number;
  readonly edgeNumber: number;
  close(): Promise<void>;
}

const TICK_MS = 20;
const PROBE_MS = 2_000;
const HEARTBEAT_MS = 2_000;
/** A hit of the largest size fits into this. */
const PROBE_BYTES = 256 * 1024;
/** How long a stopping edge waits for its chunks to be confirmed; what is left is adopted. */
const DRAIN_MS = 8_000;
/** How long a starting edge waits for a catalogue; then it listens, and answers 503 until there is one. */
const CATALOGUE_WAIT_MS = 3_000;
const LOOK_AGAIN_MS = 50;

/** Of durations: the time of day may be set back, and what waits for it would wait until it has caught up. */
const monotonic = (): number => performance.now();

/** A balancer sends nothing to an edge that is not ready, so readiness must come back without a hit. */
function startSpoolProbe(
  dir: string,
  bytesFree: () => number,
  counters: EdgeCounters,
  logger: Logger,
): NodeJS.Timeout {
  const file = join(dir, 'probe');
  return setInterval(() => {
    if (counters.spoolWritable) return;
    try {
      writeFileSync(file, Buffer.alloc(PROBE_BYTES));
      counters.spoolWritable = bytesFree() > PROBE_BYTES;
    } catch (error) {
      logger.warn({ error: messageOf(error) }, 'the spool still cannot be written');
    }
    rmSync(file, { force: true });
  }, PROBE_MS);
}

const heartbeatName = (edgeNumber: number): string => `edge-${edgeNumber}`;

function startHeartbeat(
  redis: Redis,
  keys: RedisKeys,
  edgeNumber: number,
  confirmer: Confirmer,
  clock: () => number,
): NodeJS.Timeout {
  return setInterval(() => {
    const unconfirmedChunks = confirmer.outstanding;
    const beat = { role: 'edge', pid: process.pid, edgeNumber, atMs: clock(), unconfirmedChunks };
    // Lossy by design: an edge without Redis goes on.
    redis
      .hset(keys.heartbeats, heartbeatName(edgeNumber), JSON.stringify(beat))
      .catch(() => undefined);
  }, HEARTBEAT_MS);
}

/** Edges share a port: one that knows no catalogue yet would refuse its share of what the others could take. */
async function untilKnown(isReady: () => boolean): Promise<void> {
  const until = monotonic() + CATALOGUE_WAIT_MS;
  while (!isReady() && monotonic() < until) await pause(LOOK_AGAIN_MS);
}

async function drain(writer: ChunkWriter, confirmer: Confirmer): Promise<void> {
  // The last tick's hits are stored and answered before the chunks are closed.
  await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
  writer.closeDue(true);
  const until = monotonic() + DRAIN_MS;
  while (confirmer.outstanding > 0 && monotonic() < until) {
    await confirmer.round();
    await pause(LOOK_AGAIN_MS);
  }
}

export async function startEdgeRole(options: EdgeRoleOptions): Promise<EdgeRole> {
  const { logger } = options;
  const reach = options.reach ?? reachNothing;
  const clock = options.clock ?? Date.now;
  const keys = createRedisKeys();
  const spoolDir = join(options.dataDir, 'spool');
  mkdirSync(spoolDir, { recursive: true });
  const own = await claimFirstFolder(spoolDir, options.edgeNumberBase);
  const onRedisError = createRedisErrorLog(logger);
  const redis = connectRedis(options.redisUrl, 'producer', onRedisError);
  const subscriber = connectRedis(options.redisUrl, 'subscriber', onRedisError);
  const clickhouse = createClickHouse(options.clickhouse);
  const counters = createEdgeCounters();
  const recovery: Recovery = {
    quarantineDir: join(spoolDir, 'quarantine'),
    logger,
    counts: { tornTails: 0, quarantined: 0 },
  };
  const copyFile = join(own.dir, 'catalogue.json');
  const follower = await createCatalogueFollower({ redis, subscriber, keys, copyFile, logger });
  const producer = createChunkProducer(redis, keys.queuePrefix);

  const batches = createBatchProcess(
    {
      redisUrl: options.redisUrl,
      clickhouse: options.clickhouse,
      sync: options.sync,
      quarantineDir: recovery.quarantineDir,
      logLevel: logger.level,
    },
    logger,
  );

  const clickClock = createClickClock(own.dir);
  const folders = createFolders({
    spoolDir,
    own,
    clickClock,
    redis,
    keys,
    recovery,
    clock,
    logger,
    // The three refer to each other: marks follow from chunks, and a round of the confirmer publishes marks.
    confirmer: () => confirmer,
    writer: () => writer,
    batches,
  });
  const confirmer = createConfirmer({
    clickhouse,
    producer,
    recovery,
    monotonic,
    reach,
    logger,
    onRound: () => folders.publishMarks(),
  });
  const bytesFree = (): number =>
    options.spoolBytesMax - confirmer.outstandingBytes - batches.bytes;
  const writer = createChunkWriter({
    dir: own.dir,
    edgeNumber: own.edgeNumber,
    sync: options.sync,
    monotonic,
    bytesFree,
    outstanding: () => confirmer.outstanding,
    openContent: options.workersHaveSpool ? () => CONTENT_IN_FILE : producer.openContent,
    onClosed: ({ header, hitCount, bytes, content }) => {
      const file = join(own.dir, `${header.chunkId}.ready`);
      confirmer.add(file, header, hitCount, bytes, content);
    },
    onSyncFailure: options.onFatal,
  });
  await folders.start();

  const registry = createEdgeRegistry(counters, {
    unconfirmedChunks: () => confirmer.outstanding,
    unconfirmedBytes: () => confirmer.outstandingBytes,
    oldestUnconfirmedAgeS: () =>
      Math.max(0, (clock() - (confirmer.oldestOpenedAtMs() ?? clock())) / 1000),
    quarantined: () => recovery.counts.quarantined + batches.quarantined,
    tornTails: () => recovery.counts.tornTails,
    catalogueVersion: () => follower.snapshot().version,
    redisReachable: () => redis.status === 'ready',
    clickhouseReachable: () => confirmer.clickhouseReachable,
    batches: () => batches.unfinished,
    batchBytes: () => batches.bytes,
  });
  const hitIds = createHitIds(clock);
  const clientOf = createClientReader(options.trustedProxies);
  const edge = createEdge({
    snapshot: () => follower.snapshot(),
    writer,
    clickClock,
    hitIds,
    edgeNumber: own.edgeNumber,
    clientOf,
    trafficbackUrl: options.trafficbackUrl,
    clock,
    counters,
    reach,
    logger,
    status: createStatus({
      registry,
      problems: () => [
        ...(follower.ready ? [] : ['no catalogue is known yet']),
        ...(counters.spoolWritable ? [] : ['the spool cannot be written']),
      ],
    }),
  });
  const uploads = createBatchUploads({
    edgeDir: own.dir,
    edgeNumber: own.edgeNumber,
    batches,
    adminKey: options.adminKey,
    snapshot: () => follower.snapshot(),
    hitIds,
    clientOf,
    spoolBytes: () => confirmer.outstandingBytes,
    spoolBytesMax: options.spoolBytesMax,
    clock,
    counters,
    logger,
  });
  await untilKnown(() => follower.ready);
  // Before visitors come: a fork holds up the edge for some ms, and what the process loads takes half a second of a core.
  batches.start();
  const front = await listen(options.host, options.port, {
    handle: (request, respond) => edge.handle(request, respond),
    upload: (request, body, respond) => uploads.upload(request, body, respond),
    refused(reason) {
      counters.refuse(reason, 1);
      return reason === 'aborted' ? undefined : refusalAnswer(reason);
    },
  });
  const timers = [
    setInterval(() => writer.closeDue(), TICK_MS),
    startHeartbeat(redis, keys, own.edgeNumber, confirmer, clock),
    startSpoolProbe(own.dir, bytesFree, counters, logger),
  ];
  logger.info({ port: front.port, edgeNumber: own.edgeNumber }, 'edge listens');

  return {
    port: front.port,
    edgeNumber: own.edgeNumber,
    async close() {
      front.close();
      await drain(writer, confirmer);
      // Nothing may be written into the folder once it is released.
      front.end();
      for (const timer of timers) clearInterval(timer);
      writer.closeDue(true);
      confirmer.close();
      await batches.close();
      follower.close();
      await folders.close();
      await producer.close().catch(() => undefined);
      await redis.hdel(keys.heartbeats, heartbeatName(own.edgeNumber)).catch(() => undefined);
      redis.disconnect();
      subscriber.disconnect();
      await clickhouse.close();
    },
  };
}
