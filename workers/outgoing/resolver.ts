/** Names to addresses by DNS itself: the system's look-up would hold a thread of the pool for as long as a name server likes. */
import { Resolver } from 'node:dns/promises';
import { literalAddress } from '../../src/domain/outgoing-address.ts';

/** Every address of a host, IPv4 first; rejects when there is none. */
export type ResolveHost = (hostname: string) => Promise<readonly string[]>;

const TIMEOUT_MS = 1_500;
const TRIES = 2;

export function createHostResolver(): ResolveHost {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  return async (hostname) => {
    const literal = literalAddress(hostname);
    if (literal !== undefined) return [literal];
    const [v4, v6] = await Promise.allSettled([
      resolver.resolve4(hostname),
      resolver.resolve6(hostname),
    ]);
    const found = [v4, v6].flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (found.length > 0) return found;
    const why: unknown = v4.status === 'rejected' ? v4.reason : undefined;
    throw new Error(`no address of ${hostname}`, { cause: why });
  };
}
