/**
 * Ownership of spool folders. A folder `<spool>/<edge number>` belongs to the process that listens on an abstract
 * socket named after it: the kernel frees the name only when that process is dead, so a stopped edge keeps its folder.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, realpathSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { EDGE_NUMBER_MAX } from '../domain/click-id.ts';

export interface SpoolFolder {
  readonly edgeNumber: number;
  readonly dir: string;
  release(): Promise<void>;
}

/** One name for a folder, whatever links it is reached by. */
function socketName(spoolDir: string, edgeNumber: number): string {
  const hash = createHash('sha256').update(realpathSync(spoolDir)).digest('hex').slice(0, 32);
  return `\0sluice-spool-${hash}-${edgeNumber}`;
}

/** Takes the folder, or undefined when a live process has it. */
export async function claimFolder(
  spoolDir: string,
  edgeNumber: number,
): Promise<SpoolFolder | undefined> {
  // What is not there has no real path.
  mkdirSync(spoolDir, { recursive: true });
  const server = createServer((socket) => socket.destroy());
  server.unref();
  const taken = await new Promise<boolean>((done, reject) => {
    server.once('listening', () => done(true));
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? done(false) : reject(error),
    );
    server.listen(socketName(spoolDir, edgeNumber));
  });
  if (!taken) return undefined;
  const dir = join(spoolDir, String(edgeNumber));
  mkdirSync(dir, { recursive: true });
  return {
    edgeNumber,
    dir,
    release: () => new Promise((done) => server.close(() => done())),
  };
}

/** Takes the first free folder from `base` upwards: a restarted edge finds its own, a new one makes the next. */
export async function claimFirstFolder(spoolDir: string, base: number): Promise<SpoolFolder> {
  for (let edgeNumber = base; edgeNumber <= EDGE_NUMBER_MAX; edgeNumber++) {
    const folder = await claimFolder(spoolDir, edgeNumber);
    if (folder !== undefined) return folder;
  }
  throw new Error(`every edge number from ${base} to ${EDGE_NUMBER_MAX} is in use`);
}

/** Edge numbers whose folders hold chunk files. */
export function foldersWithChunks(spoolDir: string): number[] {
  return readdirSync(spoolDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && /^[0-9]+$/.test(entry.name))
    .filter(({ name }) =>
      readdirSync(join(spoolDir, name)).some((file) => /\.(open|ready)$/.test(file)),
    )
    .map(({ name }) => Number(name));
}
