/**
 * The catalogue over REST: list, get, create, patch, delete of each kind, and promo codes in bulk. Tenancy is in `scope`:
 * what a key may not see does not exist for it (404).
 */
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { mergePromoCodes } from '../../catalogue/file.ts';
import { identityOf, type CatalogueKind } from '../../catalogue/published.ts';
import {
  advertiserSchema,
  affiliateSchema,
  deploymentSchema,
  goalSchema,
  offerSchema,
  parseEntity,
  promoCodeSchema,
  type Fault,
} from '../../catalogue/schema.ts';
import type { CatalogueState, PromoCode } from '../../domain/catalogue.ts';
import type { Principal } from '../../reports/principal.ts';
import { principalOf, queryParameters, requireManager, type ApiContext } from '../context.ts';
import { badRequest, forbidden, notFound, Problem } from '../problem.ts';

type Entity = Record<string, unknown>;
type EditableKind = Exclude<CatalogueKind, 'click_id_keys'>;

interface Resource {
  readonly path: string;
  readonly kind: EditableKind;
  readonly schema: z.ZodType;
  /** Fields the store sets. */
  readonly managed: readonly string[];
}

const RESOURCES: readonly Resource[] = [
  { path: 'advertisers', kind: 'advertisers', schema: advertiserSchema, managed: [] },
  { path: 'affiliates', kind: 'affiliates', schema: affiliateSchema, managed: [] },
  { path: 'offers', kind: 'offers', schema: offerSchema, managed: [] },
  { path: 'goals', kind: 'goals', schema: goalSchema, managed: [] },
  { path: 'deployments', kind: 'deployments', schema: deploymentSchema, managed: [] },
  {
    path: 'promo-codes',
    kind: 'promo_codes',
    schema: promoCodeSchema,
    managed: ['id', 'sequence'],
  },
];
const BULK_MAX = 1_000;
const PAGE_MAX = 1_000;

function asRecord(value: unknown): Entity {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Entity;
  throw badRequest('send a JSON object');
}

function entitiesOf(state: CatalogueState, kind: EditableKind): Entity[] {
  // Every entity is a plain record of its type's fields.
  return [...state[kind]] as unknown as Entity[];
}

function withEntities(
  state: CatalogueState,
  kind: EditableKind,
  entities: readonly Entity[],
): CatalogueState {
  return { ...state, [kind]: entities };
}

/** Whether an entity exists for the asker. */
function isInScope(
  state: CatalogueState,
  kind: EditableKind,
  entity: Entity,
  principal: Principal,
): boolean {
  if (principal.role === 'manager') return true;
  if (principal.role === 'advertiser') {
    if (kind === 'advertisers') return entity['id'] === principal.advertiserId;
    if (kind === 'affiliates') return false;
    const offerId = kind === 'offers' ? entity['id'] : entity['offer_id'];
    return state.offers.some(
      (offer) => offer.id === offerId && offer.advertiser_id === principal.advertiserId,
    );
  }
  const mine = principal.affiliateId;
  if (kind === 'affiliates') return entity['id'] === mine;
  if (kind === 'deployments' || kind === 'promo_codes') return entity['affiliate_id'] === mine;
  if (kind === 'advertisers') return false;
  const offerId = kind === 'offers' ? entity['id'] : entity['offer_id'];
  const offer = state.offers.find(({ id }) => id === offerId);
  if (offer === undefined || offer.status !== 'active') return false;
  return (
    offer.availability === 'public' ||
    state.deployments.some(
      (d) => d.offer_id === offer.id && d.affiliate_id === mine && d.status === 'approved',
    )
  );
}

const HIDDEN_FROM_AFFILIATE = [
  'revenue',
  'caps',
  'affiliate_caps',
  'postback_ips',
  'trafficback_url',
  'sequence',
];

/** The entity as the asker may see it. A token is never shown. */
function present(entity: Entity, principal: Principal): Entity {
  const { token, ...shown } = entity;
  const result: Entity = 'token' in entity ? { ...shown, has_token: token !== null } : shown;
  if (principal.role !== 'affiliate') return result;
  return Object.fromEntries(
    Object.entries(result).filter(([name]) => !HIDDEN_FROM_AFFILIATE.includes(name)),
  );
}

function invalid(faults: readonly Fault[]): Problem {
  return new Problem(422, 'Unprocessable Content', 'the values are not valid', faults);
}

function parse(resource: Resource, value: Entity): Entity {
  const parsed = parseEntity(resource.schema, value, '');
  if ('faults' in parsed) throw invalid(parsed.faults);
  return asRecord(parsed.value);
}

function nextId(entities: readonly Entity[]): number {
  return entities.reduce((most, entity) => Math.max(most, Number(entity['id'] ?? 0)), 0) + 1;
}

/** What still refers to an entity, in words; '' when it may go. */
function referencesTo(state: CatalogueState, kind: EditableKind, id: string): string {
  const number = Number(id);
  const count = (name: string, items: readonly object[]): string =>
    items.length === 0 ? '' : `${items.length} ${name}`;
  const found =
    kind === 'advertisers'
      ? [
          count(
            'offers',
            state.offers.filter((offer) => offer.advertiser_id === number),
          ),
        ]
      : kind === 'affiliates'
        ? [
            count(
              'deployments',
              state.deployments.filter((d) => d.affiliate_id === number),
            ),
            count(
              'promo codes',
              state.promo_codes.filter((p) => p.affiliate_id === number),
            ),
          ]
        : kind === 'offers'
          ? [
              count(
                'goals',
                state.goals.filter((goal) => goal.offer_id === number),
              ),
              count(
                'deployments',
                state.deployments.filter((d) => d.offer_id === number),
              ),
              count(
                'promo codes',
                state.promo_codes.filter((p) => p.offer_id === number),
              ),
            ]
          : [];
  return found.filter((part) => part !== '').join(', ');
}

export function registerCatalogueRoutes(app: FastifyInstance, context: ApiContext): void {
  const { store } = context;
  for (const resource of RESOURCES) {
    const { kind } = resource;
    const base = `/api/v1/${resource.path}`;
    const find = (state: CatalogueState, id: string, principal: Principal): Entity => {
      const entity = entitiesOf(state, kind).find(
        (candidate) => identityOf(kind, candidate) === id,
      );
      if (entity === undefined || !isInScope(state, kind, entity, principal))
        throw notFound(`no ${resource.path} with the id ${id}`);
      return entity;
    };

    app.get(base, async (request) => {
      const principal = principalOf(request);
      const parameters = queryParameters(request);
      const { state } = await store.current();
      const limit = Math.min(PAGE_MAX, Number(parameters.get('limit')?.at(-1) ?? PAGE_MAX));
      const offset = Number(
        Buffer.from(parameters.get('cursor')?.at(-1) ?? '', 'base64url').toString() || 0,
      );
      if (!Number.isInteger(limit) || limit < 1 || !Number.isInteger(offset))
        throw badRequest('limit or cursor is not valid');
      const filters = [...parameters].filter(([name]) => name !== 'limit' && name !== 'cursor');
      const rows = entitiesOf(state, kind)
        .filter((entity) => isInScope(state, kind, entity, principal))
        .filter((entity) =>
          filters.every(([name, values]) => values.includes(String(entity[name]))),
        )
        .map((entity) => present(entity, principal));
      const next =
        offset + limit < rows.length
          ? Buffer.from(String(offset + limit)).toString('base64url')
          : null;
      return { rows: rows.slice(offset, offset + limit), next_cursor: next };
    });

    app.get<{ Params: { id: string } }>(`${base}/:id`, async (request) => {
      const principal = principalOf(request);
      const { state } = await store.current();
      return present(find(state, request.params.id, principal), principal);
    });

    app.post(base, async (request, reply) => {
      const principal = principalOf(request);
      const sent = asRecord(request.body);
      const isRequest = principal.role === 'affiliate' && kind === 'deployments';
      if (principal.role !== 'manager' && !isRequest) throw forbidden('only managers may do this');
      let made: Entity = {};
      await store.change((state) => {
        const entities = entitiesOf(state, kind);
        if (kind === 'promo_codes') {
          const promo = parse(resource, sent) as unknown as PromoCode;
          const taken = state.promo_codes.some(
            (other) =>
              other.offer_id === promo.offer_id &&
              other.code.toLowerCase() === promo.code.toLowerCase(),
          );
          if (taken)
            throw new Problem(409, 'Conflict', 'the offer already has this code', [
              { field: 'code', message: 'the offer already has this code' },
            ]);
          const merged = mergePromoCodes(state.promo_codes, [promo]);
          made = merged.at(-1) as unknown as Entity;
          return { ...state, promo_codes: merged };
        }
        const draft =
          principal.role === 'affiliate'
            ? requestDeployment(state, sent, principal.affiliateId)
            : sent;
        made = parse(
          resource,
          kind === 'deployments' || draft['id'] !== undefined
            ? draft
            : { ...draft, id: nextId(entities) },
        );
        const id = identityOf(kind, made);
        if (entities.some((entity) => identityOf(kind, entity) === id))
          throw new Problem(409, 'Conflict', `${resource.path} ${id} exists already`);
        return withEntities(state, kind, [...entities, made]);
      }, principal.name);
      return reply.status(201).send(present(made, principal));
    });

    app.patch<{ Params: { id: string } }>(`${base}/:id`, async (request) => {
      const principal = requireManager(request);
      const sent = asRecord(request.body);
      let made: Entity = {};
      await store.change((state) => {
        const held = find(state, request.params.id, principal);
        const managed = Object.fromEntries(resource.managed.map((name) => [name, held[name]]));
        const own = Object.fromEntries(
          Object.entries(held).filter(([name]) => !resource.managed.includes(name)),
        );
        made = { ...parse(resource, { ...own, ...sent }), ...managed };
        if (identityOf(kind, made) !== request.params.id)
          throw invalid([{ field: 'id', message: 'an id never changes' }]);
        return withEntities(
          state,
          kind,
          entitiesOf(state, kind).map((entity) => (entity === held ? made : entity)),
        );
      }, principal.name);
      return present(made, principal);
    });

    app.delete<{ Params: { id: string } }>(`${base}/:id`, async (request, reply) => {
      const principal = requireManager(request);
      await store.change((state) => {
        const held = find(state, request.params.id, principal);
        const references = referencesTo(state, kind, request.params.id);
        if (references !== '')
          throw new Problem(409, 'Conflict', `still referred to by ${references}`);
        return withEntities(
          state,
          kind,
          entitiesOf(state, kind).filter((entity) => entity !== held),
        );
      }, principal.name);
      return reply.status(204).send();
    });
  }

  app.post('/api/v1/promo-codes/bulk', async (request) => {
    const principal = requireManager(request);
    const sent: unknown = Array.isArray(request.body)
      ? request.body
      : asRecord(request.body)['items'];
    if (!Array.isArray(sent) || sent.length < 1 || sent.length > BULK_MAX)
      throw badRequest(`send {"items": [1 to ${BULK_MAX} promo codes]}`);
    let results: Entity[] = [];
    await store.change((state) => {
      let codes = state.promo_codes;
      results = sent.map((item: unknown, index) => {
        const parsed = parseEntity(promoCodeSchema, item, '');
        if ('faults' in parsed) return { index, status: 'refused', errors: parsed.faults };
        const refusal = refusePromo(state, codes, parsed.value);
        if (refusal !== undefined) return { index, status: 'refused', errors: [refusal] };
        codes = mergePromoCodes(codes, [parsed.value]);
        return { index, status: 'created', promo_code: codes.at(-1) };
      });
      return { ...state, promo_codes: codes };
    }, principal.name);
    const created = results.filter(({ status }) => status === 'created').length;
    return { created, refused: results.length - created, results };
  });
}

function refusePromo(
  state: CatalogueState,
  codes: readonly PromoCode[],
  promo: z.infer<typeof promoCodeSchema>,
): Fault | undefined {
  const code = promo.code.toLowerCase();
  if (!state.offers.some(({ id }) => id === promo.offer_id))
    return { field: 'offer_id', message: `no offer has the id ${promo.offer_id}` };
  if (!state.affiliates.some(({ id }) => id === promo.affiliate_id))
    return { field: 'affiliate_id', message: `no affiliate has the id ${promo.affiliate_id}` };
  const same = codes.filter((other) => other.code.toLowerCase() === code);
  const other = same.find(({ affiliate_id }) => affiliate_id !== promo.affiliate_id);
  if (other !== undefined)
    return { field: 'code', message: `the code belongs to affiliate ${other.affiliate_id}` };
  if (same.some(({ offer_id }) => offer_id === promo.offer_id))
    return { field: 'code', message: 'the offer already has this code' };
  if (promo.start_date !== null && promo.end_date !== null && promo.end_date < promo.start_date)
    return { field: 'end_date', message: 'is before the start date' };
  return undefined;
}

/** An affiliate may ask for a by-request offer; a manager approves it. */
function requestDeployment(state: CatalogueState, sent: Entity, affiliateId: number): Entity {
  const offer = state.offers.find(({ id }) => id === sent['offer_id']);
  if (offer === undefined || offer.status !== 'active' || offer.availability !== 'by_request')
    throw notFound('no such offer to ask for');
  return { offer_id: offer.id, affiliate_id: affiliateId, status: 'pending' };
}
