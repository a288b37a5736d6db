/** Affiliate postbacks: which of an affiliate's entries want an event, and when a failed attempt is repeated. Pure. */
import { createHash } from 'node:crypto';
import type { AffiliatePostback } from './catalogue.ts';

/** What an entry is chosen by. */
export interface PostbackEvent {
  readonly affiliateId: number;
  readonly offerId: number;
  readonly goalId: number;
  readonly convStatus: string;
}

const levelOf = (entry: AffiliatePostback): number =>
  entry.goal_id !== null ? 2 : entry.offer_id !== null ? 1 : 0;

/**
 * The entries that an event is sent to: of the active ones that want its status, those of the most specific level that
 * has any (goal, then offer, then global). So an affiliate's own entry for an offer takes the global one's place there.
 */
export function entriesFor(
  entries: readonly AffiliatePostback[],
  event: PostbackEvent,
): readonly AffiliatePostback[] {
  const wanting = entries.filter(
    (entry) =>
      entry.affiliate_id === event.affiliateId &&
      entry.status === 'active' &&
      entry.statuses.some((status) => status === event.convStatus) &&
      (entry.offer_id === null || entry.offer_id === event.offerId) &&
      (entry.goal_id === null || entry.goal_id === event.goalId),
  );
  const level = Math.max(...wanting.map(levelOf));
  return wanting.filter((entry) => levelOf(entry) === level);
}

/** The same for every attempt and every dispatch of one event to one entry: 32 hex characters. */
export function postbackIdOf(entryId: number, transactionId: string, hitId: string): string {
  return createHash('sha256')
    .update(`postback ${entryId} ${transactionId} ${hitId}`)
    .digest('hex')
    .slice(0, 32);
}

export const ATTEMPTS_MAX = 8;
const FIRST_DELAY_MS = 10_000;
const DELAY_FACTOR = 5;
const DELAY_MAX_MS = 24 * 3_600_000;
/** What a server may ask for by Retry-After. */
const RETRY_AFTER_MAX_MS = 6 * 3_600_000;

export interface RetryPace {
  readonly firstDelayMs: number;
}
export const RETRY_PACE: RetryPace = { firstDelayMs: FIRST_DELAY_MS };

/**
 * The wait after a failed attempt (1, 2, …): full jitter over 10 s, 50 s, 4 min, 21 min, 1.7 h, 8.7 h, 24 h, so that a
 * host that comes back is not met by everyone at once. At least what the server asked for, within 6 h.
 */
export function retryDelayMs(
  attempt: number,
  random: number,
  retryAfterMs = 0,
  pace: RetryPace = RETRY_PACE,
): number {
  const bound = Math.min(DELAY_MAX_MS, pace.firstDelayMs * DELAY_FACTOR ** (attempt - 1));
  return Math.max(Math.round(bound * random), Math.min(retryAfterMs, RETRY_AFTER_MAX_MS));
}

/** `Retry-After` in ms: seconds or an HTTP date; 0 when it says nothing. */
export function parseRetryAfter(text: string | undefined, nowMs: number): number {
  if (text === undefined) return 0;
  if (/^\d{1,9}$/.test(text.trim())) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? 0 : Math.max(0, at - nowMs);
}

export type AttemptOutcome = 'sent' | 'retry' | 'failed';

/** What an answer's status means: 5xx, 408 and 429 may pass, other refusals will not. */
export function outcomeOfStatus(status: number): AttemptOutcome {
  if (status >= 200 && status < 300) return 'sent';
  return status >= 500 || status === 429 || status === 408 ? 'retry' : 'failed';
}
