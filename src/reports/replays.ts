/** Replays as they were asked for and how far they are: batches of their kind, with counts of the new verdicts. */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { CHUNKS_MAX } from '../batch/limits.ts';

export interface ReplayStatus {
  readonly replay_id: string;
  readonly asked_at: string;
  readonly author: string;
  /** `judging`: not every call has its verdict yet. */
  readonly state: 'judging' | 'done';
  readonly hits: number;
  readonly judged: number;
  /** `judged` of `hits`, 0 to 1. */
  readonly progress: number;
  /** Hits by their new verdict's slug; only verdicts that occur. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly lines_url: string;
}

interface StoredReplay {
  readonly batch_id: string;
  readonly asked_at: string;
  readonly asked_ms: number;
  readonly author: string;
  readonly hits: number;
}

interface VerdictCount {
  readonly batch_id: string;
  readonly verdict: string;
  readonly hits: number;
}

function statusOf(replay: StoredReplay, counts: readonly VerdictCount[]): ReplayStatus {
  const own = counts.filter(({ batch_id: id }) => id === replay.batch_id);
  const judged = own.reduce((sum, { hits }) => sum + hits, 0);
  return {
    replay_id: replay.batch_id,
    asked_at: replay.asked_at,
    author: replay.author,
    state: judged >= replay.hits ? 'done' : 'judging',
    hits: replay.hits,
    judged,
    progress: replay.hits === 0 ? 1 : Math.min(1, judged / replay.hits),
    verdicts: Object.fromEntries(own.map(({ verdict, hits }) => [verdict, hits])),
    lines_url: `/api/v1/batches/${replay.batch_id}/lines`,
  };
}

async function countVerdicts(
  clickhouse: ClickHouse,
  replays: readonly StoredReplay[],
): Promise<VerdictCount[]> {
  if (replays.length === 0) return [];
  return clickhouse.query<VerdictCount>(
    `SELECT batch_id, verdict, count() AS hits FROM postback_log
     WHERE chunk_time BETWEEN fromUnixTimestamp64Milli({fromMs:Int64}, 'UTC') AND fromUnixTimestamp64Milli({toMs:Int64}, 'UTC')
       AND batch_id IN {ids:Array(String)}
     GROUP BY batch_id, verdict ORDER BY hits DESC, verdict`,
    {
      fromMs: Math.min(...replays.map(({ asked_ms: ms }) => ms)) - CHUNKS_MAX,
      toMs: Math.max(...replays.map(({ asked_ms: ms }) => ms)),
      ids: replays.map(({ batch_id: id }) => id),
    },
  );
}

/** The newest first; one of them when an id is given. */
export async function listReplays(
  clickhouse: ClickHouse,
  limit: number,
  replayId = '',
): Promise<ReplayStatus[]> {
  const replays = await clickhouse.query<StoredReplay>(
    `SELECT batch_id, toString(b.received_at) AS asked_at, toUnixTimestamp64Milli(b.received_at) AS asked_ms, author, hits
     FROM ${clickhouse.privateDatabase}.batches AS b
     WHERE kind = 'replay' AND ({id:String} = '' OR batch_id = {id:String})
     ORDER BY b.received_at DESC, batch_id DESC LIMIT {limit:UInt32}`,
    { id: replayId, limit },
  );
  const counts = await countVerdicts(clickhouse, replays);
  return replays.map((replay) => statusOf(replay, counts));
}
