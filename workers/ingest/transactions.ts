/** Finds transactions by id, for calls that change one. */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { FULL_IPS, type IpStorage } from '../../src/domain/ip-storage.ts';
import type { StoredTransaction } from '../../src/domain/judge/resolve.ts';
import { findAccepted } from '../gate/lane-log.ts';

export async function findTransactions(
  clickhouse: ClickHouse,
  ids: ReadonlySet<string>,
  ips: IpStorage = FULL_IPS,
): Promise<Map<string, StoredTransaction>> {
  const found = await findAccepted(clickhouse, ids, ips);
  return new Map([...found].map(([id, conversion]) => [id, { conversion }]));
}
