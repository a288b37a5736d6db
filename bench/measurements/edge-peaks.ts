/**
 * The edge's peak on one core, side by side with bare uWebSockets.js and nginx. Each contestant is started anew in each
 * round, warmed up, measured; the order turns, so that no one always has the warm machine.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { browserHeaders, clickPath, goalCookie, goalGifPath } from '../load/requests.ts';
import { count, fixed, percent, spreadText } from '../paper/numbers.ts';
import type { Finding, Measurement, Result, Settings } from '../paper/result.ts';
import { ratios, spread } from '../paper/statistics.ts';
import { startNginx } from '../peers/nginx.ts';
import { startUws } from '../peers/start-uws.ts';
import { besideServer, dropQueues, GENERATOR_CORE, SERVER_CORE } from '../stage/cores.ts';
import { freePort, startStack, type Stack } from '../stage/stack.ts';
import { PEAK_CONNECTIONS, runWrk, type Peak } from '../stage/wrk.ts';

interface Contestant {
  readonly name: string;
  /** Starts it; `stop` ends it again. */
  start(): Promise<{ port: number; pid: number; stop: () => Promise<void> }>;
}

function sluice(stack: Stack): Contestant {
  return {
    name: 'Sluice',
    async start() {
      const { pid } = await stack.start('edge', SERVER_CORE);
      return {
        port: stack.edgePort,
        pid,
        async stop() {
          await stack.stop('edge', 'SIGKILL');
          // What was stored is of no more use: the next round begins with an empty spool and queue.
          rmSync(join(stack.dataDir, 'spool'), { recursive: true, force: true });
          await dropQueues(stack.redis);
        },
      };
    },
  };
}

function uws(dir: string): Contestant {
  return {
    name: 'bare uWebSockets.js',
    start: () => startUws(dir),
  };
}

function nginx(dir: string): Contestant {
  return {
    name: 'nginx empty_gif',
    async start() {
      const port = await freePort();
      const { running, workerPid } = await startNginx(dir, port, SERVER_CORE);
      return { port, pid: workerPid, stop: () => running.stop('SIGTERM') };
    },
  };
}

async function measureOne(
  contestant: Contestant,
  path: string,
  headers: readonly (readonly [string, string])[],
  settings: Settings,
): Promise<Peak> {
  const { port, pid, stop } = await contestant.start();
  const plan = {
    url: `http://127.0.0.1:${port}${path}`,
    headers,
    connections: PEAK_CONNECTIONS,
    cores: GENERATOR_CORE,
    serverPid: pid,
  };
  try {
    await runWrk({ ...plan, seconds: settings.quick ? 1 : 3 });
    return await runWrk({ ...plan, seconds: settings.quick ? 2 : 8 });
  } finally {
    await stop();
  }
}

async function race(
  contestants: readonly Contestant[],
  path: string,
  headers: readonly (readonly [string, string])[],
  settings: Settings,
): Promise<Map<string, Peak[]>> {
  const peaks = new Map(contestants.map(({ name }): [string, Peak[]] => [name, []]));
  const rounds = settings.quick ? 2 : 5;
  for (let round = 0; round < rounds; round++) {
    const turn = round % contestants.length;
    for (const contestant of [...contestants.slice(turn), ...contestants.slice(0, turn)])
      peaks.get(contestant.name)?.push(await measureOne(contestant, path, headers, settings));
  }
  return peaks;
}

function finding(
  what: string,
  peaks: ReadonlyMap<string, readonly Peak[]>,
  peer: string,
  targets: readonly [target: number, moonshot: number],
): Finding {
  const ours = peaks.get('Sluice') ?? [];
  const theirs = peaks.get(peer) ?? [];
  const speed = (list: readonly Peak[]): number[] => list.map(({ perSecond }) => perSecond);
  const cpu = (list: readonly Peak[]): number[] => list.map(({ serverCpuUs }) => serverCpuUs);
  const bySpeed = ratios(speed(ours), speed(theirs));
  // Less CPU a request is better, so the peer's is divided by ours.
  const byCpu = ratios(cpu(theirs), cpu(ours));
  const [target, moonshot] = targets;
  return {
    what,
    measured: `${count(spread(speed(ours)).median)} req/s, ${fixed(spread(cpu(ours)).median, 1)} µs CPU`,
    peer: `${peer}: ${count(spread(speed(theirs)).median)} req/s, ${fixed(spread(cpu(theirs)).median, 1)} µs CPU`,
    ratio: `${spreadText(bySpeed, fixed)} by req/s, ${spreadText(byCpu, fixed)} by CPU`,
    target: `≥ ${fixed(target)}`,
    moonshot: fixed(moonshot),
    met: bySpeed.median >= target && byCpu.median >= target,
  };
}

function table(peaks: ReadonlyMap<string, readonly Peak[]>): Result['tables'][number] {
  return {
    columns: ['contestant', 'req/s', 'µs CPU a request', 'its core', "wrk's core"],
    rows: [...peaks].map(([name, list]) => [
      name,
      spreadText(spread(list.map(({ perSecond }) => perSecond)), count),
      spreadText(spread(list.map(({ serverCpuUs }) => serverCpuUs)), (value) => fixed(value, 1)),
      percent(spread(list.map(({ serverShare }) => serverShare)).median),
      percent(spread(list.map(({ wrkShare }) => wrkShare)).median),
    ]),
  };
}

function bars(title: string, file: string, peaks: ReadonlyMap<string, readonly Peak[]>) {
  const chart = {
    kind: 'bars' as const,
    title,
    unit: 'req/s',
    bars: [...peaks].map(([name, list]) => ({
      name,
      value: spread(list.map(({ perSecond }) => perSecond)).median,
    })),
  };
  return { file, chart };
}

async function run(settings: Settings): Promise<Result> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-bench-peers-'));
  const stack = await startStack(GENERATOR_CORE);
  try {
    const cookie = goalCookie('0123456789abcdef0123456789abcdef');
    const headers = browserHeaders(0).filter(([name]) => name !== 'Host');
    const goal = await race(
      [sluice(stack), uws(dir), nginx(dir)],
      goalGifPath(),
      [...headers, cookie],
      settings,
    );
    const click = await race([sluice(stack), uws(dir)], clickPath(0, ''), headers, settings);
    return {
      title: 'Edge: peak on one core',
      method: `wrk, 1 thread, ${PEAK_CONNECTIONS} connections, closed loop, no pipelining, requests with a browser's headers. The server is pinned to core ${SERVER_CORE}; wrk, Redis and ClickHouse to core ${GENERATOR_CORE}. No worker runs, so the queue only grows and is emptied between rounds. Each round starts every contestant anew and warms it up first; ratios are taken round by round. CPU is user and system time of the server's process, threads included. Sluice stores every hit before it answers; the peers store nothing (nginx: a log buffer in memory).`,
      findings: [
        finding('edge, `/track/goal` GIF', goal, 'bare uWebSockets.js', [0.65, 0.8]),
        finding('edge, `/track/goal` GIF', goal, 'nginx empty_gif', [0.8, 0.95]),
        finding('edge, `/click` 302', click, 'bare uWebSockets.js', [0.55, 0.7]),
      ],
      tables: [table(goal), table(click)],
      charts: [
        bars('/track/goal GIF, one core', 'edge-goal.svg', goal),
        bars('/click 302, one core', 'edge-click.svg', click),
      ],
    };
  } finally {
    await stack.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

export const edgePeaks: Measurement = {
  name: 'edge',
  run: (settings) => besideServer(() => run(settings)),
};
