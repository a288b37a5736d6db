/** Finds out what a file is by its first bytes, whatever it is called, and reads it with the reader of that format. */
import { createCsvReader } from './csv.ts';
import { createJsonArrayReader } from './json-array.ts';
import { createNdjsonReader } from './ndjson.ts';
import { FileRefused, type OnRecord, type RecordReader } from './record.ts';

export type FileFormat = 'csv' | 'ndjson' | 'json';

export interface FileReader {
  push(bytes: Buffer): void;
  end(): void;
  /** Undefined until the first byte that tells. */
  readonly format: FileFormat | undefined;
  readonly columns: readonly string[];
  readonly ignoredColumns: readonly string[];
}

const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const FOREIGN: readonly { readonly start: readonly number[]; readonly what: string }[] = [
  { start: [0xff, 0xfe], what: 'UTF-16: save it as UTF-8' },
  { start: [0xfe, 0xff], what: 'UTF-16: save it as UTF-8' },
  {
    start: [0x50, 0x4b, 0x03, 0x04],
    what: 'a ZIP archive or a spreadsheet: send CSV, NDJSON or JSON, plain or gzip',
  },
  { start: [0x1f, 0x8b], what: 'packed twice: pack it once' },
  { start: [0x28, 0xb5, 0x2f, 0xfd], what: 'packed with zstd: send it plain or gzip' },
  { start: [0x42, 0x5a, 0x68], what: 'packed with bzip2: send it plain or gzip' },
  { start: [0xd0, 0xcf, 0x11, 0xe0], what: 'an old spreadsheet: send CSV, NDJSON or JSON' },
  { start: [0x25, 0x50, 0x44, 0x46], what: 'a PDF: send CSV, NDJSON or JSON' },
];
const BLANKS = new Set([0x20, 0x09, 0x0a, 0x0d]);

function formatOf(first: number): FileFormat {
  if (first === 0x5b) return 'json';
  return first === 0x7b ? 'ndjson' : 'csv';
}

export function createFileReader(columns: ReadonlySet<string>, onRecord: OnRecord): FileReader {
  let head: Buffer = Buffer.alloc(0);
  let format: FileFormat | undefined;
  let reader: RecordReader | undefined;

  function open(first: number): RecordReader {
    format = formatOf(first);
    if (format === 'csv') return createCsvReader(columns, onRecord);
    return format === 'json' ? createJsonArrayReader(onRecord) : createNdjsonReader(onRecord);
  }

  /** Decides once the first bytes are there; what was held back is then read. */
  function decide(atEnd: boolean): void {
    for (const { start, what } of FOREIGN) {
      if (start.every((byte, index) => head[index] === byte))
        throw new FileRefused(`the file is ${what}`);
    }
    if (head.length < BOM.length && !atEnd) return;
    const from = head.subarray(0, BOM.length).equals(BOM) ? BOM.length : 0;
    const at = head.findIndex((byte, index) => index >= from && !BLANKS.has(byte));
    if (at < 0) {
      if (atEnd) throw new FileRefused('the file is empty', { line: 1 });
      return;
    }
    reader = open(head[at] ?? 0);
    reader.push(head.subarray(from));
    head = Buffer.alloc(0);
  }

  return {
    push(bytes) {
      if (reader !== undefined) {
        reader.push(bytes);
        return;
      }
      head = Buffer.concat([head, bytes]);
      decide(false);
    },
    end() {
      if (reader === undefined) decide(true);
      reader?.end();
    },
    get format() {
      return format;
    },
    get columns() {
      return reader?.columns ?? [];
    },
    get ignoredColumns() {
      return reader?.ignoredColumns ?? [];
    },
  };
}
