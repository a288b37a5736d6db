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
import { CATALOGUE_KINDS, readPublished } from './published.ts';

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

/** What the copy must have to be judged under; it may be of another version of the program, or cut by a crash. */
function isState(value: unknown): value is CatalogueState {
  if (typeof value !== 'object' || value === null) return false;
  const fields: Readonly<Record<string, unknown>> = { ...value };
  return (
    typeof fields['version'] === 'number' &&
    CATALOGUE_KINDS.every((kind) => Array.isArray(fields[kind]))
  );
}

/** A copy from before there were affiliate postbacks has none: an edge must be able to start from it all the same. */
function ofNow(copy: unknown): unknown {
  return typeof copy === 'object' && copy !== null ? { affiliate_postbacks: [], ...copy } : copy;
}

function readCopy(file: string, logger: Logger): CatalogueState | undefined {
  try {
    const copy = ofNow(JSON.parse(readFileSync(file, 'utf8')));
    if (isState(copy)) return copy;
    logger.warn({ file }, "the catalogue's copy is none");
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
      logger.warn({ error: messageOf(error) }, "the catalogue's copy can't be read");
  }
  return undefined;
}

/** Whole or not at all, also across a power cut. */
function writeCopy(file: string, state: CatalogueState): void {
  writeFileSync(`${file}.new`, JSON.stringify(state), { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
}

/** Starts following; resolves after the first attempt to read, whether or not Redis answered. */
export async function createCatalogueFollower(deps: FollowerDeps): Promise<CatalogueFollower> {
  const { redis, subscriber, keys, copyFile, logger } = deps;
  const copy = copyFile === undefined ? undefined : readCopy(copyFile, logger);
  let snapshot = createCatalogueSnapshot(copy ?? EMPTY_CATALOGUE);
  let copiedVersion = snapshot.version;
  let reading: Promise<void> | undefined;

  /** A disk that is full now may have room at the next look. */
  function keepCopy(): void {
    if (copyFile === undefined || copiedVersion === snapshot.version) return;
    try {
      writeCopy(copyFile, snapshot.state);
      copiedVersion = snapshot.version;
    } catch (error) {
      logger.warn({ error: messageOf(error) }, "the catalogue's copy could not be written");
    }
  }

  function adopt(state: CatalogueState): void {
    if (state.version <= snapshot.version) return;
    snapshot = createCatalogueSnapshot(state);
    deps.onChange?.(snapshot);
  }

  async function poll(): Promise<void> {
    keepCopy();
    try {
      const version = Number((await redis.get(keys.catalogueVersion)) ?? 0);
      if (version <= snapshot.version) return;
      const state = await readPublished(redis, keys);
      if (state !== undefined) adopt(state);
      keepCopy();
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
