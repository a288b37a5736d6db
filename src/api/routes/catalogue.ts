/** The catalogue over REST: list, get, create, patch, delete of each kind. What a key may not see is not there (404). */
import type { FastifyInstance } from 'fastify';
import {
  createEntity,
  deleteEntity,
  EditRefused,
  entitiesOf,
  patchEntity,
  type EditableKind,
  type Edited,
  type Entity,
  type NextId,
} from '../../catalogue/edits.ts';
import { createPromoCode } from '../../catalogue/promo-code-edits.ts';
import { identityOf } from '../../catalogue/published.ts';
import type { CatalogueSnapshot, CatalogueState } from '../../domain/catalogue.ts';
import { presentEntity, seesEntity, type Principal } from '../../reports/principal.ts';
import { principalOf, queryParameters, requireManager, type ApiContext } from '../context.ts';
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
  if (offer?.status !== 'active' || offer.availability !== 'by_request')
    throw new EditRefused('missing', [], 'there is no such offer to ask for');
  const draft = { offer_id: offer.id, affiliate_id: affiliateId, status: 'pending' };
  return createEntity(state, nextId, 'deployments', draft);
}

function create(
  state: CatalogueState,
  nextId: NextId,
  kind: EditableKind,
  sent: unknown,
  principal: Principal,
): Edited {
  if (principal.role === 'affiliate')
    return requestDeployment(state, nextId, sent, principal.affiliateId);
  return kind === 'promo_codes'
    ? createPromoCode(state, nextId, sent)
    : createEntity(state, nextId, kind, sent);
}

/** A key or user outlives its tenant otherwise, and would be one for whoever gets the id. */
async function refuseWhileInUse(
  context: ApiContext,
  kind: EditableKind,
  id: string,
): Promise<void> {
  if (kind !== 'advertisers' && kind !== 'affiliates') return;
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
    const principal = principalOf(request);
    const asks = principal.role === 'affiliate' && kind === 'deployments';
    if (principal.role !== 'manager' && !asks) throw forbidden('only managers may do this');
    const entity = await storeOne(
      (state, nextId) => create(state, nextId, kind, request.body, principal),
      principal,
    );
    const id = identityOf(kind, entity);
    return reply.status(201).header('location', `${base}/${id}`).send(entity);
  });
  app.patch<WithId>(`${base}/:id`, { schema: documents.patch }, async (request) => {
    const principal = requireManager(request);
    const shown = (entity: Entity): Entity => presentEntity(kind, entity, principal);
    return storeOne(
      (state) => patchEntity(state, kind, request.params.id, request.body, shown),
      principal,
    );
  });
  app.delete<WithId>(`${base}/:id`, { schema: documents.delete }, async (request, reply) => {
    const principal = requireManager(request);
    const { id } = request.params;
    await refuseWhileInUse(context, kind, id);
    await store.change((state) => deleteEntity(state, kind, id), principal.name);
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
