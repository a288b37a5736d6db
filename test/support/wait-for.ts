/** Waits for a condition instead of a time. */
export interface WaitOptions {
  readonly timeoutMs: number;
  /** What is waited for, for the error. */
  readonly what: string;
  readonly intervalMs?: number;
}

/** Resolves with the first value that is neither undefined nor false; rejects with what was waited for. */
export async function waitFor<T>(
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  options: WaitOptions,
): Promise<T> {
  const until = Date.now() + options.timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > until) throw new Error(`waited ${options.timeoutMs} ms for ${options.what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, options.intervalMs ?? 50);
    });
  }
}
