/**
 * Arms a crash point for the fault tests: the process kills itself when it reaches the point named in the file, once.
 * The file is read when the process starts and removed by the crash, so that the next life goes on.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { AppError } from '../domain/app-error.ts';
import { CRASH_POINTS, reachNothing, type Reach } from '../domain/crash-points.ts';

export function openCrashFile(file: string | null): Reach {
  if (file === null || !existsSync(file)) return reachNothing;
  const name = readFileSync(file, 'utf8').trim();
  const armed = CRASH_POINTS.find((point) => point === name);
  if (armed === undefined)
    throw new AppError('CONFIG_INVALID', `SLUICE_CRASH_FILE names ${name}, which is no point`);
  return (point) => {
    if (point !== armed) return;
    rmSync(file, { force: true });
    process.kill(process.pid, 'SIGKILL');
  };
}
