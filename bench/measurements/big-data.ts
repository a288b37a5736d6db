/**
 * Reports on big data beside the same SQL run bare, and what a hit costs, at growing numbers of stored clicks. Both in
 * one measurement, because making the data takes longest.
 */
import { CHUNK_KINDS } from '../../src/domain/hit.ts';
import { buildList, type BuiltQuery } from '../../src/reports/list-query.ts';
import { buildStatistics } from '../../src/reports/statistics-query.ts';
import { count, fixed, ms } from '../paper/numbers.ts';
import type { Finding, Measurement, Result, Settings } from '../paper/result.ts';
import { median, percentile } from '../paper/statistics.ts';
import { addRows, mergeNewest, orderIdOf, settle } from '../stage/big-data.ts';
import { TWO_CORES } from '../stage/cores.ts';
import { mintClicks, type MintedClicks } from '../stage/minted-clicks.ts';
import { startStack, type Stack } from '../stage/stack.ts';
import { hold, type Held } from '../stage/sustained.ts';
import { sluicePipeline } from './pipelines.ts';

const TRANSACTIONS = 1_000_000;
const DAY_MS = 86_400_000;
const BARE_MAX = 1.3;
const MANAGER = { role: 'manager', name: 'bench' } as const;

interface Question {
  readonly name: string;
  readonly targetMs: number;
  readonly moonshotMs: number;
  /** Path and query of the API. */
  readonly path: (round: number) => string;
  /** The same by SQL; undefined: it is more than one statement. */
  readonly sql?: (round: number) => BuiltQuery;
}

function day(nowMs: number, ago: number): string {
  return new Date(nowMs - ago * DAY_MS).toISOString().slice(0, 10);
}

function questionsOf(nowMs: number, stored: number): readonly Question[] {
  const parameters = (query: string): ReadonlyMap<string, readonly string[]> =>
    new Map([...new URLSearchParams(query)].map(([name, value]) => [name, [value]]));
  const report = (name: string, query: (round: number) => string) => ({
    path: (round: number) => `/api/v1/reports/${name}?${query(round)}`,
    sql: (round: number) =>
      name === 'statistics'
        ? buildStatistics(parameters(query(round)), MANAGER, false)
        : buildList(name, parameters(query(round)), MANAGER, false),
  });
  const calls = Math.min(TRANSACTIONS, stored);
  return [
    {
      name: 'newest page of Clicks for a day',
      targetMs: 300,
      moonshotMs: 150,
      ...report('clicks', (round) => {
        const date = day(nowMs, 3 + (round % 80));
        return `from=${date}&to=${date}&limit=100`;
      }),
    },
    {
      name: 'transactions by offer',
      targetMs: 300,
      moonshotMs: 150,
      ...report('transactions', (round) => `offer_id=${1 + (round % 50)}&limit=100`),
    },
    {
      name: 'statistics by day for 30 days',
      targetMs: 500,
      moonshotMs: 200,
      ...report(
        'statistics',
        (round) =>
          `breakdown=day&from=${day(nowMs, 31 + (round % 50))}&to=${day(nowMs, 1 + (round % 50))}`,
      ),
    },
    {
      name: '`explain` of an id',
      targetMs: 150,
      moonshotMs: 50,
      path: (round) => `/api/v1/explain?order_id=${orderIdOf((round * 7_919) % calls)}`,
    },
  ];
}

interface Answered {
  readonly question: Question;
  readonly apiMs: readonly number[];
  readonly bareMs: readonly number[];
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** API and bare SQL in turns, each round another day, offer or id. */
async function ask(stack: Stack, question: Question, rounds: number): Promise<Answered> {
  const apiMs: number[] = [];
  const bareMs: number[] = [];
  const { path, sql } = question;
  const viaApi = (round: number) =>
    timed(async () => {
      const response = await fetch(`http://127.0.0.1:${stack.apiPort}${path(round)}`, {
        headers: { authorization: `Bearer ${stack.adminKey}` },
      });
      const body = await response.text();
      if (!response.ok) throw new Error(`${path(round)}: ${response.status} ${body}`);
    });
  const viaSql = async (round: number): Promise<number> => {
    const built = sql?.(round);
    return built === undefined
      ? Number.NaN
      : timed(() => stack.clickhouse.query(built.sql, built.parameters));
  };
  for (let round = 0; round <= rounds; round++) {
    // Who comes second finds the day's rows in memory: each is first in every other round.
    const apiFirst = round % 2 === 0;
    const early = await (apiFirst ? viaApi : viaSql)(round);
    const late = await (apiFirst ? viaSql : viaApi)(round);
    // The first of each only warms up.
    if (round === 0) continue;
    apiMs.push(apiFirst ? early : late);
    bareMs.push(apiFirst ? late : early);
  }
  return { question, apiMs, bareMs };
}

function reportFinding({ question, apiMs, bareMs }: Answered, stored: number): Finding {
  const p95 = percentile(apiMs, 0.95);
  const bare = percentile(bareMs, 0.95);
  const times = median(apiMs) / median(bareMs);
  const comparable = question.sql !== undefined;
  return {
    what: `${question.name}, ${count(stored)} clicks`,
    measured: `p50 ${ms(median(apiMs))}, p95 ${ms(p95)}`,
    peer: comparable ? `the same SQL bare: p50 ${ms(median(bareMs))}, p95 ${ms(bare)}` : '–',
    ratio: comparable ? `${fixed(times)} × (medians)` : '–',
    target: `p95 ≤ ${question.targetMs} ms${comparable ? `, ≤ ${BARE_MAX} × bare` : ''}`,
    moonshot: `${question.moonshotMs} ms`,
    met: p95 <= question.targetMs && (!comparable || times <= BARE_MAX),
  };
}

interface Cost {
  readonly stored: number;
  readonly clicks: Held;
  readonly conversions: Held;
}

function total(held: Held): number {
  return [...held.cpuUs.values()].reduce((sum, us) => sum + us, 0);
}

async function ingest(
  stack: Stack,
  stored: number,
  pipelines: ReturnType<typeof pipelinesOf>,
  settings: Settings,
): Promise<Cost> {
  const [rate, seconds] = settings.quick ? [2_000, 3] : [5_000, 20];
  await mergeNewest(stack);
  await stack.start('edge');
  await stack.start('worker');
  await hold(pipelines.clicks, rate, 2);
  const clicks = await hold(pipelines.clicks, rate, seconds);
  const conversions = await hold(pipelines.conversions, rate, seconds);
  await stack.stop('edge');
  await stack.stop('worker');
  return { stored, clicks, conversions };
}

function pipelinesOf(stack: Stack, minted: MintedClicks) {
  return {
    clicks: sluicePipeline(stack, 'clicks', minted),
    conversions: sluicePipeline(stack, 'conversions', minted),
  };
}

function growthFindings(costs: readonly Cost[]): readonly Finding[] {
  const [first] = costs;
  if (first === undefined) return [];
  const changes = costs.flatMap((cost) => [
    total(cost.clicks) / total(first.clicks) - 1,
    total(cost.conversions) / total(first.conversions) - 1,
  ]);
  const worst = changes.reduce(
    (most, change) => (Math.abs(change) > Math.abs(most) ? change : most),
    0,
  );
  return [
    {
      what: 'cost as data grows: CPU a hit, all processes',
      measured: costs
        .map(
          (cost) =>
            `${count(cost.stored)}: ${fixed(total(cost.clicks), 0)} µs a click, ${fixed(total(cost.conversions), 0)} µs a conversion`,
        )
        .join('; '),
      peer: '–',
      ratio: `${fixed(worst * 100, 1)} % at most`,
      target: 'flat (± 10 %)',
      moonshot: '–',
      met: Math.abs(worst) <= 0.1,
    },
  ];
}

function growthTable(costs: readonly Cost[]): Result['tables'][number] {
  return {
    columns: ['stored clicks', 'traffic', 'µs CPU a hit', 'answers p99', 'drained after'],
    rows: costs.flatMap((cost) =>
      CHUNK_KINDS.map((kind) => [
        count(cost.stored),
        kind,
        [...cost[kind].cpuUs].map(([role, us]) => `${role} ${fixed(us, 0)}`).join(', '),
        ms(cost[kind].load.latencyMs.p99),
        ms(cost[kind].drainMs),
      ]),
    ),
  };
}

function growthChart(costs: readonly Cost[]): Result['charts'][number] {
  return {
    file: 'growth.svg',
    chart: {
      kind: 'lines',
      title: 'CPU a hit as data grows',
      xLabel: 'stored clicks',
      yLabel: 'µs',
      series: CHUNK_KINDS.map((kind) => ({
        name: kind,
        points: costs.map((cost) => ({ x: cost.stored, y: total(cost[kind]) })),
      })),
    },
  };
}

async function run(settings: Settings): Promise<Result> {
  const stack = await startStack(TWO_CORES);
  try {
    const nowMs = Date.now() - 60_000;
    const minted = await mintClicks(stack, settings.quick ? 20_000 : 500_000);
    const pipelines = pipelinesOf(stack, minted);
    const answered: { stored: number; answers: Answered[] }[] = [];
    const costs: Cost[] = [];
    let stored = 0;
    for (const size of settings.rows) {
      console.error(`bench:   ${count(size)} stored clicks`);
      await addRows(stack.clickhouse, 'clicks', stored, size, nowMs);
      if (stored === 0)
        await addRows(stack.clickhouse, 'conversions', 0, Math.min(TRANSACTIONS, size), nowMs);
      await settle(stack.clickhouse);
      stored = size;
      await stack.start('api');
      const answers: Answered[] = [];
      for (const question of questionsOf(nowMs, stored))
        answers.push(await ask(stack, question, settings.quick ? 8 : 40));
      await stack.stop('api');
      answered.push({ stored, answers });
      // What a hit costs beside one size tells nothing of growth.
      if (settings.rows.length > 1) costs.push(await ingest(stack, stored, pipelines, settings));
    }
    return resultOf(answered, costs, settings);
  } finally {
    await stack.close();
  }
}

function resultOf(
  answered: readonly { stored: number; answers: readonly Answered[] }[],
  costs: readonly Cost[],
  settings: Settings,
): Result {
  return {
    title: 'Reports on big data, and cost as it grows',
    method: `Clicks of 50 offers and 200 affiliates over 90 days and up to ${count(TRANSACTIONS)} transactions, made inside ClickHouse. Each report is asked ${settings.quick ? 8 : 40} times for another day, offer or id, in turns with the same SQL sent straight to ClickHouse's HTTP port (the engine is embedded; there is no shorter way to it for another process).${costs.length === 0 ? '' : ` Ingestion, with one part of stored rows for the current month: open loop at ${settings.quick ? '2,000' : '5,000'} hits/s; its cost is the CPU time of edge, worker, Redis and ClickHouse a hit, which the noise of a busy machine moves less than rates.`}`,
    findings: [
      ...answered.flatMap(({ stored, answers }) =>
        answers.map((answer) => reportFinding(answer, stored)),
      ),
      ...growthFindings(costs),
    ],
    tables: costs.length === 0 ? [] : [growthTable(costs)],
    charts: costs.length === 0 ? [] : [growthChart(costs)],
  };
}

export const bigData: Measurement = { name: 'data', run };
