/** A child process of `up` that is started again when it dies. Knows nothing of roles. */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { messageOf } from '../domain/app-error.ts';

export interface ChildSpec {
  readonly name: string;
  /** A script is forked with an IPC channel; a program is spawned. */
  readonly command:
    | { readonly script: string; readonly args: readonly string[] }
    | { readonly program: string; readonly args: readonly string[] };
  readonly env: NodeJS.ProcessEnv;
  readonly logDir: string;
  readonly onDeath: (name: string, why: string) => void;
}

export interface Child {
  readonly name: string;
  /** Resolves when a forked role says it is ready; rejects when it ends before. Programs: at once. */
  readonly ready: Promise<void>;
  /** From now on its end is no death: whoever ended it meant all of us. */
  letGo(): void;
  /** Asks it to end, and makes it end after `killAfterMs`. Resolves when it is gone. */
  stop(killAfterMs: number): Promise<void>;
}

const LOG_BYTES_MAX = 20 * 1024 * 1024;
/** From the first death to the next start; doubles up to the second while it dies at once. */
const RESTART_MS = 300;
const RESTART_MAX_MS = 3_000;
/** A child that lived this long starts again without delay growing. */
const SETTLED_MS = 10_000;

/**
 * Appends to a role's log, and begins a new one when it is full; the one before stays. What can't be written is dropped:
 * a full disk must not end what still answers.
 */
function createLog(dir: string, name: string): Writable {
  const file = join(dir, `${name}.log`);
  let fd: number | undefined;
  let bytes = 0;
  let isBroken = false;

  function open(): number {
    mkdirSync(dir, { recursive: true });
    if (existsSync(file) && statSync(file).size > LOG_BYTES_MAX) renameSync(file, `${file}.1`);
    fd = openSync(file, 'a');
    bytes = fstatSync(fd).size;
    return fd;
  }

  function close(): void {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  }

  return new Writable({
    write(lines: Buffer, _encoding, done) {
      try {
        bytes += writeSync(fd ?? open(), lines);
        if (bytes > LOG_BYTES_MAX) close();
        isBroken = false;
      } catch (error) {
        if (!isBroken) console.error(`sluice: ${file} can't be written: ${messageOf(error)}`);
        isBroken = true;
      }
      done();
    },
    final(done) {
      close();
      done();
    },
  });
}

export function startChild(spec: ChildSpec): Child {
  let stopping = false;
  let delayMs = RESTART_MS;
  let current: ChildProcess | undefined;
  let timer: NodeJS.Timeout | undefined;
  let settle: { resolve: () => void; reject: (error: Error) => void };
  const ready = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  ready.catch(() => undefined);

  /** Detached: a terminal's Ctrl-C reaches its whole group at once, and stores would end before edges. */
  function launch(): ChildProcess {
    const { command, env } = spec;
    if ('script' in command) {
      return fork(command.script, [...command.args], {
        env,
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      });
    }
    return spawn(command.program, [...command.args], {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  function start(): void {
    const startedAt = Date.now();
    const child = launch();
    current = child;
    const log = createLog(spec.logDir, spec.name);
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    let lastLines = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      lastLines = (lastLines + chunk.toString()).slice(-2_000);
    });
    child.on('message', (message) => {
      if (message === 'ready') settle.resolve();
    });
    if ('program' in spec.command) child.once('spawn', () => settle.resolve());
    child.once('error', (error) => settle.reject(error));
    child.once('exit', (code, signal) => {
      log.end();
      current = undefined;
      if (stopping) return;
      const why = signal ?? `exit code ${code}`;
      settle.reject(
        new Error(`${spec.name} ended before it was ready (${why}): ${lastLines.trim()}`),
      );
      spec.onDeath(spec.name, why);
      if (Date.now() - startedAt > SETTLED_MS) delayMs = RESTART_MS;
      timer = setTimeout(start, delayMs);
      delayMs = Math.min(RESTART_MAX_MS, delayMs * 2);
    });
  }

  function letGo(): void {
    stopping = true;
    clearTimeout(timer);
  }

  start();
  return {
    name: spec.name,
    ready,
    letGo,
    async stop(killAfterMs) {
      letGo();
      const child = current;
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
      await gone;
      clearTimeout(killer);
    },
  };
}
