/** An INSERT's text: where its data begins, and the same statement with the data in a file. */
import { quoteString } from '../quote-string.ts';
import { blankLiterals } from './statement.ts';

export interface InsertHead {
  /** The statement without its data and without its FORMAT clause. */
  readonly statement: string;
  /** Undefined: it brings no data of its own (INSERT … SELECT). */
  readonly format: string | undefined;
  /** Bytes of the text up to the data. */
  readonly dataOffset: number;
}

/** Blanks what stands in brackets too: clauses of the INSERT itself remain. */
function blankBrackets(blanked: string): string {
  let depth = 0;
  let out = '';
  for (const char of blanked) {
    if (char === '(') depth += 1;
    out += depth > 0 ? ' ' : char;
    if (char === ')') depth = Math.max(0, depth - 1);
  }
  return out;
}

const FORMAT = /\bFORMAT\s+([A-Za-z][A-Za-z0-9]*)(?=\s|;|$)/i;
/** Between a FORMAT clause and its data. Sought in the text itself: blanked data looks like space. */
const BEFORE_DATA = /^(?:[ \t]*\r?\n|[ \t]+)/;

/**
 * `text` is the statement, or its beginning when data follows in the same body. Latin-1 text keeps offsets in bytes.
 */
export function readInsertHead(text: string): InsertHead {
  const clauses = blankBrackets(blankLiterals(text));
  const values = /\bVALUES\b/i.exec(clauses);
  const select = /\b(SELECT|WITH)\b/i.exec(clauses);
  const format = FORMAT.exec(clauses);
  if (values !== null && values.index < (select?.index ?? Infinity)) {
    if (format === null || values.index < format.index) {
      return {
        statement: text.slice(0, values.index),
        format: 'Values',
        dataOffset: values.index + values[0].length,
      };
    }
  }
  if (format === null) {
    return { statement: text, format: undefined, dataOffset: text.length };
  }
  const end = format.index + format[0].length;
  return {
    statement: text.slice(0, format.index),
    format: format[1] ?? '',
    dataOffset: end + (BEFORE_DATA.exec(text.slice(end))?.[0].length ?? 0),
  };
}

/** `INSERT … SELECT … FROM input('structure')`: on a server input() is the data that follows. */
const INPUT = /\binput\s*\(/i;

/** The statement with its data in `file`: input() becomes file(), anything else gets FROM INFILE. */
export function withDataFile(
  head: InsertHead,
  file: string,
  compression: string | undefined,
): string {
  const { statement } = head;
  const format = head.format ?? 'TabSeparated';
  const blanked = blankLiterals(statement);
  const input = INPUT.exec(blanked);
  if (input !== null) {
    const end = blanked.indexOf(')', input.index);
    const structure = statement.slice(input.index + input[0].length, end);
    const packed = compression === undefined ? '' : `, ${quoteString(compression)}`;
    const source = `file(${quoteString(file)}, ${quoteString(format)}, ${structure}${packed})`;
    return `${statement.slice(0, input.index)}${source}${statement.slice(end + 1)}`;
  }
  const settings = /\bSETTINGS\b/i.exec(blankBrackets(blanked));
  const at = settings?.index ?? statement.length;
  const packed = compression === undefined ? '' : ` COMPRESSION ${quoteString(compression)}`;
  return `${statement.slice(0, at)} FROM INFILE ${quoteString(file)}${packed} ${statement.slice(at)} FORMAT ${format}`;
}
