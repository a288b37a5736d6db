/** `/api/v1/status`: how the pipeline does, for the dashboard: who lives, what waits, how fresh the newest row is. Managers only. */
import { Queue } from 'bullmq';
import type { FastifyInstance } from 'fastify';
import { messageOf } from '../../domain/app-error.ts';
import { CHUNK_KINDS, type ChunkKind } from '../../domain/hit.ts';
import { queueNameOf } from '../../queue/chunk-job.ts';
import { requireManager, type ApiContext } from '../context.ts';
import { jsonResponse, listOf, nullable, object, responses } from '../documents/document.ts';

interface QueueState {
  readonly kind: ChunkKind;
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  /** Of the oldest chunk that nobody has begun; null: none waits. */
  readonly oldest_ms: number | null;
}

/** A role not heard of for this long is taken for dead; an hour later it is forgotten. */
const ALIVE_MS = 10_000;
const FORGOTTEN_MS = 3_600_000;

async function readQueue(context: ApiContext, kind: ChunkKind, now: number): Promise<QueueState> {
  const { redis, keys } = context;
  const queue = new Queue(queueNameOf(kind), {
    connection: redis,
    prefix: keys.queuePrefix,
    skipVersionCheck: true,
    skipWaitingForReady: true,
    skipMetasUpdate: true,
  });
  queue.on('error', () => undefined);
  const [waiting, active, delayed] = await Promise.all([
    redis.llen(queue.toKey('wait')),
    redis.llen(queue.toKey('active')),
    redis.zcard(queue.toKey('delayed')),
  ]);
  // The job itself is a whole chunk: only its time is read.
  const [oldest] = await redis.lrange(queue.toKey('wait'), -1, -1);
  const added = oldest === undefined ? null : await redis.hget(queue.toKey(oldest), 'timestamp');
  return { kind, waiting, active, delayed, oldest_ms: added === null ? null : now - Number(added) };
}

async function readRoles(context: ApiContext, now: number): Promise<object[]> {
  const beats = await context.redis.hgetall(context.keys.heartbeats);
  return Object.entries(beats)
    .map(([name, text]) => {
      const beat = JSON.parse(text) as { readonly atMs: number };
      return { name, ...beat, age_ms: now - beat.atMs, alive: now - beat.atMs < ALIVE_MS };
    })
    .filter(({ age_ms }) => age_ms < FORGOTTEN_MS)
    .toSorted((a, b) => a.name.localeCompare(b.name));
}

async function readFreshness(context: ApiContext): Promise<object> {
  const [row] = await context.clickhouse.query<{ click_ms: number; call_ms: number }>(
    `SELECT (SELECT toUnixTimestamp64Milli(max(hit_time)) FROM click_log WHERE hit_time > now() - INTERVAL 7 DAY) AS click_ms,
       (SELECT toUnixTimestamp64Milli(max(hit_time)) FROM postback_log WHERE hit_time > now() - INTERVAL 7 DAY) AS call_ms`,
  );
  const orNull = (ms: number | undefined): number | null =>
    ms === undefined || ms <= 0 ? null : ms;
  return { newest_click_ms: orNull(row?.click_ms), newest_call_ms: orNull(row?.call_ms) };
}

const NUMBER_OR_NULL = nullable('integer');
const QUEUE = object({
  kind: { type: 'string', enum: CHUNK_KINDS },
  waiting: { type: 'integer' },
  active: { type: 'integer' },
  delayed: { type: 'integer' },
  oldest_ms: NUMBER_OR_NULL,
});
const FRESHNESS = object({ newest_click_ms: NUMBER_OR_NULL, newest_call_ms: NUMBER_OR_NULL });
const DOCUMENT = {
  tags: ['status'],
  summary: 'How the pipeline does: queues, roles, newest rows; null: its store did not answer',
  response: responses(
    {
      200: jsonResponse(
        'Now',
        object({
          now_ms: { type: 'integer' },
          queues: { type: ['array', 'null'], items: QUEUE },
          roles: { type: ['array', 'null'], items: { type: 'object' } },
          freshness: { ...FRESHNESS, type: ['object', 'null'] },
          problems: listOf({ type: 'string' }),
        }),
      ),
    },
    [403],
  ),
};

export function registerStatusRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get('/api/v1/status', { schema: DOCUMENT }, async (request) => {
    requireManager(request);
    const now = Date.now();
    const failed = (what: string) => (error: unknown) => {
      problems.push(`${what}: ${messageOf(error)}`);
      return null;
    };
    const problems: string[] = [];
    const [queues, roles, freshness] = await Promise.all([
      Promise.all(CHUNK_KINDS.map((kind) => readQueue(context, kind, now))).catch(failed('Redis')),
      readRoles(context, now).catch(failed('Redis')),
      readFreshness(context).catch(failed('ClickHouse')),
    ]);
    return { now_ms: now, queues, roles, freshness, problems };
  });
}
