/** What is changed holds at once in the process that changed it, also when it was being read meanwhile. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { createSessions } from '../../src/accounts/sessions.ts';
import { createUsers } from '../../src/accounts/users.ts';
import { createApiKeys } from '../../src/api/keys.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';

let database: TestClickHouse;
beforeAll(async () => {
  database = await startClickHouse();
}, 120_000);
afterAll(async () => {
  await database.close();
});

/** ClickHouse whose next answer, already read, is kept back until it is let go. */
function withLateAnswer() {
  const { clickhouse } = database;
  let letGo = (): void => undefined;
  let isRead: Promise<void> | undefined;
  let keepBack = false;
  const late: ClickHouse = {
    ...clickhouse,
    query: async <Row>(...statement: Parameters<ClickHouse['query']>) => {
      const isLate = keepBack;
      keepBack = false;
      const answer = clickhouse.query<Row>(...statement);
      if (!isLate) return answer;
      isRead = answer.then(() => undefined);
      await Promise.all([answer, new Promise<void>((resolve) => (letGo = resolve))]);
      return answer;
    },
  };
  return {
    late,
    /** Runs `change` between the store's answer to `read` and its arrival. */
    during: async <T>(read: () => Promise<T>, change: () => Promise<unknown>): Promise<T> => {
      keepBack = true;
      const reading = read();
      await isRead;
      await change();
      letGo();
      return reading;
    },
  };
}

it('a user who is disabled while users are read is disabled', async () => {
  const { late, during } = withLateAnswer();
  let now = 1_000_000_000_000;
  const users = createUsers(late, () => now);
  const user = {
    id: 5,
    login: 'ada',
    name: 'Ada',
    role: 'manager',
    advertiser_id: 0,
    affiliate_id: 0,
    status: 'active',
    password: '',
    password_changed_ms: 0,
  } as const;
  await users.change(() => user, 'test');
  await during(
    () => users.list(),
    () => users.change(() => ({ ...user, status: 'disabled' }), 'test'),
  );
  now += 1;
  expect((await users.list()).map(({ status }) => status)).toEqual(['disabled']);
});

it('a session that is ended while it is looked up is ended', async () => {
  const { late, during } = withLateAnswer();
  const sessions = createSessions(late, Date.now);
  const token = await sessions.begin(5, { ip: '192.0.2.1', userAgent: 'x' });
  await during(
    () => sessions.find(token),
    () => sessions.end(token),
  );
  expect(await sessions.find(token)).toBeUndefined();
});

it('a session that another process ended is not held for longer than a second from when it was looked up', async () => {
  const { late, during } = withLateAnswer();
  let now = Date.now();
  const sessions = createSessions(late, () => now);
  const elsewhere = createSessions(database.clickhouse, () => now);
  const token = await sessions.begin(5, { ip: '192.0.2.1', userAgent: 'x' });
  const answer = await during(
    () => sessions.find(token),
    async () => {
      await elsewhere.end(token);
      now += 900;
    },
  );
  expect(answer).toMatchObject({ userId: 5 });
  now += 200;
  expect(await sessions.find(token)).toBeUndefined();
});

it('a key that is revoked while keys are read is nobody’s', async () => {
  const { late, during } = withLateAnswer();
  let now = Date.now();
  const keys = createApiKeys(late, 'the-admin-key-of-tests', () => now);
  const { key, stored } = await keys.create({
    name: 'k',
    role: 'manager',
    advertiser_id: 0,
    affiliate_id: 0,
  });
  expect((await keys.list()).map(({ id }) => id)).toContain(stored.id);
  now += 1_001;
  await during(
    () => keys.principalOf(key),
    // Who revokes a key reads it first: that is another read.
    () => keys.revoke(stored.id),
  );
  now += 1;
  expect(await keys.principalOf(key)).toBeUndefined();
});
