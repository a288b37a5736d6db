/**
 * The chDB engine in this process. Every statement runs in a Session of its own (about 1.3 ms to open and prepare), so
 * settings and parameters can't leak from one call into another, and a long report never shares a Session with an
 * insert. One anchor Session stays open: the engine ends with its last Session, and closing a busy one aborts it.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Session } from 'chdb';
import { AppError } from '../../src/domain/app-error.ts';
import { DEFINER_ARGUMENT, type Role } from './access.ts';
import { createKiller, createTag } from './killer.ts';
import { createPlaces, type Places } from './places.ts';
import { createResultPipes, type ResultPipe } from './result-pipe.ts';
import { quoteString } from './statement.ts';
import { PLACES } from './threads.ts';

export interface StatementOptions {
  /** Settings by name; set before the statement, gone after it. */
  readonly settings: ReadonlyMap<string, string>;
  /** Values for `{name:Type}` in ClickHouse's escaped text form. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly database: string;
  readonly role: Role;
  /** The setting `readonly`: 1 refuses writes, DDL and changed settings; 2 allows settings, as GET has it on a server. */
  readonly readonly: 0 | 1 | 2;
}

/** Runs a small statement in the Session of the one about to run, and returns its text. */
export type Ask = (sql: string) => Promise<string>;

export interface ReadStatement {
  readonly options: StatementOptions;
  /** The final text, up to its FORMAT clause. Asked for inside the Session, so that it can be judged there. */
  readonly text: (ask: Ask) => Promise<string> | string;
  readonly format: string;
  /** `SETTINGS …` behind the FORMAT clause, or empty. */
  readonly settings: string;
  readonly consume: (chunk: Buffer) => Promise<void> | undefined;
  /** Ends the statement, also while it waits for its turn. */
  readonly signal: AbortSignal;
}

export interface ReadOutcome {
  readonly resultRows: number;
  readonly resultBytes: number;
  readonly elapsedSeconds: number;
}

export interface WriteOutcome {
  readonly writtenRows: number;
  readonly writtenBytes: number;
  readonly elapsedSeconds: number;
}

interface NativeAddon {
  InsertRawAsyncConnection(
    connection: unknown,
    sql: string,
    data: Buffer,
    countLines: boolean,
  ): Promise<{ rowsWritten: number; bytesWritten: number; elapsed: number }>;
}

export interface Engine {
  read(statement: ReadStatement): Promise<ReadOutcome>;
  /** An INSERT whose data is in the engine's reach. `signal` counts only while it waits for its turn. */
  write(sql: string, options: StatementOptions, signal?: AbortSignal): Promise<WriteOutcome>;
  /** Any other statement; its small answer as bytes in `format`. */
  command(sql: string, format: string, options: StatementOptions): Promise<Buffer>;
  /** Ends reading statements, waits for writing ones, and lets go of the data directory. */
  close(): Promise<void>;
}

function loadAddon(): NativeAddon {
  // chDB's query calls do not say how many rows were written; the call under its insert() does. Chosen as chDB chooses.
  const require = createRequire(import.meta.url);
  const library = `@chdb/lib-${process.platform}-${process.arch}${process.platform === 'linux' ? '-gnu' : ''}`;
  return createRequire(require.resolve('chdb'))(library) as NativeAddon;
}

const BASE_ARGUMENTS = [
  '--async_load_databases=0',
  '--timezone=UTC',
  '--session_timezone=UTC',
  // Parameters are set by a statement of ours, which may be as long as they are. Bodies have a limit of their own.
  '--max_query_size=1000000000',
  // As a server has them; chDB's own defaults differ.
  '--implicit_select=0',
  '--allow_introspection_functions=0',
  '--storage_file_read_method=pread',
  // A Parquet file is made a row group at a time: the default of 512 MiB would be held per thread.
  '--output_format_parquet_row_group_size_bytes=67108864',
];

function preparation(options: StatementOptions): string {
  const assignments = [
    ...[...options.settings].map(([name, value]) => `${name}=${quoteString(value)}`),
    ...[...options.parameters].map(([name, value]) => `param_${name}=${quoteString(value)}`),
    ...(options.readonly === 0 ? [] : [`readonly=${options.readonly}`]),
  ];
  const set = assignments.length === 0 ? '' : `; SET ${assignments.join(', ')}`;
  return `USE ${options.database}; SET ROLE ${options.role}${set}`;
}

export interface EngineConfig {
  readonly path: string;
  readonly temporaryDir: string;
  readonly accessConfig: string;
}

function createShutdownError(): Error {
  return new Error('Code: 236. DB::Exception: the server shuts down. (ABORTED)');
}

function openAnchor(config: EngineConfig): Session {
  try {
    return new Session(config.path, {
      connectionArgs: [...BASE_ARGUMENTS, `--config-file=${config.accessConfig}`],
    });
  } catch (error) {
    throw new AppError(
      'CLICKHOUSE_UNAVAILABLE',
      `the engine can't open ${config.path}: another process may own it, or its files are damaged (the lines above say more)`,
      error,
    );
  }
}

export function createEngine(config: EngineConfig): Engine {
  const addon = loadAddon();
  // The engine locks its folder: only its owner may touch what lies beside it.
  const anchor = openAnchor(config);
  rmSync(config.temporaryDir, { recursive: true, force: true });
  mkdirSync(config.temporaryDir, { recursive: true, mode: 0o700 });
  const pipes = createResultPipes(config.temporaryDir, PLACES.ownerReads + PLACES.analystReads);
  const places: Readonly<Record<Role | 'write', Places>> = {
    owner: createPlaces(PLACES.ownerReads),
    analyst: createPlaces(PLACES.analystReads),
    write: createPlaces(PLACES.writes),
  };
  const killer = createKiller(anchor);
  const busy = new Set<Promise<unknown>>();
  const stops = new Set<AbortController>();
  let closed = false;

  async function inSession<T>(
    options: StatementOptions,
    work: (session: Session) => Promise<T>,
  ): Promise<T> {
    const definer = options.role === 'owner' ? [DEFINER_ARGUMENT] : [];
    const session = new Session(config.path, { connectionArgs: [...BASE_ARGUMENTS, ...definer] });
    try {
      await session.queryAsync(preparation(options));
      return await work(session);
    } finally {
      session.close();
    }
  }

  /** Gives work its place among the others, and a way to be told to stop: by its client, or because all ends. */
  async function inPlace<T>(
    kind: Places,
    signal: AbortSignal | undefined,
    work: (place: number, stop: AbortController) => Promise<T>,
  ): Promise<T> {
    const stop = new AbortController();
    const leave = (): void => stop.abort(signal?.reason);
    if (closed) stop.abort(createShutdownError());
    if (signal?.aborted === true) leave();
    signal?.addEventListener('abort', leave, { once: true });
    stops.add(stop);
    const run = kind.enter((place) => work(place, stop), stop.signal);
    busy.add(run);
    try {
      return await run;
    } finally {
      busy.delete(run);
      stops.delete(stop);
      signal?.removeEventListener('abort', leave);
    }
  }

  async function readThrough(
    pipe: ResultPipe,
    statement: ReadStatement,
    stop: AbortController,
  ): Promise<ReadOutcome> {
    return inSession(statement.options, async (session) => {
      const ask: Ask = async (sql) => (await session.queryAsync(sql, { format: 'TSVRaw' })).text();
      const text = await statement.text(ask);
      const tag = createTag();
      // On a line of its own, or a closing comment would swallow it.
      const sql = `${tag} ${text}\nINTO OUTFILE ${quoteString(pipe.path)} TRUNCATE FORMAT ${statement.format} ${statement.settings}`;
      stop.signal.throwIfAborted();
      stop.signal.addEventListener('abort', () => killer.add(tag), { once: true });
      try {
        const result = await pipe.read(() => session.queryAsync(sql), statement.consume, stop);
        // It may have ended by itself after all; its result went nowhere.
        stop.signal.throwIfAborted();
        return {
          resultRows: result.rowsRead,
          resultBytes: result.bytesRead,
          elapsedSeconds: result.elapsed,
        };
      } catch (error) {
        throw stop.signal.aborted ? stop.signal.reason : error;
      } finally {
        killer.delete(tag);
      }
    });
  }

  async function writeThrough(sql: string, options: StatementOptions): Promise<WriteOutcome> {
    return inSession(options, async (session) => {
      const done = await addon.InsertRawAsyncConnection(
        session.connection,
        sql,
        Buffer.from('\n'),
        false,
      );
      return {
        writtenRows: done.rowsWritten,
        writtenBytes: done.bytesWritten,
        elapsedSeconds: done.elapsed,
      };
    });
  }

  return {
    read(statement) {
      const { role } = statement.options;
      const firstPipe = role === 'owner' ? 0 : PLACES.ownerReads;
      return inPlace(places[role], statement.signal, async (place, stop) => {
        const pipe = pipes[firstPipe + place];
        if (pipe === undefined) throw new Error(`no pipe for place ${place}`);
        return readThrough(pipe, statement, stop);
      });
    },
    write: (sql, options, signal) =>
      inPlace(places.write, signal, () => writeThrough(sql, options)),
    command: (sql, format, options) =>
      inPlace(places.write, undefined, () =>
        inSession(options, async (session) =>
          Buffer.from((await session.queryAsync(sql, { format })).bytes()),
        ),
      ),
    async close() {
      closed = true;
      for (const stop of stops) stop.abort(createShutdownError());
      while (busy.size > 0) await Promise.allSettled(busy);
      await killer.close();
      anchor.close();
    },
  };
}
