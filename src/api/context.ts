/** What every route gets, and the two questions every route asks: who is it, and may they. */
import type { FastifyRequest } from 'fastify';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { ClickHouse } from '../../clickhouse/client.ts';
import type { Accounts } from '../accounts/accounts.ts';
import type { IpStorage } from '../domain/ip-storage.ts';
import type { User } from '../domain/user.ts';
import type { CatalogueStore } from '../catalogue/store.ts';
import type { RedisKeys } from '../redis/keys.ts';
import type { Principal } from '../reports/principal.ts';
import type { ApiKeys } from './keys.ts';
import { forbidden, Problem } from './problem.ts';

export interface ApiContext {
  /** A connection of the analyst's rights is not needed: the report builder admits no SQL from outside. */
  readonly clickhouse: ClickHouse;
  readonly redis: Redis;
  readonly createSubscriber: () => Redis;
  readonly keys: RedisKeys;
  readonly store: CatalogueStore;
  readonly apiKeys: ApiKeys;
  readonly accounts: Accounts;
  /** Where the tracking front is reached from outside: a URL, else this port of the console's own host. */
  readonly tracking: { readonly url: string | null; readonly port: number };
  /** Where the edge is for this process, and the key that it takes for a manager's: for uploads of signed-in users. */
  readonly batchGate: { readonly edgeUrl: string; readonly key: string };
  /** CIDRs of proxies whose X-Forwarded-For tells the caller's address. */
  readonly trustedProxies: readonly string[];
  /** How visitors' addresses are stored: the gate compares what the workers compare. */
  readonly ips: IpStorage;
  readonly logger: Logger;
}

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal | null;
    /** The signed-in user; null for a key. */
    user: User | null;
  }
}

export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null)
    throw new Problem(
      401,
      'Unauthorized',
      'sign in, or send an API key: Authorization: Bearer <key>',
    );
  return request.principal;
}

export function requireManager(request: FastifyRequest): Principal {
  const principal = principalOf(request);
  if (principal.role !== 'manager') throw forbidden('only managers may do this');
  return principal;
}

/** Query parameters with repeated ones as lists. */
export function queryParameters(request: FastifyRequest): Map<string, string[]> {
  const url = new URL(request.url, 'http://api');
  const parameters = new Map<string, string[]>();
  for (const [name, value] of url.searchParams) {
    const values = parameters.get(name);
    if (values === undefined) parameters.set(name, [value]);
    else values.push(value);
  }
  return parameters;
}
