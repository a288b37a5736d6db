/** A process under the test's thumb: started again when it dies, unless it is held down; killed, stopped, continued by pid. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { waitFor } from '../../support/wait-for.ts';

export interface ManagedProcess {
  readonly name: string;
  readonly pid: number | undefined;
  /** How often it ended. */
  readonly deaths: number;
  /** SIGKILL; it starts again by itself unless it is held. */
  kill(): Promise<void>;
  /** SIGKILL, and stays down until `release`. */
  hold(): Promise<void>;
  release(): void;
  /** SIGSTOP and SIGCONT. */
  pause(): void;
  resume(): void;
  /** Asks it to end (SIGTERM) and stays down; resolves to the ms it took. */
  terminate(): Promise<number>;
}

const RESTART_MS = 200;
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export function startProcess(options: {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly logFile: string;
}): ManagedProcess {
  let child: ChildProcess | undefined;
  let held = false;
  let deaths = 0;

  function start(): void {
    if (held || child !== undefined) return;
    const log = createWriteStream(options.logFile, { flags: 'a' });
    const started = spawn(options.program, [...options.args], {
      env: options.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    running.add(started);
    started.stdout.pipe(log, { end: false });
    started.stderr.pipe(log, { end: false });
    started.once('exit', () => {
      running.delete(started);
      log.end();
      child = undefined;
      deaths += 1;
      if (!held) setTimeout(start, RESTART_MS);
    });
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const ending = child;
    if (ending === undefined) return;
    const gone = new Promise<void>((resolve) => ending.once('exit', () => resolve()));
    // A stopped process takes SIGTERM only when it goes on.
    ending.kill(signal);
    await gone;
  }

  start();
  return {
    name: options.name,
    get pid() {
      return child?.pid;
    },
    get deaths() {
      return deaths;
    },
    kill: () => end('SIGKILL'),
    async hold() {
      held = true;
      await end('SIGKILL');
    },
    release() {
      held = false;
      start();
    },
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    async terminate() {
      held = true;
      const began = Date.now();
      await end('SIGTERM');
      return Date.now() - began;
    },
  };
}

/** Waits until a process that was killed runs again. */
export async function untilBack(managed: ManagedProcess, pidBefore?: number): Promise<void> {
  await waitFor(() => managed.pid !== undefined && managed.pid !== pidBefore, {
    timeoutMs: 10_000,
    what: `${managed.name} to run again`,
  });
}
