/** What every role's process shares: a logger, and an end on SIGTERM, SIGINT or the supervisor's death. */
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { pino, type Logger } from 'pino';
import type { Config } from '../config.ts';

export function createLogger(config: Config, role: string): Logger {
  return pino({
    level: config.logLevel,
    base: { role, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
  });
}

/** How much nicer than the edge, which stays as it was started. */
const BEHIND_EDGE = 5;
const NICEST = 19;

/**
 * Lets the edge go first when the machine's cores are short: visitors wait for its answers, nobody waits for a worker.
 * On Linux each thread has a niceness of its own, and new threads take their parent's.
 */
export function yieldToEdge(): void {
  const niceness = Math.min(NICEST, getPriority() + BEHIND_EDGE);
  for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), niceness);
}

/** A role that can't end by itself, because what it waits for is gone, ends after this: nothing is lost by it. */
const END_MS = 15_000;

/**
 * Resolves when the process is asked to end; from then on it has `END_MS`. A child of `up` is also asked when the
 * supervisor's channel closes.
 */
export function untilAskedToEnd(): Promise<string> {
  return new Promise((resolve) => {
    const ask = (why: string): void => {
      setTimeout(() => process.exit(1), END_MS).unref();
      resolve(why);
    };
    process.once('SIGTERM', () => ask('SIGTERM'));
    process.once('SIGINT', () => ask('SIGINT'));
    if (process.channel !== undefined && process.channel !== null)
      process.once('disconnect', () => ask('supervisor gone'));
  });
}

/** Tells the supervisor that the role is ready to work. */
export function announceReady(): void {
  process.send?.('ready');
}
