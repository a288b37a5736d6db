/** docs/sql.md is made of the migrations' text; here its columns are held against what the engine says of the views. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';

type Columns = readonly (readonly [name: string, type: string])[];

let database: TestClickHouse;
beforeAll(async () => {
  database = await startClickHouse();
}, 120_000);
afterAll(() => database.close());

/** View → its columns, as documented. */
function documented(): [view: string, Columns][] {
  const [, ...sections] = readFileSync(projectPath('docs', 'sql.md'), 'utf8').split(/^## /m);
  return sections.map((section) => {
    const rows = section.matchAll(/^\| `(\w+)` \| (.*?) \| /gm);
    return [
      section.slice(0, section.indexOf('\n')),
      [...rows].map(([, name = '', type = '']) => [name, type.replaceAll('\\|', '|')] as const),
    ];
  });
}

it('names every view with its columns in their order and of their types', async () => {
  const { clickhouse } = database;
  const views = await clickhouse.query<{ name: string }>(
    `SELECT name FROM system.tables WHERE database = {database:String} AND engine = 'View'`,
    { database: clickhouse.database },
  );
  const described = documented();
  expect(described.map(([view]) => view).toSorted()).toEqual(
    views.map(({ name }) => name).toSorted(),
  );
  for (const [view, columns] of described) {
    const rows = await clickhouse.query<{ name: string; type: string }>(`DESCRIBE TABLE ${view}`);
    expect
      .soft(
        rows.map(({ name, type }) => [name, type]),
        view,
      )
      .toEqual(columns);
  }
});
