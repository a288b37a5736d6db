/**
 * Secrets of one data dir, made on first use and kept in `<data dir>/secrets.json` (owner only): every role and tool
 * with the same data dir reads the same. A secret given by a setting wins and is not written.
 */
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Config } from './config.ts';
import { createIpStorage, type IpStorage } from './domain/ip-storage.ts';

export interface Secrets {
  readonly adminKey: string;
  readonly redisPassword: string;
  readonly clickhousePassword: string;
  /** False while nobody was shown the generated admin key: `up` prints it then. */
  readonly adminKeyShown: boolean;
}

function generate(): Secrets {
  const secret = (bytes: number): string => randomBytes(bytes).toString('base64url');
  return {
    adminKey: `sla_${secret(24)}`,
    redisPassword: secret(24),
    clickhousePassword: secret(24),
    adminKeyShown: false,
  };
}

const fileOf = (config: Config): string => join(config.dataDir, 'secrets.json');

function writeDraft(file: string, secrets: Secrets): string {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
  return draft;
}

/** Notes that the generated admin key was shown, so that it is not again. */
export function noteAdminKeyShown(config: Config): void {
  const file = fileOf(config);
  // Written by this module alone.
  const secrets = JSON.parse(readFileSync(file, 'utf8')) as Secrets;
  renameSync(writeDraft(file, { ...secrets, adminKeyShown: true }), file);
}

/** Reads the secrets, or makes them; of two processes that make them at once, one wins and both read the same. */
export function openSecrets(config: Config): Secrets {
  const file = fileOf(config);
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
  if (!existsSync(file)) {
    const draft = writeDraft(file, generate());
    try {
      linkSync(draft, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      rmSync(draft, { force: true });
    }
  }
  // Written by this module alone; before there was a note, only `up` made them, and showed the key.
  const kept = JSON.parse(readFileSync(file, 'utf8')) as Partial<Secrets> &
    Omit<Secrets, 'adminKeyShown'>;
  const secrets = { adminKeyShown: true, ...kept };
  if (config.adminKey === null) return secrets;
  return { ...secrets, adminKey: config.adminKey, adminKeyShown: true };
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
