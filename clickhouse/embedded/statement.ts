/** What must be known of a statement's text before the engine sees it: its kind, its FORMAT clause, where data begins. */

export type StatementKind = 'select' | 'insert' | 'other';

/** The text with comments and string contents blanked to spaces: same length, safe to search. */
export function blankLiterals(sql: string): string {
  return sql.replace(
    /'(?:[^'\\]|\\[\s\S]|'')*'|"(?:[^"\\]|\\[\s\S])*"|`(?:[^`\\]|\\[\s\S])*`|--[^\n]*|\/\*[\s\S]*?\*\//g,
    (literal) => ' '.repeat(literal.length),
  );
}

export function kindOf(sql: string): StatementKind {
  const word = /^[\s(]*([a-z]+)/i.exec(blankLiterals(sql))?.[1]?.toLowerCase() ?? '';
  if (word === 'insert') return 'insert';
  return ['select', 'with', 'show', 'describe', 'desc', 'explain', 'exists', 'from'].includes(word)
    ? 'select'
    : 'other';
}

/** A second statement after a `;`. */
export function isStacked(sql: string): boolean {
  return /;\s*\S/.test(blankLiterals(sql));
}

/** The text without a closing `;`. */
export function withoutSemicolon(sql: string): string {
  const at = blankLiterals(sql).search(/;\s*$/);
  return at < 0 ? sql : sql.slice(0, at);
}

export interface SplitFormat {
  /** The statement without its FORMAT clause; SETTINGS after it are kept. */
  readonly sql: string;
  readonly format: string | undefined;
}

/** Takes the closing `FORMAT X` off a reading statement: the engine gets the format beside the text. */
export function splitFormat(sql: string): SplitFormat {
  const match = /\bFORMAT\s+([A-Za-z][A-Za-z0-9]*)\s*(SETTINGS\b[\s\S]*)?$/i.exec(
    blankLiterals(sql),
  );
  if (match === null) return { sql, format: undefined };
  const settingsLength = match[2]?.length ?? 0;
  const settings = settingsLength === 0 ? '' : ` ${sql.slice(sql.length - settingsLength)}`;
  return { sql: `${sql.slice(0, match.index).trimEnd()}${settings}`, format: match[1] };
}

/**
 * An INSERT whose data follows inline: the end of its `FORMAT X` clause, or undefined when there is none (VALUES, SELECT).
 * Only the head is searched: a statement's own text is far shorter than its data.
 */
export function insertDataOffset(head: string): number | undefined {
  const match = /\bFORMAT\s+(?!Values\b)[A-Za-z][A-Za-z0-9]*(?:[ \t]*\r?\n|[ \t]+|$)/i.exec(
    blankLiterals(head),
  );
  return match === null ? undefined : match.index + match[0].length;
}
