/** Closed-loop peaks by `wrk`: one thread, 64 connections, pinned; its own CPU is watched too, since it may be the limit. */
import { spawn } from 'node:child_process';
import { cpuMs, type Cores } from './processes.ts';
import { requireProgram } from './system-packages.ts';

/** Sockets at the edge's peak. */
export const PEAK_CONNECTIONS = 64;

export interface PeakPlan {
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly connections: number;
  readonly seconds: number;
  readonly cores: Cores;
  /** The server whose CPU time is counted. */
  readonly serverPid: number;
}

export interface Peak {
  readonly requests: number;
  readonly perSecond: number;
  readonly serverCpuUs: number;
  /** Parts of one core. */
  readonly serverShare: number;
  readonly wrkShare: number;
}

const WATCH_MS = 100;

export async function runWrk(plan: PeakPlan): Promise<Peak> {
  const wrk = requireProgram('wrk', 'wrk');
  const headers = plan.headers.flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const command = [wrk, '-t1', `-c${plan.connections}`, `-d${plan.seconds}s`, ...headers, plan.url];
  const pinned = plan.cores === undefined ? command : ['taskset', '-c', plan.cores, ...command];
  const before = cpuMs(plan.serverPid);
  const started = performance.now();
  const child = spawn(pinned[0] ?? wrk, pinned.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  let wrkCpuMs = 0;
  const watch = setInterval(() => {
    try {
      if (child.pid !== undefined) wrkCpuMs = cpuMs(child.pid);
    } catch {
      // It has ended between two looks.
    }
  }, WATCH_MS);
  await new Promise((resolve) => child.once('close', resolve));
  clearInterval(watch);
  const elapsedMs = performance.now() - started;
  const serverCpuMs = cpuMs(plan.serverPid) - before;
  const requests = Number(/(\d+) requests in/.exec(output)?.[1]);
  const bad = /Non-2xx or 3xx responses: \d+|Socket errors:.*/.exec(output)?.[0];
  if (!(requests > 0) || bad !== undefined)
    throw new Error(`${plan.url} did not answer as it should: ${bad ?? output}`);
  return {
    requests,
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]),
    serverCpuUs: (serverCpuMs * 1000) / requests,
    serverShare: serverCpuMs / elapsedMs,
    wrkShare: wrkCpuMs / elapsedMs,
  };
}
