/**
 * The chDB engine in this process. No two statements run in one Session at once, so a long report never holds up an
 * insert, and none sees another's settings or parameters (`sessions.ts`).
 */
import { mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Session } from 'chdb';
import { AppError } from '../../src/domain/app-error.ts';
import type { Role } from './access.ts';
import { createKiller, createTag } from './killer.ts';
import { createPlaces, type Places } from './places.ts';
import { createResultPipes, type ResultPipe } from './result-pipe.ts';
import { BASE_ARGUMENTS, createSessions, type StatementOptions } from './sessions.ts';
import { quoteString } from '../quote-string.ts';
import { PLACES } from './threads.ts';

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
  const sessions = createSessions(config.path);
  const busy = new Set<Promise<unknown>>();
  const stops = new Set<AbortController>();
  let closed = false;

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
    return sessions.run(statement.options, async (session) => {
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
    return sessions.run(options, async (session) => {
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
        sessions.runAlone(options, async (session) =>
          Buffer.from((await session.queryAsync(sql, { format })).bytes()),
        ),
      ),
    async close() {
      closed = true;
      for (const stop of stops) stop.abort(createShutdownError());
      while (busy.size > 0) await Promise.allSettled(busy);
      await killer.close();
      sessions.close();
      // The engine ends with its last Session, and closing a busy one aborts it.
      anchor.close();
    },
  };
}
