/**
 * Slows down password guessing: failures are counted by address and login, by address, and by login, over a sliding
 * quarter of an hour. Kept in this process: several API processes multiply the limits, losing Redis does not lift them.
 */
const WINDOW_MS = 15 * 60_000;
/** One address on one login; one address on any; any address on one login (wide, or anyone could lock a user out). */
const LIMITS = { pair: 10, address: 60, login: 200 } as const;
/** Keys remembered; beyond, the oldest go. */
const KEYS_MAX = 50_000;

export interface Throttle {
  /** Milliseconds to wait before another attempt is looked at; 0: go on. */
  waitMs(address: string, login: string): number;
  fail(address: string, login: string): void;
  /** Takes back the attempt's own `fail`, and forgets the pair's earlier ones. */
  succeed(address: string, login: string): void;
}

export function createThrottle(clock: () => number): Throttle {
  const failures = new Map<string, number[]>();

  function keysOf(address: string, login: string): readonly (readonly [string, number])[] {
    return [
      [`pair ${address} ${login}`, LIMITS.pair],
      [`address ${address}`, LIMITS.address],
      [`login ${login}`, LIMITS.login],
    ];
  }

  function recent(key: string): number[] {
    const since = clock() - WINDOW_MS;
    return (failures.get(key) ?? []).filter((atMs) => atMs > since);
  }

  return {
    waitMs(address, login) {
      const waits = keysOf(address, login).map(([key, limit]) => {
        // With `limit` failures in the window, the one that must leave it first decides.
        const deciding = recent(key).at(-limit);
        return deciding === undefined ? 0 : deciding + WINDOW_MS - clock();
      });
      return Math.max(0, ...waits);
    },
    fail(address, login) {
      for (const [key, limit] of keysOf(address, login)) {
        const kept = [...recent(key), clock()].slice(-limit);
        failures.delete(key);
        failures.set(key, kept);
      }
      while (failures.size > KEYS_MAX) {
        const oldest = failures.keys().next().value;
        if (oldest === undefined) break;
        failures.delete(oldest);
      }
    },
    succeed(address, login) {
      failures.delete(`pair ${address} ${login}`);
      for (const key of [`address ${address}`, `login ${login}`]) {
        const kept = (failures.get(key) ?? []).slice(0, -1);
        if (kept.length === 0) failures.delete(key);
        else failures.set(key, kept);
      }
    },
  };
}
