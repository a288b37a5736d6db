/** What the readers of the three formats give: records with their line, and the refusal of a whole file. */

/** A fault in one line: which column, counted from 1 or by name, and what is wrong there. */
export interface LineFault {
  readonly column: string | number | null;
  readonly reason: string;
}

export interface FileRecord {
  /** From 1; of a JSON array the number of the element. */
  readonly line: number;
  /** CSV: values by parameter name, the empty ones left out. JSON: undefined, `text` is the object. */
  readonly values: Readonly<Record<string, string>> | undefined;
  /** The record as it stands in the file; of one that is too long its beginning. */
  readonly text: string;
  readonly fault: LineFault | undefined;
}

export type OnRecord = (record: FileRecord) => void;

/** Takes the unpacked bytes of a file piece by piece, however they are cut, and gives its records in order. */
export interface RecordReader {
  /** Throws FileRefused. `bytes` may be reused after the call. */
  push(bytes: Buffer): void;
  /** The file ends here. Throws FileRefused. */
  end(): void;
  /** Parameters that a CSV header names. */
  readonly columns: readonly string[];
  /** Columns of a CSV header that are no parameters: they are ignored. */
  readonly ignoredColumns: readonly string[];
}

/** The file can't be read as a file: nothing of it is stored. */
export class FileRefused extends Error {
  readonly status: 400 | 413 | 415;
  readonly line: number | null;
  readonly column: string | number | null;
  constructor(
    reason: string,
    place: { readonly line?: number; readonly column?: string | number } = {},
    status: 400 | 413 | 415 = 400,
  ) {
    super(reason);
    this.status = status;
    this.line = place.line ?? null;
    this.column = place.column ?? null;
  }
}
