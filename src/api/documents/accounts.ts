/** Signing in and users, for the OpenAPI document. The bodies are made of the schemas that the routes validate with. */
import type { z } from 'zod';
import { USER_ROLES, USER_STATUSES } from '../../domain/user.ts';
import {
  jsonResponse,
  listOf,
  object,
  responses,
  sentSchema,
  type JsonSchema,
} from './document.ts';

const TEXT: JsonSchema = { type: 'string' };
const COUNT: JsonSchema = { type: 'integer', minimum: 0 };
const USER = object({
  id: COUNT,
  login: TEXT,
  name: TEXT,
  role: { type: 'string', enum: USER_ROLES },
  advertiser_id: { ...COUNT, description: '0: not an advertiser’s' },
  affiliate_id: { ...COUNT, description: '0: not an affiliate’s' },
  status: { type: 'string', enum: USER_STATUSES },
});
const SIGNED_IN = object({ user: USER, csrf_token: TEXT, tracking_url: TEXT });
const KEY_HOLDER = object({
  principal: { type: 'object', description: 'Whom the key stands for' },
});
const SESSIONS = ['sessions'];
const USERS = ['users'];

export interface SessionDocuments {
  readonly signIn: JsonSchema;
  readonly read: JsonSchema;
  readonly signOut: JsonSchema;
  readonly changePassword: JsonSchema;
}

export function sessionDocuments(signIn: z.ZodType, password: z.ZodType): SessionDocuments {
  const answer = (description: string): JsonSchema => jsonResponse(description, SIGNED_IN);
  return {
    signIn: {
      tags: SESSIONS,
      summary: 'Sign in: sets the session cookie. Changes then need its token in X-CSRF-Token',
      security: [],
      body: sentSchema(signIn),
      response: responses({ 201: answer('Signed in') }, [400, 403, 422]),
    },
    read: {
      tags: SESSIONS,
      summary: 'Who asks',
      response: responses({
        200: jsonResponse('A user’s session, or a key’s holder', {
          anyOf: [SIGNED_IN, KEY_HOLDER],
        }),
      }),
    },
    signOut: {
      tags: SESSIONS,
      summary: 'Sign out',
      response: responses({ 204: { description: 'The session has ended' } }, [403]),
    },
    changePassword: {
      tags: SESSIONS,
      summary: 'Change one’s own password; other sessions end',
      body: sentSchema(password),
      response: responses({ 200: answer('Changed, under a new session') }, [400, 403, 422]),
    },
  };
}

export interface UserDocuments {
  readonly list: JsonSchema;
  readonly create: JsonSchema;
  readonly patch: JsonSchema;
}

export function userDocuments(create: z.ZodType, patch: z.ZodType): UserDocuments {
  return {
    list: {
      tags: USERS,
      summary: 'List the users',
      response: responses(
        {
          200: jsonResponse(
            'All of them',
            object({ rows: listOf(USER), next_cursor: { type: 'null' } }),
          ),
        },
        [403],
      ),
    },
    create: {
      tags: USERS,
      summary: 'Create a user',
      body: sentSchema(create),
      response: responses({ 201: jsonResponse('The user', USER) }, [400, 403, 422]),
    },
    patch: {
      tags: USERS,
      summary: 'Change a user; a disabled one is signed out',
      params: object({ id: { type: 'string' } }),
      body: sentSchema(patch),
      response: responses({ 200: jsonResponse('As it is now', USER) }, [400, 403, 404, 422]),
    },
  };
}
