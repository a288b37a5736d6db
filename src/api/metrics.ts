/**
 * What the API process tells Prometheus: its own requests, and the state of the instance that no other process sees
 * whole: queues, lanes, roles, chunks on their way. Read when someone asks; an outage leaves the values out and says so.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { messageOf } from '../domain/app-error.ts';
import { LANE_COUNT } from '../domain/gate-request.ts';
import { CHUNK_KINDS } from '../domain/hit.ts';
import { AFFILIATE_POSTBACK_QUEUE } from '../queue/affiliate-postback-queue.ts';
import { readBacklog, readPostbackBacklog, type Backlog } from '../queue/backlog.ts';
import { queueNameOf } from '../queue/chunk-job.ts';
import { readHeartbeats } from '../redis/heartbeats.ts';
import type { ApiContext } from './context.ts';

/** A role that is silent for longer was stopped, or has been replaced: it is forgotten. */
const FORGOTTEN_MS = 10 * 60_000;
const SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60];

type Sources = Pick<ApiContext, 'clickhouse' | 'redis' | 'keys' | 'logger'>;

export interface ApiMetrics {
  readonly contentType: string;
  text(): Promise<string>;
  record(request: FastifyRequest, reply: FastifyReply): void;
}

function createGauges(registry: Registry) {
  const gauge = <T extends string = never>(
    name: string,
    help: string,
    labels: T[] = [],
  ): Gauge<T> => new Gauge({ name, help, labelNames: labels, registers: [registry] });
  return {
    verdicts: gauge(
      'sluice_verdicts',
      'Verdicts that the living workers gave to conversion calls since each started',
      ['verdict'],
    ),
    postbackAttempts: gauge(
      'sluice_affiliate_postback_attempts',
      'Attempts of affiliate postbacks that the living workers made since each started',
      ['outcome'],
    ),
    up: gauge('sluice_store_up', '1 when the store answers the API', ['store']),
    queueJobs: gauge(
      'sluice_queue_jobs',
      'Jobs in the queue, by state: chunks, or affiliate postbacks',
      ['queue', 'state'],
    ),
    queueAge: gauge(
      'sluice_queue_oldest_seconds',
      'Age of the oldest waiting job: since the edge opened the chunk, or the postback was due; 0 when none waits',
      ['queue'],
    ),
    alive: gauge('sluice_roles_alive', 'Processes that were heard of in the last 10 s', ['role']),
    dead: gauge('sluice_roles_dead', 'Processes that fell silent in the last 10 minutes', ['role']),
    unconfirmed: gauge(
      'sluice_chunks_unconfirmed',
      'Chunks in the spools of all living edges that ClickHouse does not have yet',
    ),
    position: gauge('sluice_lane_position', 'Last block of the lane in ClickHouse', ['lane']),
    applied: gauge('sluice_lane_applied', 'Last block of the lane that Redis knows of', ['lane']),
    published: gauge('sluice_catalogue_version', 'Catalogue version that Redis holds'),
    tails: gauge('sluice_api_tails', 'Open tails'),
  };
}
type Gauges = ReturnType<typeof createGauges>;

function setJobs(gauges: Gauges, queue: string, { waiting, active, delayed }: Backlog): void {
  for (const [state, count] of Object.entries({ waiting, active, delayed }))
    gauges.queueJobs.set({ queue, state }, count);
}

function setQueue(gauges: Gauges, queue: string, backlog: Backlog): void {
  setJobs(gauges, queue, backlog);
  const { oldestMs } = backlog;
  gauges.queueAge.set({ queue }, (oldestMs ?? 0) / 1000);
}

async function readQueues({ redis, keys }: Sources, gauges: Gauges): Promise<void> {
  for (const kind of CHUNK_KINDS)
    setQueue(gauges, queueNameOf(kind), await readBacklog(redis, keys, queueNameOf(kind)));
  // They wait behind live calls: their age says nothing.
  setJobs(gauges, 'batches', await readBacklog(redis, keys, 'batches'));
  setQueue(gauges, AFFILIATE_POSTBACK_QUEUE, await readPostbackBacklog(redis, keys));
}

async function readRoles({ redis, keys }: Sources, gauges: Gauges): Promise<void> {
  const heard = await readHeartbeats(redis, keys);
  for (const role of ['edge', 'worker']) {
    const known = heard.filter(
      ({ beat, silentMs }) => beat.role === role && silentMs < FORGOTTEN_MS,
    );
    const beats = known.filter(({ alive }) => alive).map(({ beat }) => beat);
    gauges.alive.set({ role }, beats.length);
    gauges.dead.set({ role }, known.length - beats.length);
    for (const { verdicts = {} } of beats)
      for (const [verdict, count] of Object.entries(verdicts))
        gauges.verdicts.inc({ verdict }, count);
    for (const { affiliatePostbacks = {} } of beats)
      for (const [outcome, count] of Object.entries(affiliatePostbacks))
        gauges.postbackAttempts.inc({ outcome }, count);
    if (role === 'edge')
      gauges.unconfirmed.set(
        beats.reduce((sum, { unconfirmedChunks = 0 }) => sum + unconfirmedChunks, 0),
      );
  }
}

async function readRedis(sources: Sources, gauges: Gauges): Promise<void> {
  const { redis, keys } = sources;
  await readQueues(sources, gauges);
  await readRoles(sources, gauges);
  gauges.published.set(Number((await redis.get(keys.catalogueVersion)) ?? 0));
  for (let lane = 0; lane < LANE_COUNT; lane++) {
    const applied = await redis.hget(keys.lane.meta(lane), 'applied');
    gauges.applied.set({ lane }, Number(applied ?? 0));
  }
}

async function readClickHouse({ clickhouse }: Sources, gauges: Gauges): Promise<void> {
  const rows = await clickhouse.query<{ lane: number; last: number }>(
    'SELECT lane, max(position) AS last FROM postback_log GROUP BY lane',
  );
  const last = new Map(rows.map((row) => [row.lane, row.last]));
  for (let lane = 0; lane < LANE_COUNT; lane++) gauges.position.set({ lane }, last.get(lane) ?? 0);
}

function createRequestMetrics(registry: Registry): ApiMetrics['record'] {
  const labels = ['method', 'route', 'status'] as const;
  const requests = new Counter({
    name: 'sluice_api_requests_total',
    help: 'Requests answered by the API',
    labelNames: labels,
    registers: [registry],
  });
  const durations = new Histogram({
    name: 'sluice_api_request_seconds',
    help: 'Time to the end of the answer',
    labelNames: ['route'] as const,
    buckets: SECONDS,
    registers: [registry],
  });
  return (request, reply) => {
    // The route's pattern, never the path: ids and guesses would make a series each.
    const route = request.routeOptions.url ?? 'unknown';
    requests.inc({ method: request.method, route, status: reply.statusCode });
    durations.observe({ route }, reply.elapsedTime / 1000);
  };
}

export function createApiMetrics(sources: Sources, tails: () => number): ApiMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauges = createGauges(registry);

  async function readStore(
    store: string,
    read: (sources: Sources, gauges: Gauges) => Promise<void>,
  ): Promise<void> {
    try {
      await read(sources, gauges);
      gauges.up.set({ store }, 1);
    } catch (error) {
      sources.logger.debug({ store, error: messageOf(error) }, 'a store gave no metrics');
      gauges.up.set({ store }, 0);
    }
  }

  return {
    contentType: registry.contentType,
    record: createRequestMetrics(registry),
    async text() {
      for (const gauge of Object.values(gauges)) gauge.reset();
      await readStore('redis', readRedis);
      await readStore('clickhouse', readClickHouse);
      gauges.tails.set(tails());
      return registry.metrics();
    },
  };
}
