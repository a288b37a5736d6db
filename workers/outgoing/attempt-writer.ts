/** Writes attempts as rows, many at a time. A job ends after its row is in ClickHouse, so this goes on until it is. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { prepareAttempts, type Attempt } from '../../clickhouse/affiliate-postback-log.ts';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { AppError, messageOf } from '../../src/domain/app-error.ts';

/** Attempts that end within this time share a block: ClickHouse likes few of them. */
const GATHER_MS = 100;
const ROWS_MAX = 1_000;
const RETRY_MS = 500;

/** What a caller or a clock may have made unstorable. */
const BARE = { url: '', answer: '', statusCode: 0, durationMs: 0 } as const;

interface Waiting {
  readonly attempt: Attempt;
  readonly resolve: () => void;
}

function isBare({ attempt }: Waiting): boolean {
  return attempt.url === '' && attempt.error.startsWith('not storable: ');
}

export function createAttemptWriter(deps: {
  readonly clickhouse: ClickHouse;
  readonly clock: () => number;
  readonly logger: Logger;
}) {
  let waiting: Waiting[] = [];
  let running = false;

  async function writeBlock(block: readonly Waiting[]): Promise<void> {
    const write = prepareAttempts(
      deps.clickhouse,
      block.map(({ attempt }) => attempt),
      deps.clock(),
    );
    for (;;) {
      try {
        await write();
        break;
      } catch (error) {
        // What ClickHouse does not even take bare has no row at fault: then it is ClickHouse that is.
        if (error instanceof AppError && !error.retryable && !block.every(isBare))
          return writeParts(block, error);
        deps.logger.warn(
          { error: messageOf(error) },
          'attempts of affiliate postbacks were not stored; tried again',
        );
        await pause(RETRY_MS);
      }
    }
    for (const { resolve } of block) resolve();
  }

  /** ClickHouse will not take the block as it is: the row at fault is found, and stored bare. */
  async function writeParts([first, ...rest]: readonly Waiting[], error: AppError): Promise<void> {
    if (first === undefined) return;
    if (rest.length === 0) {
      const { postbackId } = first.attempt;
      deps.logger.error({ postbackId, error: error.message }, 'an attempt is stored bare');
      const attempt = { ...first.attempt, ...BARE, error: `not storable: ${error.message}` };
      return writeBlock([{ ...first, attempt }]);
    }
    const middle = Math.ceil(rest.length / 2);
    await writeBlock([first, ...rest.slice(0, middle - 1)]);
    await writeBlock(rest.slice(middle - 1));
  }

  async function run(): Promise<void> {
    await pause(GATHER_MS);
    while (waiting.length > 0) {
      const block = waiting.slice(0, ROWS_MAX);
      waiting = waiting.slice(ROWS_MAX);
      await writeBlock(block);
    }
    running = false;
  }

  return {
    /** Resolves once the row is stored. */
    write(attempt: Attempt): Promise<void> {
      return new Promise((resolve) => {
        waiting.push({ attempt, resolve });
        if (running) return;
        running = true;
        void run();
      });
    },
  };
}
export type AttemptWriter = ReturnType<typeof createAttemptWriter>;
