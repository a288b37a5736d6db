/**
 * The highest rate that a pipeline sustains: offered on a fixed schedule, every hit answered, the generator on time, and
 * the lag (answered minus queryable) not growing. Found by halving between short probes, then held for the full time.
 */
import { slope, type Point } from '../paper/statistics.ts';
import type { LoadResult } from '../load/plan.ts';
import type { Traffic } from '../load/requests.ts';
import { runGenerator } from './load.ts';
import { cpuOf, type Cores } from './processes.ts';
import { until } from './stack.ts';

/** A pipeline as the search sees it. */
export interface Pipeline {
  readonly name: string;
  readonly port: number;
  readonly cores: Cores;
  /** Makes what a load of so many requests is about, before its time starts. */
  prepare?(requests: number): Promise<void>;
  /** Traffic of which the first `skip` requests were sent before. */
  traffic(skip: number): Traffic;
  /** Rows that analysts can query, of this traffic. */
  stored(): Promise<number>;
  pids(): ReadonlyMap<string, number>;
}

export interface Held {
  readonly rate: number;
  readonly sustained: boolean;
  /** Why it was not sustained; '' when it was. */
  readonly why: string;
  readonly load: LoadResult;
  /** Seconds into the run → hits answered and not queryable yet. */
  readonly lag: readonly Point[];
  /** After the last answer, until every hit was queryable. */
  readonly drainMs: number;
  /** CPU per hit by process, over the run and its drain. */
  readonly cpuUs: ReadonlyMap<string, number>;
}

const SAMPLE_MS = 400;
const DRAIN_MS = 180_000;
/** A lag that grows by less than this part of the rate is level. */
const GROWTH_MAX = 0.03;
/** A lag below so many seconds of traffic is what the way takes, and a short probe sees it build up. */
const LEVEL_S = 0.6;
/** A lag of more than so many seconds of traffic is a backlog, level or not. */
const LAG_MAX_S = 3;
/** The generator's 99th percentile beyond this: the front did not keep up. */
const LATE_MS = 1_000;

/** Requests sent so far, by pipeline: conversions must not repeat. */
const sent = new WeakMap<Pipeline, number>();

function verdictOn(rate: number, load: LoadResult, lag: readonly Point[]): string {
  if (load.errors > 0) return `${load.errors} requests were refused or unanswered`;
  if (load.latencyMs.p99 > LATE_MS) return `p99 of the answers was ${load.latencyMs.p99} ms`;
  const end = lag.at(-1)?.x ?? 0;
  const later = lag.filter(({ x }) => x > end * 0.4);
  const last = later.at(-1)?.y ?? 0;
  if (last > rate * LAG_MAX_S) return `the lag reached ${Math.round(last)} hits`;
  const growth = slope(later) / rate;
  if (last <= rate * LEVEL_S) return '';
  return growth > GROWTH_MAX ? `the lag grew by ${(growth * 100).toFixed(1)} % of the rate` : '';
}

/** Offers a rate for so long, waits until everything is stored. */
export async function hold(pipeline: Pipeline, rate: number, seconds: number): Promise<Held> {
  await pipeline.prepare?.(Math.round(rate * seconds));
  const base = await pipeline.stored();
  const skip = sent.get(pipeline) ?? 0;
  sent.set(pipeline, skip + Math.round(rate * seconds));
  const lag: Point[] = [];
  let answered = 0;
  const sampling = new AbortController();
  const cpuBefore = cpuOf(pipeline.pids());
  const sampled = (async () => {
    const started = performance.now();
    while (!sampling.signal.aborted) {
      const now = answered;
      const stored = (await pipeline.stored()) - base;
      lag.push({ x: (performance.now() - started) / 1000, y: Math.max(0, now - stored) });
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    }
  })();
  const load = await runGenerator(
    { port: pipeline.port, rate, seconds, traffic: pipeline.traffic(skip) },
    pipeline.cores,
    (progress) => {
      answered = progress.answered;
    },
  );
  sampling.abort();
  await sampled;
  const drained = performance.now();
  await until(
    `${pipeline.name} to store ${load.answered} hits`,
    async () => (await pipeline.stored()) - base >= load.answered,
    DRAIN_MS,
    20,
  );
  const drainMs = performance.now() - drained;
  const cpuAfter = cpuOf(pipeline.pids());
  const cpuUs = new Map(
    [...cpuAfter].map(([name, ms]) => [
      name,
      ((ms - (cpuBefore.get(name) ?? 0)) * 1000) / load.answered,
    ]),
  );
  const why = verdictOn(rate, load, lag);
  return { rate, sustained: why === '', why, load, lag, drainMs, cpuUs };
}

export interface SearchPlan {
  readonly firstRate: number;
  readonly probeSeconds: number;
  /** The search ends when the bounds are within this factor. */
  readonly precision: number;
  /** A rate may fail for what the machine did meanwhile: the lowest that failed is tried once more, and passed if it holds. */
  readonly secondTry: boolean;
}

/** The highest rate whose probe was sustained. */
export async function search(pipeline: Pipeline, plan: SearchPlan): Promise<number> {
  // A young process has its code still to compile, which is not what is asked here.
  await hold(pipeline, plan.firstRate / 4, plan.probeSeconds);
  let low = 0;
  let high = Infinity;
  let rate = plan.firstRate;
  let triedTwice = 0;
  for (;;) {
    if (high / Math.max(low, 1) <= plan.precision || rate <= 10) {
      if (!plan.secondTry || low === 0 || triedTwice === high) break;
      triedTwice = rate = high;
      high = Infinity;
    }
    const held = await hold(pipeline, Math.round(rate), plan.probeSeconds);
    console.error(
      `bench:   ${pipeline.name} at ${held.rate}/s: ${held.sustained ? 'sustained' : held.why}`,
    );
    if (held.sustained) low = rate;
    else high = rate;
    rate = high === Infinity ? rate * 1.6 : low === 0 ? rate / 2 : Math.sqrt(low * high);
  }
  return Math.round(low === 0 ? rate : low);
}

/** Holds the rate, and steps down until it is sustained; `attempt` is made for the full time. */
export async function confirm(
  name: string,
  rate: number,
  attempt: (rate: number) => Promise<Held>,
): Promise<Held> {
  let held = await attempt(rate);
  for (let step = 0; step < 6 && !held.sustained; step++) {
    console.error(`bench:   ${name} at ${held.rate}/s for the full time: ${held.why}`);
    held = await attempt(Math.round(held.rate * 0.92));
  }
  return held;
}
