/**
 * Password hashes: scrypt with a salt of their own, the cost written beside each so that it can be raised later.
 * Hashing takes 64 MiB and some tenths of a second on purpose; few run at once, and a full queue refuses.
 */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { AppError } from '../domain/app-error.ts';

interface Cost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/** OWASP's advice for scrypt at 64 MiB. */
const COST: Cost = { N: 2 ** 16, r: 8, p: 2 };
const MEMORY_BYTES_MAX = 256 * 1024 * 1024;
const HASH_BYTES = 32;
const AT_ONCE = 2;
const WAITING_MAX = 30;

export const PASSWORD_LENGTH_MIN = 10;
export const PASSWORD_LENGTH_MAX = 200;

export interface Passwords {
  hash(password: string): Promise<string>;
  /** False for a wrong password. With no stored hash it takes as long and is false: a login can't be guessed by time. */
  verify(password: string, stored: string | undefined): Promise<boolean>;
}

function derive(password: string, salt: Buffer, cost: Cost): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // NFKC: the same password typed on two keyboards is the same bytes.
    const text = password.normalize('NFKC');
    scrypt(text, salt, HASH_BYTES, { ...cost, maxmem: MEMORY_BYTES_MAX }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

function createQueue() {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async function enter<T>(work: () => Promise<T>): Promise<T> {
    if (running >= AT_ONCE) {
      if (waiting.length >= WAITING_MAX)
        throw new AppError('SIGN_IN_BUSY', 'too many sign-ins at once: try again in a moment');
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      running++;
    }
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}

function parse(stored: string): { cost: Cost; salt: Buffer; key: Buffer } | undefined {
  const [scheme, N, r, p, salt, key] = stored.split(':');
  if (scheme !== 'scrypt' || salt === undefined || key === undefined) return undefined;
  return {
    cost: { N: Number(N), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, 'base64url'),
    key: Buffer.from(key, 'base64url'),
  };
}

export function createPasswords(cost: Cost = COST): Passwords {
  const enter = createQueue();
  return {
    async hash(password) {
      const salt = randomBytes(16);
      const key = await enter(() => derive(password, salt, cost));
      const numbers = `${cost.N}:${cost.r}:${cost.p}`;
      return `scrypt:${numbers}:${salt.toString('base64url')}:${key.toString('base64url')}`;
    },
    async verify(password, stored) {
      const parsed = stored === undefined ? undefined : parse(stored);
      const salt = parsed?.salt ?? randomBytes(16);
      const key = await enter(() => derive(password, salt, parsed?.cost ?? cost));
      return parsed !== undefined && key.length === parsed.key.length
        ? timingSafeEqual(key, parsed.key)
        : false;
    },
  };
}
