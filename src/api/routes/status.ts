/** `/api/v1/status`: how the pipeline does, for the dashboard: who lives, what waits, how fresh the newest row is. Managers only. */
import type { FastifyInstance } from 'fastify';
import { messageOf } from '../../domain/app-error.ts';
import { CHUNK_KINDS, type ChunkKind } from '../../domain/hit.ts';
import { readBacklog } from '../../queue/backlog.ts';
import { queueNameOf } from '../../queue/chunk-job.ts';
import { readHeartbeats } from '../../redis/heartbeats.ts';
import { requireManager, type ApiContext } from '../context.ts';
import { jsonResponse, listOf, nullable, object, responses } from '../documents/document.ts';

/** A role not heard of for this long is forgotten. */
const FORGOTTEN_MS = 3_600_000;

async function readQueue({ redis, keys }: ApiContext, kind: ChunkKind): Promise<object> {
  const { oldestMs, ...counts } = await readBacklog(redis, keys, queueNameOf(kind));
  return { kind, ...counts, oldest_ms: oldestMs };
}

async function readRoles({ redis, keys }: ApiContext): Promise<object[]> {
  const heard = await readHeartbeats(redis, keys);
  return heard
    .filter(({ silentMs }) => silentMs < FORGOTTEN_MS)
    .map(({ name, beat, silentMs, alive }) => ({ name, ...beat, age_ms: silentMs, alive }));
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
      Promise.all(CHUNK_KINDS.map((kind) => readQueue(context, kind))).catch(failed('Redis')),
      readRoles(context).catch(failed('Redis')),
      readFreshness(context).catch(failed('ClickHouse')),
    ]);
    return { now_ms: now, queues, roles, freshness, problems };
  });
}
