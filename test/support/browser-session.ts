/** A signed-in user without a browser: keeps the cookie and sends the CSRF token, as the console does. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

export interface BrowserSession {
  readonly cookie: string;
  readonly csrfToken: string;
  send(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer>;
}

export async function request(
  url: string,
  method: string,
  headers: Record<string, string>,
  body?: unknown,
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    // Problem documents and answers alike are objects.
    body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
  };
}

export async function signIn(
  apiUrl: string,
  login: string,
  password: string,
): Promise<BrowserSession> {
  const answer = await request(`${apiUrl}/api/v1/session`, 'POST', {}, { login, password });
  if (answer.status !== 201)
    throw new Error(`sign-in of ${login}: ${answer.status} ${JSON.stringify(answer.body)}`);
  const cookie = (answer.headers.get('set-cookie') ?? '').split(';', 1)[0] ?? '';
  const csrfToken = String(answer.body['csrf_token']);
  return {
    cookie,
    csrfToken,
    send: (method, path, body, headers = {}) =>
      request(
        `${apiUrl}/api/v1${path}`,
        method,
        { cookie, 'x-csrf-token': csrfToken, ...headers },
        body,
      ),
  };
}
