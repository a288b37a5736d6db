/** ClickHouse's own mapping of exception codes to HTTP status, for the codes that clients meet. */
export interface EngineFault {
  readonly code: number;
  readonly status: number;
  readonly message: string;
}

const STATUS: ReadonlyMap<number, number> = new Map([
  [6, 400],
  [26, 400],
  [27, 400],
  [38, 400],
  [41, 400],
  [42, 400],
  [43, 400],
  [44, 400],
  [47, 404],
  [51, 400],
  [53, 400],
  [62, 400],
  [69, 400],
  [72, 400],
  [73, 404],
  [117, 400],
  [130, 400],
  [158, 400],
  [160, 500],
  [60, 404],
  [81, 404],
  [46, 404],
  [115, 404],
  [164, 403],
  [193, 403],
  [194, 403],
  [241, 500],
  [285, 503],
  [159, 408],
  [386, 400],
  [396, 500],
  [456, 400],
  [457, 400],
  [497, 403],
  [516, 403],
  [48, 501],
]);

export function faultOf(error: unknown): EngineFault {
  const text = error instanceof Error ? error.message : String(error);
  const code = Number(/Code: (\d+)/.exec(text)?.[1] ?? 1002);
  const message = text.startsWith('Code:') ? text : `Code: ${code}. DB::Exception: ${text}`;
  return { code, status: STATUS.get(code) ?? 500, message };
}

/** A fault of our own, in the server's words. */
export function fault(code: number, name: string, message: string): EngineFault {
  return {
    code,
    status: STATUS.get(code) ?? 500,
    message: `Code: ${code}. DB::Exception: ${message}. (${name})`,
  };
}
