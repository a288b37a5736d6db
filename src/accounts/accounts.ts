/**
 * Signing in and out, and the changes of users: the rules of accounts. Knows nothing of HTTP; who may call what is
 * for the routes to say. A refusal is a value with the field it is about.
 */
import type { ClickHouse } from '../../clickhouse/client.ts';
import type { User } from '../domain/user.ts';
import { createPasswords, type Passwords } from './passwords.ts';
import { createSessions, type Session, type Sessions } from './sessions.ts';
import { createThrottle } from './throttle.ts';
import { createUsers, type StoredUser } from './users.ts';

export class AccountRefused extends Error {
  readonly field: string;
  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

export type SignIn =
  | { readonly kind: 'signed-in'; readonly user: User; readonly token: string }
  | { readonly kind: 'refused' }
  | { readonly kind: 'wait'; readonly waitMs: number };

type Checked =
  | Exclude<SignIn, { kind: 'signed-in' }>
  | { readonly kind: 'right'; readonly user: User };

export interface UserDraft extends Omit<User, 'id'> {
  readonly password: string;
}

export type UserPatch = Partial<Omit<UserDraft, 'login'>>;

interface Visitor {
  readonly ip: string;
  readonly userAgent: string;
}

export interface Accounts {
  signIn(login: string, password: string, visitor: Visitor): Promise<SignIn>;
  /** The active user of a session that began after the user's last change of password. */
  userOf(token: string): Promise<User | undefined>;
  signOut(token: string): Promise<void>;
  /** Ends every session of the user; a new one begins. Throttled like signing in. */
  changePassword(user: User, current: string, next: string, visitor: Visitor): Promise<SignIn>;
  list(): Promise<User[]>;
  create(draft: UserDraft, author: string): Promise<User>;
  /** Undefined: no such user. */
  update(id: number, patch: UserPatch, author: string): Promise<User | undefined>;
  /** Creates the manager `admin`, whose password is the admin key, while there is no user at all. */
  ensureFirstManager(adminKey: string): Promise<boolean>;
}

export const FIRST_LOGIN = 'admin';

function shown(user: StoredUser): User {
  const { password: _password, password_changed_ms: _changed, ...rest } = user;
  return rest;
}

const isActiveManager = (user: User): boolean =>
  user.role === 'manager' && user.status === 'active';

function createUserChanges(
  users: ReturnType<typeof createUsers>,
  passwords: Passwords,
  clock: () => number,
) {
  async function hashed(
    password: string,
  ): Promise<Pick<StoredUser, 'password' | 'password_changed_ms'>> {
    return { password: await passwords.hash(password), password_changed_ms: clock() };
  }
  return {
    hashed,
    async create(draft: UserDraft, author: string): Promise<User> {
      const secret = await hashed(draft.password);
      const made = await users.change((held) => {
        if (held.some(({ login }) => login === draft.login))
          throw new AccountRefused('login', 'is taken');
        const id = held.reduce((most, user) => Math.max(most, user.id), 0) + 1;
        return { ...draft, ...secret, id };
      }, author);
      return shown(made);
    },
    async update(id: number, patch: UserPatch, author: string): Promise<User | undefined> {
      const { password, ...fields } = patch;
      const secret = password === undefined ? {} : await hashed(password);
      if (!(await users.list()).some((user) => user.id === id)) return undefined;
      const made = await users.change((held) => {
        const user = held.find((candidate) => candidate.id === id);
        if (user === undefined) throw new Error(`user ${id} is gone`);
        const next = { ...user, ...fields, ...secret };
        const others = held.filter((other) => other.id !== id);
        if (isActiveManager(user) && !isActiveManager(next) && !others.some(isActiveManager))
          throw new AccountRefused(
            next.role === 'manager' ? 'status' : 'role',
            'this is the last active manager',
          );
        return next;
      }, author);
      return shown(made);
    },
  };
}

export function createAccounts(deps: {
  readonly clickhouse: ClickHouse;
  readonly clock: () => number;
  /** Cheaper in tests only. */
  readonly passwords?: Passwords;
}): Accounts {
  const { clickhouse, clock } = deps;
  const users = createUsers(clickhouse, clock);
  const sessions: Sessions = createSessions(clickhouse, clock);
  const passwords = deps.passwords ?? createPasswords();
  const throttle = createThrottle(clock);
  const changes = createUserChanges(users, passwords, clock);

  const isInForce = (user: StoredUser, session: Session): boolean =>
    user.id === session.userId &&
    user.status === 'active' &&
    user.password_changed_ms <= session.createdMs;

  /** The user of a right password, or why not. */
  async function check(login: string, password: string, ip: string): Promise<Checked> {
    const waitMs = throttle.waitMs(ip, login);
    if (waitMs > 0) return { kind: 'wait', waitMs };
    // Counted before the hash is known, so that attempts sent at once do not all pass; taken back on success.
    throttle.fail(ip, login);
    const user = (await users.list()).find((candidate) => candidate.login === login);
    const right = await passwords.verify(password, user?.password);
    if (!right || user === undefined || user.status !== 'active') return { kind: 'refused' };
    throttle.succeed(ip, login);
    return { kind: 'right', user: shown(user) };
  }

  return {
    async signIn(login, password, visitor) {
      const checked = await check(login, password, visitor.ip);
      if (checked.kind !== 'right') return checked;
      const token = await sessions.begin(checked.user.id, visitor);
      return { kind: 'signed-in', user: checked.user, token };
    },
    async userOf(token) {
      const session = await sessions.find(token);
      if (session === undefined) return undefined;
      const user = (await users.list()).find((candidate) => isInForce(candidate, session));
      return user && shown(user);
    },
    signOut: (token) => sessions.end(token),
    async changePassword(user, current, next, visitor) {
      const checked = await check(user.login, current, visitor.ip);
      if (checked.kind !== 'right') return checked;
      await changes.update(user.id, { password: next }, user.login);
      const token = await sessions.begin(user.id, visitor);
      return { kind: 'signed-in', user, token };
    },
    async list() {
      return (await users.list()).map(shown);
    },
    create: (draft, author) => changes.create(draft, author),
    update: (id, patch, author) => changes.update(id, patch, author),
    async ensureFirstManager(adminKey) {
      if ((await users.list()).length > 0) return false;
      const secret = await changes.hashed(adminKey);
      const made = await users.change((held) => {
        const [first] = held;
        // Another process was faster: writing its user again changes nothing.
        if (first !== undefined) return first;
        return {
          id: 1,
          login: FIRST_LOGIN,
          name: 'First manager',
          role: 'manager',
          advertiser_id: 0,
          affiliate_id: 0,
          status: 'active',
          ...secret,
        };
      }, 'sluice');
      return made.password === secret.password;
    },
  };
}
