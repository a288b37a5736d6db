/**
 * The clock of click ids: (ms, sequence) pairs that never repeat for an edge number, through restarts and backward
 * clock steps. A mark on disk says up to which ms ids may have been minted; a new process starts above it.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SEQUENCE_MAX } from '../domain/click-id.ts';

/** How far ahead the mark is set: one small write a second. */
const RESERVE_MS = 2_000;

export interface ClickClock {
  next(): { readonly ms: number; readonly sequence: number };
}

function readMark(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8')) || 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

export function createClickClock(dir: string, clock: () => number): ClickClock {
  const file = join(dir, 'click-clock');
  let lastMs = readMark(file);
  let markMs = lastMs;
  let sequence = SEQUENCE_MAX;

  function reserve(): void {
    markMs = lastMs + RESERVE_MS;
    writeFileSync(`${file}.new`, String(markMs));
    renameSync(`${file}.new`, file);
  }

  return {
    next() {
      const now = clock();
      if (now > lastMs) {
        lastMs = now;
        sequence = 0;
      } else if (++sequence > SEQUENCE_MAX) {
        lastMs += 1;
        sequence = 0;
      }
      if (lastMs >= markMs) reserve();
      return { ms: lastMs, sequence };
    },
  };
}
