/**
 * Reads CSV with a header, columns in any order, separated by `;`, `,` or tab, LF or CRLF, quoted fields that may hold
 * line ends. Damage stays in its line: a quote that never closes spoils the line it stands in, not the rest of the file.
 * Hand-written because libraries skip from a broken quote to the next one and lose the lines between without a word.
 */
import { isUtf8 } from 'node:buffer';
import { COLUMNS_MAX, LINE_BYTES_MAX, RAW_KEPT_MAX } from './limits.ts';
import { FileRefused, type LineFault, type OnRecord, type RecordReader } from './record.ts';

const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;
const DELIMITERS = [',', ';', '\t'] as const;
interface Fields {
  readonly kind: 'fields';
  readonly fields: readonly string[];
  /** Where the next record begins. */
  readonly next: number;
  readonly lines: number;
}
interface Broken {
  readonly kind: 'broken';
  readonly fault: LineFault;
}
/** The quoted field may close in bytes that have not come yet. */
interface More {
  readonly kind: 'more';
}

function unquote(bytes: Buffer, from: number, to: number, escaped: boolean): string {
  const text = bytes.toString('utf8', from, to);
  return escaped ? text.replaceAll('""', '"') : text;
}

function countLines(bytes: Buffer, from: number, to: number): number {
  let lines = 0;
  for (let at = bytes.indexOf(LF, from); at >= 0 && at < to; at = bytes.indexOf(LF, at + 1))
    lines += 1;
  return lines;
}

/** The quoted field that opens at `at`: where its closing quote stands (-1: nowhere before `limit`), and whether it holds quotes. */
function closingQuote(
  bytes: Buffer,
  at: number,
  limit: number,
): { readonly at: number; readonly escaped: boolean } {
  let escaped = false;
  let quote = bytes.indexOf(QUOTE, at + 1);
  while (quote >= 0 && quote < limit) {
    if (bytes[quote + 1] !== QUOTE) return { at: quote, escaped };
    escaped = true;
    quote = bytes.indexOf(QUOTE, quote + 2);
  }
  return { at: -1, escaped };
}

/** What is at the limit of a search: bytes to come, the end of what may belong to the record, or a bound we set. */
type Beyond = 'more' | 'end' | 'bound';

function beyondLimit(beyond: Beyond, column: number, inQuotes: boolean): Broken | More {
  if (beyond === 'more') return { kind: 'more' };
  const reason = inQuotes
    ? 'the quote that opens is never closed'
    : `the line is longer than ${LINE_BYTES_MAX} bytes`;
  return { kind: 'broken', fault: { column, reason } };
}

/** Reads the record with quotes that begins at `from` and must end before `limit`. */
function readQuoted(
  bytes: Buffer,
  from: number,
  limit: number,
  delimiter: number,
  beyond: Beyond,
): Fields | Broken | More {
  const fields: string[] = [];
  let at = from;
  for (;;) {
    let end: number;
    if (bytes[at] === QUOTE) {
      const close = closingQuote(bytes, at, limit);
      if (close.at < 0 || (close.at + 1 >= limit && beyond === 'more'))
        return beyondLimit(beyond, fields.length + 1, true);
      fields.push(unquote(bytes, at + 1, close.at, close.escaped));
      end = close.at + 1;
      if (bytes[end] === CR && (bytes[end + 1] === LF || end + 1 >= limit)) end += 1;
      if (end >= limit && beyond !== 'end') return beyondLimit(beyond, fields.length, false);
      if (end < limit && bytes[end] !== delimiter && bytes[end] !== LF) {
        const column = fields.length;
        return {
          kind: 'broken',
          fault: {
            column,
            reason: 'text follows the closing quote: double a quote that belongs to the value',
          },
        };
      }
    } else {
      end = at;
      while (end < limit && bytes[end] !== delimiter && bytes[end] !== LF) end += 1;
      if (end >= limit && beyond !== 'end') return beyondLimit(beyond, fields.length + 1, false);
      const textEnd = bytes[end - 1] === CR && bytes[end] !== delimiter && end > at ? end - 1 : end;
      fields.push(bytes.toString('utf8', at, textEnd));
    }
    if (end >= limit || bytes[end] === LF) {
      const next = Math.min(end + 1, limit);
      return { kind: 'fields', fields, next, lines: Math.max(1, countLines(bytes, from, next)) };
    }
    at = end + 1;
  }
}

interface Header {
  readonly delimiter: string;
  /** Parameter names by column; '' for columns that are ignored. */
  readonly names: readonly string[];
  readonly ignored: readonly string[];
}

function splitHeader(text: string, delimiter: string): string[] {
  return text.split(delimiter).map((cell) => {
    const trimmed = cell.trim();
    const bare = /^"(.*)"$/s.exec(trimmed)?.[1] ?? trimmed;
    return bare.trim().toLowerCase();
  });
}

/** Reads the header; the separator is the one that yields most parameters. */
function readHeader(text: string, line: number, known: ReadonlySet<string>): Header {
  const count = (names: readonly string[]): number =>
    names.filter((name) => known.has(name)).length;
  const [best] = DELIMITERS.map((delimiter) => ({
    delimiter,
    names: splitHeader(text, delimiter),
  })).toSorted((a, b) => count(b.names) - count(a.names) || b.names.length - a.names.length);
  if (best === undefined || count(best.names) === 0) {
    throw new FileRefused(
      'the first line names no parameter: a CSV file begins with a header such as click_id;goal_alias;amount',
      { line, column: 1 },
    );
  }
  const { delimiter, names } = best;
  if (names.length > COLUMNS_MAX)
    throw new FileRefused(`the header has ${names.length} columns; ${COLUMNS_MAX} is the limit`, {
      line,
    });
  for (const [index, name] of names.entries()) {
    if (known.has(name) && names.indexOf(name) < index)
      throw new FileRefused(`the header names ${name} twice`, { line, column: index + 1 });
  }
  return {
    delimiter,
    names: names.map((name) => (known.has(name) ? name : '')),
    ignored: names.filter((name) => !known.has(name)).map((name) => name.slice(0, 100)),
  };
}

export function createCsvReader(known: ReadonlySet<string>, onRecord: OnRecord): RecordReader {
  let pending: Buffer = Buffer.alloc(0);
  let line = 1;
  let header: Header | undefined;
  /** Inside of a line that is too long: bytes are dropped up to its end. */
  let skipping = false;

  function faulty(at: number, text: string, fault: LineFault): void {
    const name = typeof fault.column === 'number' ? header?.names[fault.column - 1] : undefined;
    const column = name === undefined || name === '' ? fault.column : name;
    onRecord({
      line: at,
      values: undefined,
      text: text.slice(0, RAW_KEPT_MAX),
      fault: { ...fault, column },
    });
  }

  function give(fields: readonly string[], at: number, text: () => string): void {
    const { names } = header ?? { names: [] };
    if (fields.length !== names.length) {
      const reason = `the line has ${fields.length} columns, the header ${names.length}`;
      faulty(at, text(), { column: Math.min(fields.length, names.length) + 1, reason });
      return;
    }
    const values: Record<string, string> = {};
    for (const [index, name] of names.entries()) {
      const value = fields[index] ?? '';
      if (name !== '' && value !== '') values[name] = value;
    }
    onRecord({ line: at, values, text: '', fault: undefined });
  }

  function givePlain(bytes: Buffer, from: number, to: number): void {
    const end = to > from && bytes[to - 1] === CR ? to - 1 : to;
    if (end === from) return;
    const slice = bytes.subarray(from, end);
    const text = slice.toString('utf8');
    if (!isUtf8(slice)) {
      faulty(line, text, { column: null, reason: 'the line is not UTF-8 text' });
    } else if (header === undefined) {
      if (text.trim() !== '') header = readHeader(text, line, known);
    } else if (text.trim() !== '') {
      give(text.split(header.delimiter), line, () => text);
    }
  }

  /** Reads the record at `from`; returns where the next begins, or -1 when more bytes are needed. */
  function readRecord(bytes: Buffer, from: number, whole: boolean): number {
    const lf = bytes.indexOf(LF, from);
    const physicalEnd = lf < 0 ? bytes.length : lf;
    if (physicalEnd - from > LINE_BYTES_MAX) return tooLong(bytes, from, lf);
    if (lf < 0 && !whole) return -1;
    const quote = header === undefined ? -1 : bytes.subarray(from, physicalEnd).indexOf(QUOTE);
    if (quote < 0) {
      givePlain(bytes, from, physicalEnd);
      line += 1;
      return physicalEnd + 1;
    }
    return readRecordWithQuotes(bytes, from, physicalEnd, whole);
  }

  function readRecordWithQuotes(
    bytes: Buffer,
    from: number,
    physicalEnd: number,
    whole: boolean,
  ): number {
    const delimiter = header?.delimiter.charCodeAt(0) ?? 0;
    // The search for a closing quote ends at the next line with a quote too many, or here: reading stays linear.
    const limit = Math.min(bytes.length, from + LINE_BYTES_MAX);
    const beyond = limit < bytes.length ? 'bound' : whole ? 'end' : 'more';
    const read = readQuoted(bytes, from, limit, delimiter, beyond);
    if (read.kind === 'more') return -1;
    if (read.kind === 'broken') {
      faulty(line, bytes.toString('utf8', from, physicalEnd), read.fault);
      line += 1;
      return physicalEnd + 1;
    }
    const slice = bytes.subarray(from, read.next);
    const text = (): string => slice.toString('utf8');
    if (isUtf8(slice)) give(read.fields, line, text);
    else faulty(line, text(), { column: null, reason: 'the line is not UTF-8 text' });
    line += read.lines;
    return read.next;
  }

  function tooLong(bytes: Buffer, from: number, lf: number): number {
    if (header === undefined)
      throw new FileRefused(
        `the first line is longer than ${LINE_BYTES_MAX} bytes: this is no CSV file`,
        { line },
      );
    faulty(line, bytes.toString('utf8', from, from + RAW_KEPT_MAX), {
      column: null,
      reason: `the line is longer than ${LINE_BYTES_MAX} bytes`,
    });
    line += 1;
    skipping = lf < 0;
    return lf < 0 ? bytes.length : lf + 1;
  }

  function read(bytes: Buffer, whole: boolean): void {
    let at = 0;
    if (skipping) {
      const lf = bytes.indexOf(LF);
      if (lf < 0) return;
      skipping = false;
      at = lf + 1;
    }
    while (at < bytes.length) {
      const next = readRecord(bytes, at, whole);
      if (next < 0) break;
      at = next;
    }
    pending = at < bytes.length ? Buffer.from(bytes.subarray(at)) : Buffer.alloc(0);
  }

  return {
    push(bytes) {
      read(pending.length === 0 ? bytes : Buffer.concat([pending, bytes]), false);
    },
    end() {
      read(pending, true);
      if (header === undefined) throw new FileRefused('the file is empty', { line: 1 });
    },
    get columns() {
      return header?.names ?? [];
    },
    get ignoredColumns() {
      return header?.ignored ?? [];
    },
  };
}
