/**
 * What people use today, the worker half: takes jobs one by one, many at a time; for a conversion reads the click from
 * Redis and checks the rules by one pipeline; inserts one row a hit. Crashes cost it hits, and its rules can race: it
 * is faster than one that would not.
 */
import { createClient } from '@clickhouse/client';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { gateCommands, judgePipelined } from './gate-commands.ts';
import { PEER_INSERT, PEER_QUEUE, peerClickKey, type PeerJob } from './job-per-hit.ts';

const [redisUrl = '', clickhouseUrl = '', password = ''] = process.argv.slice(2);
/** Tried 4, 8, 16, 64: beyond 8 the engine only has more to schedule. */
const CONCURRENCY = 8;

const redis = new Redis(redisUrl, { maxRetriesPerRequest: null, enableAutoPipelining: true });
const clickhouse = createClient({
  url: clickhouseUrl,
  username: 'sluice',
  password,
  database: 'sluice',
  max_open_connections: CONCURRENCY,
});

type Row = readonly (string | number)[];

function rowOf(job: PeerJob, clickId: string, ids: readonly [number, number], code: number): Row {
  const { id, at, query, ip, userAgent, referer } = job;
  const time = new Date(at).toISOString().replace('T', ' ').slice(0, 23);
  return [id, time, clickId, ...ids, code, query, ip, userAgent, referer];
}

async function judge(job: PeerJob): Promise<Row> {
  const query = new URLSearchParams(job.query);
  if (job.kind === 'click')
    return rowOf(job, job.id, [Number(query.get('o')), Number(query.get('a'))], 0);
  const clickId = query.get('click_id') ?? '';
  const click = await redis.get(peerClickKey(clickId));
  if (click === null) return rowOf(job, clickId, [0, 0], 108);
  const [offer = '', affiliate = '', ip = ''] = click.split('|');
  const commands = gateCommands({
    offerId: Number(offer),
    affiliateId: Number(affiliate),
    clickId,
    ip,
    trackId: query.get('track_id') ?? '',
    hitId: job.id,
    day: Math.floor(job.at / 86_400_000),
  });
  const pipeline = redis.pipeline(commands.map((command) => [...command]));
  const replies = await pipeline.exec();
  const code = judgePipelined((replies ?? []).map(([, reply]) => reply));
  return rowOf(job, clickId, [Number(offer), Number(affiliate)], code);
}

const worker = new Worker<PeerJob>(
  PEER_QUEUE,
  async (job) => {
    const row = await judge(job.data);
    await clickhouse.command({ query: `${PEER_INSERT}\n${JSON.stringify(row)}` });
  },
  {
    connection: new Redis(redisUrl, { maxRetriesPerRequest: null }),
    concurrency: CONCURRENCY,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
    skipVersionCheck: true,
  },
);
await worker.waitUntilReady();
process.send?.('ready');
