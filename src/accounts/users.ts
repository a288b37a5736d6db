/**
 * Users of the console. The log in ClickHouse is the only store, so Redis may lose everything: a change is one guarded
 * insert of the next version, read back to know who owns it, as in the catalogue. Users are disabled, never deleted.
 */
import { randomUUID } from 'node:crypto';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { timeText } from '../../clickhouse/insert.ts';
import type { Column } from '../../clickhouse/tables.ts';
import { appendVersion, untilAppended } from '../../clickhouse/version-log.ts';
import type { User } from '../domain/user.ts';
import { createFreshReads } from './fresh-reads.ts';

export interface StoredUser extends User {
  readonly password: string;
  readonly password_changed_ms: number;
}

export interface Users {
  /** Everyone, by id; at most a second old. */
  list(): Promise<readonly StoredUser[]>;
  /** Stores what `edit` makes of everyone as they are now; repeats it when another writer was faster. Durable on return. */
  change(edit: (users: readonly StoredUser[]) => StoredUser, author: string): Promise<StoredUser>;
}

/** How long a read serves: a change made by another process is in force after it. */
const FRESH_MS = 1_000;
/** The one key of what is read: there are no parts of it. */
const EVERYONE = 'everyone';
const COLUMNS: readonly Column[] = [
  ['version', 'UInt64'],
  ['id', 'UInt32'],
  ['login', 'String'],
  ['name', 'String'],
  ['role', 'String'],
  ['advertiser_id', 'UInt32'],
  ['affiliate_id', 'UInt32'],
  ['status', 'String'],
  ['password', 'String'],
  ['password_changed_at', 'DateTime64(3)'],
  ['writer', 'String'],
  ['author', 'String'],
  ['changed_at', 'DateTime64(3)'],
];

interface Everyone {
  readonly version: number;
  readonly users: readonly StoredUser[];
}

export function createUsers(clickhouse: ClickHouse, clock: () => number): Users {
  const table = `${clickhouse.privateDatabase}.users`;
  const reads = createFreshReads<Everyone>({ clock, freshMs: FRESH_MS, entriesMax: 1 });

  async function read(): Promise<Everyone> {
    const rows = await clickhouse.query<StoredUser & { newest: number }>(
      `SELECT id, argMax(u.login, u.version) AS login, argMax(u.name, u.version) AS name, argMax(u.role, u.version) AS role,
         argMax(u.advertiser_id, u.version) AS advertiser_id, argMax(u.affiliate_id, u.version) AS affiliate_id,
         argMax(u.status, u.version) AS status, argMax(u.password, u.version) AS password,
         argMax(toUnixTimestamp64Milli(u.password_changed_at), u.version) AS password_changed_ms, max(u.version) AS newest
       FROM ${table} AS u GROUP BY id ORDER BY id`,
    );
    const version = rows.reduce((most, { newest }) => Math.max(most, newest), 0);
    return { version, users: rows.map(({ newest: _, ...user }) => user) };
  }

  /** Stores a version; false when another writer has it. */
  async function write(version: number, user: StoredUser, author: string): Promise<boolean> {
    const writer = randomUUID();
    const values: Readonly<Record<string, string | number>> = {
      ...user,
      version,
      password_changed_at: timeText(user.password_changed_ms),
      writer,
      author,
      changed_at: timeText(clock()),
    };
    const rows = [COLUMNS.map(([name]) => values[name] ?? '')];
    const entry = { name: 'users', table, columns: COLUMNS, version, writer, rows };
    try {
      return await appendVersion(clickhouse, entry);
    } finally {
      reads.changed(EVERYONE);
    }
  }

  return {
    async list() {
      return (await reads.get(EVERYONE, read)).users;
    },
    change: (edit, author) =>
      untilAppended('users', async () => {
        const { version, users } = await read();
        const user = edit(users);
        return (await write(version + 1, user, author)) ? user : undefined;
      }),
  };
}
