/** Where answers are to survive loss of power, ClickHouse syncs every table that the edge, the gate or a person relies on. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { applySync } from '../../clickhouse/durability.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';

let database: TestClickHouse;
let clickhouse: ClickHouse;
beforeAll(async () => {
  database = await startClickHouse();
  ({ clickhouse } = database);
}, 120_000);
afterAll(async () => {
  await database.close();
});

interface Synced {
  readonly name: string;
  readonly inserts: number;
  readonly folders: number;
  readonly merges: number;
}

const tables = (): Promise<readonly Synced[]> =>
  clickhouse.query<Synced>(
    `SELECT concat(database, '.', name) AS name, position(engine_full, 'fsync_after_insert = 1') > 0 AS inserts,
       position(engine_full, 'fsync_part_directory = 1') > 0 AS folders, position(engine_full, 'min_rows_to_fsync_after_merge = 1') > 0 AS merges
     FROM system.tables WHERE database IN ({databases:Array(String)}) AND total_rows IS NOT NULL ORDER BY name`,
    { databases: [clickhouse.database, clickhouse.privateDatabase] },
  );

it('syncs every table in the mode disk, none in the mode os, and leaves tables alone that are right', async () => {
  const names = (await tables()).map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining([
      `${clickhouse.database}.click_log`,
      `${clickhouse.database}.postback_log`,
      `${clickhouse.database}.affiliate_postback_log`,
      `${clickhouse.privateDatabase}.catalogue_log`,
      `${clickhouse.privateDatabase}.replay_lanes`,
    ]),
  );
  const all = (synced: number): readonly Synced[] =>
    names.map((name) => ({ name, inserts: synced, folders: synced, merges: synced }));
  expect(await applySync(clickhouse, 'os')).toEqual([]);
  expect(await tables()).toEqual(all(0));

  expect(await applySync(clickhouse, 'disk')).toEqual(names);
  expect(await tables()).toEqual(all(1));
  expect(await applySync(clickhouse, 'disk')).toEqual([]);

  expect(await applySync(clickhouse, 'os')).toEqual(names);
  expect(await tables()).toEqual(all(0));
}, 60_000);
