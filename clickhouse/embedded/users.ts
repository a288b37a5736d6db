/** The port's users: `sluice`, who may do all, from loopback only; `analyst`, who reads the documented views. */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Role } from './access.ts';
import { RequestFault } from './http-errors.ts';
import type { RequestFields } from './request.ts';

export interface Passwords {
  readonly sluice: string;
  /** Null: no password, from loopback only. */
  readonly analyst: string | null;
}

function isLoopback(request: IncomingMessage): boolean {
  const address = request.socket.remoteAddress ?? '';
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Nobody and `default`, which BI tools send unasked, are the analyst. Throws for a wrong name or password. */
export function authenticate(
  request: IncomingMessage,
  fields: RequestFields,
  passwords: Passwords,
): Role {
  const user = fields.user === '' || fields.user === 'default' ? 'analyst' : fields.user;
  const local = isLoopback(request);
  if (user === 'sluice' && local && sameText(fields.password, passwords.sluice)) return 'owner';
  if (user === 'analyst') {
    const welcome =
      passwords.analyst === null ? local : sameText(fields.password, passwords.analyst);
    if (welcome) return 'analyst';
  }
  throw new RequestFault(
    516,
    'AUTHENTICATION_FAILED',
    `${user}: Authentication failed: password is incorrect, or there is no user with such name`,
  );
}
