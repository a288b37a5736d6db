/**
 * Sessions of the engine. Each runs one statement at a time, under the settings and parameters of that one alone. To open
 * and prepare one takes a third of what a small statement costs, so those of the owner wait for the next statement that
 * asks for the same settings and brings values for the same parameters: nothing of the one before is left in force.
 */
import { Session } from 'chdb';
import { DEFINER_ARGUMENT, type Role } from './access.ts';
import { quoteString } from '../quote-string.ts';

export const BASE_ARGUMENTS = [
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

/** Sessions that wait: one for each kind of statement that our processes send every second, and some more. */
const IDLE_MAX = 16;

interface Idle {
  readonly kind: string;
  readonly session: Session;
}

export interface Sessions {
  /** For a statement that leaves nothing behind in its Session: a read or an INSERT. */
  run<T>(options: StatementOptions, work: (session: Session) => Promise<T>): Promise<T>;
  /** For any statement: its Session ends with it. */
  runAlone<T>(options: StatementOptions, work: (session: Session) => Promise<T>): Promise<T>;
  close(): void;
}

const assignments = (values: ReadonlyMap<string, string>, prefix: string): string[] =>
  [...values].map(([name, value]) => `${prefix}${name}=${quoteString(value)}`);

const setStatements = (list: readonly string[]): string[] =>
  list.length === 0 ? [] : [`SET ${list.join(', ')}`];

const parameterStatements = ({ parameters }: StatementOptions): string[] =>
  setStatements(assignments(parameters, 'param_'));

/** What a Session is prepared with when it is opened. */
function openingStatements({ database, role, settings, readonly }: StatementOptions): string[] {
  const limits = readonly === 0 ? [] : [`readonly=${readonly}`];
  return [
    `USE ${database}`,
    `SET ROLE ${role}`,
    ...setStatements([...assignments(settings, ''), ...limits]),
  ];
}

/** Statements of one kind overwrite all that one of them has set. */
const kindOf = (options: StatementOptions): string =>
  JSON.stringify([openingStatements(options), [...options.parameters.keys()].toSorted()]);

export function createSessions(path: string): Sessions {
  const idle: Idle[] = [];

  async function open(options: StatementOptions): Promise<Session> {
    const definer = options.role === 'owner' ? [DEFINER_ARGUMENT] : [];
    const session = new Session(path, { connectionArgs: [...BASE_ARGUMENTS, ...definer] });
    await prepare(session, [...openingStatements(options), ...parameterStatements(options)]);
    return session;
  }

  async function prepare(session: Session, statements: readonly string[]): Promise<void> {
    if (statements.length === 0) return;
    await closedOnFailure(session, () => session.queryAsync(statements.join('; ')));
  }

  /** What a failed statement left behind is unknown. */
  async function closedOnFailure<T>(session: Session, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      session.close();
      throw error;
    }
  }

  async function takeIdle(kind: string, options: StatementOptions): Promise<Session | undefined> {
    const at = idle.findLastIndex((one) => one.kind === kind);
    const session = at < 0 ? undefined : idle.splice(at, 1)[0]?.session;
    if (session !== undefined) await prepare(session, parameterStatements(options));
    return session;
  }

  function keep(kind: string, session: Session): void {
    idle.push({ kind, session });
    if (idle.length > IDLE_MAX) idle.shift()?.session.close();
  }

  async function runAlone<T>(
    options: StatementOptions,
    work: (session: Session) => Promise<T>,
  ): Promise<T> {
    const session = await open(options);
    const result = await closedOnFailure(session, () => work(session));
    session.close();
    return result;
  }

  return {
    async run(options, work) {
      // An analyst may set much, and a reader of a GET less: neither is worth a Session that waits.
      if (options.role !== 'owner' || options.readonly !== 0) return runAlone(options, work);
      const kind = kindOf(options);
      const session = (await takeIdle(kind, options)) ?? (await open(options));
      const result = await closedOnFailure(session, () => work(session));
      keep(kind, session);
      return result;
    },
    runAlone,
    close() {
      for (const { session } of idle.splice(0)) session.close();
    },
  };
}
