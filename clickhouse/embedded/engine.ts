/**
 * The chDB engine in this process. Every statement runs in a Session of its own (about 1.3 ms to open and prepare), so
 * settings and parameters can't leak from one call into another, and a long report never shares a Session with an
 * insert. One anchor Session stays open: the engine ends with its last Session, and closing a busy one aborts it.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout } from 'node:timers/promises';
import { Session } from 'chdb';
import { DEFINER_ARGUMENT, type Role } from './access.ts';
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

const KILL_AGAIN_MS = 200;

export interface EngineConfig {
  readonly path: string;
  readonly temporaryDir: string;
  readonly accessConfig: string;
}

export function createEngine(config: EngineConfig): Engine {
  const addon = loadAddon();
  rmSync(config.temporaryDir, { recursive: true, force: true });
  mkdirSync(config.temporaryDir, { recursive: true, mode: 0o700 });
  const pipes = createResultPipes(config.temporaryDir, PLACES.ownerReads + PLACES.analystReads);
  const anchor = new Session(config.path, {
    connectionArgs: [...BASE_ARGUMENTS, `--config-file=${config.accessConfig}`],
  });
  const places: Readonly<Record<Role | 'write', Places>> = {
    owner: createPlaces(PLACES.ownerReads),
    analyst: createPlaces(PLACES.analystReads),
    write: createPlaces(PLACES.writes),
  };
  const busy = new Set<Promise<unknown>>();
  const closing = new AbortController();

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

  async function whileBusy<T>(run: Promise<T>): Promise<T> {
    busy.add(run);
    try {
      return await run;
    } finally {
      busy.delete(run);
    }
  }

  /** Asks until it has ended: a statement that has only begun is not in the list of those that run yet. */
  async function endStatement(tag: string, ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      await anchor.queryAsync(
        `KILL QUERY WHERE query LIKE ${quoteString(`%${tag}%`)} AND query NOT LIKE '%KILL QUERY%' ASYNC`,
      );
      await setTimeout(KILL_AGAIN_MS);
    }
  }

  async function readThrough(
    pipe: ResultPipe,
    statement: ReadStatement,
    signal: AbortSignal,
  ): Promise<ReadOutcome> {
    return inSession(statement.options, async (session) => {
      const ask: Ask = async (sql) => (await session.queryAsync(sql, { format: 'TSVRaw' })).text();
      const text = await statement.text(ask);
      const tag = `/*${randomUUID()}*/`;
      // On a line of its own, or a closing comment would swallow it.
      const sql = `${tag} ${text}\nINTO OUTFILE ${quoteString(pipe.path)} TRUNCATE FORMAT ${statement.format} ${statement.settings}`;
      const ended = new AbortController();
      // Closing the pipe frees an engine that writes; a statement that only computes must be told. Best effort: a time
      // limit stands behind.
      const end = (): void => void endStatement(tag, ended.signal).catch(() => undefined);
      signal.throwIfAborted();
      signal.addEventListener('abort', end, { once: true });
      try {
        const result = await pipe.read(() => session.queryAsync(sql), statement.consume, signal);
        return {
          resultRows: result.rowsRead,
          resultBytes: result.bytesRead,
          elapsedSeconds: result.elapsed,
        };
      } finally {
        ended.abort();
        signal.removeEventListener('abort', end);
      }
    });
  }

  return {
    read(statement) {
      const { role } = statement.options;
      const signal = AbortSignal.any([statement.signal, closing.signal]);
      const firstPipe = role === 'owner' ? 0 : PLACES.ownerReads;
      return whileBusy(
        places[role].enter(async (place) => {
          const pipe = pipes[firstPipe + place];
          if (pipe === undefined) throw new Error(`no pipe for place ${place}`);
          return readThrough(pipe, statement, signal);
        }, signal),
      );
    },
    write: (sql, options, signal) =>
      whileBusy(
        places.write.enter(
          () =>
            inSession(options, async (session) => {
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
            }),
          signal,
        ),
      ),
    command: (sql, format, options) =>
      whileBusy(
        places.write.enter(() =>
          inSession(options, async (session) =>
            Buffer.from((await session.queryAsync(sql, { format })).bytes()),
          ),
        ),
      ),
    async close() {
      closing.abort(new Error('Code: 236. DB::Exception: the server shuts down. (ABORTED)'));
      while (busy.size > 0) await Promise.allSettled(busy);
      anchor.close();
    },
  };
}
