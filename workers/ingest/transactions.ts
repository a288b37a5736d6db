/** Finds transactions by id, for calls that change one. The UUIDv7's time bounds the look-up. */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { timeLiteral } from '../../clickhouse/insert.ts';
import type { StoredTransaction } from '../../src/domain/judge/resolve.ts';
import { msOfUuidV7 } from '../../src/domain/uuid-v7.ts';

/** A replayed hit keeps its receipt time, and its id may be up to this much apart from it. */
const TIME_SLACK_MS = 60_000;

export async function findTransactions(
  clickhouse: ClickHouse,
  ids: ReadonlySet<string>,
): Promise<Map<string, StoredTransaction>> {
  const known = [...ids].filter((id) => msOfUuidV7(id) !== undefined);
  if (known.length === 0) return new Map();
  const times = known.map((id) => msOfUuidV7(id) ?? 0);
  const rows = await clickhouse.query<StoredTransaction>(
    `SELECT transaction_id, offer_id, goal_id, affiliate_id, click_id FROM postback_log
     WHERE hit_time BETWEEN ${timeLiteral(Math.min(...times) - TIME_SLACK_MS)} AND ${timeLiteral(Math.max(...times) + TIME_SLACK_MS)}
       AND hit_id IN {ids:Array(String)} AND row_kind = 'conversion'`,
    { ids: known },
  );
  return new Map(rows.map((row) => [row.transaction_id, row]));
}
