/** No log holds a secret, whatever was asked: keys, passwords and security tokens stay out of every role's log. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

const TOKEN = 's3cret';
let sluice: RunningSluice;
beforeAll(async () => {
  sluice = await startSluice({ SLUICE_LOG_LEVEL: 'debug' });
  await sluice.run(['catalogue', 'apply', projectPath('test/e2e/contract-catalogue.yaml')]);
}, 180_000);
afterAll(async () => {
  await sluice?.stop();
});

async function api(path: string, key: string, body?: object): Promise<Record<string, unknown>> {
  const response = await fetch(`${sluice.apiUrl}/api/v1${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  return (await response.json()) as Record<string, unknown>;
}

it('holds no key, password or token', async () => {
  const kept = JSON.parse(readFileSync(join(sluice.dataDir, 'secrets.json'), 'utf8')) as object;
  const secrets = Object.values(kept).filter((value) => typeof value === 'string');
  expect(secrets).toHaveLength(3);
  const created = await api('/api-keys', sluice.adminKey, {
    role: 'advertiser',
    advertiser_id: 1,
    name: 'for the logs',
  });
  const key = String(created['key']);
  await api('/offers', key);
  await api('/offers', `${key}x`);
  await api('/session', '', { login: 'admin', password: sluice.adminKey });
  await api('/session', '', { login: 'admin', password: 'wrong password for the logs' });
  const call = await fetch(`${sluice.edgeUrl}/track/conv?click_id=none&token=${TOKEN}`);
  const { hit_id } = (await call.json()) as { hit_id: string };
  await fetch(`${sluice.edgeUrl}/track/conv`, { method: 'POST', body: `{"token":"${TOKEN}"` });
  await waitFor(
    async () => (await api(`/explain?hit_id=${hit_id}`, sluice.adminKey))['verdict'] !== undefined,
    { timeoutMs: 20_000, what: 'the call to be judged' },
  ).catch(() => undefined);

  const logDir = join(sluice.dataDir, 'log');
  const logs = readdirSync(logDir).map((name) => readFileSync(join(logDir, name), 'utf8'));
  expect(logs.join('').length).toBeGreaterThan(500);
  const text = logs.join('\n');
  for (const secret of [...secrets, key, TOKEN, 'wrong password for the logs'])
    expect(text.includes(secret), `${secret.slice(0, 6)}…`).toBe(false);
});
