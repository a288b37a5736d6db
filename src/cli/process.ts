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

/** Resolves when the process is asked to end. A child of `up` is also asked when the supervisor's channel closes. */
export function untilAskedToEnd(): Promise<string> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve('SIGTERM'));
    process.once('SIGINT', () => resolve('SIGINT'));
    if (process.channel !== undefined && process.channel !== null)
      process.once('disconnect', () => resolve('supervisor gone'));
  });
}

/** Tells the supervisor that the role is ready to work. */
export function announceReady(): void {
  process.send?.('ready');
}
