/** Who goes first when the machine's cores are short: the edge, which stays as it was started. */
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** Nobody waits for a worker as visitors wait for an answer. */
export const BEHIND_EDGE = 10;
/** Nor for a file, behind everything that answers someone. */
export const BEHIND_ALL = 15;
const NICEST = 19;

/** Lowers this process's priority. On Linux each thread has a niceness of its own, and new threads take their parent's. */
export function yieldCores(by: number): void {
  const niceness = Math.min(NICEST, getPriority() + by);
  for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), niceness);
}
