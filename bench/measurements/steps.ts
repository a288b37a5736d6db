/**
 * Where each microsecond of a hit goes: the steps of its way one after the other, with the released code, in chunks of
 * several sizes. This process is edge and worker; Redis and ClickHouse are the real ones.
 */
import { pino } from 'pino';
import { createCatalogueStore } from '../../src/catalogue/store.ts';
import { createClickIdCodec } from '../../src/domain/click-id.ts';
import { createDeviceReader } from '../../src/domain/device.ts';
import type {
  Chunk,
  ChunkHeader,
  ChunkKind,
  ClickHit,
  ConversionHit,
  Hit,
  RawHit,
} from '../../src/domain/hit.ts';
import { FULL_IPS } from '../../src/domain/ip-storage.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import { decodeChunk } from '../../src/queue/chunk-content.ts';
import { encodeHit } from '../../src/queue/chunk-job.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { encodeFrames } from '../../src/spool/chunk-file.ts';
import { createLanes } from '../../workers/gate/lanes.ts';
import { createClickAnswers } from '../../workers/ingest/click-answers.ts';
import { createClickStore } from '../../workers/ingest/click-store.ts';
import { createConversionIngest } from '../../workers/ingest/conversions.ts';
import { openCountryReader } from '../../workers/ingest/country.ts';
import { createCallPreparation } from '../../workers/ingest/prepare-calls.ts';
import { browserHeaders, clickPath, visitorIp } from '../load/requests.ts';
import { count, fixed } from '../paper/numbers.ts';
import type { Measurement, Result, Settings, Table } from '../paper/result.ts';
import { TWO_CORES } from '../stage/cores.ts';
import { mintClicks, type MintedClick } from '../stage/minted-clicks.ts';
import { cpuMs } from '../stage/processes.ts';
import { startStack, type Stack } from '../stage/stack.ts';

const SIZES = [300, 1_000, 4_000];
const QUICK_SIZES = [300, 4_000];
/** Hits a size: many times what the kernel's clock can tell apart. */
const HITS = 48_000;
const WARM_CHUNKS = 2;
/** No edge of the benchmark has it. */
const EDGE_NUMBER = 999;

type Where = 'own' | 'redis' | 'clickhouse';
type Cost = Record<Where, number>;

/** CPU by step, in µs: of this process, of Redis, of ClickHouse. */
function createMeter(stack: Stack) {
  const costs = new Map<string, Cost>();
  const pidOf = (name: string): number => stack.pids().get(name) ?? 0;
  const read = (): Cost => {
    const { user, system } = process.cpuUsage();
    return {
      own: user + system,
      redis: cpuMs(pidOf('redis')) * 1000,
      clickhouse: cpuMs(pidOf('clickhouse')) * 1000,
    };
  };
  return {
    costs,
    async step<T>(name: string, work: () => T | Promise<T>): Promise<T> {
      const before = read();
      const result = await work();
      const after = read();
      const sum = costs.get(name) ?? { own: 0, redis: 0, clickhouse: 0 };
      for (const where of ['own', 'redis', 'clickhouse'] as const)
        sum[where] += after[where] - before[where];
      costs.set(name, sum);
      return result;
    },
  };
}
type Meter = ReturnType<typeof createMeter>;

async function createWay(stack: Stack) {
  const { clickhouse, redis } = stack;
  const keys = createRedisKeys();
  const clock = Date.now;
  const logger = pino({ level: 'silent' });
  const store = createCatalogueStore({ clickhouse, redis, keys, logger });
  const snapshot = await store.current();
  const codec = createClickIdCodec(snapshot.state.click_id_keys);
  const enrichment = { country: await openCountryReader(), device: createDeviceReader() };
  const hitIds = createHitIds(clock);
  let numbers = 0;

  function rawOf(path: string, query: string): Omit<RawHit, 'endpoint'> {
    const headers = new Map(browserHeaders(numbers));
    return {
      hitId: hitIds(),
      receivedAtMs: clock(),
      method: 'GET',
      path,
      query,
      body: '',
      bodyIsBase64: false,
      contentType: '',
      cookies: '',
      ip: visitorIp(numbers),
      userAgent: headers.get('User-Agent') ?? '',
      referer: headers.get('Referer') ?? '',
      fromBrowser: false,
    };
  }

  function clickOf(): ClickHit {
    numbers += 1;
    const [path = '', query = ''] = clickPath(numbers, '').split('?');
    return {
      ...rawOf(path, query),
      endpoint: 'click',
      clickId: codec.mint(clock(), 16, EDGE_NUMBER, numbers % 2 ** 20),
      offerId: 16,
      affiliateId: 1,
      advertiserId: 1,
      verdictCode: 0,
      detail: '',
    };
  }

  function conversionOf({ clickId }: MintedClick): ConversionHit {
    numbers += 1;
    const query = `click_id=${clickId}&amount=49.90&currency=EUR&adv_order_id=O-${numbers}&track_id=t-${numbers}`;
    return { ...rawOf('/track/goal-by-click-id', query), endpoint: 'goal-by-click-id' };
  }

  function headerOf(kind: ChunkKind): ChunkHeader {
    numbers += 1;
    const openedAtMs = clock();
    return {
      chunkId: `${EDGE_NUMBER}-${openedAtMs}-${numbers}-${kind === 'clicks' ? 'c' : 't'}`,
      kind,
      edgeNumber: EDGE_NUMBER,
      openedAtMs,
      catalogueVersion: snapshot.version,
    };
  }

  function createWorker() {
    const clicks = createClickStore({ clickhouse, enrichment, clock });
    const lanes = createLanes({
      clickhouse,
      redis,
      keys,
      ips: FULL_IPS,
      snapshotAt: store.at,
      clock,
      logger,
    });
    const deps = {
      clickhouse,
      answerClicks: createClickAnswers({ clicks, redis, keys, clock }),
      snapshotAt: store.at,
      codecOf: () => codec,
      enrichment,
      clock,
    };
    return {
      clicks,
      prepare: createCallPreparation(deps),
      ingest: createConversionIngest({ ...deps, lanes, onCommitted: () => undefined }),
    };
  }

  return { codec, clickOf, conversionOf, headerOf, worker: createWorker() };
}
type Way = Awaited<ReturnType<typeof createWay>>;

/** What the edge does with a hit that it understood, up to the command for Redis; resolves to the chunk as a worker reads it. */
async function carry(
  way: Way,
  meter: Meter,
  kind: ChunkKind,
  hits: readonly Hit[],
): Promise<Chunk> {
  const records = await meter.step('edge: the record', () => hits.map(encodeHit));
  const header = way.headerOf(kind);
  const content = await meter.step('edge: its frame in the spool file', () =>
    encodeFrames([JSON.stringify(header), ...records]),
  );
  const job = { header, hitCount: records.length };
  return meter.step('worker: read the chunk', () => decodeChunk(job, content));
}

async function clickSteps(way: Way, meter: Meter, size: number): Promise<void> {
  const hits = Array.from({ length: size }, way.clickOf);
  const chunk = await carry(way, meter, 'clicks', hits);
  await meter.step('worker, ClickHouse: make the rows, insert, read back', () =>
    way.worker.clicks.storeChunk(chunk, way.codec),
  );
}

async function conversionSteps(
  way: Way,
  meter: Meter,
  minted: readonly MintedClick[],
): Promise<void> {
  const { worker } = way;
  const chunk = await carry(way, meter, 'conversions', minted.map(way.conversionOf));
  const wanted = new Map(
    minted.flatMap(({ clickId }) => {
      const opened = way.codec.open(clickId);
      return opened === undefined ? [] : [[clickId, opened] as const];
    }),
  );
  await meter.step('worker, ClickHouse: find the clicks', () => worker.clicks.find(wanted));
  await meter.step('worker: judge by the catalogue', () => worker.prepare(chunk));
  await meter.step('all of it again, with the lanes', () => worker.ingest(chunk));
}

const LANES = 'worker, Redis, ClickHouse: gate, rows, insert, read back, apply';

/** The lanes' part is what the whole took beyond the catalogue's part. */
function withoutCatalogue(costs: Map<string, Cost>): void {
  const whole = costs.get('all of it again, with the lanes');
  const judged = costs.get('worker: judge by the catalogue');
  if (whole === undefined || judged === undefined) return;
  costs.delete('all of it again, with the lanes');
  costs.set(LANES, {
    own: whole.own - judged.own,
    redis: whole.redis - judged.redis,
    clickhouse: whole.clickhouse - judged.clickhouse,
  });
}

type Measured = ReadonlyMap<number, ReadonlyMap<string, Cost>>;

async function measure(
  stack: Stack,
  sizes: readonly number[],
  hits: number,
  chunk: (meter: Meter, size: number, at: number) => Promise<void>,
): Promise<Measured> {
  const bySize = new Map<number, ReadonlyMap<string, Cost>>();
  let at = 0;
  for (const size of sizes) {
    const cold = createMeter(stack);
    for (let n = 0; n < WARM_CHUNKS; n++, at += size) await chunk(cold, size, at);
    const meter = createMeter(stack);
    const chunks = Math.ceil(hits / size);
    for (let n = 0; n < chunks; n++, at += size) await chunk(meter, size, at);
    withoutCatalogue(meter.costs);
    for (const cost of meter.costs.values())
      for (const where of ['own', 'redis', 'clickhouse'] as const) cost[where] /= chunks * size;
    bySize.set(size, meter.costs);
  }
  return bySize;
}

function tableOf(kind: string, measured: Measured): Table {
  const sizes = [...measured.keys()];
  const steps = [...(measured.get(sizes[0] ?? 0)?.keys() ?? [])];
  const print = (cost: Cost | undefined): string[] =>
    (['own', 'redis', 'clickhouse'] as const).map((where) => {
      const us = cost?.[where] ?? 0;
      return us < 0.05 ? '' : fixed(us, 1);
    });
  const total = (size: number): Cost => {
    const sum: Cost = { own: 0, redis: 0, clickhouse: 0 };
    for (const cost of measured.get(size)?.values() ?? [])
      for (const where of ['own', 'redis', 'clickhouse'] as const) sum[where] += cost[where];
    return sum;
  };
  return {
    columns: [
      `${kind}: µs of processor time a hit`,
      ...sizes.flatMap((size) => [`edge or worker, ${count(size)} a chunk`, 'Redis', 'ClickHouse']),
    ],
    rows: [
      ...steps.map((step) => [
        step,
        ...sizes.flatMap((size) => print(measured.get(size)?.get(step))),
      ]),
      ['together', ...sizes.flatMap((size) => print(total(size)))],
    ],
  };
}

const STATEMENTS = [
  ['that reads nothing', 'SELECT 1'],
  [
    'that reads back who has a position',
    'SELECT writer FROM postback_log WHERE lane = 0 AND position = 1 LIMIT 1',
  ],
] as const;
const WARM_STATEMENTS = 20;
const TIMES = 200;

/** What ClickHouse takes for a statement before any row; every block asks for a few. */
async function statementTable(stack: Stack): Promise<Table> {
  const rows: string[][] = [];
  for (const [name, sql] of STATEMENTS) {
    for (let n = 0; n < WARM_STATEMENTS; n++) await stack.clickhouse.query(sql);
    const meter = createMeter(stack);
    const started = performance.now();
    await meter.step(name, async () => {
      for (let n = 0; n < TIMES; n++) await stack.clickhouse.query(sql);
    });
    const wallMs = (performance.now() - started) / TIMES;
    const cost = meter.costs.get(name);
    const msOf = (us = Number.NaN): string => fixed(us / 1000 / TIMES, 2);
    rows.push([name, msOf(cost?.own), msOf(cost?.clickhouse), fixed(wallMs, 2)]);
  }
  return { columns: ['a statement', 'ms of the client', 'of ClickHouse', 'until answered'], rows };
}

async function run(settings: Settings): Promise<Result> {
  const stack = await startStack(TWO_CORES);
  try {
    const hits = settings.quick ? HITS / 4 : HITS;
    const sizes = settings.quick ? QUICK_SIZES : SIZES;
    const needed = sizes.reduce((sum, size) => sum + hits + (WARM_CHUNKS + 1) * size, 0);
    const { clicks: minted } = await mintClicks(
      stack,
      Math.max(needed, settings.quick ? 0 : 1_000_000),
    );
    const statements = await statementTable(stack);
    const way = await createWay(stack);
    const clicks = await measure(stack, sizes, hits, (meter, size) => clickSteps(way, meter, size));
    const conversions = await measure(stack, sizes, hits, (meter, size, at) =>
      conversionSteps(way, meter, minted.slice(at, at + size)),
    );
    return {
      title: 'Where the microseconds go',
      method: `One chunk after the other through the released code, without HTTP and without a queue: this process does what edge and worker do. Conversions name clicks at random among ${count(minted.length)} of the last day. User and system time, ${count(hits)} hits a size. ClickHouse's columns hold its merges as far as they fell into the step. Below it what a statement takes by itself, ${TIMES} one after the other.`,
      findings: [],
      tables: [tableOf('click', clicks), tableOf('conversion', conversions), statements],
      charts: [],
    };
  } finally {
    await stack.close();
  }
}

export const steps: Measurement = { name: 'steps', run };
