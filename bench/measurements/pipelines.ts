/**
 * The whole way, HTTP to queryable row, on two cores that everything shares: Sluice beside one BullMQ job and one insert
 * a hit, on the same Redis and the same ClickHouse.
 */
import { join } from 'node:path';
import { projectPath } from '../../src/project-root.ts';
import type { Traffic } from '../load/requests.ts';
import { count, fixed, ms, percent, spreadText } from '../paper/numbers.ts';
import type { Finding, Measurement, Result, Settings, Table } from '../paper/result.ts';
import { ratios, spread } from '../paper/statistics.ts';
import { createPeerTables, PEER_QUEUE, peerClickKey } from '../peers/job-per-hit.ts';
import { CONNECTIONS } from '../stage/load.ts';
import { TWO_CORES } from '../stage/cores.ts';
import { mintClicks, type MintedClicks } from '../stage/minted-clicks.ts';
import { createRecordedClicks } from '../stage/recorded-clicks.ts';
import { peakRssBytes, startProcess, type Running } from '../stage/processes.ts';
import { askAgain, freePort, startStack, type Stack } from '../stage/stack.ts';
import {
  confirm,
  hold,
  search,
  type Held,
  type Pipeline,
  type SearchPlan,
} from '../stage/sustained.ts';

type Kind = 'clicks' | 'conversions';

/** What conversions name. */
type ClickIds = Pick<MintedClicks, 'file'>;

interface Plan {
  readonly kind: Kind;
  readonly target: number;
  readonly moonshot: number;
  /** How many times the peer's rate; undefined: the issue sets none. */
  readonly ratio: number;
}

async function countRows(stack: Stack, table: string): Promise<number> {
  const rows = await askAgain(() =>
    stack.clickhouse.query<{ n: number }>(`SELECT count() AS n FROM ${table}`),
  );
  return rows[0]?.n ?? 0;
}

function trafficOf(kind: Kind, clicks: ClickIds, skip: number): Traffic {
  return kind === 'clicks'
    ? { kind: 'click' }
    : { kind: 'conversion', clickIdsFile: clicks.file, skip };
}

export function sluicePipeline(stack: Stack, kind: Kind, clicks: ClickIds): Pipeline {
  return {
    name: 'Sluice',
    port: stack.edgePort,
    cores: TWO_CORES,
    traffic: (skip) => trafficOf(kind, clicks, skip),
    stored: () => countRows(stack, tableNameOf(kind)),
    pids: () => stack.pids(),
  };
}

interface Peer {
  readonly pipeline: Pipeline;
  close(): Promise<void>;
}

async function startPeer(stack: Stack, kind: Kind, minted: MintedClicks): Promise<Peer> {
  const port = await freePort();
  const start = (file: string, args: readonly string[]): Promise<Running> =>
    startProcess(
      [process.execPath, '--import', 'tsx', projectPath('bench', 'peers', file), ...args],
      {
        cores: TWO_CORES,
        logFile: join(stack.dataDir, `${file}.log`),
        announces: true,
      },
    );
  const front = await start('job-per-hit-front.ts', [String(port), stack.redisUrl]);
  const worker = await start('job-per-hit-worker.ts', [
    stack.redisUrl,
    stack.clickhouseUrl,
    stack.clickhousePassword,
  ]);
  return {
    pipeline: {
      name: 'one job and one insert a hit',
      port,
      cores: TWO_CORES,
      traffic: (skip) => trafficOf(kind, minted, skip),
      stored: () => countRows(stack, 'peer_hits'),
      pids: () =>
        new Map([
          ...[...stack.pids()].filter(([name]) => name === 'redis' || name === 'clickhouse'),
          ['edge', front.pid],
          ['worker', worker.pid],
        ]),
    },
    async close() {
      await front.stop('SIGKILL');
      await worker.stop('SIGKILL');
      const keys = await stack.redis.keys(`bull:${PEER_QUEUE}:*`);
      if (keys.length > 0) await stack.redis.unlink(...keys);
    },
  };
}

/** The peer finds clicks in Redis, as such pipelines do. */
async function loadPeerClicks(stack: Stack, minted: MintedClicks, most: number): Promise<void> {
  for (let at = 0; at < Math.min(most, minted.clicks.length); at += 10_000) {
    const some = minted.clicks.slice(at, at + 10_000);
    await stack.redis.mset(
      ...some.flatMap(({ clickId, offerId, affiliateId, ip }) => [
        peerClickKey(clickId),
        `${offerId}|${affiliateId}|${ip}`,
      ]),
    );
  }
}

interface Outcome {
  readonly ours: readonly Held[];
  readonly theirs: readonly Held[];
  readonly rss: ReadonlyMap<string, number>;
  /** On disk, of a row of this traffic. */
  readonly rowBytes: number;
}

const tableNameOf = (kind: Kind): string => (kind === 'clicks' ? 'click_log' : 'postback_log');

async function rowBytesOf(stack: Stack, kind: Kind): Promise<number> {
  const [row] = await askAgain(() =>
    stack.clickhouse.query<{ bytes: number }>(
      `SELECT sum(bytes_on_disk) / sum(rows) AS bytes FROM system.parts
       WHERE active AND database = currentDatabase() AND table = '${tableNameOf(kind)}'`,
    ),
  );
  return row?.bytes ?? Number.NaN;
}

async function startSluice(stack: Stack): Promise<void> {
  await stack.start('edge', TWO_CORES);
  await stack.start('worker', TWO_CORES);
}

async function stopSluice(stack: Stack): Promise<void> {
  await stack.stop('edge');
  await stack.stop('worker');
}

function searchPlan(kind: Kind, { quick }: Settings): SearchPlan {
  if (!quick)
    // The chunks of a busy edge make the lag a saw of half a second: in 8 s its slope may look like growth.
    return { firstRate: 12_000, probeSeconds: 15, precision: 1.08, secondTry: true };
  const firstRate = kind === 'clicks' ? 14_000 : 5_000;
  return { firstRate, probeSeconds: 2, precision: 1.6, secondTry: false };
}

const WARM_UP_S = 8;
const holdSeconds = ({ quick }: Settings): number => (quick ? 5 : 60);

const rssOf = (stack: Stack): Map<string, number> =>
  new Map([...stack.pids()].map(([name, pid]) => [name, peakRssBytes(pid)]));

/** Searches both, then holds both in turns; only one of them runs at a time. */
async function compare(stack: Stack, kind: Kind, settings: Settings): Promise<Outcome> {
  const minted = await mintClicks(
    stack,
    kind === 'clicks' ? 0 : settings.quick ? 250_000 : 5_000_000,
  );
  await loadPeerClicks(stack, minted, 400_000);
  const plan = searchPlan(kind, settings);
  const seconds = holdSeconds(settings);
  // Its rows are a few thousand: what it keeps for so long it keeps.
  const peerSeconds = settings.quick ? 5 : 20;
  const ours: Held[] = [];
  const theirs: Held[] = [];
  let rss = new Map<string, number>();
  const sluice = sluicePipeline(stack, kind, minted);
  await startSluice(stack);
  const ourRate = await search(sluice, plan);
  await stopSluice(stack);
  const first = await startPeer(stack, kind, minted);
  const peerRate = await search(first.pipeline, { ...plan, firstRate: settings.quick ? 180 : 400 });
  await first.close();
  for (let round = 0; round < (settings.quick ? 1 : 3); round++) {
    await startSluice(stack);
    // From the rate of the round before: a short probe promises more than a minute keeps.
    ours.push(
      await confirm(sluice.name, ours.at(-1)?.rate ?? ourRate, (rate) =>
        hold(sluice, rate, seconds),
      ),
    );
    rss = rssOf(stack);
    await stopSluice(stack);
    const peer = await startPeer(stack, kind, minted);
    theirs.push(
      await confirm(peer.pipeline.name, theirs.at(-1)?.rate ?? peerRate, (rate) =>
        hold(peer.pipeline, rate, peerSeconds),
      ),
    );
    await peer.close();
  }
  return { ours, theirs, rss, rowBytes: await rowBytesOf(stack, kind) };
}

/** Conversions of clicks that were recorded right before, as many of them as a load will name, on a stack of their own. */
async function onRecentClicks<T>(
  work: (pipeline: Pipeline, stack: Stack) => Promise<T>,
): Promise<T> {
  const stack = await startStack(TWO_CORES);
  try {
    const clicks = createRecordedClicks(stack);
    await startSluice(stack);
    return await work(
      {
        ...sluicePipeline(stack, 'conversions', clicks),
        prepare: (requests) => clicks.record(requests),
      },
      stack,
    );
  } finally {
    await stack.close();
  }
}

/** Each minute begins empty: a search leaves millions of conversions, and the backlogs of what was too much. */
async function holdRecent(settings: Settings): Promise<Outcome> {
  const ours: Held[] = [];
  let rate = await onRecentClicks((pipeline) =>
    search(pipeline, searchPlan('conversions', settings)),
  );
  let rss = new Map<string, number>();
  let rowBytes = Number.NaN;
  for (let round = 0; round < (settings.quick ? 1 : 3); round++) {
    const held = await confirm('Sluice', rate, (tried) =>
      onRecentClicks(async (pipeline, stack) => {
        // A young process has its code still to compile.
        await hold(pipeline, tried / 4, WARM_UP_S);
        const result = await hold(pipeline, tried, holdSeconds(settings));
        rss = rssOf(stack);
        rowBytes = await rowBytesOf(stack, 'conversions');
        return result;
      }),
    );
    ours.push(held);
    rate = held.rate;
  }
  return { ours, theirs: [], rss, rowBytes };
}

const rates = (list: readonly Held[]): number[] =>
  list.map(({ rate, sustained }) => (sustained ? rate : Number.NaN));

function finding(plan: Plan, { ours, theirs }: Outcome): Finding {
  const our = spread(rates(ours));
  const times = ratios(rates(ours), rates(theirs));
  return {
    what: `whole pipeline, ${plan.kind}`,
    measured: `${spreadText(our, count)} hits/s`,
    peer: `one job and one insert a hit: ${spreadText(spread(rates(theirs)), count)} hits/s`,
    ratio: `${spreadText(times, (value) => fixed(value, 1))} ×`,
    target: `≥ ${count(plan.target)} and ≥ ${plan.ratio} ×`,
    moonshot: count(plan.moonshot),
    met: our.median >= plan.target && times.median >= plan.ratio,
  };
}

function heldTable(outcome: Outcome): Table {
  const row = (name: string, held: Held): string[] => [
    name,
    count(held.rate),
    held.sustained ? 'yes' : held.why,
    `${ms(held.load.latencyMs.p50)} / ${ms(held.load.latencyMs.p99)}`,
    count(held.lag.at(-1)?.y ?? 0),
    ms(held.drainMs),
    [...held.cpuUs].map(([role, us]) => `${role} ${fixed(us, 1)}`).join(', '),
    `${fixed(held.load.cpuUsPerRequest, 1)} (${percent(held.load.cpuShare)} of a core)`,
  ];
  return {
    columns: [
      'pipeline',
      'hits/s offered',
      'sustained',
      'answer p50 / p99',
      'lag at the end, hits',
      'drained after',
      'µs CPU a hit',
      "generator's µs a hit",
    ],
    rows: [
      ...outcome.ours.map((held) => row('Sluice', held)),
      ...outcome.theirs.map((held) => row('one job and one insert a hit', held)),
    ],
  };
}

function lagChart(kind: Kind, { ours, theirs }: Outcome) {
  const series = [
    { name: 'Sluice', points: ours.at(-1)?.lag ?? [] },
    { name: 'one job and one insert a hit', points: theirs.at(-1)?.lag ?? [] },
  ];
  return {
    file: `lag-${kind}.svg`,
    chart: {
      kind: 'lines' as const,
      title: `Lag at the sustained rate, ${kind}`,
      xLabel: 's',
      yLabel: 'hits answered, not queryable yet',
      series,
    },
  };
}

function tablesOf(outcome: Outcome): readonly Table[] {
  const sizes = [
    ...[...outcome.rss].map(([name, bytes]) => [
      `highest RSS, ${name}`,
      `${count(bytes / 1024 ** 2)} MiB`,
    ]),
    ['a row on the disk of ClickHouse', `${count(outcome.rowBytes)} bytes`],
  ];
  return [heldTable(outcome), { columns: ['', ''], rows: sizes }];
}

const SUSTAINED =
  'A rate is sustained when every request is answered on time and the number of hits that are answered and not yet a row in ClickHouse does not grow (or stays below 0.6 s of traffic); the highest such rate is searched by short probes and then held';
const CHECKED =
  'it passes every check (one a click, unique address of the day, unique track id, three caps of the goal) and claims';

function measurement(plan: Plan): Measurement {
  return {
    name: plan.kind,
    async run(settings): Promise<Result> {
      const stack = await startStack(TWO_CORES);
      try {
        await createPeerTables(stack.clickhouse);
        const outcome = await compare(stack, plan.kind, settings);
        return {
          title: `Whole pipeline: ${plan.kind}`,
          method: `Open loop over ${CONNECTIONS} kept-alive sockets, one request in flight on each; latency counts from the time a request was due. Edge, worker, Redis (append-only), ClickHouse and the generator share cores ${TWO_CORES}. ${SUSTAINED}${settings.quick ? '' : ' for 60 s, three times, in turns with the peer, which is held for 20 s'}. ${plan.kind === 'conversions' ? `Each conversion names another stored click, with its own track and order id: ${CHECKED}. Clicks lie at random in the last day, and no worker has seen them. ` : ''}The peer: bare uWebSockets.js, one BullMQ job a hit, one insert a hit into a Buffer table (async_insert and plain inserts were slower on this engine), clicks and rules in Redis.`,
          findings: [finding(plan, outcome)],
          tables: tablesOf(outcome),
          charts: [lagChart(plan.kind, outcome)],
        };
      } finally {
        await stack.close();
      }
    },
  };
}

export const clickPipeline = measurement({
  kind: 'clicks',
  target: 30_000,
  moonshot: 45_000,
  ratio: 15,
});
const CONVERSIONS = { kind: 'conversions', target: 18_000, moonshot: 30_000, ratio: 15 } as const;
export const conversionPipeline = measurement(CONVERSIONS);

export const recentConversions: Measurement = {
  name: 'recent-conversions',
  async run(settings): Promise<Result> {
    const outcome = await holdRecent(settings);
    const our = spread(rates(outcome.ours));
    return {
      title: 'Whole pipeline: conversions of clicks of the last minutes',
      method: `As above, but the clicks that a load names are recorded through the edge right before it, in the same order: the worker that stored them remembers them (48 MiB of them; \`workers/ingest/click-memory.ts\`), so that few are looked up. ${SUSTAINED}${settings.quick ? '' : ' for 60 s, three times, each time on an instance without data'}. Each conversion names another click: ${CHECKED}.`,
      findings: [
        {
          what: 'the same, of clicks of the last minutes',
          measured: `${spreadText(our, count)} hits/s`,
          peer: '',
          ratio: '',
          target: `≥ ${count(CONVERSIONS.target)}`,
          moonshot: count(CONVERSIONS.moonshot),
          met: our.median >= CONVERSIONS.target,
        },
      ],
      tables: tablesOf(outcome),
      charts: [],
    };
  },
};
