/** The catalogue's routes for the OpenAPI document, from the schemas that validate them. */
import { RESOURCES, type EditableKind } from '../../catalogue/edits.ts';
import { LIST_FILTERS, LIST_LIMIT_MAX } from '../entity-list.ts';
import {
  fieldErrors,
  jsonResponse,
  listOf,
  nullable,
  object,
  responses,
  sentSchema,
  shownSchema,
  type JsonSchema,
} from './document.ts';

export const CATALOGUE_PATHS: Readonly<Record<EditableKind, string>> = {
  advertisers: 'advertisers',
  affiliates: 'affiliates',
  offers: 'offers',
  goals: 'goals',
  deployments: 'deployments',
  promo_codes: 'promo-codes',
  affiliate_postbacks: 'affiliate-postbacks',
};
export const BULK_MAX = 1_000;

/** Fields that an entity shows beside those that are sent. */
const ADDED: Readonly<Partial<Record<EditableKind, Readonly<Record<string, JsonSchema>>>>> = {
  advertisers: {
    has_token: { type: 'boolean', description: 'A security token is set; it is never shown' },
  },
  deployments: { id: { type: 'string', description: 'offer id, a colon, affiliate id' } },
  promo_codes: {
    id: { type: 'integer' },
    sequence: { type: 'integer', description: 'Order of creation; absent for affiliates' },
  },
};

const propertiesOf = (schema: JsonSchema): Readonly<Record<string, JsonSchema>> =>
  // zod makes an object schema of every z.object.
  schema['properties'] as Readonly<Record<string, JsonSchema>>;

/** Nothing is required: what is hidden from a role is absent for it. */
function shownEntity(kind: EditableKind): JsonSchema {
  const { token: _, ...shown } = propertiesOf(shownSchema(RESOURCES[kind].schema));
  return object({ ...shown, ...ADDED[kind] }, []);
}

function sentEntity(kind: EditableKind): JsonSchema {
  const schema = sentSchema(RESOURCES[kind].schema);
  if (kind === 'deployments' || kind === 'promo_codes') return schema;
  // An id that is left out is given by the store.
  const required = schema['required'];
  return {
    ...schema,
    required: Array.isArray(required) ? required.filter((name) => name !== 'id') : [],
  };
}

function patchSchema(kind: EditableKind): JsonSchema {
  const { required: _, ...schema } = sentSchema(RESOURCES[kind].schema);
  const withoutDefaults = Object.entries(propertiesOf(schema)).map(([name, property]) => {
    const { default: _default, ...rest } = property;
    return [name, rest];
  });
  return {
    ...schema,
    properties: { ...Object.fromEntries(withoutDefaults), ...ADDED[kind] },
    description:
      'What is left out stays; objects are merged field by field, lists replaced. Read-only fields may be sent back unchanged.',
  };
}

function listParameters(kind: EditableKind): JsonSchema {
  const schema = propertiesOf(shownSchema(RESOURCES[kind].schema));
  const filters = LIST_FILTERS[kind].map((name) => [
    name,
    listOf(schema[name] ?? ADDED[kind]?.[name] ?? { type: 'string' }),
  ]);
  return object(
    {
      ...Object.fromEntries(filters),
      limit: { type: 'integer', minimum: 1, maximum: LIST_LIMIT_MAX, default: LIST_LIMIT_MAX },
      cursor: { type: 'string', description: 'next_cursor of the page before' },
    },
    [],
  );
}

const CREATED_BY_AFFILIATES: Readonly<Partial<Record<EditableKind, string>>> = {
  deployments: ' An affiliate’s is a request: pending.',
  affiliate_postbacks: ' An affiliate makes, changes and deletes its own.',
};

export interface CatalogueDocuments {
  readonly list: JsonSchema;
  readonly get: JsonSchema;
  readonly create: JsonSchema;
  readonly patch: JsonSchema;
  readonly delete: JsonSchema;
}

export function catalogueDocuments(kind: EditableKind): CatalogueDocuments {
  const { noun } = RESOURCES[kind];
  const tags = ['catalogue'];
  const entity = shownEntity(kind);
  const params = object({ id: { type: 'string' } });
  const one = (description: string): JsonSchema => jsonResponse(description, entity);
  const asks = CREATED_BY_AFFILIATES[kind] ?? '';
  return {
    list: {
      tags,
      summary: `List: every ${noun} that the asker sees`,
      querystring: listParameters(kind),
      response: responses(
        {
          200: jsonResponse(
            'A page',
            object({ rows: listOf(entity), next_cursor: nullable('string') }),
          ),
        },
        [400],
      ),
    },
    get: {
      tags,
      summary: `Get one ${noun}`,
      params,
      response: responses({ 200: one('It') }, [404]),
    },
    create: {
      tags,
      summary: `Create a ${noun}.${asks}`,
      body: sentEntity(kind),
      response: responses(
        { 201: one('Stored, in force within a second') },
        [400, 403, 404, 409, 422],
      ),
    },
    patch: {
      tags,
      summary: `Change a ${noun}`,
      params,
      body: patchSchema(kind),
      response: responses({ 200: one('As it is now') }, [400, 403, 404, 409, 422]),
    },
    delete: {
      tags,
      summary: `Delete a ${noun} that nothing refers to`,
      params,
      response: responses({ 204: { description: 'Gone' } }, [403, 404, 409]),
    },
  };
}

export function bulkDocument(): JsonSchema {
  const created = object({
    index: { type: 'integer' },
    status: { const: 'created' },
    promo_code: shownEntity('promo_codes'),
  });
  const refused = object({
    index: { type: 'integer' },
    status: { const: 'refused' },
    errors: fieldErrors(),
  });
  const items = {
    type: 'array',
    minItems: 1,
    maxItems: BULK_MAX,
    items: sentEntity('promo_codes'),
  };
  return {
    tags: ['catalogue'],
    summary: `Create up to ${BULK_MAX} promo codes; one that is refused hinders no other`,
    body: { anyOf: [object({ items }), items] },
    response: responses(
      {
        200: jsonResponse(
          'A result per item, in the order sent',
          object({
            created: { type: 'integer' },
            refused: { type: 'integer' },
            results: listOf({ anyOf: [created, refused] }),
          }),
        ),
      },
      [400, 403],
    ),
  };
}
