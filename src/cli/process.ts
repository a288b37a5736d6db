/** What every role's process shares: a logger, and an end on SIGTERM, SIGINT or the supervisor's death. */
import { pino, type Logger } from 'pino';
import type { Config } from '../config.ts';

export function createLogger(config: Config, role: string): Logger {
  return pino({
    level: config.logLevel,
    base: { role, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
  });
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
