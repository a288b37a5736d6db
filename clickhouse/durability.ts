/**
 * Whether ClickHouse syncs what it writes before it says so. An edge deletes a chunk's file once ClickHouse shows its rows; so
 * where an answer is to survive loss of power (SLUICE_SPOOL_SYNC=disk), so must these, from the first moment on and through merges.
 */
import type { ClickHouse } from './client.ts';

const SYNCED = [
  'fsync_after_insert',
  'fsync_part_directory',
  'min_rows_to_fsync_after_merge',
] as const;

export type SyncMode = 'os' | 'disk';

/** Every table, accounts and roll-ups too: a generation that outlives its rows would count. */
async function tablesOf(
  clickhouse: ClickHouse,
): Promise<readonly { readonly name: string; readonly synced: number }[]> {
  return clickhouse.query(
    `SELECT concat(database, '.', name) AS name, position(engine_full, '${SYNCED[0]} = 1') > 0 AS synced
     FROM system.tables WHERE database IN ({databases:Array(String)}) AND engine LIKE '%MergeTree' ORDER BY name`,
    { databases: [clickhouse.database, clickhouse.privateDatabase] },
  );
}

/** Sets the tables to the mode, where they are not; names those that were changed. */
export async function applySync(
  clickhouse: ClickHouse,
  mode: SyncMode,
): Promise<readonly string[]> {
  const changed: string[] = [];
  for (const { name, synced } of await tablesOf(clickhouse)) {
    if ((synced === 1) === (mode === 'disk')) continue;
    await clickhouse.command(
      mode === 'disk'
        ? `ALTER TABLE ${name} MODIFY SETTING ${SYNCED.map((setting) => `${setting} = 1`).join(', ')}`
        : `ALTER TABLE ${name} RESET SETTING ${SYNCED.join(', ')}`,
    );
    changed.push(name);
  }
  return changed;
}
