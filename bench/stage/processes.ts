/**
 * Processes of a benchmark: started on named cores, watched through /proc, ended by pid, also when the benchmark dies.
 * CPU time is the kernel's own account of the whole process, threads included.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';

/** Which cores a process may use, as `taskset -c` takes them; undefined: all. */
export type Cores = string | undefined;

export interface StartOptions {
  readonly cores?: Cores;
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Wait for the message `ready` on the IPC channel. */
  readonly announces?: boolean;
}

export interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const READY_MS = 60_000;

function untilReady(child: ChildProcess, command: string, logFile: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(new Error(`${command} ${why}; its log ends:\n${tail(logFile)}`));
    const timer = setTimeout(() => fail(`was not ready within ${READY_MS} ms`), READY_MS);
    child.once('exit', (code, signal) => fail(`ended (${signal ?? code}) before it was ready`));
    child.once('message', () => {
      clearTimeout(timer);
      child.removeAllListeners('exit');
      resolve();
    });
  });
}

function tail(file: string): string {
  return readFileSync(file, 'utf8').slice(-2_000);
}

export async function startProcess(
  command: readonly [string, ...string[]],
  options: StartOptions,
): Promise<Running> {
  const [program, ...args] =
    options.cores === undefined ? command : (['taskset', '-c', options.cores, ...command] as const);
  const log = openSync(options.logFile, 'a');
  const child = spawn(program, args, {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', log, log, ...(options.announces === true ? (['ipc'] as const) : [])],
  });
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  running.add(child);
  void exited.then(() => running.delete(child));
  if (options.announces === true) await untilReady(child, command.join(' '), options.logFile);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command.join(' ')} could not be started`);
  return {
    pid,
    child,
    async stop(signal = 'SIGTERM') {
      child.kill('SIGCONT');
      child.kill(signal);
      await exited;
    },
  };
}

const TICKS_A_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** CPU time that a process has used, user and system, in ms; steps of 10 ms on most kernels. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_A_SECOND;
}

/** For how long a process' main thread had work and its core was another's, so far, in ms. */
function waitedMs(pid: number): number {
  const [, waitedNs = '0'] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ');
  return Number(waitedNs) / 1e6;
}

export interface Stalls {
  count: number;
  totalMs: number;
}

const LOOK_MS = 5;
/** Shorter waits are turns that a core's threads take. */
const STALL_MS = 2;

/** Counts, until it is called, how often and for how long a process' main thread was kept off its core. */
export function watchStalls(pid: number): () => Stalls {
  const stalls: Stalls = { count: 0, totalMs: 0 };
  let before = waitedMs(pid);
  const timer = setInterval(() => {
    const now = waitedMs(pid);
    const waited = now - before;
    before = now;
    if (waited < STALL_MS) return;
    stalls.count += 1;
    stalls.totalMs += waited;
  }, LOOK_MS);
  return () => {
    clearInterval(timer);
    return stalls;
  };
}

/** CPU time of several processes by name. */
export function cpuOf(pids: ReadonlyMap<string, number>): Map<string, number> {
  return new Map([...pids].map(([name, pid]) => [name, cpuMs(pid)]));
}

/** Highest resident size since the process started, in bytes. */
export function peakRssBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** Moves a running process, with all its threads, to these cores. */
export function pinTo(pid: number, cores: string): void {
  execFileSync('taskset', ['-a', '-c', '-p', cores, String(pid)], { stdio: 'ignore' });
}
