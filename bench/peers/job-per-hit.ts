/** What both halves of the one-job-per-hit pipeline share: the job, the queue, the tables, and where clicks are kept. */
import type { ClickHouse } from '../../clickhouse/client.ts';

export const PEER_QUEUE = 'peer-hits';

export interface PeerJob {
  readonly kind: 'click' | 'conversion';
  readonly id: string;
  readonly at: number;
  readonly query: string;
  readonly ip: string;
  readonly userAgent: string;
  readonly referer: string;
}

const COLUMNS: readonly (readonly [name: string, type: string])[] = [
  ['id', 'String'],
  ['at', "DateTime64(3, 'UTC')"],
  ['click_id', 'String'],
  ['offer_id', 'UInt32'],
  ['affiliate_id', 'UInt32'],
  ['verdict_code', 'UInt16'],
  ['query', 'String'],
  ['ip', 'String'],
  ['user_agent', 'String'],
  ['referer', 'String'],
];

export const PEER_INSERT = `INSERT INTO peer_hits (${COLUMNS.map(([name]) => name).join(', ')}) FORMAT JSONCompactEachRow`;

/** A Buffer table takes the single rows: of what ClickHouse offers for one insert a hit, the fastest that was tried here. */
export async function createPeerTables(clickhouse: ClickHouse): Promise<void> {
  const columns = COLUMNS.map(([name, type]) => `${name} ${type}`).join(', ');
  await clickhouse.command(
    `CREATE TABLE peer_hits_stored (${columns}) ENGINE = MergeTree ORDER BY (offer_id, at)`,
  );
  await clickhouse.command(
    `CREATE TABLE peer_hits AS peer_hits_stored ENGINE = Buffer(${clickhouse.database}, peer_hits_stored, 1, 0.2, 1, 1000, 100000, 100000, 10000000)`,
  );
}

/** The click that a conversion names, as such a pipeline keeps it: a Redis string `<offer>|<affiliate>|<ip>`. */
export function peerClickKey(clickId: string): string {
  return `peer:click:${clickId}`;
}
