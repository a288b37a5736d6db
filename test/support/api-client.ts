/** The API as a client sees it: one key, JSON in and out, problems checked for their form. */
import { expect } from 'vitest';
import type { RunningSluice } from './start-sluice.ts';
import { waitFor } from './wait-for.ts';

export type Row = Readonly<Record<string, unknown>>;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Row;
  /** `rows` of a list, [] when there are none. */
  readonly rows: readonly Row[];
  /** Fields that a problem document names. */
  readonly fields: readonly string[];
  readonly text: string;
}

export interface ApiClient {
  readonly key: string;
  /** The whole URL of a path, for clients of another kind. */
  urlOf(path: string): string;
  get(path: string): Promise<Answer>;
  send(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<Answer>;
}

function listIn(body: Row, name: string): readonly Row[] {
  const value = body[name];
  return Array.isArray(value) ? (value as readonly Row[]) : [];
}

/** Every refusal must be a problem document (RFC 9457) that says what it is. */
function checkProblem(answer: Answer): void {
  expect(answer.headers.get('content-type'), answer.text).toContain('application/problem+json');
  expect(answer.body).toMatchObject({
    type: expect.any(String) as string,
    title: expect.any(String) as string,
    status: answer.status,
    detail: expect.any(String) as string,
    errors: expect.any(Array) as unknown[],
  });
}

export function createApiClient(sluice: Pick<RunningSluice, 'apiUrl'>, key: string): ApiClient {
  const urlOf = (path: string): string => `${sluice.apiUrl}/api/v1${path}`;
  async function ask(path: string, init: RequestInit): Promise<Answer> {
    const response = await fetch(urlOf(path), {
      ...init,
      headers: {
        ...(key !== '' && { authorization: `Bearer ${key}` }),
        ...(init.body !== undefined && { 'content-type': 'application/json' }),
      },
    });
    const text = await response.text();
    const isJson = /^application\/(problem\+)?json/.test(
      response.headers.get('content-type') ?? '',
    );
    const body = (isJson && text !== '' ? JSON.parse(text) : {}) as Row;
    const answer: Answer = {
      status: response.status,
      headers: response.headers,
      body,
      rows: listIn(body, 'rows'),
      fields: listIn(body, 'errors').map(({ field }) => String(field)),
      text,
    };
    if (!response.ok) checkProblem(answer);
    return answer;
  }
  return {
    key,
    urlOf,
    get: (path) => ask(path, {}),
    send: (method, path, body) =>
      ask(path, { method, ...(body !== undefined && { body: JSON.stringify(body) }) }),
  };
}

/** A new key of a role, made by the manager. */
export async function createKey(
  manager: ApiClient,
  sluice: RunningSluice,
  asked: Row,
): Promise<{ readonly client: ApiClient; readonly id: string }> {
  const made = await manager.send('POST', '/api-keys', { name: 'test', ...asked });
  expect(made.status).toBe(201);
  return { client: createApiClient(sluice, String(made.body['key'])), id: String(made.body['id']) };
}

/** A click, and its id. */
export async function sendClick(
  sluice: Pick<RunningSluice, 'edgeUrl'>,
  query: string,
): Promise<string> {
  const response = await fetch(`${sluice.edgeUrl}/click?${query}&return=click_id`);
  expect(response.status, query).toBe(200);
  return ((await response.json()) as { click_id: string }).click_id;
}

/** A conversion call; resolves with its row of `postbacks` once it is judged. */
export async function sendCall(
  sluice: Pick<RunningSluice, 'edgeUrl'>,
  manager: ApiClient,
  path: string,
): Promise<Row> {
  const response = await fetch(`${sluice.edgeUrl}/track/${path}`);
  expect(response.status, path).toBe(200);
  const { hit_id } = (await response.json()) as { hit_id: string };
  return waitFor(async () => (await manager.get(`/reports/postbacks?hit_id=${hit_id}`)).rows[0], {
    timeoutMs: 20_000,
    what: `hit ${hit_id} to be judged`,
  });
}
