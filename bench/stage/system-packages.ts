/** Programs from the system's packages, installed when they are missing: wrk, nginx, Chromium. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const FOLDERS = ['/usr/bin', '/usr/sbin', '/usr/local/bin'] as const;

function find(program: string): string | undefined {
  return FOLDERS.map((folder) => `${folder}/${program}`).find((file) => existsSync(file));
}

function run(command: readonly [string, ...string[]]): void {
  const asRoot = process.getuid?.() === 0 ? command : (['sudo', ...command] as const);
  const [program, ...args] = asRoot;
  console.error(`bench: ${asRoot.join(' ')}`);
  execFileSync(program, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    // The package's own service would take a port: it is not started.
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  });
}

/** Where the program is; installs the Debian package of it when it is nowhere. */
export function requireProgram(program: string, debianPackage: string): string {
  const found = find(program);
  if (found !== undefined) return found;
  run(['apt-get', 'update', '-qq']);
  run(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', debianPackage]);
  const installed = find(program);
  if (installed === undefined) throw new Error(`${program} could not be installed`);
  return installed;
}

/** First line of what a program says about its version, on whichever stream and with whichever exit code. */
export function versionOf(program: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return `${stdout}${stderr}`.split('\n', 1)[0]?.trim() ?? '';
}
