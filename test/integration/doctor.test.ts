/** `sluice doctor` where something is wrong: every check has its line, and a problem says what to do. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';
import { runCommand } from '../support/start-sluice.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'sluice-doctor-'));
let server: TestRedis;
let database: TestClickHouse;
beforeAll(async () => {
  [server, database] = await Promise.all([startRedis(), startClickHouse()]);
}, 120_000);
afterAll(async () => {
  await Promise.all([server.close(), database.close()]);
  rmSync(dataDir, { recursive: true, force: true });
});

function runDoctor(password: string, clickhouseDatabase: string) {
  const url = new URL(database.url);
  url.username = 'sluice';
  url.password = password;
  return runCommand(['doctor'], {
    ...process.env,
    SLUICE_DATA_DIR: dataDir,
    REDIS_URL: server.url,
    CLICKHOUSE_URL: url.href,
    CLICKHOUSE_DATABASE: clickhouseDatabase,
  });
}

it('a wrong password is a problem of ClickHouse, and what Redis knows is looked at all the same', async () => {
  const { code, output } = await runDoctor('wrong', database.clickhouse.database);
  expect(code).toBe(1);
  expect(output).toMatch(/^PROBLEM ClickHouse: .*CLICKHOUSE_URL/m);
  for (const line of [
    'ok      Redis',
    'PROBLEM workers',
    'ok      queue of clicks',
    'ok      spool',
  ])
    expect(output).toContain(`${line}: `);
});

it('a check that fails is a problem with what to do, and the others have their lines', async () => {
  const { code, output } = await runDoctor(database.password, 'never_migrated');
  expect(code).toBe(1);
  expect(output).toContain('ok      ClickHouse: answers');
  expect(output).toMatch(/^PROBLEM hits stored twice: could not be checked .*sluice migrate/m);
  for (const line of ['PROBLEM lanes', 'PROBLEM workers', 'PROBLEM catalogue', 'ok      spool'])
    expect(output).toContain(`${line}: `);
});
