/**
 * Follows the catalogue in Redis: pub/sub for speed, a poll for certainty. Keeps an immutable snapshot in memory and,
 * for edges, a copy on disk to start from when Redis is down. Never goes backwards; missing is not empty.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { messageOf } from '../domain/app-error.ts';
import {
  createCatalogueSnapshot,
  EMPTY_CATALOGUE,
  type CatalogueSnapshot,
  type CatalogueState,
} from '../domain/catalogue.ts';
import type { RedisKeys } from '../redis/keys.ts';
import { readPublished } from './published.ts';

const POLL_MS = 500;

export interface CatalogueFollower {
  snapshot(): CatalogueSnapshot;
  /** A catalogue is known, from Redis or from the copy. */
  readonly ready: boolean;
  close(): void;
}

export interface FollowerDeps {
  readonly redis: Redis;
  readonly subscriber: Redis;
  readonly keys: RedisKeys;
  readonly copyFile?: string;
  readonly logger: Logger;
  readonly onChange?: (snapshot: CatalogueSnapshot) => void;
}

function readCopy(file: string, logger: Logger): CatalogueState | undefined {
  try {
    // Written by this module alone.
    return JSON.parse(readFileSync(file, 'utf8')) as CatalogueState;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      logger.warn({ error: messageOf(error) }, "the catalogue's copy can't be read");
    return undefined;
  }
}

/** Starts following; resolves after the first attempt to read, whether or not Redis answered. */
export async function createCatalogueFollower(deps: FollowerDeps): Promise<CatalogueFollower> {
  const { redis, subscriber, keys, copyFile, logger } = deps;
  const copy = copyFile === undefined ? undefined : readCopy(copyFile, logger);
  let snapshot = createCatalogueSnapshot(copy ?? EMPTY_CATALOGUE);
  let reading: Promise<void> | undefined;

  function adopt(state: CatalogueState): void {
    if (state.version <= snapshot.version) return;
    snapshot = createCatalogueSnapshot(state);
    if (copyFile !== undefined) {
      writeFileSync(`${copyFile}.new`, JSON.stringify(state), { mode: 0o600 });
      renameSync(`${copyFile}.new`, copyFile);
    }
    deps.onChange?.(snapshot);
  }

  async function poll(): Promise<void> {
    try {
      const version = Number((await redis.get(keys.catalogueVersion)) ?? 0);
      if (version <= snapshot.version) return;
      const state = await readPublished(redis, keys);
      if (state !== undefined) adopt(state);
    } catch (error) {
      logger.debug(
        { error: messageOf(error) },
        'the catalogue was not read; going on with the one in memory',
      );
    }
  }

  function refresh(): Promise<void> {
    reading ??= poll().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  subscriber.on('message', () => void refresh());
  subscriber
    .subscribe(keys.catalogueChanged)
    .catch((error: unknown) =>
      logger.warn({ error: messageOf(error) }, 'no subscription to catalogue changes; polling'),
    );
  const timer = setInterval(() => void refresh(), POLL_MS);
  timer.unref();
  await refresh();
  return {
    snapshot: () => snapshot,
    get ready() {
      return snapshot.version > 0;
    },
    close: () => clearInterval(timer),
  };
}
