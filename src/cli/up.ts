/**
 * `sluice up`: the supervisor. Starts ClickHouse and Redis, migrates, then edges, workers and the API, each a process
 * of its own; starts again what dies; ends all of it in an order that loses nothing.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { delimiter, join, resolve } from 'node:path';
import { Redis } from 'ioredis';
import { ENGINE_THREADS_MIN } from '../../clickhouse/embedded/threads.ts';
import { applyRetention } from '../../clickhouse/retention.ts';
import { applySync } from '../../clickhouse/durability.ts';
import { migrate } from '../../clickhouse/migrate.ts';
import { FIRST_LOGIN } from '../accounts/accounts.ts';
import { childEnvironment, isLoopbackHost, searchPath, type Config } from '../config.ts';
import { AppError, messageOf } from '../domain/app-error.ts';
import { projectPath } from '../project-root.ts';
import { noteAdminKeyShown, openSecrets, redisUrlOf, type Secrets } from '../secrets.ts';
import { startChild, type Child } from './child.ts';
import { openInstance } from './instance.ts';

const STOP_MS = 12_000;
const READY_MS = 60_000;
const GIVEN_READY_MS = 15_000;

function fail(message: string): never {
  throw new AppError('CONFIG_INVALID', message);
}

/** Held for the life of the process by a name that the kernel frees at death: two `up` on one data dir can't run. */
async function lockDataDir(dataDir: string): Promise<Server> {
  const hash = createHash('sha256').update(resolve(dataDir)).digest('hex').slice(0, 32);
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((done, reject) => {
    server.once('error', () =>
      reject(
        new AppError(
          'CONFIG_INVALID',
          `another sluice runs on ${dataDir}: stop it, or set SLUICE_DATA_DIR to another folder`,
        ),
      ),
    );
    server.listen(`\0sluice-up-${hash}`, done);
  });
  return server;
}

async function checkPort(host: string, port: number, setting: string, what: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((done, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const message =
        error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND'
          ? `SLUICE_HOST=${host} is no address of this machine (${error.code}): set it to one, or to 0.0.0.0 for all`
          : `port ${port} for ${what} ${error.code === 'EADDRINUSE' ? 'is taken' : `can't be used (${error.code ?? error.message})`}: stop what uses it, or set ${setting} to another port`;
      reject(new AppError('CONFIG_INVALID', message));
    });
    server.listen(port, host, done);
  });
  await new Promise((done) => server.close(done));
}

async function checkPorts(config: Config): Promise<void> {
  await checkPort(config.host, config.edgePort, 'SLUICE_EDGE_PORT', 'the edge');
  await checkPort(config.host, config.apiPort, 'SLUICE_API_PORT', 'the API');
  if (config.redisUrl === null)
    await checkPort('127.0.0.1', config.redisPort, 'SLUICE_REDIS_PORT', 'Redis');
  if (config.clickhouseUrl === null) {
    for (const host of new Set([config.host, '127.0.0.1']))
      await checkPort(host, config.clickhousePort, 'SLUICE_CLICKHOUSE_PORT', 'ClickHouse');
  }
}

function findProgram(names: readonly string[]): string | undefined {
  const folders = [
    ...searchPath().split(delimiter),
    '/usr/bin',
    '/usr/sbin',
    '/usr/local/bin',
    '/opt/homebrew/bin',
  ];
  return folders
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find((file) => existsSync(file));
}

function redisCommand(config: Config, secrets: Secrets): { program: string; args: string[] } {
  const server = findProgram(['redis-server', 'valkey-server']);
  if (server === undefined)
    fail('no redis-server was found: install Redis 7 or Valkey, or set REDIS_URL');
  const dir = join(config.dataDir, 'redis');
  mkdirSync(dir, { recursive: true });
  const args = [
    '--port',
    String(config.redisPort),
    '--bind',
    '127.0.0.1',
    '--requirepass',
    secrets.redisPassword,
    '--dir',
    dir,
    '--appendonly',
    'yes',
    '--appendfsync',
    'everysec',
    '--save',
    '',
    '--maxmemory-policy',
    'noeviction',
    '--daemonize',
    'no',
  ];
  // A killed supervisor must not leave a Redis behind: the kernel tells it then.
  const setpriv = findProgram(['setpriv']);
  return setpriv === undefined
    ? { program: server, args }
    : { program: setpriv, args: ['--pdeathsig', 'TERM', server, ...args] };
}

/** Our own may take long to read its log back in; a given one is there or not. */
async function waitForRedis(config: Config, url: string): Promise<void> {
  const { host } = new URL(url);
  const [waitMs, what] =
    config.redisUrl === null
      ? [READY_MS, `look into ${join(config.dataDir, 'log', 'redis-server.log')}`]
      : [GIVEN_READY_MS, 'start it, or set REDIS_URL to where it is'];
  const redis = new Redis(url, {
    retryStrategy: () => 50,
    connectTimeout: 2_000,
    commandTimeout: 2_000,
    // A ping fails at once while there is no connection, or nobody would look at the clock.
    enableOfflineQueue: false,
  });
  let reason = 'no answer';
  redis.on('error', (error) => {
    reason = messageOf(error);
  });
  try {
    for (const until = Date.now() + waitMs; ;) {
      try {
        await redis.ping();
        return;
      } catch (error) {
        if (redis.status === 'ready') reason = messageOf(error);
      }
      if (Date.now() > until) fail(`Redis at ${host} is not ready (${reason}): ${what}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  } finally {
    redis.disconnect();
  }
}

async function prepareInstance(config: Config): Promise<void> {
  const instance = await openInstance(config);
  try {
    const { applied } = await migrate(instance.clickhouse, (what) => console.log(what));
    if (applied.length > 0) console.log(`applied ${applied.length} migrations`);
    await applyRetention(instance.clickhouse, config.retention);
    await applySync(instance.clickhouse, config.spoolSync);
    await instance.store.refill();
  } finally {
    await instance.close();
  }
}

function printReady(config: Config, secrets: Secrets): void {
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  const clickhouse =
    config.clickhouseUrl === null
      ? `http://${host}:${config.clickhousePort}`
      : new URL(config.clickhouseUrl).origin;
  const lines = [
    `sluice is up: tracking http://${host}:${config.edgePort}  API http://${host}:${config.apiPort}  ClickHouse ${clickhouse} (user analyst, database ${config.clickhouseDatabase})`,
    ...(secrets.adminKeyShown
      ? []
      : [
          `admin key (shown once, kept in ${join(config.dataDir, 'secrets.json')}): ${secrets.adminKey}`,
        ]),
    `console: http://${host}:${config.apiPort}/ (first sign-in: name ${FIRST_LOGIN}, password the admin key)`,
    ...(isLoopbackHost(config.host) ? [] : ['listening beyond loopback: put TLS in front']),
  ];
  // At once: who reads the first line of a pipe has the others, too.
  console.log(lines.join('\n'));
  if (!secrets.adminKeyShown) noteAdminKeyShown(config);
}

export async function runUp(given: Config, options: { readonly demo: boolean }): Promise<number> {
  // The demo's visitors have many addresses: it is its own trusted proxy.
  const config =
    options.demo && given.trustedProxies.length === 0
      ? { ...given, trustedProxies: ['127.0.0.0/8'] }
      : given;
  const ending = new Promise<string>((done) => {
    process.once('SIGTERM', () => done('SIGTERM'));
    process.once('SIGINT', () => done('SIGINT'));
  });
  const secrets = openSecrets(config);
  const lock = await lockDataDir(config.dataDir);
  await checkPorts(config);
  const logDir = join(config.dataDir, 'log');
  const env = childEnvironment({
    SLUICE_DATA_DIR: config.dataDir,
    SLUICE_TRUSTED_PROXIES: config.trustedProxies.join(','),
  });
  const children: Child[] = [];
  const onDeath = (name: string, why: string): void =>
    console.error(
      `${name} died (${why}); starting it again. Its log: ${join(logDir, `${name}.log`)}`,
    );
  const script = projectPath('dist', 'src', 'cli', 'main.js');
  const role = (name: string, args: readonly string[], extra: NodeJS.ProcessEnv = {}): Child => {
    const child = startChild({
      name,
      command: { script, args },
      env: { ...env, ...extra },
      logDir,
      onDeath,
    });
    children.push(child);
    return child;
  };

  async function start(): Promise<void> {
    const started: Promise<unknown>[] = [];
    if (config.clickhouseUrl === null) {
      const threads = String(Math.max(config.threadPoolSize, ENGINE_THREADS_MIN));
      started.push(role('clickhouse', ['clickhouse'], { UV_THREADPOOL_SIZE: threads }).ready);
    }
    if (config.redisUrl === null) {
      const redis = startChild({
        name: 'redis-server',
        command: redisCommand(config, secrets),
        env,
        logDir,
        onDeath,
      });
      children.push(redis);
      started.push(redis.ready);
    }
    await Promise.all(started);
    await waitForRedis(config, redisUrlOf(config, secrets));
    await prepareInstance(config);
    const roles: Child[] = [role('api', ['api'])];
    for (let index = 0; index < config.workers; index++)
      roles.push(role(`worker-${index}`, ['worker']));
    for (let index = 0; index < config.edges; index++) roles.push(role(`edge-${index}`, ['edge']));
    await Promise.all(roles.map((child) => child.ready));
  }

  async function stop(): Promise<void> {
    const named = (prefix: string): Promise<void[]> =>
      Promise.all(
        children.filter(({ name }) => name.startsWith(prefix)).map((child) => child.stop(STOP_MS)),
      );
    for (const child of children) child.letGo();
    // Edges first, while what they hand on to still runs; stores last.
    await named('edge');
    await Promise.all([named('worker'), named('api'), named('demo')]);
    await Promise.all([named('clickhouse'), named('redis')]);
    lock.close();
  }

  try {
    const early = await Promise.race([start(), ending]);
    if (early === undefined) {
      printReady(config, secrets);
      if (options.demo) role('demo', ['demo', '--seconds', '0']);
      await ending;
    }
    console.log('sluice stops');
    await stop();
    console.log('sluice has stopped');
    return 0;
  } catch (error) {
    await stop();
    throw error;
  }
}
