/**
 * How long raw rows are kept, by table. Clicks, rejected calls and attempts of affiliate postbacks may go; conversions and their changes never do: the
 * gate's state must always be computable from the log (invariant 6). Hourly statistics outlive the rows they count.
 */
import type { ClickHouse } from './client.ts';

/** Days; null: for ever. */
export interface Retention {
  readonly clicksDays: number | null;
  readonly invalidDays: number | null;
  readonly affiliatePostbacksDays: number | null;
}

/** Counted from the writing: a chunk that comes late must not vanish before its edge has seen it confirmed. */
const expiry = (days: number): string => `block_time + toIntervalDay(${days})`;

async function setExpiry(clickhouse: ClickHouse, table: string, rule: string): Promise<boolean> {
  const [row] = await clickhouse.query<{ held: string }>(
    "SELECT extract(engine_full, 'TTL (.*?) SETTINGS') AS held FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
    { table },
  );
  if ((row?.held ?? '') === rule) return false;
  await clickhouse.command(
    rule === ''
      ? `ALTER TABLE ${table} REMOVE TTL`
      : `ALTER TABLE ${table} MODIFY TTL ${rule} SETTINGS materialize_ttl_after_modify = 0`,
  );
  return true;
}

/** Puts the rules into the tables, where the engine's merges follow them; names the tables whose rule changed. */
export async function applyRetention(
  clickhouse: ClickHouse,
  { clicksDays, invalidDays, affiliatePostbacksDays }: Retention,
): Promise<readonly string[]> {
  const rules = [
    ['click_log', clicksDays === null ? '' : expiry(clicksDays)],
    [
      'postback_log',
      invalidDays === null ? '' : `${expiry(invalidDays)} WHERE row_kind = 'invalid'`,
    ],
    [
      'affiliate_postback_log',
      affiliatePostbacksDays === null ? '' : expiry(affiliatePostbacksDays),
    ],
  ] as const;
  const changed: string[] = [];
  for (const [table, rule] of rules)
    if (await setExpiry(clickhouse, table, rule)) changed.push(table);
  return changed;
}
