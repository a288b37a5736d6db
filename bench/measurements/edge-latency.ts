/** The edge's answers at half its peak, open loop; beside bare uWebSockets.js at the same rate, which shows what the generator adds. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LatencySummary, LoadResult } from '../load/plan.ts';
import { browserHeaders, goalGifPath } from '../load/requests.ts';
import { count, fixed, ms, percent } from '../paper/numbers.ts';
import type { Measurement, Result, Settings, Table } from '../paper/result.ts';
import { median } from '../paper/statistics.ts';
import { startUws } from '../peers/start-uws.ts';
import { besideServer, GENERATOR_CORE, SERVER_CORE } from '../stage/cores.ts';
import { runGenerator } from '../stage/load.ts';
import { watchStalls, type Stalls } from '../stage/processes.ts';
import { startStack } from '../stage/stack.ts';
import { PEAK_CONNECTIONS, runWrk } from '../stage/wrk.ts';

interface Offered {
  readonly load: LoadResult;
  /** Of 2 ms and more. */
  readonly stalls: Stalls;
}

interface Round {
  readonly ours: Offered;
  readonly bare: Offered;
}

const TARGET_P99_MS = 5;
const TARGET_P999_MS = 20;

function line(name: string, offered: readonly Offered[]): string[] {
  const results = offered.map(({ load }) => load);
  const at = (pick: keyof LatencySummary): string =>
    ms(median(results.map(({ latencyMs }) => latencyMs[pick])));
  return [
    name,
    at('p50'),
    at('p90'),
    at('p99'),
    at('p999'),
    at('max'),
    `${fixed(median(results.map(({ cpuUsPerRequest }) => cpuUsPerRequest)), 1)} µs (${percent(median(results.map(({ cpuShare }) => cpuShare)))} of its core)`,
  ];
}

/** Beside each round's slowest answers, how often something else kept the server off its core. */
function roundsTable(rounds: readonly Round[]): Table {
  const cells = ({ load, stalls }: Offered): string[] => [
    ms(load.latencyMs.p99),
    ms(load.latencyMs.p999),
    `${stalls.count}, ${ms(stalls.totalMs)}`,
  ];
  const columns = (name: string): string[] => [
    `${name}: p99`,
    'p99.9',
    'kept off its core for 2 ms and more: times, together',
  ];
  return {
    columns: ['round', ...columns('Sluice'), ...columns('bare')],
    rows: rounds.map(({ ours, bare }, index) => [
      String(index + 1),
      ...cells(ours),
      ...cells(bare),
    ]),
  };
}

async function run(settings: Settings): Promise<Result> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-bench-peers-'));
  const stack = await startStack(GENERATOR_CORE);
  try {
    const { pid } = await stack.start('edge', SERVER_CORE);
    const peer = await startUws(dir);
    const headers = browserHeaders(0).filter(([name]) => name !== 'Host');
    const peak = await runWrk({
      url: `http://127.0.0.1:${stack.edgePort}${goalGifPath()}`,
      headers,
      connections: PEAK_CONNECTIONS,
      seconds: settings.quick ? 3 : 8,
      cores: GENERATOR_CORE,
      serverPid: pid,
    });
    const rate = Math.round(peak.perSecond / 2);
    const seconds = settings.quick ? 4 : 8;
    const rounds: Round[] = [];
    for (let round = 0; round < (settings.quick ? 1 : 9); round++) {
      const offer = async (port: number, server: number): Promise<Offered> => {
        const stalls = watchStalls(server);
        const load = await runGenerator(
          {
            port,
            rate,
            seconds,
            connections: PEAK_CONNECTIONS,
            traffic: { kind: 'goal-gif' },
            ahead: true,
          },
          GENERATOR_CORE,
        );
        return { load, stalls: stalls() };
      };
      const ours = await offer(stack.edgePort, pid);
      rounds.push({ ours, bare: await offer(peer.port, peer.pid) });
    }
    const p99 = median(rounds.map(({ ours }) => ours.load.latencyMs.p99));
    const p999 = median(rounds.map(({ ours }) => ours.load.latencyMs.p999));
    const bareP99 = median(rounds.map(({ bare }) => bare.load.latencyMs.p99));
    await peer.stop();
    return {
      title: 'Edge: latency at half its peak',
      method: `Open loop at ${count(rate)} requests/s (half of what wrk reached just before), ${PEAK_CONNECTIONS} sockets, ${rounds.length} rounds of ${seconds} s in turns, medians of what each round gave, latency from the time a request was due. The edge is alone on core ${SERVER_CORE}; the generator, ahead of Redis and ClickHouse, is on core ${GENERATOR_CORE}; no worker runs. The generator looks at its schedule every ms, which is in the figures: the line of bare uWebSockets.js shows how much.`,
      findings: [
        {
          what: 'edge latency at half its peak',
          measured: `p99 ${ms(p99)}, p99.9 ${ms(p999)} at ${count(rate)} req/s`,
          peer: `bare uWebSockets.js at the same rate: p99 ${ms(bareP99)}`,
          ratio: '–',
          target: 'p99 ≤ 5 ms, p99.9 ≤ 20 ms',
          moonshot: '2 / 10 ms',
          met: p99 <= TARGET_P99_MS && p999 <= TARGET_P999_MS,
        },
      ],
      tables: [
        {
          columns: ['server', 'p50', 'p90', 'p99', 'p99.9', 'max', "generator's CPU a request"],
          rows: [
            line(
              'Sluice',
              rounds.map(({ ours }) => ours),
            ),
            line(
              'bare uWebSockets.js',
              rounds.map(({ bare }) => bare),
            ),
          ],
        },
        roundsTable(rounds),
      ],
      charts: [],
    };
  } finally {
    await stack.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

export const edgeLatency: Measurement = {
  name: 'latency',
  run: (settings) => besideServer(() => run(settings)),
};
