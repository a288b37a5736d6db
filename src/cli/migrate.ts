/** `sluice migrate`: brings the schema up to this version, and the catalogue to Redis. */
import { applySync } from '../../clickhouse/durability.ts';
import { applyRetention } from '../../clickhouse/retention.ts';
import { migrate } from '../../clickhouse/migrate.ts';
import type { Config } from '../config.ts';
import { openInstance } from './instance.ts';

export async function runMigrate(config: Config): Promise<number> {
  const instance = await openInstance(config);
  try {
    const { applied } = await migrate(instance.clickhouse, (what) => console.log(what));
    for (const name of applied) console.log(`applied ${name}`);
    for (const table of await applyRetention(instance.clickhouse, config.retention))
      console.log(`${table}: retention set`);
    for (const table of await applySync(instance.clickhouse, config.spoolSync))
      console.log(
        `${table}: synced to the ${config.spoolSync === 'disk' ? 'disk' : 'operating system'}`,
      );
    if (applied.length === 0) console.log('nothing to migrate');
    await instance.store.refill();
    return 0;
  } finally {
    await instance.close();
  }
}
