/** Verdicts for those who watch them live: one message a block, and none while nobody watches. Lossy by design. */
import type { Redis } from 'ioredis';
import type { PostbackFields } from '../../src/domain/judge/fields.ts';

function lineOf(row: PostbackFields): string {
  return JSON.stringify({
    hit_id: row.hit_id,
    hit_time: new Date(row.hit_time_ms).toISOString(),
    endpoint: row.endpoint,
    channel: row.channel,
    offer_id: row.offer_id,
    goal_id: row.goal_id,
    affiliate_id: row.affiliate_id,
    advertiser_id: row.advertiser_id,
    verdict_code: row.verdict_code,
    verdict: row.verdict,
    title: row.title,
    detail: row.detail,
    hint: row.hint,
    transaction_id: row.transaction_id,
    click_id: row.click_id,
    ip: row.ip,
  });
}

/** Never rejects: a tail that misses lines is no reason to hold up a verdict. */
export function createVerdictTail(redis: Redis, channel: string) {
  async function publish(rows: readonly PostbackFields[]): Promise<void> {
    const [, watchers] = await redis.pubsub('NUMSUB', channel);
    if (Number(watchers) > 0) await redis.publish(channel, rows.map(lineOf).join('\n'));
  }
  return (rows: readonly PostbackFields[]): void => void publish(rows).catch(() => undefined);
}
