/**
 * ClickHouse over HTTP, the same against a server and the embedded engine. Owns the connection and its settings;
 * errors become AppErrors that say whether a retry may help. An error is never proof that nothing was written.
 */
import { Readable } from 'node:stream';
import {
  ClickHouseError,
  ClickHouseLogLevel,
  createClient,
  type ClickHouseClient,
} from '@clickhouse/client';
import { AppError, messageOf } from '../src/domain/app-error.ts';

export interface ClickHouseSettings {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export type QueryParameters = Readonly<Record<string, unknown>>;

export interface ClickHouse {
  readonly database: string;
  /** Holds secrets and bookkeeping; never readable by analysts. */
  readonly privateDatabase: string;
  readonly raw: ClickHouseClient;
  query<T>(sql: string, parameters?: QueryParameters, signal?: AbortSignal): Promise<T[]>;
  /** `sql` ends in `FORMAT X`; the answer's bytes as they come. An error after the first bytes destroys the stream. */
  stream(sql: string, parameters: QueryParameters, signal: AbortSignal): Promise<Readable>;
  command(sql: string, parameters?: QueryParameters): Promise<void>;
  /** `sql` ends in `FORMAT X`; the data follows in that format. Not retried. */
  insert(sql: string, data: string, parameters?: QueryParameters): Promise<void>;
  /** Asks as its user, in no database; throws what stands against it. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

const REQUEST_TIMEOUT_MS = 30_000;
/** A file's first byte comes when all its rows are sorted, and who saves it may pause. */
const STREAM_SILENCE_MS = 10 * 60_000;
/** Codes that a later attempt may not meet: timeouts, memory, too many parts or queries, shutdown, read-only disk. */
const RETRYABLE_CODES = new Set([
  '159',
  '202',
  '203',
  '209',
  '210',
  '236',
  '241',
  '242',
  '243',
  '252',
  '394',
  '999',
]);

function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof ClickHouseError && !RETRYABLE_CODES.has(error.code)) {
    return new AppError(
      'CLICKHOUSE_REFUSED',
      `ClickHouse refused (code ${error.code}): ${error.message}`,
      error,
    );
  }
  return new AppError(
    'CLICKHOUSE_UNAVAILABLE',
    `ClickHouse did not answer: ${messageOf(error)}`,
    error,
  );
}

async function guarded<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toAppError(error);
  }
}

export function createClickHouse(settings: ClickHouseSettings): ClickHouse {
  const options = {
    url: settings.url,
    username: settings.user,
    password: settings.password,
    database: settings.database,
    request_timeout: REQUEST_TIMEOUT_MS,
    max_open_connections: 16,
    // Callers log an outage once, by its state; the client would log every attempt.
    log: { level: ClickHouseLogLevel.OFF },
    keep_alive: { enabled: true, idle_socket_ttl: 2_000 },
    clickhouse_settings: {
      output_format_json_quote_64bit_integers: 0,
      date_time_input_format: 'best_effort',
      wait_end_of_query: 1,
    },
  } as const;
  const raw = createClient(options);
  const streams = createClient({ ...options, request_timeout: STREAM_SILENCE_MS });
  return {
    database: settings.database,
    privateDatabase: `${settings.database}_private`,
    raw,
    query: <T>(sql: string, parameters?: QueryParameters, signal?: AbortSignal) =>
      guarded(
        raw
          .query({
            query: sql,
            format: 'JSONEachRow',
            ...(parameters && { query_params: parameters }),
            ...(signal && { abort_signal: signal }),
          })
          .then((result) => result.json<T>()),
      ),
    async stream(sql, parameters, signal) {
      const result = await guarded(
        streams.exec({
          query: sql,
          query_params: { ...parameters },
          abort_signal: signal,
          // The server would hold the whole answer back until it is complete.
          clickhouse_settings: { wait_end_of_query: 0 },
        }),
      );
      return result.stream;
    },
    async command(sql, parameters) {
      await guarded(raw.command({ query: sql, ...(parameters && { query_params: parameters }) }));
    },
    async insert(sql, data, parameters) {
      const values = Readable.from([Buffer.from(data)], { objectMode: false });
      const result = await guarded(
        raw.exec({ query: sql, values, ...(parameters && { query_params: parameters }) }),
      );
      result.stream.resume();
    },
    async ping() {
      // The bare ping asks for no password.
      const answer = await raw.ping({ select: true });
      if (!answer.success) throw toAppError(answer.error);
    },
    async close() {
      await Promise.all([raw.close(), streams.close()]);
    },
  };
}
