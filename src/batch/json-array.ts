/**
 * Reads a JSON array of objects as a stream: finds where each element begins and ends by brackets and quotes alone, and
 * leaves reading it to the caller. So a broken element spoils itself; only an array that does not close is refused.
 */
import { isUtf8 } from 'node:buffer';
import { LINE_BYTES_MAX, RAW_KEPT_MAX } from './limits.ts';
import { FileRefused, type OnRecord, type RecordReader } from './record.ts';

const OPEN = new Set([0x5b, 0x7b]);
const CLOSE = new Set([0x5d, 0x7d]);
const [LF, QUOTE, BACKSLASH, COMMA, CLOSE_ARRAY] = [0x0a, 0x22, 0x5c, 0x2c, 0x5d];
const BLANKS = new Set([0x20, 0x09, 0x0a, 0x0d]);

export function createJsonArrayReader(onRecord: OnRecord): RecordReader {
  /** 0: before the array, 1: between elements or in a plain one, more: inside of one; -1: after the array. */
  let depth = 0;
  let inString = false;
  let escaped = false;
  let element = 1;
  let elements = 0;
  /** Line and column (in bytes) in the file, for refusals. */
  let line = 1;
  let lineStart = 0;
  let offset = 0;
  /** The bytes of the element so far, from earlier pieces. */
  let parts: Buffer[] = [];
  let partBytes = 0;

  function refuse(reason: string): never {
    throw new FileRefused(reason, { line, column: offset - lineStart + 1 });
  }

  function keep(bytes: Buffer, from: number, to: number): void {
    // Of an element that is too long only so much is kept as shows that it is.
    const room = Math.min(to - from, LINE_BYTES_MAX + 1 - Math.min(partBytes, LINE_BYTES_MAX + 1));
    if (room > 0) parts.push(Buffer.from(bytes.subarray(from, from + room)));
    partBytes += to - from;
  }

  function give(isLast: boolean): void {
    const bytes = Buffer.concat(parts);
    const tooLong = partBytes > LINE_BYTES_MAX;
    parts = [];
    partBytes = 0;
    const text = bytes.toString('utf8', 0, tooLong ? RAW_KEPT_MAX : bytes.length).trim();
    if (text === '' && isLast && elements === 0) return;
    elements += 1;
    let reason = '';
    if (tooLong) reason = `the element is longer than ${LINE_BYTES_MAX} bytes`;
    else if (text === '') reason = 'nothing stands between two commas';
    else if (!isUtf8(bytes)) reason = 'the element is not UTF-8 text';
    const fault = reason === '' ? undefined : { column: null, reason };
    onRecord({ line: element, values: undefined, text, fault });
    element += 1;
  }

  function inside(byte: number): void {
    if (inString) {
      if (escaped) escaped = false;
      else if (byte === BACKSLASH) escaped = true;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (OPEN.has(byte)) depth += 1;
    // One that closes nothing is a fault of its element, not the end of the array.
    else if (CLOSE.has(byte) && depth > 1) depth -= 1;
  }

  /** One byte outside of the elements; true when it opened the array. */
  function outside(byte: number): boolean {
    if (BLANKS.has(byte)) return false;
    if (depth < 0) refuse('something follows the end of the JSON array');
    depth = 1;
    return true;
  }

  return {
    columns: [],
    ignoredColumns: [],
    push(bytes) {
      let from = 0;
      for (let at = 0; at < bytes.length; at++, offset++) {
        const byte = bytes[at] ?? 0;
        if (byte === LF) {
          line += 1;
          lineStart = offset + 1;
        }
        if (depth <= 0) {
          if (outside(byte)) from = at + 1;
        } else if (depth === 1 && !inString && (byte === COMMA || byte === CLOSE_ARRAY)) {
          keep(bytes, from, at);
          from = at + 1;
          give(byte === CLOSE_ARRAY);
          if (byte === CLOSE_ARRAY) depth = -1;
        } else inside(byte);
      }
      if (depth > 0) keep(bytes, from, bytes.length);
    },
    end() {
      if (depth === 0) refuse('the file is empty');
      if (depth > 0) {
        const where = inString ? 'a quote is missing' : 'a bracket is missing';
        refuse(
          `the JSON array is not closed (${where}): the file is cut, or broken in or after element ${element}`,
        );
      }
    },
  };
}
