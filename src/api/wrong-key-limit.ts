/**
 * Guessing of credentials is slowed by address: after so many wrong ones in a window the address must wait, right or
 * wrong. Credentials that were right from that address before go on, so that a neighbour behind the same NAT or proxy
 * can't lock anyone out. In memory, so by process.
 */
import { uniqueIpOf } from '../domain/ip-rules.ts';

export interface WrongKeyLimit {
  /** Seconds that the address must wait before this credential is looked at; 0: none. */
  secondsToWait(address: string, credentialHash: string): number;
  recordWrong(address: string): void;
  recordRight(address: string, credentialHash: string): void;
}

/** Entries kept; beyond, the oldest are forgotten. An attacker with more addresses than this is not slowed by any limit. */
const ADDRESSES_MAX = 50_000;

function forgetOldest(entries: {
  size: number;
  keys(): Iterator<string>;
  delete(key: string): boolean;
}): void {
  if (entries.size <= ADDRESSES_MAX) return;
  const { value } = entries.keys().next();
  if (value !== undefined) entries.delete(value);
}

export function createWrongKeyLimit(options: {
  readonly wrongMax: number;
  readonly windowMs: number;
  readonly clock: () => number;
}): WrongKeyLimit {
  const wrong = new Map<string, { count: number; readonly endsAtMs: number }>();
  const right = new Set<string>();
  // An IPv6 caller has a whole /64 to itself.
  const networkOf = (address: string): string => uniqueIpOf(address) || address;
  return {
    secondsToWait(address, credentialHash) {
      const network = networkOf(address);
      const entry = wrong.get(network);
      const leftMs = (entry?.endsAtMs ?? 0) - options.clock();
      if (entry === undefined || leftMs <= 0 || entry.count < options.wrongMax) return 0;
      return right.has(`${network} ${credentialHash}`) ? 0 : Math.ceil(leftMs / 1000);
    },
    recordWrong(address) {
      const network = networkOf(address);
      const now = options.clock();
      const entry = wrong.get(network);
      if (entry !== undefined && entry.endsAtMs > now) {
        entry.count += 1;
        return;
      }
      // Deleted first, so that the map stays in the order of its windows.
      wrong.delete(network);
      wrong.set(network, { count: 1, endsAtMs: now + options.windowMs });
      forgetOldest(wrong);
    },
    recordRight(address, credentialHash) {
      right.add(`${networkOf(address)} ${credentialHash}`);
      forgetOldest(right);
    },
  };
}
