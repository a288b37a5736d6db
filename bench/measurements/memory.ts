/** What a hit leaves where: bytes in Redis a click and an accepted conversion, bytes on the spool, resident sizes under load. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHUNK_KINDS } from '../../src/domain/hit.ts';
import { decodeChunkFile } from '../../src/spool/chunk-file.ts';
import { count, fixed, mebibytes } from '../paper/numbers.ts';
import type { Finding, Measurement, Result, Settings } from '../paper/result.ts';
import { TWO_CORES } from '../stage/cores.ts';
import { runGenerator } from '../stage/load.ts';
import { mintClicks } from '../stage/minted-clicks.ts';
import { peakRssBytes } from '../stage/processes.ts';
import { askAgain, startStack, until, type Stack } from '../stage/stack.ts';
import type { Traffic } from '../load/requests.ts';

/** Data and what keeping it takes, without what connections and the append-only file hold for the moment. */
async function redisBytes(stack: Stack): Promise<number> {
  const info = await stack.redis.info('memory');
  const bytesOf = (name: string): number =>
    Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]);
  const all = bytesOf('used_memory_dataset') + bytesOf('used_memory_overhead');
  return all - bytesOf('mem_clients_normal') - bytesOf('mem_aof_buffer');
}

async function rows(stack: Stack, sql: string): Promise<number> {
  const found = await askAgain(() =>
    stack.clickhouse.query<{ n: number }>(`SELECT count() AS n FROM ${sql}`),
  );
  return found[0]?.n ?? 0;
}

/** Sends, waits until all of it is rows and the queue is empty; returns what it left in Redis, a row. */
async function bytesLeft(
  stack: Stack,
  traffic: Traffic,
  hits: number,
  table: string,
): Promise<number> {
  const rate = 8_000;
  const [before, base] = [await redisBytes(stack), await rows(stack, table)];
  const { answered } = await runGenerator(
    { port: stack.edgePort, rate, seconds: hits / rate, traffic },
    TWO_CORES,
  );
  await until(
    `${answered} rows of ${table}`,
    async () => (await rows(stack, table)) - base >= answered,
    120_000,
  );
  await until('the queues to be empty', async () => (await queuedJobs(stack)) === 0);
  return ((await redisBytes(stack)) - before) / ((await rows(stack, table)) - base);
}

async function queuedJobs(stack: Stack): Promise<number> {
  const keys = await stack.redis.keys('*:q}:*:*-[ct]');
  return keys.length;
}

interface Spooled {
  readonly bytes: number;
  readonly hits: number;
}

function readSpool(stack: Stack): Map<string, Spooled> {
  const spool = join(stack.dataDir, 'spool');
  const kinds = new Map<string, Spooled>(CHUNK_KINDS.map((kind) => [kind, { bytes: 0, hits: 0 }]));
  for (const folder of readdirSync(spool))
    for (const file of readdirSync(join(spool, folder)).filter((name) => name.endsWith('.ready'))) {
      const bytes = readFileSync(join(spool, folder, file));
      const chunk = decodeChunkFile(bytes);
      const kind = chunk.header?.kind ?? 'clicks';
      const sum = kinds.get(kind) ?? { bytes: 0, hits: 0 };
      kinds.set(kind, { bytes: sum.bytes + bytes.length, hits: sum.hits + chunk.records.length });
    }
  return kinds;
}

function finding(
  what: string,
  value: number,
  print: string,
  most: number,
  target: string,
): Finding {
  return {
    what,
    measured: print,
    peer: '–',
    ratio: '–',
    target,
    moonshot: '–',
    met: value <= most,
  };
}

async function run(settings: Settings): Promise<Result> {
  const stack = await startStack(TWO_CORES);
  try {
    const hits = settings.quick ? 24_000 : 240_000;
    const minted = await mintClicks(stack, hits * 2);
    const conversions = (skip: number): Traffic => ({
      kind: 'conversion',
      clickIdsFile: minted.file,
      skip,
    });
    await stack.start('edge');
    await stack.start('worker');
    // The first of each makes what is there once: scripts, queues, counters.
    await bytesLeft(stack, { kind: 'click' }, 2_000, 'click_log');
    await bytesLeft(stack, conversions(0), 2_000, 'postback_log');
    const aClick = await bytesLeft(stack, { kind: 'click' }, hits, 'click_log');
    const aConversion = await bytesLeft(stack, conversions(2_000), hits, 'postback_log');
    const accepted = await rows(stack, 'postback_log WHERE verdict_code = 0');
    const all = await rows(stack, 'postback_log');
    const rss = new Map([...stack.pids()].map(([name, pid]) => [name, peakRssBytes(pid)]));
    await stack.stop('worker');
    for (const traffic of [{ kind: 'click' } as const, conversions(2_000 + hits)])
      await runGenerator({ port: stack.edgePort, rate: 4_000, seconds: 2, traffic }, TWO_CORES);
    await stack.stop('edge', 'SIGKILL');
    const spool = readSpool(stack);
    const perHit = (kind: string): number => {
      const { bytes, hits: spooled } = spool.get(kind) ?? { bytes: 0, hits: 0 };
      return bytes / spooled;
    };
    const [edge, worker] = [rss.get('edge') ?? 0, rss.get('worker') ?? 0];
    const mib = 1024 ** 2;
    return {
      title: 'Memory and spool',
      method: `INFO MEMORY of Redis (data and overhead, without what the allocator, connections and the append-only file hold for the moment) before and after ${count(hits)} clicks and as many conversions with every check on, once all of them are rows and no job is left. ${count(accepted)} of ${count(all)} calls were accepted. RSS is the highest the kernel saw (VmHWM). The spool is read from its files while no worker runs; its records hold the whole request, headers included.`,
      findings: [
        finding('Redis, a click', aClick, `${fixed(aClick, 1)} bytes`, 1, '0'),
        finding(
          'Redis, an accepted conversion',
          aConversion,
          `${fixed(aConversion, 0)} bytes`,
          400,
          '≤ 400 bytes',
        ),
        finding('RSS of the edge under load', edge, mebibytes(edge), 300 * mib, '≤ 300 MB'),
        finding('RSS of the worker under load', worker, mebibytes(worker), 500 * mib, '≤ 500 MB'),
        finding(
          'spool, a click / a conversion',
          Math.max(perHit('clicks'), perHit('conversions')),
          `${fixed(perHit('clicks'), 0)} / ${fixed(perHit('conversions'), 0)} bytes`,
          300,
          '≤ 300 bytes',
        ),
      ],
      tables: [
        {
          columns: ['process', 'highest RSS'],
          rows: [...rss].map(([name, bytes]) => [name, mebibytes(bytes)]),
        },
      ],
      charts: [],
    };
  } finally {
    await stack.close();
  }
}

export const memory: Measurement = { name: 'memory', run };
