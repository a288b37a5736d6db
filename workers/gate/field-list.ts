/**
 * Collects hash fields, each once, so that all of a key are read by one command. Knows nothing of what they mean.
 */

export interface FieldList {
  /** The number of a field, from 1; 0 for no name. The same field of the same key has the same number. */
  numberOf(key: string, field: string): number;
  /** By key: field → number. */
  readonly byKey: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

export function createFieldList(): FieldList {
  const byKey = new Map<string, Map<string, number>>();
  let last = 0;
  return {
    byKey,
    numberOf(key, field) {
      if (field === '') return 0;
      let fields = byKey.get(key);
      if (fields === undefined) byKey.set(key, (fields = new Map()));
      let number = fields.get(field);
      if (number === undefined) {
        number = ++last;
        fields.set(field, number);
      }
      return number;
    },
  };
}
