/**
 * Secrets of one data dir, made on first use and kept in `<data dir>/secrets.json` (owner only): every role and tool
 * with the same data dir reads the same. A secret given by a setting wins and is not written.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from './config.ts';
import { createIpStorage, type IpStorage } from './domain/ip-storage.ts';

export interface Secrets {
  readonly adminKey: string;
  readonly redisPassword: string;
  readonly clickhousePassword: string;
  /** True for the call that generated the admin key: print it then. */
  readonly created: boolean;
}

function generate(): Omit<Secrets, 'created'> {
  const secret = (bytes: number): string => randomBytes(bytes).toString('base64url');
  return {
    adminKey: `sla_${secret(24)}`,
    redisPassword: secret(24),
    clickhousePassword: secret(24),
  };
}

function parse(text: string): Omit<Secrets, 'created'> {
  // Written by this module alone.
  return JSON.parse(text) as Omit<Secrets, 'created'>;
}

/** Reads the secrets, or makes them; of two processes that make them at once, one wins and both read the same. */
export function openSecrets(config: Config): Secrets {
  const file = join(config.dataDir, 'secrets.json');
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
  let created = false;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const draft = `${file}.${process.pid}`;
    writeFileSync(draft, `${JSON.stringify(generate(), null, 2)}\n`, { mode: 0o600 });
    try {
      linkSync(draft, file);
      created = true;
    } catch (linkError) {
      if ((linkError as NodeJS.ErrnoException).code !== 'EEXIST') throw linkError;
    } finally {
      rmSync(draft, { force: true });
    }
    text = readFileSync(file, 'utf8');
  }
  const secrets = parse(text);
  return {
    ...secrets,
    adminKey: config.adminKey ?? secrets.adminKey,
    created: created && config.adminKey === null,
  };
}

export function redisUrlOf(config: Config, secrets: Secrets): string {
  return config.redisUrl ?? `redis://:${secrets.redisPassword}@127.0.0.1:${config.redisPort}`;
}

export interface ClickHouseAccess {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** Where and as whom Sluice writes. With CLICKHOUSE_URL, user and password are the URL's. */
export function clickhouseAccessOf(config: Config, secrets: Secrets): ClickHouseAccess {
  const database = config.clickhouseDatabase;
  if (config.clickhouseUrl === null) {
    const url = `http://127.0.0.1:${config.clickhousePort}`;
    return { url, user: 'sluice', password: secrets.clickhousePassword, database };
  }
  const url = new URL(config.clickhouseUrl);
  const user = decodeURIComponent(url.username) || 'default';
  const password = decodeURIComponent(url.password);
  return { url: url.origin, user, password, database };
}

/** How visitors' addresses are stored; every role of an instance gets the same. */
export function ipStorageOf(config: Config, secrets: Secrets): IpStorage {
  return createIpStorage(
    config.ipStorage,
    config.ipHashKey ?? `addresses ${secrets.clickhousePassword}`,
  );
}
