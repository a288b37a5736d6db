/** Lists of catalogue entities: what the asker sees, filtered by named fields, in keyset pages. */
import { entitiesOf, type EditableKind, type Entity } from '../catalogue/edits.ts';
import type { CatalogueSnapshot } from '../domain/catalogue.ts';
import { presentEntity, seesEntity, type Principal } from '../reports/principal.ts';
import { badRequest } from './problem.ts';

export const LIST_LIMIT_MAX = 1_000;

/** Fields a list can be filtered by. An allow-list: a filter on a hidden field would tell its value. */
export const LIST_FILTERS: Readonly<Record<EditableKind, readonly string[]>> = {
  advertisers: ['id', 'name', 'status', 'require_token'],
  affiliates: ['id', 'name', 'status'],
  offers: ['id', 'advertiser_id', 'title', 'status', 'availability', 'promo_codes_enabled'],
  goals: ['id', 'offer_id', 'alias', 'title', 'status', 'type', 'default', 'currency'],
  deployments: ['id', 'offer_id', 'affiliate_id', 'status'],
  promo_codes: ['id', 'code', 'affiliate_id', 'offer_id'],
  affiliate_postbacks: ['id', 'affiliate_id', 'offer_id', 'goal_id', 'method', 'status'],
};

/** Where an entity stands in its list: the order in which the state holds its kind. */
function placeOf(kind: EditableKind, entity: Entity): readonly [number, number] {
  if (kind === 'deployments') return [Number(entity['offer_id']), Number(entity['affiliate_id'])];
  return [Number(entity[kind === 'promo_codes' ? 'sequence' : 'id']), 0];
}

function refuse(field: string, message: string): never {
  throw badRequest(`${field} ${message}`, [{ field, message }]);
}

function parseLimit(text: string | undefined): number {
  const limit = Number(text ?? LIST_LIMIT_MAX);
  return Number.isInteger(limit) && limit >= 1 && limit <= LIST_LIMIT_MAX
    ? limit
    : refuse('limit', `must be a whole number from 1 to ${LIST_LIMIT_MAX}`);
}

function parseCursor(text: string | undefined): readonly [number, number] {
  if (text === undefined || text === '') return [-1, -1];
  const match = /^(\d{1,15}):(\d{1,15})$/.exec(Buffer.from(text, 'base64url').toString());
  return match === null
    ? refuse('cursor', 'is not a cursor of this list')
    : [Number(match[1]), Number(match[2])];
}

function sameText(field: string, value: unknown, asked: string): boolean {
  const text = String(value);
  // Codes are matched in any case, here as at the tracker.
  return field === 'code' ? text.toLowerCase() === asked.toLowerCase() : text === asked;
}

export interface EntityPage {
  readonly rows: readonly Entity[];
  readonly next_cursor: string | null;
}

export function listEntities(
  snapshot: CatalogueSnapshot,
  kind: EditableKind,
  parameters: ReadonlyMap<string, readonly string[]>,
  principal: Principal,
): EntityPage {
  const limit = parseLimit(parameters.get('limit')?.at(-1));
  const [first, second] = parseCursor(parameters.get('cursor')?.at(-1));
  const filters = [...parameters].filter(([name]) => name !== 'limit' && name !== 'cursor');
  for (const [name] of filters)
    if (!LIST_FILTERS[kind].includes(name))
      refuse(name.slice(0, 100), `is no filter: use ${LIST_FILTERS[kind].join(', ')}`);
  const found: { readonly place: readonly [number, number]; readonly shown: Entity }[] = [];
  for (const entity of entitiesOf(snapshot.state, kind)) {
    const place = placeOf(kind, entity);
    if (place[0] < first || (place[0] === first && place[1] <= second)) continue;
    if (!seesEntity(snapshot, kind, entity, principal)) continue;
    const shown = presentEntity(kind, entity, principal);
    if (!filters.every(([name, asked]) => asked.some((text) => sameText(name, shown[name], text))))
      continue;
    found.push({ place, shown });
    if (found.length > limit) break;
  }
  const page = found.slice(0, limit);
  const last = page.at(-1);
  return {
    rows: page.map(({ shown }) => shown),
    next_cursor:
      found.length > limit && last !== undefined
        ? Buffer.from(last.place.join(':')).toString('base64url')
        : null,
  };
}
