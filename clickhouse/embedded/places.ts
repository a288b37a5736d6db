/** A bounded number of places for work that runs side by side; who finds none waits in order, or leaves when it gives up. */

export interface Places {
  /** Runs `work` with the number of the place it got. Rejects with the signal's reason when that fires while it waits. */
  enter<T>(work: (place: number) => Promise<T>, signal?: AbortSignal): Promise<T>;
}

export function createPlaces(count: number): Places {
  const free = Array.from({ length: count }, (_, place) => place);
  const waiting: ((place: number) => void)[] = [];

  function take(signal: AbortSignal | undefined): Promise<number> {
    const place = free.pop();
    if (place !== undefined) return Promise.resolve(place);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        waiting.splice(waiting.indexOf(arrive), 1);
        reject(signal?.reason instanceof Error ? signal.reason : new Error('gave up waiting'));
      };
      const arrive = (freed: number): void => {
        signal?.removeEventListener('abort', leave);
        resolve(freed);
      };
      signal?.addEventListener('abort', leave, { once: true });
      waiting.push(arrive);
    });
  }

  return {
    async enter(work, signal) {
      signal?.throwIfAborted();
      const place = await take(signal);
      try {
        return await work(place);
      } finally {
        const next = waiting.shift();
        if (next === undefined) free.push(place);
        else next(place);
      }
    },
  };
}
