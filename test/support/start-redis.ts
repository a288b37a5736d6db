/** A real Redis for a test file: REDIS_URL with a key prefix of its own, else a redis-server on a free port, ended by pid. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from './start-sluice.ts';
import { waitFor } from './wait-for.ts';

export interface TestRedis {
  readonly url: string;
  readonly redis: Redis;
  close(): Promise<void>;
}

export async function startRedis(): Promise<TestRedis> {
  const given = process.env['REDIS_URL'];
  if (given !== undefined && given !== '') {
    const redis = new Redis(given);
    return { url: given, redis, close: async () => redis.disconnect() };
  }
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'sluice-redis-'));
  const server = spawn(
    'redis-server',
    [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      dir,
      '--save',
      '',
      '--appendonly',
      'no',
    ],
    {
      stdio: 'ignore',
      env: {
        ...process.env,
        PATH: `${process.env['PATH'] ?? ''}:/usr/bin:/usr/sbin:/usr/local/bin`,
      },
    },
  );
  const kill = (): void => void server.kill('SIGKILL');
  process.once('exit', kill);
  const url = `redis://127.0.0.1:${port}`;
  const redis = new Redis(url, { retryStrategy: () => 30, maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  await waitFor(
    () =>
      redis.ping().then(
        (pong) => pong === 'PONG',
        () => undefined,
      ),
    { timeoutMs: 10_000, what: 'Redis' },
  );
  return {
    url,
    redis,
    async close() {
      redis.disconnect();
      process.removeListener('exit', kill);
      const gone = new Promise((resolve) => server.once('exit', resolve));
      kill();
      await gone;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
