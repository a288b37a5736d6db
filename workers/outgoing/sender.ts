/**
 * One postback, one attempt: what to send now, the call, its row, and what comes next. The row is in ClickHouse before
 * the job ends or waits for its next attempt; a process that dies before makes the attempt again, under the same id.
 */
import type { Attempt } from '../../clickhouse/affiliate-postback-log.ts';
import { fillPostbackUrl, type MacroTexts } from '../../src/domain/affiliate-postback-url.ts';
import {
  ATTEMPTS_MAX,
  outcomeOfStatus,
  retryDelayMs,
  RETRY_PACE,
  type RetryPace,
} from '../../src/domain/affiliate-postbacks.ts';
import type { AffiliatePostback } from '../../src/domain/catalogue.ts';
import type { AffiliatePostbackJob } from '../../src/queue/affiliate-postback-queue.ts';
import type { AttemptWriter } from './attempt-writer.ts';
import type { PostbackEntries } from './entries.ts';
import type { StandingEvent } from './events.ts';
import type { HostLimiter } from './host-limiter.ts';
import type { OutgoingResult, SendOutgoing } from './request.ts';

/** `again`: deliver `job` after the wait. */
export type Delivery =
  | { readonly kind: 'done' }
  | { readonly kind: 'again'; readonly job: AffiliatePostbackJob; readonly waitMs: number };

const DONE: Delivery = { kind: 'done' };

type Ending = Pick<Attempt, 'outcome' | 'statusCode' | 'answer' | 'error'> & {
  readonly retryAfterMs: number;
};

function endingOf(result: OutgoingResult, attempt: number): Ending {
  const ended = { statusCode: 0, answer: '', retryAfterMs: 0 };
  const orLast = (outcome: 'sent' | 'retry' | 'failed'): Attempt['outcome'] =>
    outcome === 'retry' && attempt >= ATTEMPTS_MAX ? 'failed' : outcome;
  switch (result.kind) {
    case 'answered': {
      const { status, answer, note, retryAfterMs } = result;
      const outcome = orLast(outcomeOfStatus(status));
      return { outcome, statusCode: status, answer, error: note, retryAfterMs };
    }
    case 'failed':
      return { ...ended, outcome: orLast('retry'), error: result.error };
    case 'hopeless':
      return { ...ended, outcome: 'failed', error: result.error };
    default:
      return { ...ended, outcome: 'refused', error: result.error };
  }
}

/** Why a postback is not sent any more, or undefined. What someone asks for again is sent while its entry exists. */
function reasonAgainst(
  job: AffiliatePostbackJob,
  entry: AffiliatePostback | undefined,
  event: StandingEvent | undefined,
): string | undefined {
  if (entry === undefined || entry.affiliate_id !== job.affiliateId)
    return 'its entry has been deleted';
  if (job.resentBy !== '') return undefined;
  if (entry.status === 'inactive') return 'its entry is inactive';
  return job.attempt > 1 && event?.superseded === true
    ? `the transaction has another status since: ${event.convStatus} is old news`
    : undefined;
}

export function createPostbackSender(deps: {
  readonly entries: PostbackEntries;
  readonly loadEvent: (job: AffiliatePostbackJob) => Promise<StandingEvent | undefined>;
  /** Whether some attempt has succeeded: someone had it sent again meanwhile. */
  readonly isSent: (job: AffiliatePostbackJob) => Promise<boolean>;
  readonly send: SendOutgoing;
  readonly limiter: HostLimiter;
  readonly attempts: AttemptWriter;
  readonly clock: () => number;
  readonly random: () => number;
  readonly pace?: RetryPace;
  readonly onAttempt: (outcome: Attempt['outcome']) => void;
}) {
  const { entries, clock } = deps;

  async function write(
    job: AffiliatePostbackJob,
    more: Omit<Attempt, keyof AffiliatePostbackJob>,
  ): Promise<void> {
    const { texts: _, ...reference } = job;
    await deps.attempts.write({ ...reference, ...more });
    deps.onAttempt(more.outcome);
  }

  async function refuse(job: AffiliatePostbackJob, error: string): Promise<Delivery> {
    await write(job, {
      startedAtMs: clock(),
      outcome: 'refused',
      method: '',
      url: '',
      statusCode: 0,
      durationMs: 0,
      answer: '',
      error,
      nextAttemptMs: null,
    });
    return DONE;
  }

  async function attempt(
    job: AffiliatePostbackJob,
    entry: AffiliatePostback,
    texts: MacroTexts,
    signal: AbortSignal,
  ): Promise<Delivery> {
    const { method } = entry;
    const goal_alias = entries.goalAlias(job.goalId);
    const url = fillPostbackUrl(entry.url, { ...texts, goal_alias, postback_id: job.postbackId });
    const slot = await deps.limiter.take(new URL(url).host, job.affiliateId);
    if (slot.kind === 'full') return { kind: 'again', job, waitMs: slot.waitMs };
    const startedAtMs = clock();
    const begunMs = performance.now();
    // Never rejects. The slot is for the call alone: its row takes its own time.
    const result = await deps.send({ method, url, postbackId: job.postbackId, signal });
    slot.release();
    // The clock may be set meanwhile, and the column takes nothing below 0.
    const durationMs = Math.round(performance.now() - begunMs);
    // Cut off by our own end: the next process makes the attempt.
    if (signal.aborted && result.kind === 'failed') return { kind: 'again', job, waitMs: 0 };
    const { retryAfterMs, ...ending } = endingOf(result, job.attempt);
    const waitMs = retryDelayMs(job.attempt, deps.random(), retryAfterMs, deps.pace ?? RETRY_PACE);
    const isRetry = ending.outcome === 'retry';
    await write(job, {
      ...ending,
      startedAtMs,
      durationMs,
      method,
      url,
      nextAttemptMs: isRetry ? clock() + waitMs : null,
    });
    if (!isRetry) return DONE;
    const { texts: _, ...later } = job;
    return { kind: 'again', job: { ...later, attempt: job.attempt + 1 }, waitMs };
  }

  /** Rejects when a store does not answer: nothing was sent then. */
  return async function deliver(job: AffiliatePostbackJob, signal: AbortSignal): Promise<Delivery> {
    // Who has a postback sent again has often mended its URL just before.
    await entries.refresh(job.resentBy !== '');
    if (job.attempt > 1 && job.resentBy === '' && (await deps.isSent(job))) return DONE;
    const entry = entries.newest(job.entryId);
    const event = job.texts === undefined ? await deps.loadEvent(job) : undefined;
    const texts = job.texts ?? event?.texts;
    const against = reasonAgainst(job, entry, event);
    if (against !== undefined || entry === undefined) return refuse(job, against ?? '');
    if (texts === undefined) return refuse(job, 'its transaction is not in the log');
    return attempt(job, entry, texts, signal);
  };
}
