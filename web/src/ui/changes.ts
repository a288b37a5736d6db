/** What edits of stored entities send: only what was edited, so that two people who edit different fields do not undo each other. */

function isMap(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * What a PATCH must say to make `from` into `to`. The API merges objects field by field: those that are the same are left
 * out, at any depth, and those that are gone are said to be null.
 */
export function changesOf(from: object, to: object): Record<string, unknown> {
  const before = new Map<string, unknown>(Object.entries(from));
  const after = new Map<string, unknown>(Object.entries(to));
  const changes: Record<string, unknown> = {};
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(name), after.get(name) ?? null];
    if (JSON.stringify(was ?? null) === JSON.stringify(is)) continue;
    changes[name] = isMap(was) && isMap(is) ? changesOf(was, is) : is;
  }
  return changes;
}
