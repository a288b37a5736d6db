/** The catalogue over REST: list, get, create, patch, delete of each kind. What a key may not see is not there (404). */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import {
  createEntity,
  deleteEntity,
  EditRefused,
  entitiesOf,
  patchEntity,
  requireRecord,
  type EditableKind,
  type Edited,
  type Entity,
  type NextId,
} from '../../catalogue/edits.ts';
import { createPromoCode, patchPromoCode } from '../../catalogue/promo-code-edits.ts';
import { identityOf } from '../../catalogue/published.ts';
import type { CatalogueSnapshot, CatalogueState } from '../../domain/catalogue.ts';
import { createCatalogueSnapshot } from '../../domain/catalogue.ts';
import { mayAskFor, presentEntity, seesEntity, type Principal } from '../../reports/principal.ts';
import { principalOf, queryParameters, type ApiContext } from '../context.ts';
import { CATALOGUE_PATHS, catalogueDocuments } from '../documents/catalogue.ts';
import { listEntities } from '../entity-list.ts';
import { conflict, forbidden, notFound } from '../problem.ts';

interface WithId {
  readonly Params: { readonly id: string };
}

function findVisible(
  snapshot: CatalogueSnapshot,
  kind: EditableKind,
  id: string,
  principal: Principal,
): Entity {
  const entity = entitiesOf(snapshot.state, kind).find(
    (candidate) => identityOf(kind, candidate) === id,
  );
  if (entity === undefined || !seesEntity(snapshot, kind, entity, principal))
    throw notFound(`there is no such entry under ${CATALOGUE_PATHS[kind]}`);
  return entity;
}

/** An affiliate may ask for a by-request offer; a manager approves it. */
function requestDeployment(
  state: CatalogueState,
  nextId: NextId,
  sent: unknown,
  affiliateId: number,
): Edited {
  const offerId =
    typeof sent === 'object' && sent !== null && 'offer_id' in sent ? sent.offer_id : 0;
  const offer = state.offers.find(({ id }) => id === offerId);
  if (offer === undefined || !mayAskFor(offer))
    throw new EditRefused('missing', [], 'there is no such offer to ask for');
  const draft = { offer_id: offer.id, affiliate_id: affiliateId, status: 'pending' };
  return createEntity(state, nextId, 'deployments', draft);
}

/** What an affiliate may name in a postback of its own: what it sees. What it does not see is not there. */
function checkNamed(state: CatalogueState, entity: Entity, principal: Principal): void {
  if (principal.role !== 'affiliate') return;
  const snapshot = createCatalogueSnapshot(state);
  for (const [field, kind] of [
    ['offer_id', 'offers'],
    ['goal_id', 'goals'],
  ] as const) {
    const id = entity[field];
    const named = entitiesOf(state, kind).find((candidate) => candidate['id'] === id);
    if (id !== null && (named === undefined || !seesEntity(snapshot, kind, named, principal)))
      throw new EditRefused('invalid', [
        { field, message: `no ${kind.slice(0, -1)} has the id ${Number(id)}` },
      ]);
  }
}

/** An affiliate's own postback; a manager says whose it is. */
function createPostback(
  state: CatalogueState,
  nextId: NextId,
  sent: unknown,
  principal: Principal,
): Edited {
  const draft = requireRecord(sent);
  const own = principal.role === 'affiliate' ? principal.affiliateId : undefined;
  const named = draft['affiliate_id'];
  if (own !== undefined && named !== undefined && named !== own)
    throw new EditRefused('missing', [], 'there is no such affiliate');
  if (own !== undefined && draft['id'] !== undefined)
    throw new EditRefused('invalid', [
      { field: 'id', message: 'is given by Sluice: leave it out' },
    ]);
  const whole = own === undefined ? draft : { ...draft, affiliate_id: own };
  const edited = createEntity(state, nextId, 'affiliate_postbacks', whole);
  checkNamed(state, edited.entity, principal);
  return edited;
}

function create(
  state: CatalogueState,
  nextId: NextId,
  kind: EditableKind,
  sent: unknown,
  principal: Principal,
): Edited {
  if (kind === 'affiliate_postbacks') return createPostback(state, nextId, sent, principal);
  if (principal.role === 'affiliate')
    return requestDeployment(state, nextId, sent, principal.affiliateId);
  return kind === 'promo_codes'
    ? createPromoCode(state, nextId, sent)
    : createEntity(state, nextId, kind, sent);
}

/** Managers change everything, affiliates their own postbacks, and ask for deployments. */
function requireWriter(
  request: FastifyRequest,
  kind: EditableKind,
  method: 'create' | 'change',
): Principal {
  const principal = principalOf(request);
  const isOwn =
    principal.role === 'affiliate' &&
    (kind === 'affiliate_postbacks' || (kind === 'deployments' && method === 'create'));
  if (principal.role !== 'manager' && !isOwn) throw forbidden('only managers may do this');
  return principal;
}

/** What is another's is not there. */
function checkOwn(
  state: CatalogueState,
  kind: EditableKind,
  id: string,
  principal: Principal,
): void {
  if (principal.role === 'manager') return;
  findVisible(createCatalogueSnapshot(state), kind, id, principal);
}

/** A key or user outlives its tenant otherwise, and would be one for whoever gets the id. */
async function refuseWhileInUse(
  context: ApiContext,
  kind: EditableKind,
  id: string,
): Promise<void> {
  // 0 stands for no tenant.
  if ((kind !== 'advertisers' && kind !== 'affiliates') || id === '0') return;
  const column = kind === 'advertisers' ? 'advertiser_id' : 'affiliate_id';
  const keys = (await context.apiKeys.list()).filter((key) => String(key[column]) === id);
  if (keys.length > 0)
    throw conflict(`still referred to by ${keys.length} API keys: revoke them first`);
  const users = (await context.accounts.list()).filter((user) => String(user[column]) === id);
  if (users.length > 0)
    throw conflict(`still referred to by ${users.length} users: give them another role first`);
}

function registerReads(app: FastifyInstance, context: ApiContext, kind: EditableKind): void {
  const base = `/api/v1/${CATALOGUE_PATHS[kind]}`;
  const documents = catalogueDocuments(kind);
  app.get(base, { schema: documents.list }, async (request) => {
    const snapshot = await context.store.current();
    return listEntities(snapshot, kind, queryParameters(request), principalOf(request));
  });
  app.get<WithId>(`${base}/:id`, { schema: documents.get }, async (request) => {
    const principal = principalOf(request);
    const snapshot = await context.store.current();
    const entity = findVisible(snapshot, kind, request.params.id, principal);
    return presentEntity(kind, entity, principal);
  });
}

function registerWrites(app: FastifyInstance, context: ApiContext, kind: EditableKind): void {
  const { store } = context;
  const base = `/api/v1/${CATALOGUE_PATHS[kind]}`;
  const documents = catalogueDocuments(kind);

  /** Runs an edit, again when another writer was faster, and answers with the entity that was stored. */
  async function storeOne(
    edit: (state: CatalogueState, nextId: NextId) => Edited,
    principal: Principal,
  ): Promise<Entity> {
    let entity: Entity = {};
    await store.change((state, nextId) => {
      const edited = edit(state, nextId);
      entity = edited.entity;
      return edited.state;
    }, principal.name);
    return presentEntity(kind, entity, principal);
  }

  app.post(base, { schema: documents.create }, async (request, reply) => {
    const principal = requireWriter(request, kind, 'create');
    const entity = await storeOne(
      (state, nextId) => create(state, nextId, kind, request.body, principal),
      principal,
    );
    const id = identityOf(kind, entity);
    return reply.status(201).header('location', `${base}/${id}`).send(entity);
  });
  app.patch<WithId>(`${base}/:id`, { schema: documents.patch }, async (request) => {
    const principal = requireWriter(request, kind, 'change');
    const { id } = request.params;
    const shown = (entity: Entity): Entity => presentEntity(kind, entity, principal);
    return storeOne((state) => {
      checkOwn(state, kind, id, principal);
      const edited =
        kind === 'promo_codes'
          ? patchPromoCode(state, id, request.body, shown)
          : patchEntity(state, kind, id, request.body, shown);
      if (kind === 'affiliate_postbacks') checkNamed(state, edited.entity, principal);
      return edited;
    }, principal);
  });
  app.delete<WithId>(`${base}/:id`, { schema: documents.delete }, async (request, reply) => {
    const principal = requireWriter(request, kind, 'change');
    const { id } = request.params;
    await refuseWhileInUse(context, kind, id);
    await store.change((state) => {
      checkOwn(state, kind, id, principal);
      return deleteEntity(state, kind, id);
    }, principal.name);
    return reply.status(204).send();
  });
}

export function registerCatalogueRoutes(app: FastifyInstance, context: ApiContext): void {
  // The keys of the table are exactly the kinds.
  for (const kind of Object.keys(CATALOGUE_PATHS) as EditableKind[]) {
    registerReads(app, context, kind);
    registerWrites(app, context, kind);
  }
}
