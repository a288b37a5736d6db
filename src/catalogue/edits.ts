/**
 * Edits of one entity, as REST makes them: create, patch, delete. Pure functions from a state to the next; what is
 * wrong is thrown as EditRefused and names the field. Rules between entities are in `rules.ts`.
 */
import type { z } from 'zod';
import type { CatalogueState } from '../domain/catalogue.ts';
import { identityOf, type CatalogueKind } from './published.ts';
import {
  advertiserSchema,
  affiliatePostbackSchema,
  affiliateSchema,
  deploymentSchema,
  goalSchema,
  offerSchema,
  parseEntity,
  promoCodeSchema,
  type Fault,
} from './schema.ts';

export type EditableKind = Exclude<CatalogueKind, 'click_id_keys'>;
export type Entity = Readonly<Record<string, unknown>>;

interface Resource {
  readonly schema: z.ZodObject;
  readonly noun: string;
  /** Set by the store, or shown only: sent back unchanged they are no fault. */
  readonly readOnly: readonly string[];
  /** Part of what the entity is: another value would be another entity. */
  readonly fixed: readonly string[];
}

export const RESOURCES: Readonly<Record<EditableKind, Resource>> = {
  advertisers: {
    schema: advertiserSchema,
    noun: 'advertiser',
    readOnly: ['has_token'],
    fixed: ['id'],
  },
  affiliates: { schema: affiliateSchema, noun: 'affiliate', readOnly: [], fixed: ['id'] },
  offers: { schema: offerSchema, noun: 'offer', readOnly: [], fixed: ['id'] },
  // Its conversions are counted under its offer.
  goals: { schema: goalSchema, noun: 'goal', readOnly: [], fixed: ['id', 'offer_id'] },
  deployments: {
    schema: deploymentSchema,
    noun: 'deployment',
    readOnly: ['id'],
    fixed: ['offer_id', 'affiliate_id'],
  },
  promo_codes: {
    schema: promoCodeSchema,
    noun: 'promo code',
    readOnly: ['id', 'sequence'],
    fixed: [],
  },
  // Its log belongs to its affiliate.
  affiliate_postbacks: {
    schema: affiliatePostbackSchema,
    noun: 'affiliate postback',
    readOnly: [],
    fixed: ['id', 'affiliate_id'],
  },
};

export class EditRefused extends Error {
  readonly why: 'invalid' | 'conflict' | 'missing';
  readonly faults: readonly Fault[];
  constructor(why: 'invalid' | 'conflict' | 'missing', faults: readonly Fault[], detail = '') {
    super(detail || faults.map(({ field, message }) => `${field}: ${message}`).join('; '));
    this.why = why;
    this.faults = faults;
  }
}

/** The next id of a kind: one more than any that was ever used, so that a deleted entity's rows are nobody else's. */
export type NextId = (kind: EditableKind) => number;

export interface Edited {
  readonly state: CatalogueState;
  readonly entity: Entity;
}

export function entitiesOf(state: CatalogueState, kind: EditableKind): readonly Entity[] {
  // Every entity is a plain record of its type's fields.
  return state[kind] as unknown as readonly Entity[];
}

function withEntities(
  state: CatalogueState,
  kind: EditableKind,
  entities: readonly Entity[],
): CatalogueState {
  // Each was parsed by the schema of its kind.
  return { ...state, [kind]: entities };
}

function isRecord(value: unknown): value is Entity {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function requireRecord(sent: unknown): Entity {
  if (isRecord(sent)) return sent;
  throw new EditRefused('invalid', [{ field: '(whole)', message: 'must be a JSON object' }]);
}

function parse(kind: EditableKind, value: Entity): Entity {
  const parsed = parseEntity<Entity>(RESOURCES[kind].schema, value, '');
  if ('faults' in parsed) throw new EditRefused('invalid', parsed.faults);
  return parsed.value;
}

function findEntity(state: CatalogueState, kind: EditableKind, id: string): Entity {
  const found = entitiesOf(state, kind).find((entity) => identityOf(kind, entity) === id);
  if (found !== undefined) return found;
  throw new EditRefused('missing', [], `there is no ${RESOURCES[kind].noun} ${id}`);
}

export function createEntity(
  state: CatalogueState,
  nextId: NextId,
  kind: Exclude<EditableKind, 'promo_codes'>,
  sent: unknown,
): Edited {
  const draft = requireRecord(sent);
  const needsId = kind !== 'deployments' && draft['id'] === undefined;
  const entity = parse(kind, needsId ? { ...draft, id: nextId(kind) } : draft);
  const id = identityOf(kind, entity);
  const entities = entitiesOf(state, kind);
  if (entities.some((other) => identityOf(kind, other) === id)) {
    const field = kind === 'deployments' ? 'affiliate_id' : 'id';
    const message = `${RESOURCES[kind].noun} ${id} exists already`;
    throw new EditRefused('conflict', [{ field, message }]);
  }
  return { state: withEntities(state, kind, [...entities, entity]), entity };
}

/** Objects are merged field by field, lists and plain values replaced; null takes a field of a map away. */
function mergePatch(held: Entity, sent: Entity): Entity {
  const merged = new Map(Object.entries(held));
  for (const [name, value] of Object.entries(sent)) {
    const before = merged.get(name);
    merged.set(name, isRecord(before) && isRecord(value) ? mergePatch(before, value) : value);
  }
  return Object.fromEntries(merged);
}

function withoutNulls(entity: Entity, name: string): Entity {
  const map = entity[name];
  if (!isRecord(map)) return entity;
  const kept = Object.entries(map).filter(([, value]) => value !== null);
  return { ...entity, [name]: Object.fromEntries(kept) };
}

/** `shown` is the entity as the sender reads it: what is read-only may come back as it was. */
export function patchEntity(
  state: CatalogueState,
  kind: EditableKind,
  id: string,
  sent: unknown,
  shown: (entity: Entity) => Entity,
): Edited {
  const held = findEntity(state, kind, id);
  const { readOnly, fixed, noun } = RESOURCES[kind];
  const before = shown(held);
  const patch = requireRecord(sent);
  const changed = [...readOnly, ...fixed].filter(
    (name) => patch[name] !== undefined && patch[name] !== before[name],
  );
  if (changed.length > 0)
    throw new EditRefused(
      'invalid',
      changed.map((field) => ({
        field,
        message: `never changes: delete the ${noun} and create another`,
      })),
    );
  const without = (entity: Entity): Entity =>
    Object.fromEntries(Object.entries(entity).filter(([name]) => !readOnly.includes(name)));
  const merged = withoutNulls(mergePatch(without(held), without(patch)), 'affiliate_caps');
  const managed = Object.entries(held).filter(([name]) => readOnly.includes(name));
  const entity = { ...parse(kind, merged), ...Object.fromEntries(managed) };
  const entities = entitiesOf(state, kind).map((other) => (other === held ? entity : other));
  return { state: withEntities(state, kind, entities), entity };
}

/** Which kinds refer to a kind, by which field, and what they are called. */
const REFERENCES: Readonly<
  Partial<Record<EditableKind, readonly (readonly [EditableKind, string, string])[]>>
> = {
  advertisers: [['offers', 'advertiser_id', 'offers']],
  affiliates: [
    ['deployments', 'affiliate_id', 'deployments'],
    ['promo_codes', 'affiliate_id', 'promo codes'],
    ['affiliate_postbacks', 'affiliate_id', 'affiliate postbacks'],
  ],
  offers: [
    ['goals', 'offer_id', 'goals'],
    ['deployments', 'offer_id', 'deployments'],
    ['promo_codes', 'offer_id', 'promo codes'],
    ['affiliate_postbacks', 'offer_id', 'affiliate postbacks'],
  ],
  goals: [['affiliate_postbacks', 'goal_id', 'affiliate postbacks']],
};

/** What still refers to an entity, in words. */
function referencesTo(state: CatalogueState, kind: EditableKind, id: number): string[] {
  return (REFERENCES[kind] ?? []).flatMap(([other, field, words]) => {
    const count = entitiesOf(state, other).filter((entity) => entity[field] === id).length;
    return count === 0 ? [] : [`${count} ${words}`];
  });
}

export function deleteEntity(
  state: CatalogueState,
  kind: EditableKind,
  id: string,
): CatalogueState {
  const held = findEntity(state, kind, id);
  const references = referencesTo(state, kind, Number(id));
  if (references.length > 0)
    throw new EditRefused('conflict', [], `still referred to by ${references.join(', ')}`);
  return withEntities(
    state,
    kind,
    entitiesOf(state, kind).filter((entity) => entity !== held),
  );
}
