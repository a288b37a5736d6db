/**
 * What was read from a store serves for a moment; what is changed here holds here at once, elsewhere once a read there is
 * no longer fresh. Owns no reading and no writing: both are the caller's.
 */
export interface FreshReads<Value> {
  /** What is held under the key while it is fresh, else what `load` reads. Rejects as `load` does, and holds nothing then. */
  get(key: string, load: () => Promise<Value>): Promise<Value>;
  /** To be called when a change has ended, well or not: one that failed may be stored all the same. */
  changed(key: string): void;
}

export function createFreshReads<Value>(options: {
  readonly clock: () => number;
  /** How long a read serves, from when it was asked for. */
  readonly freshMs: number;
  /** Keys held; the oldest read goes first. */
  readonly entriesMax: number;
}): FreshReads<Value> {
  const { clock, freshMs, entriesMax } = options;
  const held = new Map<string, { readonly atMs: number; readonly value: Value }>();
  let changes = 0;

  function hold(key: string, value: Value, atMs: number): void {
    held.delete(key);
    held.set(key, { atMs, value });
    if (held.size <= entriesMax) return;
    const oldest = held.keys().next().value;
    if (oldest !== undefined) held.delete(oldest);
  }

  return {
    async get(key, load) {
      const known = held.get(key);
      if (known !== undefined && clock() - known.atMs < freshMs) return known.value;
      const changesBefore = changes;
      const atMs = clock();
      const value = await load();
      // What was under way during a change may be from before it.
      if (changes === changesBefore) hold(key, value, atMs);
      return value;
    },
    changed(key) {
      changes += 1;
      held.delete(key);
    },
  };
}
