/** Reads NDJSON: one object a line; blank lines are no records. What is wrong with an object is the caller's to find. */
import { isUtf8 } from 'node:buffer';
import { LINE_BYTES_MAX, RAW_KEPT_MAX } from './limits.ts';
import type { OnRecord, RecordReader } from './record.ts';

const LF = 0x0a;
const BLANK = /^\s*$/;

export function createNdjsonReader(onRecord: OnRecord): RecordReader {
  let pending: Buffer = Buffer.alloc(0);
  let line = 1;
  let skipping = false;

  function give(bytes: Buffer, from: number, to: number): void {
    const slice = bytes.subarray(from, to);
    const fault =
      to - from > LINE_BYTES_MAX
        ? { column: null, reason: `the line is longer than ${LINE_BYTES_MAX} bytes` }
        : isUtf8(slice)
          ? undefined
          : { column: null, reason: 'the line is not UTF-8 text' };
    const text = slice.toString('utf8', 0, fault === undefined ? slice.length : RAW_KEPT_MAX);
    if (fault !== undefined || !BLANK.test(text))
      onRecord({ line, values: undefined, text, fault });
  }

  function read(bytes: Buffer): void {
    let at = 0;
    for (;;) {
      const lf = bytes.indexOf(LF, at);
      if (lf < 0) break;
      if (skipping) skipping = false;
      else give(bytes, at, lf);
      line += 1;
      at = lf + 1;
    }
    if (skipping) return;
    if (bytes.length - at > LINE_BYTES_MAX) {
      give(bytes, at, bytes.length);
      skipping = true;
      pending = Buffer.alloc(0);
    } else pending = Buffer.from(bytes.subarray(at));
  }

  return {
    columns: [],
    ignoredColumns: [],
    push(bytes) {
      const joined = pending.length === 0 ? bytes : Buffer.concat([pending, bytes]);
      pending = Buffer.alloc(0);
      read(joined);
    },
    end() {
      if (pending.length > 0) give(pending, 0, pending.length);
    },
  };
}
