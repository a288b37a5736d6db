/** A text as a string literal of ClickHouse's SQL: for what can't be a parameter. */
export function quoteString(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
