/** What differs between two states of the catalogue, entity by entity. Pure. */
import { isDeepStrictEqual } from 'node:util';
import type { CatalogueState } from '../domain/catalogue.ts';
import { CATALOGUE_KINDS, identityOf, type CatalogueKind } from './published.ts';

export interface EntityChange {
  readonly kind: CatalogueKind;
  readonly id: string;
  readonly what: 'created' | 'changed' | 'deleted';
}

export interface LoggedChange {
  readonly change: EntityChange;
  /** The entity as JSON, '' for a deleted one. */
  readonly body: string;
}

function byIdentity(state: CatalogueState, kind: CatalogueKind): Map<string, object> {
  const entities: readonly object[] = state[kind];
  return new Map(entities.map((entity) => [identityOf(kind, entity), entity]));
}

export function diffStates(before: CatalogueState, after: CatalogueState): LoggedChange[] {
  return CATALOGUE_KINDS.flatMap((kind) => {
    if (before[kind] === after[kind]) return [];
    const [old, now] = [byIdentity(before, kind), byIdentity(after, kind)];
    const changed = [...now].flatMap(([id, entity]): LoggedChange[] => {
      const previous = old.get(id);
      if (previous === entity || isDeepStrictEqual(previous, entity)) return [];
      const what = previous === undefined ? 'created' : 'changed';
      return [{ change: { kind, id, what }, body: JSON.stringify(entity) }];
    });
    const deleted = [...old.keys()]
      .filter((id) => !now.has(id))
      .map((id): LoggedChange => ({ change: { kind, id, what: 'deleted' }, body: '' }));
    return [...changed, ...deleted];
  });
}
