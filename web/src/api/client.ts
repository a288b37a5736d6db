/** Talks to `/api/v1`: JSON in and out, the CSRF token with each change, refusals as errors that name their fields. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

export class ApiProblem extends Error {
  readonly status: number;
  readonly errors: readonly FieldError[];
  constructor(status: number, detail: string, errors: readonly FieldError[] = []) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }
}

let csrfToken = '';
let onSignedOut: () => void = () => undefined;

export function setCsrfToken(token: string): void {
  csrfToken = token;
}

/** For requests that are not made by `send`. */
export const csrfHeaders = (): Record<string, string> => ({ 'x-csrf-token': csrfToken });

/** Called when the API no longer knows the session. */
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener;
}

async function problemOf(response: Response): Promise<ApiProblem> {
  try {
    const body = (await response.json()) as { detail?: string; errors?: FieldError[] };
    return new ApiProblem(response.status, body.detail ?? response.statusText, body.errors ?? []);
  } catch {
    // Not ours: a proxy's page, or nothing at all.
    return new ApiProblem(response.status, `the server answered ${response.status}`);
  }
}

export async function send(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  more: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const headers: Record<string, string> = { ...more };
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (method !== 'GET') headers['x-csrf-token'] = csrfToken;
  let response: Response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new ApiProblem(0, 'the API does not answer: is it running?');
  }
  if (response.ok) return response;
  if (response.status === 401 && !path.startsWith('/session')) onSignedOut();
  throw await problemOf(response);
}

/** The answer's body; the caller names the type, which is the API's contract. */
export async function call<T>(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  headers?: Readonly<Record<string, string>>,
): Promise<T> {
  const response = await send(method, path, body, signal, headers);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<T> =>
  call<T>('GET', path, undefined, signal);

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
