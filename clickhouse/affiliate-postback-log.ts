/** Attempts of affiliate postbacks as rows, written a block at a time under a token of its own. */
import { randomUUID } from 'node:crypto';
import type { ClickHouse } from './client.ts';
import { insertGuarded, timeText, type Row } from './insert.ts';
import { AFFILIATE_POSTBACK_COLUMNS } from './tables.ts';

/** The event and the entry that a postback is made of. */
export interface PostbackReference {
  readonly postbackId: string;
  readonly entryId: number;
  readonly fanout: number;
  readonly transactionId: string;
  readonly hitId: string;
  /** When the event's block was written, in seconds. */
  readonly eventTimeS: number;
  readonly offerId: number;
  readonly goalId: number;
  readonly affiliateId: number;
  readonly convStatus: string;
}

export interface Attempt extends PostbackReference {
  readonly startedAtMs: number;
  readonly attempt: number;
  readonly outcome: 'sent' | 'retry' | 'failed' | 'refused' | 'requested';
  readonly resentBy: string;
  readonly method: string;
  readonly url: string;
  readonly statusCode: number;
  readonly durationMs: number;
  readonly answer: string;
  readonly error: string;
  readonly nextAttemptMs: number | null;
}

const NOT_FINAL: ReadonlySet<Attempt['outcome']> = new Set(['retry', 'requested']);

function rowOf(attempt: Attempt, nowMs: number): Row {
  return [
    randomUUID(),
    timeText(attempt.startedAtMs),
    attempt.postbackId,
    attempt.attempt,
    attempt.outcome,
    NOT_FINAL.has(attempt.outcome) ? 0 : 1,
    attempt.resentBy,
    attempt.entryId,
    attempt.fanout,
    attempt.transactionId,
    attempt.hitId,
    attempt.eventTimeS,
    attempt.offerId,
    attempt.goalId,
    attempt.affiliateId,
    attempt.convStatus,
    attempt.method,
    attempt.url,
    attempt.statusCode,
    attempt.durationMs,
    attempt.answer,
    attempt.error,
    attempt.nextAttemptMs === null ? null : timeText(attempt.nextAttemptMs),
    Math.floor(nowMs / 1000),
  ];
}

/** Repeating the returned call writes the same rows at most once, so that a failure can be answered by another try. */
export function prepareAttempts(
  clickhouse: ClickHouse,
  attempts: readonly Attempt[],
  nowMs: number,
): () => Promise<void> {
  const rows = attempts.map((attempt) => rowOf(attempt, nowMs));
  const token = `attempts-${randomUUID()}`;
  return () =>
    insertGuarded(clickhouse, {
      table: 'affiliate_postback_log',
      columns: AFFILIATE_POSTBACK_COLUMNS,
      rows,
      token,
      guard: '1',
    });
}
