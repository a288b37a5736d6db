/** The settings: every fault at once, by name, before anything starts. */
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError, isLoopbackHost, readConfig } from '../../src/config.ts';

type Env = Readonly<Record<string, string>>;

function faultsOf(env: Env): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

test('the defaults are those of the contract', () => {
  expect(readConfig({})).toMatchObject({
    dataDir: resolve('./data'),
    host: '127.0.0.1',
    edgePort: 8080,
    apiPort: 8081,
    redisUrl: null,
    redisPort: 6390,
    clickhouseUrl: null,
    clickhousePort: 8123,
    clickhouseDatabase: 'sluice',
    adminKey: null,
    analystPassword: null,
    trustedProxies: [],
    spoolSync: 'os',
    spoolBytesMax: 10 * 1024 ** 3,
    edges: 1,
    workers: 1,
    trafficbackUrl: null,
  });
});

test('an empty or blank setting is an unset one', () => {
  const names = ['SLUICE_DATA_DIR', 'SLUICE_EDGE_PORT', 'REDIS_URL', 'SLUICE_SPOOL_BYTES_MAX'];
  for (const blank of ['', '  '])
    expect(readConfig(Object.fromEntries(names.map((name) => [name, blank])))).toEqual(
      readConfig({}),
    );
});

const WRONG: readonly (readonly [name: string, value: string])[] = [
  ['SLUICE_EDGE_PORT', '0'],
  ['SLUICE_EDGE_PORT', '65536'],
  ['SLUICE_EDGE_PORT', '80.5'],
  ['SLUICE_EDGE_PORT', '0x50'],
  ['SLUICE_EDGE_PORT', '8e1'],
  ['SLUICE_API_PORT', 'http'],
  ['SLUICE_REDIS_PORT', '-1'],
  ['SLUICE_CLICKHOUSE_PORT', '1 2'],
  ['REDIS_URL', 'localhost:6379'],
  ['REDIS_URL', 'http://localhost'],
  ['CLICKHOUSE_URL', 'tcp://localhost:9000'],
  ['CLICKHOUSE_DATABASE', 'a b'],
  ['CLICKHOUSE_DATABASE', 'x; DROP DATABASE y'],
  ['CLICKHOUSE_DATABASE', '1st'],
  ['SLUICE_ADMIN_KEY', 'short'],
  ['SLUICE_TRUSTED_PROXIES', '10.0.0.0/8, proxy.example'],
  ['SLUICE_TRUSTED_PROXIES', '10/8'],
  ['SLUICE_TRUSTED_PROXIES', '10.0.0.0/40'],
  ['SLUICE_SPOOL_SYNC', 'fsync'],
  ['SLUICE_SPOOL_BYTES_MAX', '0'],
  ['SLUICE_SPOOL_BYTES_MAX', '-5'],
  ['SLUICE_SPOOL_BYTES_MAX', '1.5G'],
  ['SLUICE_SPOOL_BYTES_MAX', '10T'],
  ['SLUICE_SPOOL_BYTES_MAX', '99999999999999G'],
  ['SLUICE_EDGES', '0'],
  ['SLUICE_EDGES', '65'],
  ['SLUICE_WORKERS', 'many'],
  ['SLUICE_TRAFFICBACK_URL', '/relative'],
  ['SLUICE_TRAFFICBACK_URL', 'javascript:alert(1)'],
  ['SLUICE_EDGE_NUMBER_BASE', '1024'],
  ['SLUICE_LOG_LEVEL', 'loud'],
];

test.each(WRONG)('%s=%s is a fault that names the setting, and the only one', (name, value) => {
  const faults = faultsOf({ [name]: value });
  expect(faults).toHaveLength(1);
  expect(faults[0]).toContain(name);
});

test('every fault is reported at once', () => {
  const env = Object.fromEntries(WRONG.toReversed());
  const faults = faultsOf({ ...env, SLUICE_HOST: '0.0.0.0' });
  for (const name of [...Object.keys(env), 'SLUICE_ANALYST_PASSWORD'])
    expect(
      faults.filter((fault) => fault.includes(name)),
      name,
    ).not.toEqual([]);
});

test('the message of the error lists the faults line by line', () => {
  expect(() => readConfig({ SLUICE_EDGE_PORT: 'x', SLUICE_API_PORT: 'y' })).toThrow(
    /\n {2}SLUICE_EDGE_PORT=x .*\n {2}SLUICE_API_PORT=y /,
  );
});

test('no fault shows a password', () => {
  const faults = faultsOf({
    REDIS_URL: 'http://:s3cr3t@redis.example',
    CLICKHOUSE_URL: 'tcp://user:s3cr3t@ch.example',
    SLUICE_ADMIN_KEY: 's3cr3t',
  });
  expect(faults).toHaveLength(3);
  expect(faults.join('\n')).not.toContain('s3cr3t');
});

test.each([
  ['1', 1],
  ['512', 512],
  ['1k', 1024],
  ['1K', 1024],
  ['1KiB', 1024],
  ['512M', 512 * 1024 ** 2],
  ['512MB', 512 * 1024 ** 2],
  ['10g', 10 * 1024 ** 3],
  ['10GiB', 10 * 1024 ** 3],
])('%s is %d bytes', (text, bytes) => {
  expect(readConfig({ SLUICE_SPOOL_BYTES_MAX: text }).spoolBytesMax).toBe(bytes);
});

test('trusted proxies are a list of ranges and addresses', () => {
  const text = ' 10.0.0.0/8 ,, 2001:db8::/32,192.0.2.1 ';
  expect(readConfig({ SLUICE_TRUSTED_PROXIES: text }).trustedProxies).toEqual([
    '10.0.0.0/8',
    '2001:db8::/32',
    '192.0.2.1',
  ]);
});

describe('ports', () => {
  test('that clash are named both', () => {
    const faults = faultsOf({ SLUICE_EDGE_PORT: '9000', SLUICE_API_PORT: '9000' });
    expect(faults).toEqual(['SLUICE_API_PORT and SLUICE_EDGE_PORT are both 9000']);
  });

  test('clash with a default as well', () => {
    expect(faultsOf({ SLUICE_EDGE_PORT: '8123' })).toHaveLength(1);
  });

  test('of servers that are not ours to start do not clash', () => {
    expect(
      faultsOf({
        SLUICE_EDGE_PORT: '6390',
        SLUICE_API_PORT: '8123',
        REDIS_URL: 'redis://redis.example',
        CLICKHOUSE_URL: 'http://ch.example:8123',
      }),
    ).toEqual([]);
  });
});

test.each([
  [{}, 'http://127.0.0.1:8080'],
  [{ SLUICE_EDGE_PORT: '9000' }, 'http://127.0.0.1:9000'],
  [{ SLUICE_HOST: '0.0.0.0', SLUICE_ANALYST_PASSWORD: 'x' }, 'http://127.0.0.1:8080'],
  [{ SLUICE_HOST: '::1' }, 'http://[::1]:8080'],
  [{ SLUICE_EDGE_URL: 'http://edge:8080/' }, 'http://edge:8080'],
])('with %j other roles reach the edge at %s', (env, url) => {
  expect(readConfig(env).edgeUrl).toBe(url);
});

describe('a host that is not loopback', () => {
  test.each([
    '0.0.0.0',
    '192.0.2.1',
    '::',
    'tracker.example',
    '127.evil.example',
    '127.0.0.1.nip.example',
  ])('%s wants a password for analysts', (host) => {
    expect(isLoopbackHost(host)).toBe(false);
    expect(faultsOf({ SLUICE_HOST: host })).toEqual([
      expect.stringContaining('SLUICE_ANALYST_PASSWORD is required'),
    ]);
    expect(faultsOf({ SLUICE_HOST: host, SLUICE_ANALYST_PASSWORD: 'x' })).toEqual([]);
  });

  test.each(['127.0.0.1', '127.8.8.8', '::1', 'localhost'])('%s is loopback', (host) => {
    expect(faultsOf({ SLUICE_HOST: host })).toEqual([]);
  });
});

test('edge numbers of this host fit below the limit', () => {
  expect(faultsOf({ SLUICE_EDGE_NUMBER_BASE: '1022', SLUICE_EDGES: '2' })).toEqual([]);
  expect(faultsOf({ SLUICE_EDGE_NUMBER_BASE: '1022', SLUICE_EDGES: '3' })).toEqual([
    expect.stringContaining('SLUICE_EDGE_NUMBER_BASE'),
  ]);
});
