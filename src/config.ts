/**
 * The settings (CONTRACT.md, "Commands"). The only reader of the environment. Every fault is reported at once, by name.
 */
import { resolve } from 'node:path';
import type { Retention } from '../clickhouse/retention.ts';
import { AppError } from './domain/app-error.ts';
import { EDGE_NUMBER_MAX } from './domain/click-id.ts';
import { IP_STORAGE_MODES, type IpStorageMode } from './domain/ip-storage.ts';
import { parseCidr } from './domain/ip-rules.ts';

export interface Config {
  readonly dataDir: string;
  readonly host: string;
  readonly edgePort: number;
  readonly apiPort: number;
  /** Null: `up` runs its own redis-server on `redisPort`. */
  readonly redisUrl: string | null;
  readonly redisPort: number;
  /** Null: `up` runs the embedded ClickHouse on `clickhousePort`. */
  readonly clickhouseUrl: string | null;
  readonly clickhousePort: number;
  readonly clickhouseDatabase: string;
  /** Null: generated on first `up` and kept in the data dir. */
  readonly adminKey: string | null;
  readonly analystPassword: string | null;
  readonly trustedProxies: readonly string[];
  readonly spoolSync: 'os' | 'disk';
  readonly spoolBytesMax: number;
  readonly edges: number;
  readonly workers: number;
  readonly trafficbackUrl: string | null;
  /** Public address of the edges, for links and snippets. Null: SLUICE_EDGE_PORT on the host the console is reached by. */
  readonly trackingUrl: string | null;
  /** Where the other roles reach an edge, without a slash at the end. */
  readonly edgeUrl: string;
  /** First edge number of this host: edge numbers must differ between hosts, or click ids collide. */
  readonly edgeNumberBase: number;
  readonly retention: Retention;
  readonly ipStorage: IpStorageMode;
  /** Null: made of this data dir's secrets. */
  readonly ipHashKey: string | null;
  /** CIDRs that affiliate postbacks may go to beside public addresses. */
  readonly outgoingAllow: readonly string[];
  /** Null but in fault tests: names a file that says where this process shall die (`cli/crash.ts`). */
  readonly crashFile: string | null;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** Threads for blocking work. Read by libuv itself before any code runs; here only to be checked. */
  readonly threadPoolSize: number;
}

/** A month's statistics are recomputed from rows; nobody corrects what is older than a century. */
const RETENTION_DAYS_MIN = 32;
const RETENTION_DAYS_MAX = 36_500;
const GIB = 1024 ** 3;
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: GIB };

export class ConfigError extends AppError {
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(
      'CONFIG_INVALID',
      `the settings can't be used:\n${faults.map((f) => `  ${f}`).join('\n')}`,
    );
    this.faults = faults;
  }
}

function createReader(env: Readonly<Record<string, string | undefined>>) {
  const faults: string[] = [];
  const text = (name: string): string | null => {
    const value = env[name]?.trim() ?? '';
    return value === '' ? null : value;
  };
  return {
    faults,
    text,
    integer(name: string, fallback: number, min: number, max: number): number {
      const value = text(name);
      if (value === null) return fallback;
      const number = /^[0-9]{1,9}$/.test(value) ? Number(value) : Number.NaN;
      if (number >= min && number <= max) return number;
      faults.push(`${name}=${value} must be a whole number from ${min} to ${max}`);
      return fallback;
    },
    /** Days that rows are kept; null: for ever. */
    days(name: string): number | null {
      if (text(name) === null) return null;
      return this.integer(name, RETENTION_DAYS_MIN, RETENTION_DAYS_MIN, RETENTION_DAYS_MAX);
    },
    oneOf<T extends string>(name: string, fallback: T, allowed: readonly T[]): T {
      const value = text(name);
      if (value === null) return fallback;
      const found = allowed.find((option) => option === value);
      if (found === undefined) faults.push(`${name}=${value} must be one of ${allowed.join(', ')}`);
      return found ?? fallback;
    },
    url(name: string, protocols: readonly string[]): string | null {
      const value = text(name);
      if (value === null) return null;
      if (URL.canParse(value) && protocols.includes(new URL(value).protocol)) return value;
      faults.push(
        `${name} must be a URL that begins with ${protocols.map((p) => `${p}//`).join(' or ')}`,
      );
      return null;
    },
    bytes(name: string, fallback: number): number {
      const value = text(name);
      if (value === null) return fallback;
      const match = /^([0-9]+)([kmg]?)(?:ib|b)?$/i.exec(value);
      const number = Number(match?.[1]) * (UNITS[match?.[2]?.toLowerCase() ?? ''] ?? Number.NaN);
      if (Number.isSafeInteger(number) && number > 0) return number;
      faults.push(`${name}=${value} must be a number of bytes, or like 512M or 10G`);
      return fallback;
    },
    cidrs(name: string): readonly string[] {
      const list = (text(name) ?? '')
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '');
      const bad = list.filter((cidr) => parseCidr(cidr) === undefined);
      if (bad.length > 0) faults.push(`${name}: ${bad.join(', ')} is no CIDR (like 10.0.0.0/8)`);
      return list;
    },
  };
}

export function isLoopbackHost(host: string): boolean {
  // Not any name that begins with 127: that would be someone's host.
  return host === 'localhost' || host === '::1' || /^127(?:\.[0-9]{1,3}){3}$/.test(host);
}

/** The address under which a process of this host reaches what listens on `host`. */
export function reachableHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

/** Reads every setting; throws a ConfigError that names all faults. */
export function readConfig(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Config {
  const read = createReader(env);
  const host = read.text('SLUICE_HOST') ?? '127.0.0.1';
  const edgePort = read.integer('SLUICE_EDGE_PORT', 8080, 1, 65_535);
  const edgeUrl = read.url('SLUICE_EDGE_URL', ['http:', 'https:']);
  const config: Config = {
    dataDir: resolve(read.text('SLUICE_DATA_DIR') ?? './data'),
    host,
    edgePort,
    edgeUrl: edgeUrl?.replace(/\/+$/, '') ?? `http://${reachableHost(host)}:${edgePort}`,
    apiPort: read.integer('SLUICE_API_PORT', 8081, 1, 65_535),
    redisUrl: read.url('REDIS_URL', ['redis:', 'rediss:']),
    redisPort: read.integer('SLUICE_REDIS_PORT', 6390, 1, 65_535),
    clickhouseUrl: read.url('CLICKHOUSE_URL', ['http:', 'https:']),
    clickhousePort: read.integer('SLUICE_CLICKHOUSE_PORT', 8123, 1, 65_535),
    clickhouseDatabase: read.text('CLICKHOUSE_DATABASE') ?? 'sluice',
    adminKey: read.text('SLUICE_ADMIN_KEY'),
    analystPassword: read.text('SLUICE_ANALYST_PASSWORD'),
    trustedProxies: read.cidrs('SLUICE_TRUSTED_PROXIES'),
    spoolSync: read.oneOf('SLUICE_SPOOL_SYNC', 'os', ['os', 'disk']),
    spoolBytesMax: read.bytes('SLUICE_SPOOL_BYTES_MAX', 10 * GIB),
    edges: read.integer('SLUICE_EDGES', 1, 1, 64),
    workers: read.integer('SLUICE_WORKERS', 1, 1, 64),
    trafficbackUrl: read.url('SLUICE_TRAFFICBACK_URL', ['http:', 'https:']),
    trackingUrl: read.url('SLUICE_TRACKING_URL', ['http:', 'https:']),
    edgeNumberBase: read.integer('SLUICE_EDGE_NUMBER_BASE', 0, 0, EDGE_NUMBER_MAX),
    ipStorage: read.oneOf('SLUICE_IP_STORAGE', 'full', IP_STORAGE_MODES),
    ipHashKey: read.text('SLUICE_IP_HASH_KEY'),
    retention: {
      clicksDays: read.days('SLUICE_RETENTION_CLICKS_DAYS'),
      invalidDays: read.days('SLUICE_RETENTION_INVALID_DAYS'),
      affiliatePostbacksDays: read.days('SLUICE_RETENTION_AFFILIATE_POSTBACKS_DAYS'),
    },
    outgoingAllow: read.cidrs('SLUICE_OUTGOING_ALLOW'),
    crashFile: read.text('SLUICE_CRASH_FILE'),
    logLevel: read.oneOf('SLUICE_LOG_LEVEL', 'info', ['debug', 'info', 'warn', 'error']),
    threadPoolSize: read.integer('UV_THREADPOOL_SIZE', 4, 1, 1024),
  };
  const { faults } = read;
  if (!/^[a-z_][a-z0-9_]{0,60}$/.test(config.clickhouseDatabase)) {
    faults.push(
      `CLICKHOUSE_DATABASE=${config.clickhouseDatabase} must be small letters, digits and _`,
    );
  }
  if (config.adminKey !== null && config.adminKey.length < 16) {
    faults.push('SLUICE_ADMIN_KEY must have at least 16 characters');
  }
  if (config.ipHashKey !== null && config.ipHashKey.length < 16)
    faults.push('SLUICE_IP_HASH_KEY must have at least 16 characters');
  if (config.ipStorage !== 'full' && config.clickhouseUrl !== null && config.ipHashKey === null) {
    faults.push(
      `SLUICE_IP_HASH_KEY is required because SLUICE_IP_STORAGE=${config.ipStorage} and CLICKHOUSE_URL is set: every host must hash alike`,
    );
  }
  if (!isLoopbackHost(config.host) && config.analystPassword === null) {
    faults.push(
      `SLUICE_ANALYST_PASSWORD is required because SLUICE_HOST=${config.host} is not loopback`,
    );
  }
  if (config.edgeNumberBase + config.edges > EDGE_NUMBER_MAX + 1) {
    const last = config.edgeNumberBase + config.edges - 1;
    faults.push(
      `SLUICE_EDGE_NUMBER_BASE and SLUICE_EDGES need edge numbers up to ${last}; the last is ${EDGE_NUMBER_MAX}`,
    );
  }
  const ports = [
    ['SLUICE_EDGE_PORT', config.edgePort],
    ['SLUICE_API_PORT', config.apiPort],
    ...(config.redisUrl === null ? [['SLUICE_REDIS_PORT', config.redisPort] as const] : []),
    ...(config.clickhouseUrl === null
      ? [['SLUICE_CLICKHOUSE_PORT', config.clickhousePort] as const]
      : []),
  ] as const;
  for (const [index, [name, port]] of ports.entries()) {
    const twin = ports.slice(0, index).find(([, other]) => other === port);
    if (twin !== undefined) faults.push(`${name} and ${twin[0]} are both ${port}`);
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return config;
}

/** The environment for child processes: everything of ours, as the supervisor has it. */
export function childEnvironment(extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, ...extra };
}

/** Where programs are looked for. */
export function searchPath(): string {
  return process.env['PATH'] ?? '';
}
