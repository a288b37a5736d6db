/**
 * The OpenAPI document: valid by OpenAPI's own schema, complete, and true. Every answer seen here is held against the
 * schema that the document gives for it; and the metrics are those of docs/operations.md.
 */
import { readFileSync } from 'node:fs';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LANE_COUNT } from '../../src/domain/gate-request.ts';
import { projectPath } from '../../src/project-root.ts';
import {
  createApiClient,
  createKey,
  sendCall,
  sendClick,
  type Answer,
  type ApiClient,
} from '../support/api-client.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

interface Operation {
  readonly summary?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly schema: object }>>;
  };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>
  >;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
let sluice: RunningSluice;
let document: Document;
const seen = new Set<string>();

/** A client whose every answer is checked against the document. */
function checked(client: ApiClient): ApiClient {
  const check = (method: string, path: string, answer: Answer): Answer => {
    const bare = `/api/v1${path.split('?')[0] ?? ''}`;
    const route = Object.keys(document.paths).find((template) =>
      new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(bare),
    );
    // Literal paths win over those with a parameter, as they do in the server.
    const exact = document.paths[bare] === undefined ? route : bare;
    const operation = document.paths[exact ?? '']?.[method];
    if (operation === undefined) throw new Error(`${method} ${path} is not in the document`);
    const response = operation.responses[String(answer.status)];
    expect(
      response,
      `${method} ${path} may not answer ${answer.status}: ${answer.text}`,
    ).toBeDefined();
    seen.add(`${method} ${exact} ${answer.status}`);
    const type = (answer.headers.get('content-type') ?? '').split(';')[0] ?? '';
    if (answer.text === '') return answer;
    const schema = response?.content?.[type]?.schema;
    if (schema === undefined) throw new Error(`${method} ${path}: ${type} is not in the document`);
    if (type.includes('json') && type !== 'application/x-ndjson') {
      const validate = ajv.compile(schema);
      const valid = validate(answer.body);
      expect(valid, `${method} ${path} ${answer.status}: ${ajv.errorsText(validate.errors)}`).toBe(
        true,
      );
    }
    return answer;
  };
  return {
    ...client,
    get: async (path) => check('get', path, await client.get(path)),
    send: async (method, path, body) =>
      check(method.toLowerCase(), path, await client.send(method, path, body)),
  };
}

beforeAll(async () => {
  sluice = await startSluice({ SLUICE_OUTGOING_ALLOW: '127.0.0.1/32' });
  document = (await (await fetch(`${sluice.apiUrl}/api/openapi.json`)).json()) as Document;
  await sluice.run(['catalogue', 'apply', projectPath('test/e2e/contract-catalogue.yaml')]);
  await waitFor(
    async () => (await fetch(`${sluice.edgeUrl}/click?o=16&a=1&return=click_id`)).status === 200,
    { timeoutMs: 5_000, what: 'the catalogue to be in force' },
  );
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

/** Converts until an affiliate's postback is in the log; resolves to its id. */
async function tellAffiliate(manager: ApiClient): Promise<string> {
  const url = `${sluice.apiUrl}/healthz?t={transaction_id}`;
  await manager.send('POST', '/affiliate-postbacks', { affiliate_id: 1, url });
  return waitFor(
    async () => {
      const clickId = await sendClick(sluice, 'o=16&a=1');
      await sendCall(sluice, manager, `conv?click_id=${clickId}&goal_alias=many`);
      const { rows } = await manager.get('/reports/affiliate-postbacks?outcome=sent');
      return rows[0] === undefined ? undefined : String(rows[0]['postback_id']);
    },
    { timeoutMs: 20_000, what: 'an affiliate to be told', intervalMs: 500 },
  );
}

describe('the document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    // A copy: the validator resolves references in place.
    const result = await validator.validate(
      JSON.parse(JSON.stringify(document)) as Record<string, unknown>,
    );
    expect(result.errors).toBeUndefined();
    expect(result.valid).toBe(true);
    expect(validator.version).toBe('3.1');
  });

  it('names every path of the contract, each with a summary, its parameters and its answers', () => {
    const kinds = [
      'advertisers',
      'affiliates',
      'offers',
      'goals',
      'deployments',
      'promo-codes',
      'affiliate-postbacks',
    ];
    const reports = [
      'clicks',
      'invalid-clicks',
      'transactions',
      'invalid-traffic',
      'postbacks',
      'affiliate-postbacks',
      'statistics',
    ];
    const paths = [
      ...kinds.flatMap((kind) => [`/${kind}`, `/${kind}/{id}`]),
      ...reports.map((name) => `/reports/${name}`),
      '/promo-codes/bulk',
      '/affiliate-postbacks/{id}/resend',
      '/explain',
      '/explain/test',
      '/tail',
      '/replays',
      '/replays/{id}',
      '/replays/preview',
      '/api-keys',
      '/api-keys/{id}',
    ].map((path) => `/api/v1${path}`);
    for (const path of paths) expect(Object.keys(document.paths), path).toContain(path);
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const where = `${method} ${path}`;
        expect(operation.summary, where).toBeTruthy();
        expect(Object.keys(operation.responses), where).toContain('401');
        expect(
          Object.keys(operation.responses).some((status) => status.startsWith('2')),
          where,
        ).toBe(true);
        if (method === 'post' || method === 'patch')
          expect(operation.requestBody?.content['application/json']?.schema, where).toBeDefined();
        for (const [, name] of path.matchAll(/\{(\w+)\}/g))
          expect(
            operation.parameters?.some((p) => p.in === 'path' && p.name === name),
            where,
          ).toBe(true);
      }
    }
    const names = document.paths['/api/v1/reports/transactions']?.['get']?.parameters?.map(
      ({ name }) => name,
    );
    for (const name of [
      'from',
      'to',
      'tz',
      'sort',
      'limit',
      'cursor',
      'format',
      'promo_code',
      'sub_id1',
    ])
      expect(names).toContain(name);
  });

  it('says of every answer what it is', async () => {
    const manager = checked(createApiClient(sluice, sluice.adminKey));
    const affiliate = checked(
      (await createKey(manager, sluice, { role: 'affiliate', affiliate_id: 1 })).client,
    );
    const nobody = checked(createApiClient(sluice, 'slk_nobody'));
    const clickId = await sendClick(sluice, 'o=16&a=1');
    await fetch(`${sluice.edgeUrl}/click?o=999&a=1`);
    const row = await sendCall(
      sluice,
      manager,
      `conv?click_id=${clickId}&goal_alias=many&amount=1.5`,
    );
    const bad = await sendCall(sluice, manager, 'conv?click_id={click_id}');
    const kinds = [
      'advertisers',
      'affiliates',
      'offers',
      'goals',
      'deployments',
      'promo-codes',
      'affiliate-postbacks',
    ];
    const fresh: Readonly<Record<string, object>> = {
      advertisers: { name: 'New', token: 'secret' },
      affiliates: { name: 'New' },
      offers: { advertiser_id: 1, title: 'New', url: 'https://new.example/' },
      goals: { offer_id: 16, alias: 'new', payout: '1.5', affiliate_caps: { '1': { daily: 3 } } },
      deployments: { offer_id: 16, affiliate_id: 3 },
      'promo-codes': { code: 'NEW1', affiliate_id: 1, offer_id: 16, start_date: '2026-01-01' },
      'affiliate-postbacks': { affiliate_id: 1, url: 'https://tracker.example/?c={aff_click_id}' },
    };
    for (const kind of kinds) {
      for (const client of [manager, affiliate, nobody]) {
        await client.get(`/${kind}`);
        await client.get(`/${kind}?nothing=1`);
        await client.get(`/${kind}/nothing`);
      }
      const made = await manager.send('POST', `/${kind}`, fresh[kind]);
      expect(made.status, made.text).toBe(201);
      const path = `/${kind}/${String(made.body['id'])}`;
      await manager.get(path);
      await manager.send('POST', `/${kind}`, kind === 'promo-codes' ? fresh[kind] : made.body);
      await manager.send('POST', `/${kind}`, { surprise: 1 });
      await manager.send('PATCH', path, { surprise: 1 });
      expect((await manager.send('PATCH', path, {})).status).toBe(200);
      expect((await manager.send('DELETE', path)).status).toBe(204);
      await manager.send('DELETE', path);
      await affiliate.send('DELETE', path);
    }
    await manager.send('POST', '/promo-codes/bulk', {
      items: [fresh['promo-codes'], fresh['promo-codes'], {}],
    });
    await manager.send('POST', '/promo-codes/bulk', { items: [] });
    const told = await tellAffiliate(manager);
    for (const client of [manager, affiliate, nobody]) {
      await client.send('POST', `/affiliate-postbacks/${told}/resend`);
      await client.send('POST', '/affiliate-postbacks/nothing/resend');
    }
    for (const name of [
      'clicks',
      'invalid-clicks',
      'transactions',
      'invalid-traffic',
      'postbacks',
      'affiliate-postbacks',
      'statistics',
    ]) {
      for (const client of [manager, affiliate, nobody]) {
        for (const query of ['', '?format=csv', '?format=ndjson', '?format=parquet', '?limit=0'])
          await client.get(`/reports/${name}${query}`);
      }
      expect((await manager.get(`/reports/${name}`)).rows.length, name).toBeGreaterThan(0);
    }
    await manager.get('/reports/statistics?breakdown=hour,offer,verdict,sub_id1,promo_code,device');
    for (const query of [
      `hit_id=${String(row['hit_id'])}`,
      `hit_id=${String(bad['hit_id'])}`,
      `click_id=${clickId}`,
      'hit_id=x',
      'x=y',
    ])
      await manager.get(`/explain?${query}`);
    await affiliate.get('/explain?hit_id=x');
    const transaction = `/transactions/${String(row['transaction_id'])}`;
    for (const client of [manager, affiliate, nobody]) {
      await client.get(transaction);
      await client.send('PATCH', transaction, { notes: 'seen' });
      await client.send('POST', '/transactions', { affiliate_id: 1, goal_id: 14 });
    }
    await manager.send('PATCH', transaction, { surprise: 1 });
    await manager.send('PATCH', '/transactions/nothing', { notes: 'seen' });
    await manager.send('POST', '/transactions', {});
    await manager.send('POST', '/transactions/bulk', [{ transaction_id: 'x', notes: 'seen' }]);
    await manager.send('POST', '/transactions/bulk-manual?dry_run=1', [{ affiliate_id: 1 }]);
    await sendCall(sluice, manager, 'conv?click_id=no-click');
    for (const filter of [{ verdict: 'invalid_click_id' }, { goal_id: 999_999 }, { colour: 1 }]) {
      for (const client of [manager, affiliate, nobody]) {
        await client.send('POST', '/replays/preview', { filter });
        await client.send('POST', '/replays', { filter });
      }
    }
    for (const client of [manager, affiliate, nobody]) {
      const [replay] = (await client.get('/replays')).rows;
      await client.get(`/replays/${replay === undefined ? 'none' : String(replay['replay_id'])}`);
    }
    await manager.get('/replays/none');
    for (const url of [`/track/conv?click_id=${clickId}`, '/track/conv', 7])
      await manager.send('POST', '/explain/test', { url });
    await affiliate.get('/tail');
    await manager.get('/tail?nothing=1');
    const key = await manager.send('POST', '/api-keys', {
      role: 'advertiser',
      name: 'x',
      advertiser_id: 1,
    });
    await manager.send('POST', '/api-keys', {});
    await manager.get('/api-keys');
    await affiliate.get('/api-keys');
    await manager.send('DELETE', `/api-keys/${String(key.body['id'])}`);
    await manager.send('DELETE', `/api-keys/${String(key.body['id'])}`);
    for (const client of [manager, affiliate, nobody]) {
      for (const path of ['/status', '/users', '/session', '/requestable-offers'])
        await client.get(path);
      for (const name of ['clicks', 'transactions', 'postbacks']) {
        await client.get(`/reports/${name}/totals`);
        await client.get(`/reports/${name}/totals?nothing=1`);
      }
    }
    const draft = { login: 'openapi', role: 'manager', password: 'a long password of the test' };
    const user = await manager.send('POST', '/users', draft);
    expect(user.status, user.text).toBe(201);
    await manager.send('POST', '/users', draft);
    await manager.send('PATCH', `/users/${String(user.body['id'])}`, { name: 'Named' });
    await manager.send('PATCH', `/users/${String(user.body['id'])}`, { surprise: 1 });
    await manager.send('PATCH', '/users/9999', {});
    await nobody.send('POST', '/session', { login: 'openapi', password: draft.password });
    await nobody.send('POST', '/session', { login: 'openapi', password: 'wrong' });
    await nobody.send('POST', '/session', {});
    await manager.send('POST', '/session/password', {});
    await manager.send('DELETE', '/session');
    // What was seen is most of what the document promises: nothing was skipped by a path that did not match.
    expect(seen.size).toBeGreaterThan(110);
  });
});

describe('the metrics', () => {
  it('are those of docs/operations.md, and count the requests', async () => {
    const response = await fetch(`${sluice.apiUrl}/metrics`);
    expect(response.headers.get('content-type')).toContain('text/plain');
    const text = await response.text();
    const names = [...text.matchAll(/^# TYPE (sluice_\w+)/gm)].map(([, name]) => name ?? '');
    const documented = readFileSync(projectPath('docs', 'operations.md'), 'utf8');
    for (const name of names) expect(documented, name).toContain(`\`${name}\``);
    for (const [, name] of documented.matchAll(/`(sluice_(?!edge_)\w+)`/g))
      expect(names).toContain(name);
    const value = (line: string): number =>
      Number(new RegExp(`^${line} (\\d+)$`, 'm').exec(text)?.[1]);
    expect(value('sluice_store_up{store="redis"}')).toBe(1);
    expect(value('sluice_store_up{store="clickhouse"}')).toBe(1);
    expect(value('sluice_roles_alive{role="worker"}')).toBe(1);
    expect(value('sluice_roles_alive{role="edge"}')).toBe(1);
    expect(
      value('sluice_api_requests_total{method="GET",route="/api/v1/offers",status="200"}'),
    ).toBeGreaterThan(0);
    // Guessed paths make no series of their own.
    expect(text).not.toContain('/offers/nothing');
  });

  it('show how far each lane is', async () => {
    await waitFor(
      async () => {
        const text = await (await fetch(`${sluice.apiUrl}/metrics`)).text();
        const read = (name: string): string[] =>
          [...text.matchAll(new RegExp(`^${name}\\{lane="\\d"\\} (\\d+)$`, 'gm'))].map(
            ([, n]) => n ?? '',
          );
        const [stored, applied] = [read('sluice_lane_position'), read('sluice_lane_applied')];
        return (
          stored.length === LANE_COUNT &&
          stored.some((n) => n !== '0') &&
          stored.join() === applied.join()
        );
      },
      { timeoutMs: 10_000, what: 'Redis and ClickHouse to be level in every lane' },
    );
  });

  it('show a worker that died', async () => {
    const [pid] = sluice.pidsOf('worker');
    expect(pid).toBeDefined();
    process.kill(pid ?? 0, 'SIGKILL');
    await waitFor(
      async () => {
        const text = await (await fetch(`${sluice.apiUrl}/metrics`)).text();
        return (
          text.includes('sluice_roles_dead{role="worker"} 1') &&
          text.includes('sluice_roles_alive{role="worker"} 1')
        );
      },
      { timeoutMs: 30_000, what: 'the dead worker to be counted', intervalMs: 500 },
    );
  });
});
