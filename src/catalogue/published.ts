/** The catalogue as Redis holds it: a hash a kind and one version, written and read whole. */
import type { Redis } from 'ioredis';
import type { CatalogueState } from '../domain/catalogue.ts';
import type { RedisKeys } from '../redis/keys.ts';

export const CATALOGUE_KINDS = [
  'advertisers',
  'affiliates',
  'offers',
  'goals',
  'deployments',
  'promo_codes',
  'affiliate_postbacks',
  'click_id_keys',
] as const;
export type CatalogueKind = (typeof CATALOGUE_KINDS)[number];

/** Identity of an entity within its kind, as in `catalogue_log.id`. */
export function identityOf(kind: CatalogueKind, entity: object): string {
  // Every kind's type has these fields; the union does not say so.
  const fields = entity as {
    readonly id?: number;
    readonly offer_id?: number;
    readonly affiliate_id?: number;
  };
  return kind === 'deployments' ? `${fields.offer_id}:${fields.affiliate_id}` : String(fields.id);
}

/** Publishes only forward: an older version than the one held is left out. */
const PUBLISH = `
local held = tonumber(redis.call('GET', KEYS[1]) or '0')
if held >= tonumber(ARGV[1]) then return 0 end
for index = 2, #KEYS do redis.call('DEL', KEYS[index]) end
local entities = cjson.decode(ARGV[2])
for index = 2, #KEYS do
  for id, body in pairs(entities[index - 1]) do redis.call('HSET', KEYS[index], id, body) end
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[3], ARGV[1])
return 1`;

/** Puts a state into Redis at once and tells everyone. Resolves false when Redis had this version or a newer one. */
export async function publishState(
  redis: Redis,
  keys: RedisKeys,
  state: CatalogueState,
): Promise<boolean> {
  // Asked every second by who keeps Redis filled: the whole catalogue goes there only when it is missing.
  if (Number(await redis.get(keys.catalogueVersion)) >= state.version) return false;
  const entities = CATALOGUE_KINDS.map((kind) =>
    Object.fromEntries(
      state[kind].map((entity) => [identityOf(kind, entity), JSON.stringify(entity)]),
    ),
  );
  const names = [keys.catalogueVersion, ...CATALOGUE_KINDS.map((kind) => keys.catalogue(kind))];
  // An empty kind must be an object for cjson, which {} is when encoded from an empty record.
  const reply = await redis.eval(
    PUBLISH,
    names.length,
    ...names,
    String(state.version),
    JSON.stringify(entities),
    keys.catalogueChanged,
  );
  return reply === 1;
}

/** Reads the whole state at one version; undefined when Redis holds none. */
export async function readPublished(
  redis: Redis,
  keys: RedisKeys,
): Promise<CatalogueState | undefined> {
  const transaction = redis.multi().get(keys.catalogueVersion);
  for (const kind of CATALOGUE_KINDS) transaction.hvals(keys.catalogue(kind));
  const replies = await transaction.exec();
  const version = Number(replies?.[0]?.[1] ?? 0);
  if (replies === null || version === 0) return undefined;
  const kinds = CATALOGUE_KINDS.map((kind, index) => [
    kind,
    ((replies[index + 1]?.[1] ?? []) as string[]).map((body) => JSON.parse(body) as object),
  ]);
  // The hashes hold what `publishState` wrote from the same types.
  return sortState({ version, ...Object.fromEntries(kinds) } as CatalogueState);
}

/** Entities in a stable order: by id, promo codes by creation, keys by age. */
export function sortState(state: CatalogueState): CatalogueState {
  const byId = <T extends { readonly id: number }>(items: readonly T[]): T[] =>
    items.toSorted((a, b) => a.id - b.id);
  return {
    version: state.version,
    advertisers: byId(state.advertisers),
    affiliates: byId(state.affiliates),
    offers: byId(state.offers),
    goals: byId(state.goals),
    deployments: state.deployments.toSorted(
      (a, b) => a.offer_id - b.offer_id || a.affiliate_id - b.affiliate_id,
    ),
    promo_codes: state.promo_codes.toSorted((a, b) => a.sequence - b.sequence),
    affiliate_postbacks: byId(state.affiliate_postbacks),
    click_id_keys: byId(state.click_id_keys),
  };
}
