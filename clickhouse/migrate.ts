/**
 * Forward-only migrations: `migrations/NNNN_verb_noun.sql`, one statement each, applied in order, checksummed.
 * Refuses a file that changed after it was applied, and a schema newer than this code.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { AppError } from '../src/domain/app-error.ts';
import { projectPath } from '../src/project-root.ts';
import type { ClickHouse } from './client.ts';
import { repartition } from './partitions.ts';

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

interface Applied {
  readonly name: string;
  readonly checksum: string;
}

export function readMigrations(folder = projectPath('clickhouse', 'migrations')): Migration[] {
  return readdirSync(folder)
    .filter((name) => /^[0-9]{4}_[a-z0-9_]+\.sql$/.test(name))
    .toSorted()
    .map((name) => {
      const sql = readFileSync(`${folder}/${name}`, 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    });
}

function refuse(message: string): never {
  throw new AppError('MIGRATION_REFUSED', message);
}

function checkApplied(applied: readonly Applied[], migrations: readonly Migration[]): void {
  const known = new Map(migrations.map((migration) => [migration.name, migration.checksum]));
  for (const { name, checksum } of applied) {
    const expected = known.get(name);
    if (expected === undefined)
      refuse(`the database has ${name}, which this version does not know: upgrade Sluice`);
    if (expected !== checksum)
      refuse(`${name} was changed after it had been applied: restore the file, add a new one`);
  }
}

/**
 * Creates both databases and applies what is missing. Safe to run twice, also at the same time: statements are idempotent. But
 * nobody may write meanwhile: tables may be copied, which `tell` hears of.
 */
export async function migrate(
  clickhouse: ClickHouse,
  tell: (what: string) => void = () => undefined,
): Promise<{ readonly applied: readonly string[] }> {
  const { database, privateDatabase } = clickhouse;
  await clickhouse.command(`CREATE DATABASE IF NOT EXISTS ${database}`);
  await clickhouse.command(`CREATE DATABASE IF NOT EXISTS ${privateDatabase}`);
  await clickhouse.command(
    `CREATE TABLE IF NOT EXISTS ${privateDatabase}.migrations (name String, checksum String, applied_at DateTime DEFAULT now())
     ENGINE = MergeTree ORDER BY name`,
  );
  const migrations = readMigrations();
  const done = await clickhouse.query<Applied>(
    `SELECT DISTINCT name, checksum FROM ${privateDatabase}.migrations`,
  );
  checkApplied(done, migrations);
  const names = new Set(done.map(({ name }) => name));
  const applied: string[] = [];
  for (const { name, sql, checksum } of migrations) {
    if (names.has(name)) continue;
    await clickhouse.command(sql.replaceAll('{private}', privateDatabase));
    await clickhouse.command(
      `INSERT INTO ${privateDatabase}.migrations (name, checksum) SELECT {name:String}, {checksum:String}`,
      { name, checksum },
    );
    applied.push(name);
  }
  for (const table of await repartition(clickhouse, tell)) applied.push(`partitions of ${table}`);
  return { applied };
}
