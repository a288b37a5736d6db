/** What `sluice doctor` says of affiliate postbacks: whether some are due for long and nobody sends them. */
import { readPostbackBacklog } from '../queue/backlog.ts';
import { fine, wrong, type Finding } from './finding.ts';
import type { Instance } from './instance.ts';

/** A postback that is due for longer says that no worker sends, or that all they send to is slow. */
const OVERDUE_S = 600;
const WHAT = 'affiliate postbacks';

/** Postbacks whose next attempt should have been made. */
async function countOverdue({ clickhouse }: Instance): Promise<number> {
  const [row] = await clickhouse.query<{ overdue: number }>(
    `SELECT count() AS overdue FROM (
       SELECT postback_id FROM affiliate_postback_log WHERE attempt_time > now() - INTERVAL 3 DAY
       GROUP BY postback_id
       HAVING argMax(final, (attempt_time, attempt_id)) = 0
         AND argMax(ifNull(next_attempt_time, attempt_time), (attempt_time, attempt_id)) < now() - INTERVAL ${OVERDUE_S} SECOND)`,
  );
  return row?.overdue ?? 0;
}

export async function checkAffiliatePostbacks(instance: Instance): Promise<Finding> {
  const [{ oldestMs }, overdue] = await Promise.all([
    readPostbackBacklog(instance.redis, instance.keys),
    countOverdue(instance),
  ]);
  const waitingS = Math.round((oldestMs ?? 0) / 1000);
  if (overdue > 0)
    return wrong(
      WHAT,
      `${overdue} should have been sent again ${OVERDUE_S / 60} minutes ago or earlier: is a worker alive?`,
    );
  return waitingS < OVERDUE_S
    ? fine(WHAT, 'none is late')
    : wrong(WHAT, `the oldest waits ${waitingS} s: start more workers, or look which host is slow`);
}
