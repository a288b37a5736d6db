/**
 * Who may do what, in the engine's own access control. chDB knows one user, `default`, and has no log-in; but it reads
 * users and roles from a configuration file when it starts. So two roles are declared, and every Session takes one:
 * `owner` may do all, `analyst` may SELECT from the documented views and nothing else: no base table, no file(), no
 * url(), no dictionary, and `system.tables` shows it only what it may read. The views run as their definer.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type Role = 'owner' | 'analyst';

/** Views made without saying so run with their maker's rights, so that reading one needs no right on its tables. */
export const DEFINER_ARGUMENT = '--default_normal_view_sql_security=DEFINER';

function grants(queries: readonly string[]): string {
  return `<grants>${queries.map((query) => `<query>${query}</query>`).join('')}</grants>`;
}

/** Writes the engine's configuration and returns its path. `relations` are plain names in `database`. */
export function writeAccessConfig(
  folder: string,
  database: string,
  relations: readonly string[],
): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const users = join(folder, 'users.xml');
  const config = join(folder, 'config.xml');
  const analyst = [
    ...relations.map((relation) => `GRANT SELECT ON ${database}.${relation}`),
    // What the table functions numbers(), values() and view() ask for.
    'GRANT CREATE TEMPORARY TABLE ON *.*',
  ];
  writeFileSync(
    users,
    `<clickhouse>
<profiles><default/></profiles><quotas><default/></quotas>
<roles>
<owner>${grants(['GRANT ALL ON *.*'])}</owner>
<analyst>${grants(analyst)}</analyst>
</roles>
<users><default><no_password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
${grants(['GRANT owner', 'GRANT analyst'])}</default></users>
</clickhouse>\n`,
    { mode: 0o600 },
  );
  writeFileSync(
    config,
    `<clickhouse>
<user_directories><users_xml><path>${users}</path></users_xml></user_directories>
<ignore_empty_sql_security_in_create_view_query>0</ignore_empty_sql_security_in_create_view_query>
</clickhouse>\n`,
    { mode: 0o600 },
  );
  return config;
}
