/** Accounts from outside: the first manager, sessions, CSRF, throttling, tenancy of signed-in users, Redis emptied. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { request, signIn, type BrowserSession } from '../support/browser-session.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

let sluice: RunningSluice;
let admin: BrowserSession;

const PASSWORD = 'a quite long password';

beforeAll(async () => {
  sluice = await startSluice();
  await sluice.run(['catalogue', 'apply', projectPath('test/e2e/contract-catalogue.yaml')]);
  admin = await signIn(sluice.apiUrl, 'admin', sluice.adminKey);
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

async function createUser(fields: Record<string, unknown>): Promise<number> {
  const answer = await admin.send('POST', '/users', { password: PASSWORD, ...fields });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  expect(JSON.stringify(answer.body)).not.toContain('scrypt');
  return Number(answer.body['id']);
}

const fieldsOf = (body: Record<string, unknown>): string[] =>
  (body['errors'] as { field: string }[]).map(({ field }) => field);

describe('signing in', () => {
  it('works first as admin with the admin key, in a cookie that scripts and other sites do not get', async () => {
    const answer = await request(
      `${sluice.apiUrl}/api/v1/session`,
      'POST',
      {},
      { login: 'Admin', password: sluice.adminKey },
    );
    expect(answer.status).toBe(201);
    expect(answer.body['user']).toMatchObject({ login: 'admin', role: 'manager' });
    expect(answer.body['tracking_url']).toBe(sluice.edgeUrl);
    expect(answer.headers.get('set-cookie')).toMatch(
      /^sluice_session=[\w-]{43}; Max-Age=604800; Path=\/api; HttpOnly; SameSite=Strict$/,
    );
  });

  it('refuses a wrong password and an unknown name alike', async () => {
    const wrong = await request(
      `${sluice.apiUrl}/api/v1/session`,
      'POST',
      {},
      { login: 'admin', password: 'wrong' },
    );
    const unknown = await request(
      `${sluice.apiUrl}/api/v1/session`,
      'POST',
      {},
      { login: 'nobody', password: 'wrong' },
    );
    expect(wrong.status).toBe(401);
    expect(unknown.body).toEqual(wrong.body);
  });

  it('throttles guesses at one login, without locking out others', async () => {
    await createUser({ login: 'guessed', role: 'manager' });
    const attempt = (password: string) =>
      request(`${sluice.apiUrl}/api/v1/session`, 'POST', {}, { login: 'guessed', password });
    const statuses = await Promise.all(
      Array.from({ length: 12 }, async () => (await attempt('wrong guess')).status),
    );
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    const right = await attempt(PASSWORD);
    expect(right.status).toBe(429);
    expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(60);
    expect((await admin.send('GET', '/session')).status).toBe(200);
    await signIn(sluice.apiUrl, 'admin', sluice.adminKey);
  });

  it('ends when the user signs out', async () => {
    const session = await signIn(sluice.apiUrl, 'admin', sluice.adminKey);
    expect((await session.send('DELETE', '/session')).status).toBe(204);
    expect((await session.send('GET', '/session')).status).toBe(401);
    expect((await admin.send('GET', '/session')).status).toBe(200);
  });
});

describe('a change with a session', () => {
  const affiliate = { name: 'Forged' };

  it('needs the CSRF token of that session', async () => {
    const without = await request(
      `${sluice.apiUrl}/api/v1/affiliates`,
      'POST',
      { cookie: admin.cookie },
      affiliate,
    );
    expect(without.status).toBe(403);
    const other = await signIn(sluice.apiUrl, 'admin', sluice.adminKey);
    const foreign = await admin.send('POST', '/affiliates', affiliate, {
      'x-csrf-token': other.csrfToken,
    });
    expect(foreign.status).toBe(403);
  });

  it('is refused from another site, and so is a sign-in', async () => {
    const elsewhere = { origin: 'https://evil.example' };
    expect((await admin.send('POST', '/affiliates', affiliate, elsewhere)).status).toBe(403);
    const forged = await request(`${sluice.apiUrl}/api/v1/session`, 'POST', elsewhere, {
      login: 'admin',
      password: sluice.adminKey,
    });
    expect(forged.status).toBe(403);
    const { body } = await admin.send('GET', '/affiliates');
    expect(JSON.stringify(body)).not.toContain('Forged');
  });
});

describe('users', () => {
  it('are refused with the field at fault', async () => {
    const short = await admin.send('POST', '/users', {
      login: 'b',
      role: 'affiliate',
      password: 'short',
    });
    expect(short.status).toBe(422);
    expect(fieldsOf(short.body)).toEqual(['password']);
    const homeless = await admin.send('POST', '/users', {
      login: 'b',
      role: 'affiliate',
      password: PASSWORD,
    });
    expect(fieldsOf(homeless.body)).toEqual(['affiliate_id']);
    const taken = await admin.send('POST', '/users', {
      login: 'ADMIN',
      role: 'manager',
      password: PASSWORD,
    });
    expect(fieldsOf(taken.body)).toEqual(['login']);
  });

  it('end an open tail when their role changes: it would go on by the old one', async () => {
    const id = await createUser({ login: 'watcher', role: 'manager' });
    const { cookie } = await signIn(sluice.apiUrl, 'watcher', PASSWORD);
    const response = await fetch(`${sluice.apiUrl}/api/v1/tail`, { headers: { cookie } });
    expect(response.status).toBe(200);
    const ended = response.text();
    const changed = await admin.send('PATCH', `/users/${id}`, {
      role: 'affiliate',
      affiliate_id: 1,
    });
    expect(changed.status).toBe(200);
    expect(await ended).toContain(': listening');
  });

  it('see their own only, whatever they ask for', async () => {
    await createUser({ login: 'blogger', role: 'affiliate', affiliate_id: 1 });
    await createUser({ login: 'strict', role: 'advertiser', advertiser_id: 2 });
    const affiliate = await signIn(sluice.apiUrl, 'blogger', PASSWORD);
    const advertiser = await signIn(sluice.apiUrl, 'strict', PASSWORD);
    const codes = (await affiliate.send('GET', '/promo-codes')).body['rows'] as object[];
    expect(codes.length).toBeGreaterThan(0);
    for (const code of codes) expect(code).toMatchObject({ affiliate_id: 1 });
    expect((await affiliate.send('GET', '/affiliates/3')).status).toBe(404);
    expect((await advertiser.send('GET', '/offers/16')).status).toBe(404);
    expect((await advertiser.send('GET', '/offers/50')).status).toBe(200);
    for (const session of [affiliate, advertiser]) {
      expect((await session.send('GET', '/users')).status).toBe(403);
      expect((await session.send('GET', '/api-keys')).status).toBe(403);
      expect((await session.send('PATCH', '/users/1', { status: 'disabled' })).status).toBe(403);
      expect((await session.send('PATCH', '/offers/50', { title: 'Mine' })).status).toBe(403);
    }
    expect((await affiliate.send('GET', '/reports/invalid-traffic')).status).toBe(403);
  });

  it('are out at once when disabled, and when their password is changed', async () => {
    const id = await createUser({ login: 'leaver', role: 'manager' });
    const first = await signIn(sluice.apiUrl, 'leaver', PASSWORD);
    const changed = await first.send('POST', '/session/password', {
      current: PASSWORD,
      password: 'another long password',
    });
    expect(changed.status).toBe(200);
    expect((await first.send('GET', '/session')).status).toBe(401);
    const second = await signIn(sluice.apiUrl, 'leaver', 'another long password');
    expect((await second.send('GET', '/session')).status).toBe(200);
    expect((await admin.send('PATCH', `/users/${id}`, { status: 'disabled' })).status).toBe(200);
    expect((await second.send('GET', '/session')).status).toBe(401);
    await expect(signIn(sluice.apiUrl, 'leaver', 'another long password')).rejects.toThrow('401');
  });

  it('always include an active manager', async () => {
    const { body } = await admin.send('GET', '/users');
    const managers = (body['rows'] as { id: number; role: string }[]).filter(
      ({ id, role }) => role === 'manager' && id !== 1,
    );
    for (const { id } of managers)
      await admin.send('PATCH', `/users/${id}`, { status: 'disabled' });
    const last = await admin.send('PATCH', '/users/1', { status: 'disabled' });
    expect(last.status).toBe(422);
    expect(fieldsOf(last.body)).toEqual(['status']);
  });

  it('created at once with one name become one user', async () => {
    const answers = await Promise.all(
      Array.from({ length: 4 }, () =>
        admin.send('POST', '/users', { login: 'twin', role: 'manager', password: PASSWORD }),
      ),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 422)).toHaveLength(3);
  });
});

describe('Redis emptied', () => {
  it('costs no user and no session', async () => {
    const { redisPassword } = JSON.parse(
      readFileSync(join(sluice.dataDir, 'secrets.json'), 'utf8'),
    ) as { redisPassword: string };
    const redis = new Redis(
      `redis://:${redisPassword}@127.0.0.1:${sluice.env['SLUICE_REDIS_PORT'] ?? ''}`,
    );
    await redis.flushall();
    redis.disconnect();
    expect((await admin.send('GET', '/session')).status).toBe(200);
    const again = await signIn(sluice.apiUrl, 'admin', sluice.adminKey);
    await waitFor(async () => (await again.send('GET', '/offers/16')).status === 200, {
      timeoutMs: 5_000,
      what: 'the catalogue after FLUSHALL',
    });
  });

  it('and the API started anew keep them too', async () => {
    const [pid] = sluice.pidsOf('api');
    expect(pid).toBeDefined();
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await waitFor(
      () =>
        admin.send('GET', '/session').then(
          ({ status }) => status === 200 && sluice.pidsOf('api')[0] !== pid,
          () => false,
        ),
      { timeoutMs: 20_000, what: 'the API to be back' },
    );
  });
});
