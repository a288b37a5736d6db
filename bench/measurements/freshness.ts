/** From the answer to the row: how old a hit is when SQL first shows it, at 5,000 hits a second. */
import type { LoadResult } from '../load/plan.ts';
import { ms } from '../paper/numbers.ts';
import type { Finding, Measurement, Result, Settings } from '../paper/result.ts';
import { percentile } from '../paper/statistics.ts';
import { TWO_CORES } from '../stage/cores.ts';
import { runGenerator } from '../stage/load.ts';
import { mintClicks } from '../stage/minted-clicks.ts';
import { askAgain, pause, startStack, until, type Stack } from '../stage/stack.ts';
import type { Traffic } from '../load/requests.ts';

export const FRESHNESS_RATE = 5_000;
/** One request in so many is followed. */
const MARK_EVERY = 100;
const LOOK_MS = 25;
const TARGET_P50_MS = 400;
const TARGET_P99_MS = 1_000;

/** Looks again and again which marked rows are there; remembers when each was first seen. */
function watch(stack: Stack, table: string) {
  const seen = new Map<string, number>();
  const sinceMs = Date.now();
  const watching = new AbortController();
  async function look(): Promise<void> {
    const rows = await askAgain(() =>
      stack.clickhouse.query<{ sub_id5: string }>(
        `SELECT sub_id5 FROM ${table} WHERE hit_time > fromUnixTimestamp64Milli(toInt64(${sinceMs})) AND sub_id5 LIKE 'm%'`,
      ),
    );
    // When the answer is here: later than the row became visible, never earlier.
    const now = performance.timeOrigin + performance.now();
    for (const { sub_id5 } of rows) if (!seen.has(sub_id5)) seen.set(sub_id5, now);
  }
  const done = (async () => {
    while (!watching.signal.aborted) {
      await look();
      await pause(LOOK_MS);
    }
  })();
  return {
    seen,
    async stop(): Promise<void> {
      watching.abort();
      await done;
    },
  };
}

export interface Freshness {
  readonly agesMs: readonly number[];
  readonly load: LoadResult;
}

export async function measureFreshness(
  stack: Stack,
  traffic: Traffic,
  seconds: number,
  rate = FRESHNESS_RATE,
): Promise<Freshness> {
  const watcher = watch(stack, traffic.kind === 'click' ? 'click_log' : 'postback_log');
  const load = await runGenerator(
    {
      port: stack.edgePort,
      rate,
      seconds,
      traffic,
      markEvery: MARK_EVERY,
      markBase: Date.now(),
    },
    TWO_CORES,
  );
  await until('every marked hit to be seen', () =>
    load.marks.every(([mark]) => watcher.seen.has(mark)),
  );
  await watcher.stop();
  const agesMs = load.marks.map(([mark, answeredMs]) =>
    Math.max(0, (watcher.seen.get(mark) ?? Number.NaN) - answeredMs),
  );
  return { agesMs, load };
}

function finding(what: string, { agesMs }: Freshness): Finding {
  const [p50, p99] = [percentile(agesMs, 0.5), percentile(agesMs, 0.99)];
  return {
    what: `freshness at 5,000 ${what}/s`,
    measured: `p50 ${ms(p50)}, p99 ${ms(p99)}`,
    peer: '–',
    ratio: '–',
    target: 'p50 ≤ 400 ms, p99 ≤ 1 s',
    moonshot: '150 / 500 ms',
    met: p50 <= TARGET_P50_MS && p99 <= TARGET_P99_MS,
  };
}

async function run(settings: Settings): Promise<Result> {
  const stack = await startStack(TWO_CORES);
  try {
    const seconds = settings.quick ? 4 : 30;
    const warmS = 2;
    const minted = await mintClicks(stack, FRESHNESS_RATE * (seconds + warmS));
    await stack.start('edge');
    await stack.start('worker');
    const conversions = (skip: number): Traffic => ({
      kind: 'conversion',
      clickIdsFile: minted.file,
      skip,
    });
    await measureFreshness(stack, { kind: 'click' }, warmS);
    const clicks = await measureFreshness(stack, { kind: 'click' }, seconds);
    await measureFreshness(stack, conversions(0), warmS);
    const calls = await measureFreshness(stack, conversions(FRESHNESS_RATE * warmS), seconds);
    const row = (name: string, { agesMs, load }: Freshness): string[] => [
      name,
      String(agesMs.length),
      ...[0.5, 0.9, 0.99, 1].map((part) => ms(percentile(agesMs, part))),
      ms(load.latencyMs.p99),
    ];
    return {
      title: 'Freshness',
      method: `Open loop at 5,000 hits/s for ${seconds} s; one hit in ${MARK_EVERY} carries a mark, and its age is the time from its answer to the first query that returned its row. The query runs every ${LOOK_MS} ms, and its own time counts as age. Everything shares cores ${TWO_CORES}.`,
      findings: [finding('clicks', clicks), finding('conversions', calls)],
      tables: [
        {
          columns: ['hits', 'followed', 'p50', 'p90', 'p99', 'oldest', 'answers p99'],
          rows: [row('clicks', clicks), row('conversions', calls)],
        },
      ],
      charts: [],
    };
  } finally {
    await stack.close();
  }
}

export const freshness: Measurement = { name: 'freshness', run };
