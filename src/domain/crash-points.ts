/**
 * The named points of a hit's way at which the fault tests make a process die. In production `Reach` does nothing;
 * `cli/crash.ts` arms it when SLUICE_CRASH_FILE is set.
 */
export const CRASH_POINTS = [
  /** Edge: the tick's hits are in the spool, nobody is answered yet. */
  'spool-written',
  /** Edge: the tick's hits are answered. */
  'answered',
  /** Edge: the chunk's job is in Redis. */
  'enqueued',
  /** Edge: ClickHouse has the chunk, its file is still there. */
  'confirmed',
  /** Worker: the click chunk's insert has answered, nothing is read back yet. */
  'clicks-inserted',
  /** Worker: the gate has judged the block, nothing is written. */
  'judged',
  /** Worker: the block's insert is under way. */
  'inserting',
  /** Worker: the block's insert has answered, its owner is not read back. */
  'inserted',
  /** Worker: the block is ours and in the log, the gate does not know it. */
  'committed',
  /** Worker: the gate has applied the block, the job is not finished. */
  'applied',
  /** Worker: the lane's old state is gone, the new one is not loaded. */
  'rebuilding',
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

/** Called when a point is reached. */
export type Reach = (point: CrashPoint) => void;

export const reachNothing: Reach = () => undefined;
