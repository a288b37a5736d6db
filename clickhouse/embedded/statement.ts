/** What must be known of a statement's text before the engine sees it: its kind, its FORMAT clause. */

/** read: has a result that may be large. insert: may bring data. other: a command; what it answers is small. */
export type StatementKind = 'read' | 'insert' | 'other';

const READING_WORDS: ReadonlySet<string> = new Set([
  'select',
  'with',
  'from',
  'show',
  'describe',
  'desc',
  'explain',
  'exists',
]);

/** Strings, quoted names, heredocs and comments, as the engine's lexer has them. */
const LITERAL =
  /'(?:[^'\\]|\\[\s\S]|'')*'|"(?:[^"\\]|\\[\s\S]|"")*"|`(?:[^`\\]|\\[\s\S]|``)*`|\$(\w*)\$[\s\S]*?\$\1\$|--[^\n]*|#[ !][^\n]*|\/\*[\s\S]*?\*\//g;

/** The text with comments and string contents blanked to spaces: same length, safe to search. */
export function blankLiterals(sql: string): string {
  return sql.replace(LITERAL, (literal) => ' '.repeat(literal.length));
}

export function kindOf(sql: string): StatementKind {
  const word = /^[\s(]*([a-z]+)/i.exec(blankLiterals(sql))?.[1]?.toLowerCase() ?? '';
  if (word === 'insert') return 'insert';
  return READING_WORDS.has(word) ? 'read' : 'other';
}

/** A second statement after a `;`. */
export function isStacked(sql: string): boolean {
  return /;\s*\S/.test(blankLiterals(sql));
}

/** The text without a closing `;` and what stands behind it. */
export function withoutSemicolon(sql: string): string {
  const at = blankLiterals(sql).search(/;[\s;]*$/);
  return at < 0 ? sql : sql.slice(0, at);
}

export interface SplitFormat {
  /** The statement up to its FORMAT clause. */
  readonly sql: string;
  readonly format: string | undefined;
  /** `SETTINGS …` that stood behind the FORMAT clause. */
  readonly settings: string;
}

/** Takes the closing `FORMAT X [SETTINGS …]` off a statement. */
export function splitFormat(sql: string): SplitFormat {
  const match = /\bFORMAT\s+([A-Za-z][A-Za-z0-9]*)\s*(SETTINGS\b[\s\S]*)?$/i.exec(
    blankLiterals(sql),
  );
  if (match === null) return { sql, format: undefined, settings: '' };
  const settingsLength = match[2]?.length ?? 0;
  return {
    sql: sql.slice(0, match.index).trimEnd(),
    format: match[1],
    settings: settingsLength === 0 ? '' : sql.slice(sql.length - settingsLength),
  };
}
