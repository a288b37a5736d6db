/**
 * Collects the hash fields that a script call names, each once, and lays them out as arguments: the fields of one key
 * and kind side by side, so that Lua reads them by HMGET without taking anything apart. Knows nothing of what the fields mean.
 */

/** How apply.lua treats the fields of a key; judge.lua only reads. Their order is spelled there too. */
export const FIELD_KINDS = ['slot', 'click', 'cap', 'mark', 'free'] as const;
export type FieldKind = (typeof FIELD_KINDS)[number];

/** A slot is a group and a place in it, in one number; 0 is no slot. */
const PLACES = 2 ** 20;

/** Index of a slot's group. */
export const groupOf = (slot: number): number => Math.floor(slot / PLACES) - 1;
/** Index of a slot's field among those of its group. */
export const placeOf = (slot: number): number => slot % PLACES;

interface Group {
  readonly keyIndex: number;
  readonly kind: FieldKind;
  readonly places: Map<string, number>;
}

export interface Placement {
  /** Every field, group by group. */
  readonly fields: readonly string[];
  /** A group: index of its key in KEYS, first and last of its fields in ARGV. */
  readonly groups: readonly (readonly [key: number, from: number, to: number])[];
  readonly kinds: readonly FieldKind[];
  /** Index in ARGV of a slot's field; numbers that are no slot (0 and below) stay as they are. */
  argument(slot: number): number;
}

export interface FieldList {
  /** KEYS: the first is the lane's meta key. */
  readonly keys: readonly string[];
  slot(key: string, field: string, kind?: FieldKind): number;
  /** Lays the fields out behind so many arguments. */
  place(argumentsBefore: number): Placement;
}

export function createFieldList(firstKey: string): FieldList {
  const keys = [firstKey];
  const groups: Group[] = [];
  const byKind = Object.fromEntries(
    FIELD_KINDS.map((kind) => [kind, new Map<string, number>()]),
  ) as Record<FieldKind, Map<string, number>>;
  return {
    keys,
    slot(key, field, kind = 'slot') {
      let number = byKind[kind].get(key);
      if (number === undefined) {
        keys.push(key);
        groups.push({ keyIndex: keys.length, kind, places: new Map() });
        number = groups.length;
        byKind[kind].set(key, number);
      }
      const places = groups[number - 1]?.places ?? new Map<string, number>();
      let place = places.get(field);
      if (place === undefined) {
        place = places.size;
        places.set(field, place);
      }
      return number * PLACES + place;
    },
    place(argumentsBefore) {
      const fields: string[] = [];
      const starts = groups.map(({ places }) => {
        const start = argumentsBefore + 1 + fields.length;
        for (const field of places.keys()) fields.push(field);
        return start;
      });
      return {
        fields,
        groups: groups.map(({ keyIndex, places }, index) => {
          const from = starts[index] ?? 0;
          return [keyIndex, from, from + places.size - 1] as const;
        }),
        kinds: groups.map(({ kind }) => kind),
        argument: (slot) => (slot < PLACES ? slot : (starts[groupOf(slot)] ?? 0) + placeOf(slot)),
      };
    },
  };
}
