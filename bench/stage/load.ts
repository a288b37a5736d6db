/** Runs the generator as a process of its own and hands its figures back. */
import { fork } from 'node:child_process';
import { setPriority } from 'node:os';
import { projectPath } from '../../src/project-root.ts';
import type { GeneratorMessage, LoadPlan, LoadProgress, LoadResult } from '../load/plan.ts';
import { pinTo, type Cores } from './processes.ts';

/**
 * Sockets of a load that comes from many visitors. Each has one request in flight, so they bound the rate: with 64, 20,000
 * requests/s ask for answers within 3 ms, also right after the machine stood still for a moment.
 */
export const CONNECTIONS = 256;

const AHEAD = -15;

/**
 * Visitors are elsewhere: what else is on the generator's core must not hold it up. Where it shares its cores with the
 * edge, it would hold up that.
 */
function putAhead(pid: number): void {
  try {
    setPriority(pid, AHEAD);
  } catch {
    // Without the right to it the generator waits for its turn, and the figures are the worse for it.
  }
}

export type LoadOptions = Partial<LoadPlan> &
  Pick<LoadPlan, 'port' | 'rate' | 'seconds' | 'traffic'> & { readonly ahead?: boolean };

export async function runGenerator(
  { ahead = false, ...options }: LoadOptions,
  cores: Cores,
  onProgress: (progress: LoadProgress) => void = () => undefined,
): Promise<LoadResult> {
  const plan: LoadPlan = {
    host: '127.0.0.1',
    connections: CONNECTIONS,
    markEvery: 0,
    markBase: 0,
    ...options,
  };
  const child = fork(projectPath('bench', 'load', 'generator.ts'), {
    execArgv: ['--import', 'tsx'],
    serialization: 'advanced',
  });
  try {
    return await new Promise<LoadResult>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the generator ended with ${code}`)));
      child.on('message', (message: GeneratorMessage) => {
        if (message === 'ready') {
          if (child.pid !== undefined) {
            if (ahead) putAhead(child.pid);
            if (cores !== undefined) pinTo(child.pid, cores);
          }
          child.send(plan);
        } else if ('progress' in message) onProgress(message.progress);
        else if ('result' in message) resolve(message.result);
        else reject(new Error(message.failure));
      });
    });
  } finally {
    child.removeAllListeners('exit');
    child.kill('SIGKILL');
  }
}
