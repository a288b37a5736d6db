/** A whole Sluice for a test: the released launcher, free ports, a data dir of its own; ended by pid, also on failure. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectPath } from '../../src/project-root.ts';
import { waitFor } from './wait-for.ts';

export interface RunningSluice {
  readonly edgeUrl: string;
  readonly apiUrl: string;
  readonly clickhouseUrl: string;
  readonly adminKey: string;
  readonly dataDir: string;
  readonly env: NodeJS.ProcessEnv;
  /** Pids of a role's processes, by their command line. */
  pidsOf(role: string): number[];
  /** Runs a command of the launcher against this instance; rejects when it exits with another code than `code`. */
  run(args: readonly string[], code?: number): Promise<string>;
  /** Resolves when the edge takes hits: a killed one is on its way back for some seconds. */
  edgeReady(): Promise<void>;
  output(): string;
  stop(): Promise<number | null>;
  /** SIGKILL to the supervisor alone. */
  kill(): void;
  /** Ctrl-C as a terminal sends it, to the whole process group; only of one that has a group of its own. */
  interrupt(): Promise<number | null>;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function commandLine(pid: string): { readonly text: string; readonly parent: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return { text, parent: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) };
  } catch {
    // It ended while we looked.
    return undefined;
  }
}

function childrenOf(pid: number): { readonly pid: number; readonly text: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((name) => {
      const found = commandLine(name);
      return found?.parent === pid ? [{ pid: Number(name), text: found.text }] : [];
    });
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

function launch(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  ownGroup = false,
): { child: ChildProcess; output: () => string } {
  const child = spawn(projectPath('sluice'), [...args], {
    env,
    detached: ownGroup,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.once('exit', () => running.delete(child));
  return { child, output: () => output };
}

export async function runCommand(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ code: number | null; output: string }> {
  const { child, output } = launch(args, env);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output: output() };
}

export async function startSluice(
  extra: Readonly<Record<string, string>> = {},
  args: readonly string[] = [],
  { ownGroup = false } = {},
): Promise<RunningSluice> {
  const dataDir = extra['SLUICE_DATA_DIR'] ?? mkdtempSync(join(tmpdir(), 'sluice-e2e-'));
  const [edge, api, redis, clickhouse] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ]);
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    SLUICE_DATA_DIR: dataDir,
    SLUICE_EDGE_PORT: String(edge),
    SLUICE_API_PORT: String(api),
    SLUICE_REDIS_PORT: String(redis),
    SLUICE_CLICKHOUSE_PORT: String(clickhouse),
    ...extra,
  };
  const { child, output } = launch(['up', ...args], env, ownGroup);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  await waitFor(
    () => {
      if (child.exitCode !== null)
        throw new Error(`sluice up ended with ${child.exitCode}:\n${output()}`);
      return output().includes('sluice is up');
    },
    { timeoutMs: 120_000, what: 'sluice to be up' },
  ).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  const secrets = JSON.parse(readFileSync(join(dataDir, 'secrets.json'), 'utf8')) as {
    adminKey: string;
  };
  const edgeUrl = `http://127.0.0.1:${env['SLUICE_EDGE_PORT'] ?? ''}`;
  return {
    edgeUrl,
    apiUrl: `http://127.0.0.1:${env['SLUICE_API_PORT'] ?? ''}`,
    clickhouseUrl: `http://127.0.0.1:${env['SLUICE_CLICKHOUSE_PORT'] ?? ''}`,
    adminKey: secrets.adminKey,
    dataDir,
    env,
    output,
    pidsOf: (role) =>
      childrenOf(child.pid ?? -1)
        .filter(({ text }) =>
          role === 'redis-server' ? text.includes('redis-server') : text.endsWith(` ${role}`),
        )
        .map(({ pid }) => pid),
    async run(command, code = 0) {
      const result = await runCommand(command, env);
      if (result.code !== code)
        throw new Error(
          `sluice ${command.join(' ')} exited with ${result.code}:\n${result.output}`,
        );
      return result.output;
    },
    async edgeReady() {
      await waitFor(
        async () => (await fetch(`${edgeUrl}/readyz`).catch(() => undefined))?.status === 200,
        { timeoutMs: 15_000, what: 'the edge to be ready' },
      );
    },
    kill: () => void child.kill('SIGKILL'),
    interrupt() {
      if (!ownGroup || child.pid === undefined) throw new Error('it has no group of its own');
      process.kill(-child.pid, 'SIGINT');
      return ended;
    },
    async stop() {
      if (child.exitCode === null) child.kill('SIGTERM');
      const code = await ended;
      if (extra['SLUICE_DATA_DIR'] === undefined) rmSync(dataDir, { recursive: true, force: true });
      return code;
    },
  };
}
