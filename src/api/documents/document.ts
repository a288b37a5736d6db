/**
 * What the OpenAPI document is made of. Bodies come from the zod schemas that validate them and reports from their
 * definitions, so that the document can't say another thing than the code does.
 */
import { z } from 'zod';

export type JsonSchema = Readonly<Record<string, unknown>>;

export const OPENAPI = {
  openapi: '3.1.0' as const,
  info: {
    title: 'Sluice',
    version: '1',
    description:
      'Reports, explain and the catalogue. Who asks is told by a key; what belongs to someone else answers 404, in lists it is left out.',
  },
  components: {
    securitySchemes: {
      key: { type: 'http' as const, scheme: 'bearer', description: 'An API key' },
    },
  },
  security: [{ key: [] }],
};

/** Accepted values of a schema, as they are sent. */
export function sentSchema(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest;
}

/** Values of a schema as they are stored and shown. */
export function shownSchema(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'output' });
  return rest;
}

export const object = (
  properties: JsonSchema,
  required: readonly string[] = Object.keys(properties),
): JsonSchema => ({ type: 'object', properties, required, additionalProperties: false });

export const listOf = (items: JsonSchema): JsonSchema => ({ type: 'array', items });
export const nullable = (type: string, more: JsonSchema = {}): JsonSchema => ({
  ...more,
  type: [type, 'null'],
});

const FIELD_ERRORS = listOf(object({ field: { type: 'string' }, message: { type: 'string' } }));
const PROBLEM = object({
  type: { type: 'string' },
  title: { type: 'string' },
  status: { type: 'integer' },
  detail: { type: 'string' },
  errors: { ...FIELD_ERRORS, description: 'The faults by field; empty when none is at fault' },
});

export const fieldErrors = (): JsonSchema => FIELD_ERRORS;

const MEANINGS: Readonly<Record<number, string>> = {
  400: 'A parameter or the body can not be used',
  401: 'No key, or one that is not valid',
  403: 'Not for this role',
  404: 'Nothing there, or not the asker’s',
  409: 'Another entity stands in the way',
  422: 'A value is not what it must be',
  429: 'Too many wrong keys from this address',
  503: 'A store does not answer; try again',
};

export function jsonResponse(description: string, schema: JsonSchema): JsonSchema {
  return { description, content: { 'application/json': { schema } } };
}

/** The answers of a route: what it gives, and the problems it may name. 401, 429 and 503 are everyone's. */
export function responses(own: JsonSchema, problems: readonly number[] = []): JsonSchema {
  const refusals = [401, 429, 503, ...problems].map((status) => [
    String(status),
    {
      description: MEANINGS[status] ?? '',
      content: { 'application/problem+json': { schema: PROBLEM } },
    },
  ]);
  return { ...own, ...Object.fromEntries(refusals) };
}
