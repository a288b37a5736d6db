/**
 * The affiliate postback entries of every catalogue version: an event goes to those that its own version had, so that
 * what is to be sent follows from the log alone, and nothing is sent of what was before an entry. How it is sent is what
 * the newest version says.
 */
import type { Redis } from 'ioredis';
import type { ClickHouse } from '../../clickhouse/client.ts';
import type { AffiliatePostback } from '../../src/domain/catalogue.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';

interface LogRow {
  readonly version: number;
  readonly id: string;
  readonly deleted: number;
  readonly body: string;
}

/** How often Redis is asked whether there is a newer version. */
const LOOK_MS = 500;

export interface PostbackEntries {
  /** Reads what is new: at most twice a second, or `now`. Rejects when a store does not answer. */
  refresh(now?: boolean): Promise<void>;
  /** No version ever had an entry: there is nothing to look for. */
  readonly none: boolean;
  /** The version that had the first entry. */
  readonly since: number;
  /** Affiliates that any version had an entry of. */
  readonly affiliates: readonly number[];
  at(version: number): readonly AffiliatePostback[];
  newest(id: number): AffiliatePostback | undefined;
  goalAlias(goalId: number): string;
}

export function createPostbackEntries(deps: {
  readonly clickhouse: ClickHouse;
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly clock: () => number;
}): PostbackEntries {
  const { clickhouse, redis, keys, clock } = deps;
  const table = `${clickhouse.privateDatabase}.catalogue_log`;
  let log: readonly LogRow[] = [];
  let readVersion = -1;
  let lookedAtMs = 0;
  let aliases = new Map<number, string>();
  let states = new Map<number, readonly AffiliatePostback[]>();
  let reading: Promise<void> | undefined;

  /** Entries change rarely: the state of a version is that of the last change before it. */
  function stateAt(version: number): readonly AffiliatePostback[] {
    const change = log.findLast((row) => row.version <= version)?.version ?? 0;
    const known = states.get(change);
    if (known !== undefined) return known;
    const bodies = new Map<string, string>();
    for (const row of log) {
      if (row.version > change) break;
      if (row.deleted === 1) bodies.delete(row.id);
      else bodies.set(row.id, row.body);
    }
    // The log holds what the store's schema made.
    const state = [...bodies.values()].map((body) => JSON.parse(body) as AffiliatePostback);
    states.set(change, state);
    return state;
  }

  async function read(): Promise<void> {
    const published = Number((await redis.get(keys.catalogueVersion)) ?? 0);
    lookedAtMs = clock();
    if (published <= readVersion) return;
    log = await clickhouse.query<LogRow>(
      `SELECT version, id, deleted, body FROM ${table} WHERE kind = 'affiliate_postbacks' ORDER BY version`,
    );
    states = new Map();
    if (log.length > 0) {
      const goals = await clickhouse.query<{ id: number; alias: string }>(
        `SELECT toUInt32OrZero(id) AS id, argMax(JSONExtractString(body, 'alias'), version) AS alias FROM ${table}
         WHERE kind = 'goals' AND deleted = 0 GROUP BY id`,
      );
      aliases = new Map(goals.map(({ id, alias }) => [id, alias]));
    }
    readVersion = published;
  }

  return {
    async refresh(now = false) {
      if (!now && clock() - lookedAtMs < LOOK_MS && readVersion >= 0) return;
      reading ??= read().finally(() => {
        reading = undefined;
      });
      await reading;
    },
    get none() {
      return log.length === 0;
    },
    get since() {
      return log[0]?.version ?? 0;
    },
    get affiliates() {
      const ids = log
        .filter(({ deleted }) => deleted === 0)
        .map(({ body }) => (JSON.parse(body) as AffiliatePostback).affiliate_id);
      return [...new Set(ids)];
    },
    at: stateAt,
    newest: (id) => stateAt(Number.MAX_SAFE_INTEGER).find((entry) => entry.id === id),
    goalAlias: (goalId) => aliases.get(goalId) ?? '',
  };
}
