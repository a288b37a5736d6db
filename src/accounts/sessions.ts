/**
 * Sessions of the console: a random token in the browser's cookie, its hash in ClickHouse, an expiry. They survive
 * restarts and the loss of Redis, and end at once in this process when revoked, within a second in others.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { createFreshReads } from './fresh-reads.ts';

export interface Session {
  readonly userId: number;
  readonly createdMs: number;
}

export interface Sessions {
  begin(userId: number, from: { readonly ip: string; readonly userAgent: string }): Promise<string>;
  find(token: string): Promise<Session | undefined>;
  end(token: string): Promise<void>;
}

export const SESSION_MS = 7 * 86_400_000;
/** How long a read serves. */
const FRESH_MS = 1_000;
const HELD_MAX = 10_000;
const USER_AGENT_MAX = 300;
const TOKEN_SHAPE = /^[A-Za-z0-9_-]{43}$/;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** What a page must send back with each change, so that no other site can make one: only our pages can read it. */
export function csrfTokenOf(token: string): string {
  return createHmac('sha256', token).update('csrf').digest('base64url');
}

export function isCsrfToken(token: string, sent: string): boolean {
  const [expected, given] = [Buffer.from(csrfTokenOf(token)), Buffer.from(sent)];
  return expected.length === given.length && timingSafeEqual(expected, given);
}

export function createSessions(clickhouse: ClickHouse, clock: () => number): Sessions {
  const table = `${clickhouse.privateDatabase}.sessions`;
  const reads = createFreshReads<Session | undefined>({
    clock,
    freshMs: FRESH_MS,
    entriesMax: HELD_MAX,
  });

  async function read(id: string): Promise<Session | undefined> {
    const [row] = await clickhouse.query<{ userId: number; createdMs: number }>(
      `SELECT any(user_id) AS userId, toUnixTimestamp64Milli(min(created_at)) AS createdMs FROM ${table}
       WHERE id = {id:String} GROUP BY id
       HAVING max(revoked) = 0 AND min(expires_at) > fromUnixTimestamp64Milli({now:Int64}, 'UTC')`,
      { id, now: clock() },
    );
    return row;
  }

  return {
    async begin(userId, { ip, userAgent }) {
      const token = randomBytes(32).toString('base64url');
      const now = clock();
      await clickhouse.command(
        `INSERT INTO ${table} SELECT {id:String}, {userId:UInt32}, fromUnixTimestamp64Milli({now:Int64}, 'UTC'),
           fromUnixTimestamp64Milli({until:Int64}, 'UTC'), {ip:String}, {userAgent:String}, 0, now64(3)`,
        {
          id: sha256(token),
          userId,
          now,
          until: now + SESSION_MS,
          ip,
          userAgent: userAgent.slice(0, USER_AGENT_MAX),
        },
      );
      return token;
    },
    async find(token) {
      if (!TOKEN_SHAPE.test(token)) return undefined;
      const id = sha256(token);
      return reads.get(id, () => read(id));
    },
    async end(token) {
      const id = sha256(token);
      try {
        await clickhouse.command(
          `INSERT INTO ${table} SELECT id, user_id, created_at, expires_at, ip, user_agent, 1, now64(3)
           FROM ${table} WHERE id = {id:String} LIMIT 1`,
          { id },
        );
      } finally {
        reads.changed(id);
      }
    },
  };
}
