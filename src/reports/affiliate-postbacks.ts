/** One affiliate postback as it stands: what a resend is made of. */
import type { Attempt } from '../../clickhouse/affiliate-postback-log.ts';
import type { ClickHouse } from '../../clickhouse/client.ts';
import type { AffiliatePostbackJob } from '../queue/affiliate-postback-queue.ts';
import { ownsRow, type Principal } from './principal.ts';

interface Row {
  readonly entry_id: number;
  readonly fanout: number;
  readonly transaction_id: string;
  readonly hit_id: string;
  readonly event_s: number;
  readonly offer_id: number;
  readonly goal_id: number;
  readonly affiliate_id: number;
  readonly conv_status: string;
}

/** The job that sends a postback again, or undefined when there is none for the asker. */
export async function findResend(
  clickhouse: ClickHouse,
  principal: Principal,
  postbackId: string,
): Promise<AffiliatePostbackJob | undefined> {
  const [row] = await clickhouse.query<Row>(
    `SELECT entry_id, fanout, transaction_id, hit_id, toUnixTimestamp(event_time) AS event_s, offer_id, goal_id, affiliate_id, conv_status
     FROM affiliate_postback_log WHERE postback_id = {postbackId:String} LIMIT 1`,
    { postbackId },
  );
  if (row === undefined || principal.role === 'advertiser' || !ownsRow(principal, { ...row }))
    return undefined;
  return {
    postbackId,
    entryId: row.entry_id,
    fanout: row.fanout,
    transactionId: row.transaction_id,
    hitId: row.hit_id,
    eventTimeS: row.event_s,
    offerId: row.offer_id,
    goalId: row.goal_id,
    affiliateId: row.affiliate_id,
    convStatus: row.conv_status,
    attempt: 1,
    resentBy: principal.name,
  };
}

/** The row that makes the resend outstanding, whatever becomes of Redis. */
export function requestOf(job: AffiliatePostbackJob, nowMs: number): Attempt {
  const { texts: _, ...reference } = job;
  return {
    ...reference,
    startedAtMs: nowMs,
    attempt: 0,
    outcome: 'requested',
    method: '',
    url: '',
    statusCode: 0,
    durationMs: 0,
    answer: '',
    error: '',
    nextAttemptMs: null,
  };
}
