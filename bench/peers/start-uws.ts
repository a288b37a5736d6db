/** Starts bare uWebSockets.js on the server's core. */
import { join } from 'node:path';
import { projectPath } from '../../src/project-root.ts';
import { SERVER_CORE } from '../stage/cores.ts';
import { startProcess } from '../stage/processes.ts';
import { freePort } from '../stage/stack.ts';

export async function startUws(
  dir: string,
): Promise<{ port: number; pid: number; stop: () => Promise<void> }> {
  const port = await freePort();
  const file = projectPath('bench', 'peers', 'uws-server.ts');
  const server = await startProcess([process.execPath, '--import', 'tsx', file, String(port)], {
    cores: SERVER_CORE,
    logFile: join(dir, 'uws.log'),
    announces: true,
  });
  return { port, pid: server.pid, stop: () => server.stop('SIGKILL') };
}
