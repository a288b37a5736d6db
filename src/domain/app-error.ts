/**
 * The failure of a dependency or of an operator's input, as opposed to an expected outcome (a value) or a bug (a throw).
 * One table says which codes are worth a retry.
 */
export const ERROR_CODES = {
  CLICKHOUSE_UNAVAILABLE: { retryable: true },
  CLICKHOUSE_REFUSED: { retryable: false },
  REDIS_UNAVAILABLE: { retryable: true },
  CHUNK_UNREADABLE: { retryable: false },
  CATALOGUE_INVALID: { retryable: false },
  CATALOGUE_UNKNOWN_VERSION: { retryable: true },
  GATE_BUSY: { retryable: true },
  MIGRATION_REFUSED: { retryable: false },
  SPOOL_FULL: { retryable: true },
  CONFIG_INVALID: { retryable: false },
  SIGN_IN_BUSY: { retryable: true },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export class AppError extends Error {
  readonly code: ErrorCode;
  /** The same call may succeed later. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'AppError';
    this.code = code;
    this.retryable = ERROR_CODES[code].retryable;
  }
}

export function isRetryable(error: unknown): boolean {
  return error instanceof AppError && error.retryable;
}

/** The message of anything thrown, for logs and stored details. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
