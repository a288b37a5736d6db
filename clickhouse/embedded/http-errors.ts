/** Exception codes as ClickHouse has them, and its own mapping of them to HTTP status. */
export interface EngineFault {
  readonly code: number;
  readonly status: number;
  readonly message: string;
}

/** Codes by status, after the server's table; any other code is 500. */
const CODES_BY_STATUS: ReadonlyMap<number, readonly number[]> = new Map([
  [
    400,
    [
      6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427,
      441, 675, 676,
    ],
  ],
  [401, [194]],
  [403, [192, 193, 497, 512, 516]],
  [404, [46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511]],
  [408, [159]],
  [411, [381]],
  [413, [229]],
  [415, [779]],
  [501, [48]],
  [503, [76, 209, 439]],
]);
const STATUS: ReadonlyMap<number, number> = new Map(
  [...CODES_BY_STATUS].flatMap(([status, codes]) => codes.map((code) => [code, status] as const)),
);

/** A refusal in the server's words, thrown to become the answer. */
export class RequestFault extends Error {
  readonly fault: EngineFault;
  constructor(code: number, name: string, message: string, status?: number) {
    super(message);
    this.fault = {
      code,
      status: status ?? STATUS.get(code) ?? 500,
      message: `Code: ${code}. DB::Exception: ${message}. (${name})`,
    };
  }
}

export function faultOf(error: unknown): EngineFault {
  if (error instanceof RequestFault) return error.fault;
  const text = error instanceof Error ? error.message : String(error);
  // The engine wraps an error of a file of ours; the first code is the statement's.
  const code = Number(/Code: (\d+)/.exec(text)?.[1] ?? 1002);
  const message = text.startsWith('Code:')
    ? text
    : `Code: ${code}. DB::Exception: ${text}. (UNKNOWN_EXCEPTION)`;
  return { code, status: STATUS.get(code) ?? 500, message };
}
