/**
 * The clock of click ids: (ms, sequence) pairs that never repeat for an edge number, through restarts and backward
 * clock steps. A mark on disk says up to which ms ids may have been minted; a new process starts above it.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError, messageOf } from '../domain/app-error.ts';
import { SEQUENCE_MAX } from '../domain/click-id.ts';

/** How far ahead the mark is set: one small write a second. */
const RESERVE_MS = 2_000;

export interface ClickClock {
  /** `ms` is `nowMs` or later. Throws SPOOL_FULL when the mark can't be written: an id beyond it might be minted again after a restart. */
  next(nowMs: number): { readonly ms: number; readonly sequence: number };
  /**
   * From now on, also in the next process, no id is of `ms` or before. Returns up to when that holds: less than `ms`
   * while the mark can't be written.
   */
  leaveBehind(ms: number): number;
}

function readMark(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8')) || 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

export function createClickClock(dir: string): ClickClock {
  const file = join(dir, 'click-clock');
  let lastMs = readMark(file);
  let markMs = lastMs;
  let sequence = SEQUENCE_MAX;

  function reserve(fromMs: number): void {
    const reservedMs = fromMs + RESERVE_MS;
    try {
      writeFileSync(`${file}.new`, String(reservedMs));
      renameSync(`${file}.new`, file);
    } catch (error) {
      throw new AppError(
        'SPOOL_FULL',
        `the click clock can't be written: ${messageOf(error)}`,
        error,
      );
    }
    markMs = reservedMs;
  }

  return {
    next(nowMs) {
      if (nowMs > lastMs) {
        lastMs = nowMs;
        sequence = 0;
      } else if (++sequence > SEQUENCE_MAX) {
        lastMs += 1;
        sequence = 0;
      }
      if (lastMs >= markMs) reserve(lastMs);
      return { ms: lastMs, sequence };
    },
    leaveBehind(ms) {
      let leftMs = ms;
      if (ms >= markMs) {
        try {
          reserve(ms);
        } catch {
          // The next click says so to who asks for it. Until then the mark on disk is as far as a new process is bound.
          leftMs = markMs - 1;
        }
      }
      if (leftMs >= lastMs) {
        lastMs = leftMs;
        sequence = SEQUENCE_MAX;
      }
      return leftMs;
    },
  };
}
