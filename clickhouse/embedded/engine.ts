/**
 * The chDB engine in this process. Every statement runs in a Session of its own (about 1.5 ms to open), so settings
 * and parameters can't leak from one call into another, and a long report never shares a Session with an insert.
 * One anchor Session stays open: the engine ends with its last Session, and closing a busy one aborts it.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Session, type ChdbQueryStream, type ChdbResult } from 'chdb';

/** Read statements at once: more only share the same cores. Inserts have places of their own. */
const READS_MAX = 6;
const INSERTS_MAX = 4;

export interface StatementOptions {
  /** Settings by name; set before the statement, gone after it. */
  readonly settings: ReadonlyMap<string, string>;
  /** Values for `{name:Type}` in ClickHouse's escaped text form. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly database: string;
  /** Refuses writes, DDL, file() and url() in the engine itself. */
  readonly readonly: boolean;
}

export interface InsertSummary {
  readonly rowsWritten: number;
  readonly bytesWritten: number;
}

interface NativeAddon {
  InsertRawAsyncConnection(
    connection: unknown,
    prefix: string,
    data: Buffer,
    countLines: boolean,
  ): Promise<InsertSummary>;
}

export interface Engine {
  query(sql: string, format: string, options: StatementOptions): Promise<ChdbResult>;
  /** Calls `consume` with chunks until it returns false; the Session is closed afterwards. */
  stream(
    sql: string,
    format: string,
    options: StatementOptions,
    consume: (chunk: Uint8Array) => Promise<boolean>,
  ): Promise<void>;
  /** `prefix` ends in `FORMAT X`; data is in that format, any bytes. */
  insert(prefix: string, data: Buffer, options: StatementOptions): Promise<InsertSummary>;
  /** Ends running statements whose text holds `tag`. */
  kill(tag: string): Promise<void>;
  close(): Promise<void>;
}

function loadAddon(): NativeAddon {
  // chDB's own insert() only knows text formats; the call under it takes any. The package is chosen as chDB chooses it.
  const require = createRequire(import.meta.url);
  const library = `@chdb/lib-${process.platform}-${process.arch}${process.platform === 'linux' ? '-gnu' : ''}`;
  return createRequire(require.resolve('chdb'))(library) as NativeAddon;
}

export function quoteString(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

function createPlaces(max: number) {
  let free = max;
  const waiting: (() => void)[] = [];
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}

/** `INSERT … SELECT … FROM input('structure') … FORMAT X`: the engine has no data source for input() in this mode. */
const INPUT = /\binput\s*\(\s*('(?:[^'\\]|\\.)*')\s*\)/i;
const FORMAT_AT_END = /\bFORMAT\s+([A-Za-z][A-Za-z0-9]*)\s*$/i;

export function createEngine(path: string, temporaryDir: string): Engine {
  const addon = loadAddon();
  rmSync(temporaryDir, { recursive: true, force: true });
  mkdirSync(temporaryDir, { recursive: true, mode: 0o700 });
  const open = (): Session =>
    new Session(path, {
      connectionArgs: ['--async_load_databases=0', '--timezone=UTC', '--session_timezone=UTC'],
    });
  const anchor = open();
  const reads = createPlaces(READS_MAX);
  const inserts = createPlaces(INSERTS_MAX);
  const busy = new Set<Promise<unknown>>();

  async function prepare(session: Session, options: StatementOptions): Promise<void> {
    await session.queryAsync(`USE ${options.database}`);
    const assignments = [
      ...[...options.settings].map(([name, value]) => `${name}=${quoteString(value)}`),
      ...[...options.parameters].map(([name, value]) => `param_${name}=${quoteString(value)}`),
      ...(options.readonly ? ['readonly=1'] : []),
    ];
    for (const assignment of assignments) await session.queryAsync(`SET ${assignment}`);
  }

  async function withSession<T>(
    places: ReturnType<typeof createPlaces>,
    options: StatementOptions,
    work: (session: Session) => Promise<T>,
  ): Promise<T> {
    const run = places(async () => {
      const session = open();
      try {
        await prepare(session, options);
        return await work(session);
      } finally {
        session.close();
      }
    });
    busy.add(run);
    try {
      return await run;
    } finally {
      busy.delete(run);
    }
  }

  async function consumeStream(
    stream: ChdbQueryStream,
    consume: (chunk: Uint8Array) => Promise<boolean>,
  ): Promise<void> {
    for await (const chunk of stream) {
      if (!(await consume(chunk.raw()))) return;
    }
  }

  /** Gives input() its data through a private file: the same statement then means the same as on a server. */
  async function insertFromInput(
    session: Session,
    prefix: string,
    data: Buffer,
  ): Promise<InsertSummary> {
    const format = FORMAT_AT_END.exec(prefix)?.[1] ?? 'TabSeparated';
    const file = join(temporaryDir, randomUUID());
    try {
      await writeFile(file, data, { mode: 0o600 });
      const select = prefix
        .replace(FORMAT_AT_END, '')
        .replace(
          INPUT,
          (_, structure: string) => `file(${quoteString(file)}, '${format}', ${structure})`,
        );
      await session.queryAsync(select);
      return { rowsWritten: 0, bytesWritten: data.length };
    } finally {
      await rm(file, { force: true });
    }
  }

  return {
    query: (sql, format, options) =>
      withSession(reads, options, (session) => session.queryAsync(sql, { format })),
    stream: (sql, format, options, consume) =>
      withSession(reads, options, (session) =>
        consumeStream(session.queryStream(sql, { format }), consume),
      ),
    insert: (prefix, data, options) =>
      withSession(inserts, options, (session) =>
        INPUT.test(prefix)
          ? insertFromInput(session, prefix, data)
          : addon.InsertRawAsyncConnection(session.connection, prefix, data, false),
      ),
    async kill(tag) {
      await anchor.queryAsync(
        `KILL QUERY WHERE query LIKE ${quoteString(`%${tag}%`)} AND query NOT LIKE '%KILL QUERY%' ASYNC`,
      );
    },
    async close() {
      await Promise.allSettled(busy);
      anchor.close();
    },
  };
}
