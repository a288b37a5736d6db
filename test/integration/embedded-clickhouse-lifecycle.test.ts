/**
 * The embedded ClickHouse as a process: killed and started again on the same data, asked to end under load, started
 * twice, and worn by clients that vanish.
 */
import { readdirSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client';
import { afterEach, expect, test } from 'vitest';
import { ENGINE_THREADS_MIN } from '../../clickhouse/embedded/threads.ts';
import { runCommand } from '../support/start-sluice.ts';
import {
  startEmbeddedClickHouse,
  type RunningEmbeddedClickHouse,
} from '../support/start-embedded-clickhouse.ts';
import { waitFor } from '../support/wait-for.ts';

const servers: RunningEmbeddedClickHouse[] = [];

async function start(
  extra: Readonly<Record<string, string>> = {},
): Promise<RunningEmbeddedClickHouse> {
  const server = await startEmbeddedClickHouse(extra);
  servers.push(server);
  return server;
}

function connect(server: RunningEmbeddedClickHouse): ClickHouseClient {
  return createClient({
    url: server.url,
    username: 'sluice',
    password: server.password,
    database: 'sluice',
    max_open_connections: 20,
    log: { level: ClickHouseLogLevel.OFF },
  });
}

async function numberOf(client: ClickHouseClient, query: string): Promise<number> {
  const result = await client.query({ query, format: 'TabSeparated' });
  return Number(await result.text());
}

/** Inserts numbered blocks of 1,000 rows from four sides until it is stopped or refused; the numbers acknowledged. */
function load(client: ClickHouseClient) {
  const acknowledged: number[] = [];
  const stop = new AbortController();
  let next = 0;
  const sides = Array.from({ length: 4 }, async () => {
    while (!stop.signal.aborted) {
      const block = (next += 1);
      try {
        await client.insert({
          table: 'load',
          values: Array.from({ length: 1_000 }, (_, row) => ({ block, row })),
          format: 'JSONEachRow',
        });
        acknowledged.push(block);
      } catch {
        // It is being ended: what was not acknowledged may be there or not.
        return;
      }
    }
  });
  return {
    acknowledged,
    async stop() {
      stop.abort();
      await Promise.all(sides);
    },
  };
}

const CREATE_LOAD =
  'CREATE TABLE load (block UInt32, row UInt32) ENGINE = MergeTree ORDER BY block';

/** Every acknowledged block is there once and whole; no block is there in part. */
async function checkLoad(client: ClickHouseClient, acknowledged: readonly number[]): Promise<void> {
  const result = await client.query({
    query: 'SELECT block, count() AS rows, uniqExact(row) AS distinct FROM load GROUP BY block',
    format: 'JSONEachRow',
  });
  const blocks = await result.json<{ block: number; rows: number; distinct: number }>();
  expect(blocks.filter(({ rows, distinct }) => rows !== 1_000 || distinct !== 1_000)).toEqual([]);
  const there = new Set(blocks.map(({ block }) => block));
  expect(acknowledged.filter((block) => !there.has(block))).toEqual([]);
}

/** Reads an answer for `patienceMs`, then cuts the connection; whether the answer came to its end. */
function askAndVanish(
  url: string,
  authorization: string,
  body: string,
  patienceMs: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    let answered = false;
    const asked = request(url, { method: 'POST', headers: { authorization } }, (response) => {
      response.on('end', () => (answered = true)).resume();
      response.on('error', () => undefined);
    });
    const vanish = setTimeout(() => asked.destroy(), patienceMs);
    asked.on('error', () => undefined);
    asked.on('close', () => {
      clearTimeout(vanish);
      resolve(answered);
    });
    asked.end(body);
  });
}

afterEach(async () => {
  for (const server of servers.splice(0)) {
    await server.end('SIGKILL');
    rmSync(server.dataDir, { recursive: true, force: true });
  }
});

test('killed at any time, it starts again on the same data with every acknowledged block whole', async () => {
  let server = await start();
  let client = connect(server);
  await client.command({ query: CREATE_LOAD });
  const acknowledged: number[] = [];
  for (let time = 0; time < 3; time++) {
    await client.command({ query: 'TRUNCATE TABLE load' });
    acknowledged.length = 0;
    const work = load(client);
    await waitFor(() => work.acknowledged.length >= 20 + time * 7, {
      timeoutMs: 30_000,
      what: 'some blocks',
    });
    await server.end('SIGKILL');
    await work.stop();
    await client.close();
    acknowledged.push(...work.acknowledged);
    const port = new URL(server.url).port;
    server = await start({ SLUICE_DATA_DIR: server.dataDir, SLUICE_CLICKHOUSE_PORT: port });
    client = connect(server);
    await checkLoad(client, acknowledged);
    const left = readdirSync(join(server.dataDir, 'clickhouse', 'tmp'));
    expect(left.filter((name) => !name.startsWith('result'))).toEqual([]);
  }
  await client.close();
});

test('asked to end under load, it ends soon and cleanly, and loses nothing it has acknowledged', async () => {
  const server = await start();
  const client = connect(server);
  await client.command({ query: CREATE_LOAD });
  const work = load(client);
  const report = client
    .query({ query: 'SELECT sum(cityHash64(number)) FROM numbers(1000000000000)' })
    .then(
      () => 'answered',
      () => 'refused',
    );
  const slow = await client.query({
    query: 'SELECT number FROM numbers(1000000000000)',
    format: 'JSONEachRow',
  });
  await waitFor(() => work.acknowledged.length >= 10, { timeoutMs: 30_000, what: 'some blocks' });
  const started = Date.now();
  expect(await server.end('SIGTERM')).toBe(0);
  expect(Date.now() - started).toBeLessThan(10_000);
  expect(await report).toBe('refused');
  slow.close();
  await work.stop();
  await client.close();
  const again = await start({ SLUICE_DATA_DIR: server.dataDir });
  const check = connect(again);
  await checkLoad(check, work.acknowledged);
  await check.close();
});

test('a second process on the same data is refused, and the first goes on', async () => {
  const server = await start();
  const client = connect(server);
  const port = String(Number(new URL(server.url).port) - 1);
  const second = await runCommand(['clickhouse'], {
    ...process.env,
    SLUICE_DATA_DIR: server.dataDir,
    SLUICE_CLICKHOUSE_PORT: port,
  });
  expect(second.code).toBe(1);
  expect(second.output).toMatch(/sluice: .*another process/);
  expect(await numberOf(client, 'SELECT 41 + 1')).toBe(42);
  await client.close();
});

test('with too few threads for its statements it does not start, and says why', async () => {
  const few = await runCommand(['clickhouse'], { ...process.env, UV_THREADPOOL_SIZE: '4' });
  expect(few.code).toBe(1);
  expect(few.output).toContain(`set it to ${ENGINE_THREADS_MIN} or more, or unset it`);
});

test('clients that vanish at any moment leave nothing behind', async () => {
  const server = await start();
  const client = connect(server);
  const statements = [
    'SELECT number FROM numbers(100000000) FORMAT JSON',
    "SELECT number, throwIf(number = 400000, 'late') FROM numbers(1000000) FORMAT CSV",
    'SELECT sum(cityHash64(number)) FROM numbers(1000000000000)',
    'SELECT number FROM numbers(2000000) FORMAT Parquet',
    'SELECT 1',
  ];
  const authorization = `Basic ${btoa(`sluice:${server.password}`)}`;
  let vanished = 0;
  for (let round = 0; round < 40; round++) {
    const query = `wait_end_of_query=${round % 2}&enable_http_compression=${round % 3 === 0 ? 1 : 0}`;
    const asked = statements.map((body, index) =>
      askAndVanish(`${server.url}/?${query}`, authorization, body, (round * 37 + index * 53) % 400),
    );
    vanished += (await Promise.all(asked)).filter((answered) => !answered).length;
  }
  expect(vanished).toBeGreaterThan(50);
  await waitFor(
    async () => (await numberOf(client, 'SELECT count() FROM system.processes')) === 1,
    { timeoutMs: 20_000, what: 'every statement to end' },
  );
  const files = (): string[] => readdirSync(join(server.dataDir, 'clickhouse', 'tmp'));
  await waitFor(() => files().every((name) => name.startsWith('result')), {
    timeoutMs: 20_000,
    what: 'every private file to be gone',
  });
  await client.close();
});
