/**
 * The edge as a process: takes a spool folder, follows the catalogue, listens, sees chunks through to ClickHouse, and
 * adopts the folders of edges that are gone. Reads no settings and exits nothing: `cli/edge.ts` does.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { createClickHouse, type ClickHouseSettings } from '../../clickhouse/client.ts';
import { createCatalogueFollower } from '../catalogue/follower.ts';
import { messageOf } from '../domain/app-error.ts';
import { createHitIds } from '../domain/uuid-v7.ts';
import { createChunkProducer } from '../queue/chunk-producer.ts';
import { connectRedis } from '../redis/connect.ts';
import { createRedisKeys } from '../redis/keys.ts';
import { createChunkWriter } from '../spool/chunk-writer.ts';
import { createClickClock } from '../spool/click-clock.ts';
import { createConfirmer } from '../spool/confirmer.ts';
import {
  claimFirstFolder,
  claimFolder,
  foldersWithChunks,
  type SpoolFolder,
} from '../spool/folder.ts';
import { recoverFolder, type Recovery } from '../spool/recover.ts';
import { jsonAnswer } from './answers.ts';
import { createClientReader } from './client.ts';
import { createEdgeCounters, createEdgeRegistry } from './counters.ts';
import { createEdge } from './edge.ts';
import { listen, type Respond } from './uws-adapter.ts';

export interface EdgeRoleOptions {
  readonly dataDir: string;
  readonly host: string;
  readonly port: number;
  readonly edgeNumberBase: number;
  readonly sync: 'os' | 'disk';
  readonly spoolBytesMax: number;
  readonly trustedProxies: readonly string[];
  readonly trafficbackUrl: string | null;
  readonly redisUrl: string;
  readonly clickhouse: ClickHouseSettings;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

export interface EdgeRole {
  readonly port: number;
  readonly edgeNumber: number;
  close(): Promise<void>;
}

const TICK_MS = 20;
const ADOPT_MS = 2_000;
/** A hit of the largest size fits into this. */
const PROBE_BYTES = 256 * 1024;
/** How long a stopping edge waits for its chunks to be confirmed; what is left is adopted. */
const DRAIN_MS = 8_000;

export async function startEdgeRole(options: EdgeRoleOptions): Promise<EdgeRole> {
  const { logger } = options;
  const clock = Date.now;
  const keys = createRedisKeys();
  const spoolDir = join(options.dataDir, 'spool');
  mkdirSync(spoolDir, { recursive: true });
  const own = await claimFirstFolder(spoolDir, options.edgeNumberBase);
  const onRedisError = (error: Error): void => logger.debug({ error: error.message }, 'Redis');
  const redis = connectRedis(options.redisUrl, 'producer', onRedisError);
  const subscriber = connectRedis(options.redisUrl, 'subscriber', onRedisError);
  const clickhouse = createClickHouse(options.clickhouse);
  const counters = createEdgeCounters();
  const recovery: Recovery = {
    quarantineDir: join(spoolDir, 'quarantine'),
    logger,
    counts: { tornTails: 0, quarantined: 0 },
  };
  const follower = await createCatalogueFollower({
    redis,
    subscriber,
    keys,
    copyFile: join(own.dir, 'catalogue.json'),
    logger,
  });
  const producer = createChunkProducer(redis, keys.queuePrefix);
  const folders = new Map<number, SpoolFolder>([[own.edgeNumber, own]]);

  /** Every click chunk of an edge number that was opened before its mark is in ClickHouse. */
  async function publishMarks(): Promise<void> {
    for (const edgeNumber of folders.keys()) {
      const candidates = [
        confirmer.oldestClickChunkMs(edgeNumber),
        edgeNumber === own.edgeNumber ? writer.oldestOpenClickMs() : undefined,
      ];
      // A second behind: a click of this very tick is minted but not written yet.
      const oldest = Math.min(...candidates.map((ms) => ms ?? Infinity), clock() - 1_000);
      await redis.hset(keys.edgeMarks, String(edgeNumber), `${oldest - 1}:${clock()}`);
    }
  }

  const confirmer = createConfirmer({
    clickhouse,
    producer,
    recovery,
    clock,
    logger,
    onRound: publishMarks,
  });
  const writer = createChunkWriter({
    dir: own.dir,
    edgeNumber: own.edgeNumber,
    sync: options.sync,
    clock,
    catalogueVersion: () => follower.snapshot().version,
    bytesFree: () => options.spoolBytesMax - confirmer.outstandingBytes,
    onClosed: ({ header, hitCount, records, bytes }) => {
      const file = join(own.dir, `${header.chunkId}.ready`);
      confirmer.add(file, header, hitCount, bytes, { header, hitCount, records });
    },
    onSyncFailure: options.onFatal,
  });

  async function takeOver(folder: SpoolFolder): Promise<void> {
    for (const chunk of recoverFolder(folder.dir, recovery)) {
      confirmer.add(chunk.file, chunk.header, chunk.records.length, chunk.bytes);
      // An edge that adopts a large folder goes on answering.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  await takeOver(own);

  /** A balancer sends nothing to an edge that is not ready, so readiness must come back without a hit. */
  function probeSpool(): void {
    if (counters.spoolWritable) return;
    const file = join(own.dir, 'probe');
    try {
      writeFileSync(file, Buffer.alloc(PROBE_BYTES));
      counters.spoolWritable = confirmer.outstandingBytes + PROBE_BYTES < options.spoolBytesMax;
    } catch (error) {
      logger.warn({ error: messageOf(error) }, 'the spool still cannot be written');
    }
    rmSync(file, { force: true });
  }

  async function adopt(): Promise<void> {
    for (const [edgeNumber, folder] of folders) {
      if (folder === own || confirmer.hasChunksOf(edgeNumber)) continue;
      await publishMarks().catch(() => undefined);
      folders.delete(edgeNumber);
      await folder.release();
    }
    if (!existsSync(spoolDir)) return;
    for (const edgeNumber of foldersWithChunks(spoolDir)) {
      if (folders.has(edgeNumber)) continue;
      const folder = await claimFolder(spoolDir, edgeNumber);
      if (folder === undefined) continue;
      logger.info({ edgeNumber }, 'adopted the spool folder of an edge that is gone');
      folders.set(edgeNumber, folder);
      await takeOver(folder);
    }
  }

  const registry = createEdgeRegistry(counters, {
    unconfirmedChunks: () => confirmer.outstanding,
    unconfirmedBytes: () => confirmer.outstandingBytes,
    oldestUnconfirmedAgeS: () =>
      Math.max(0, (clock() - (confirmer.oldestOpenedAtMs() ?? clock())) / 1000),
    quarantined: () => recovery.counts.quarantined,
    tornTails: () => recovery.counts.tornTails,
    catalogueVersion: () => follower.snapshot().version,
  });

  function status(path: string, respond: Respond): boolean {
    if (path === '/healthz') respond(jsonAnswer('200 OK', { status: 'ok' }));
    else if (path === '/readyz') {
      const problems = [
        ...(follower.ready ? [] : ['no catalogue is known yet']),
        ...(counters.spoolWritable ? [] : ['the spool cannot be written']),
      ];
      respond(
        jsonAnswer(problems.length === 0 ? '200 OK' : '503 Service Unavailable', {
          ready: problems.length === 0,
          problems,
        }),
      );
    } else if (path === '/metrics') {
      registry.metrics().then(
        (body) =>
          respond({ status: '200 OK', headers: [['Content-Type', registry.contentType]], body }),
        (error: unknown) =>
          respond(jsonAnswer('500 Internal Server Error', { error: messageOf(error) })),
      );
    } else return false;
    return true;
  }

  const edge = createEdge({
    snapshot: () => follower.snapshot(),
    writer,
    clickClock: createClickClock(own.dir, clock),
    hitIds: createHitIds(clock),
    edgeNumber: own.edgeNumber,
    clientOf: createClientReader(options.trustedProxies),
    trafficbackUrl: options.trafficbackUrl,
    clock,
    counters,
    logger,
    status,
  });
  const front = await listen(options.host, options.port, {
    handle: (request, respond) => edge.handle(request, respond),
    refused(reason) {
      counters.refuse(reason, 1);
      if (reason === 'aborted') return undefined;
      return reason === 'body_too_large'
        ? jsonAnswer('413 Content Too Large', { error: 'a body may have at most 64 KiB' })
        : jsonAnswer('431 Request Header Fields Too Large', {
            error: 'request line and headers may have at most 16 KiB',
          });
    },
  });
  const ticker = setInterval(() => writer.closeDue(), TICK_MS);
  const heartbeat = setInterval(() => {
    const beat = {
      role: 'edge',
      pid: process.pid,
      edgeNumber: own.edgeNumber,
      atMs: clock(),
      unconfirmedChunks: confirmer.outstanding,
    };
    redis
      .hset(keys.heartbeats, `edge-${own.edgeNumber}`, JSON.stringify(beat))
      .catch(() => undefined);
  }, 2_000);
  let adopting = false;
  const adopter = setInterval(() => {
    probeSpool();
    if (adopting) return;
    adopting = true;
    adopt()
      .finally(() => {
        adopting = false;
      })
      .catch((error: unknown) =>
        logger.warn({ error: messageOf(error) }, 'a spool folder could not be adopted'),
      );
  }, ADOPT_MS);
  logger.info({ port: front.port, edgeNumber: own.edgeNumber }, 'edge listens');

  return {
    port: front.port,
    edgeNumber: own.edgeNumber,
    async close() {
      front.close();
      clearInterval(adopter);
      clearInterval(heartbeat);
      // The last tick's hits are stored and answered before the chunks are closed.
      await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
      writer.closeDue(true);
      const until = clock() + DRAIN_MS;
      while (confirmer.outstanding > 0 && clock() < until) {
        await confirmer.round();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      // Nothing may be written into the folder once it is released.
      front.end();
      clearInterval(ticker);
      writer.closeDue(true);
      confirmer.close();
      follower.close();
      await producer.close().catch(() => undefined);
      redis.disconnect();
      subscriber.disconnect();
      await clickhouse.close();
      await Promise.all([...folders.values()].map((folder) => folder.release()));
    },
  };
}
