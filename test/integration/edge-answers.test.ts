/** What the front answers: forms, browsers, cookies, CORS, methods, limits. A real edge, requests byte by byte. */
import { Script } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClickIdCodec } from '../../src/domain/click-id.ts';
import { catalogue, goal, offer, TEST_KEY } from '../support/catalogue.ts';
import { ask, headerOf, sendRaw, type RawAnswer } from '../support/raw-http.ts';
import { startEdge, type TestEdge } from '../support/start-edge.ts';

let edge: TestEdge;
beforeAll(async () => {
  edge = await startEdge(
    catalogue({
      offers: [
        offer({ click_lifetime_days: 2, allowed_deep_link_hosts: ['good.example'] }),
        offer({
          id: 17,
          status: 'inactive',
          trafficback_url: 'https://back.example/?o={offer_id}',
        }),
        offer({ id: 18, status: 'inactive' }),
      ],
      goals: [goal()],
    }),
  );
});
afterAll(async () => {
  await edge.close();
});

const codec = createClickIdCodec([TEST_KEY]);
const TRACK = '/track/goal-by-click-id';
const GIF = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');

const hitIdOf = (answer: RawAnswer): string =>
  (JSON.parse(answer.body.toString()) as { hit_id: string }).hit_id;

function formOf(answer: RawAnswer): string {
  const type = headerOf(answer, 'content-type');
  const forms = { 'image/gif': 'img', 'application/javascript': 'js', 'text/html': 'iframe' };
  return Object.entries(forms).find(([start]) => type.startsWith(start))?.[1] ?? type;
}
const JSON_TYPE = 'application/json; charset=utf-8';

describe('the form of an answer', () => {
  test('img is the classical GIF, byte for byte', async () => {
    const answer = await ask(edge.port, 'GET', `${TRACK}?return=img`);
    expect(answer.body.equals(GIF)).toBe(true);
    expect(headerOf(answer, 'content-type')).toBe('image/gif');
    expect(headerOf(answer, 'content-length')).toBe('42');
  });

  test('js is a script, iframe a page, json names the stored hit', async () => {
    const js = await ask(edge.port, 'GET', `${TRACK}?return=js`);
    expect(() => new Script(js.body.toString())).not.toThrow();
    const frame = await ask(edge.port, 'GET', `${TRACK}?return=iframe`);
    expect(frame.body.toString()).toMatch(/^<!doctype html>.*<\/html>$/);
    const json = await ask(edge.port, 'GET', `${TRACK}?return=json&adv_order_id=o1`);
    expect(JSON.parse(json.body.toString())).toEqual({
      status: 'accepted',
      hit_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(edge.hit(hitIdOf(json))).toMatchObject({ query: 'return=json&adv_order_id=o1' });
  });

  test.each<[string, string, Record<string, string>, string, boolean]>([
    ['return=img', 'return=img', {}, 'img', true],
    ['return=js', 'return=js', {}, 'js', true],
    ['return=iframe', 'return=iframe', {}, 'iframe', true],
    ['return=json', 'return=json', {}, JSON_TYPE, false],
    ['the first non-empty return', 'return=&return=img&return=js', {}, 'img', true],
    [
      'return before what the browser asks',
      'return=json',
      { 'Sec-Fetch-Dest': 'image' },
      JSON_TYPE,
      true,
    ],
    ['an unknown return is none', 'return=xml', {}, JSON_TYPE, false],
    ['an unknown return and an image', 'return=xml', { 'Sec-Fetch-Dest': 'image' }, 'img', true],
    ['nothing', '', {}, JSON_TYPE, false],
    ['an image', '', { 'Sec-Fetch-Dest': 'image', Accept: '*/*' }, 'img', true],
    ['a script', '', { 'Sec-Fetch-Dest': 'script', Accept: '*/*' }, 'js', true],
    ['a frame', '', { 'Sec-Fetch-Dest': 'iframe', Accept: 'text/html' }, 'iframe', true],
    ['an old frame', '', { 'Sec-Fetch-Dest': 'frame' }, 'iframe', true],
    ['fetch() or a beacon', '', { 'Sec-Fetch-Dest': 'empty', Accept: '*/*' }, JSON_TYPE, true],
    ['an old browser and an image', '', { Accept: 'image/webp,*/*' }, 'img', true],
    ['an old browser and a script', '', { Accept: 'text/javascript, */*' }, 'js', true],
    [
      'an old browser and a frame',
      '',
      { Accept: 'text/html,application/xhtml+xml' },
      'iframe',
      true,
    ],
    ['a script of an old browser', '', { Origin: 'https://shop.example' }, JSON_TYPE, true],
    [
      'a server in Java',
      '',
      { Accept: 'text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2' },
      JSON_TYPE,
      false,
    ],
    ['a server that accepts anything', '', { Accept: '*/*' }, JSON_TYPE, false],
    ['a server that wants JSON', '', { Accept: 'application/json' }, JSON_TYPE, false],
    ['a header name in capitals', '', { 'SEC-FETCH-DEST': 'image' }, 'img', true],
  ])('%s', async (name, query, headers, form, fromBrowser) => {
    const mark = `adv_param1=${encodeURIComponent(name)}`;
    const answer = await ask(edge.port, 'GET', `${TRACK}?${query}&${mark}`, headers);
    expect(answer.status).toBe(200);
    expect(formOf(answer)).toBe(form);
    expect(headerOf(answer, 'cache-control')).toBe('no-store');
    expect(edge.stored().find((hit) => hit.query.endsWith(mark))?.fromBrowser).toBe(fromBrowser);
  });

  test.each([
    ['a form', 'application/x-www-form-urlencoded', 'return=img&a=1'],
    ['JSON', 'application/json', '{"return":"img"}'],
    ['a beacon', 'text/plain;charset=UTF-8', 'return=img'],
  ])('return in the body of %s counts', async (_, type, body) => {
    const answer = await ask(edge.port, 'POST', TRACK, { 'Content-Type': type }, body);
    expect(formOf(answer)).toBe('img');
  });

  test('return in the query wins over the one in the body', async () => {
    const type = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const answer = await ask(edge.port, 'POST', `${TRACK}?return=js`, type, 'return=img');
    expect(formOf(answer)).toBe('js');
  });

  test('a body that nobody can read is stored as it came and answered 200', async () => {
    for (const [body, type, kept] of [
      ['{"a":', 'application/json', '{"a":'],
      [Buffer.from([0xff, 0xfe, 0]), 'application/json', '//4A'],
      ['<x/>', 'text/xml', '<x/>'],
    ] as const) {
      const answer = await ask(edge.port, 'POST', TRACK, { 'Content-Type': type }, body);
      expect(answer.status).toBe(200);
      expect(edge.hit(hitIdOf(answer))).toMatchObject({ body: kept, contentType: type });
    }
  });
});

describe('CORS', () => {
  const cors = (answer: RawAnswer) => ({
    origin: headerOf(answer, 'access-control-allow-origin'),
    credentials: headerOf(answer, 'access-control-allow-credentials'),
    vary: headerOf(answer, 'vary'),
  });
  const OPEN = { origin: '*', credentials: '', vary: '' };
  const ECHO = { origin: 'https://shop.example', credentials: 'true', vary: 'Origin' };
  const ORIGIN = { Origin: 'https://shop.example' };

  test.each([
    ['GET', TRACK],
    ['POST', TRACK],
    ['GET', '/track/nope'],
    ['GET', '/click?o=16&a=1&return=click_id'],
    ['GET', '/click?o=99&a=1&return=click_id'],
    ['OPTIONS', TRACK],
  ])(
    'of %s %s echoes an Origin with credentials, and is open without one',
    async (method, path) => {
      expect(cors(await ask(edge.port, method, path, ORIGIN))).toEqual(ECHO);
      expect(cors(await ask(edge.port, method, path))).toEqual(OPEN);
    },
  );

  test('a preflight allows what browsers send, and is no hit', async () => {
    const before = edge.stored().length;
    const answer = await ask(edge.port, 'OPTIONS', TRACK, {
      ...ORIGIN,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type',
    });
    expect(answer.status).toBe(204);
    expect(headerOf(answer, 'access-control-allow-methods')).toContain('POST');
    expect(headerOf(answer, 'access-control-allow-headers').toLowerCase()).toContain(
      'content-type',
    );
    expect(edge.stored()).toHaveLength(before);
  });

  test('an Origin can bring no header of its own', async () => {
    const answer = await ask(edge.port, 'GET', TRACK, { Origin: 'null' });
    expect(cors(answer).origin).toBe('null');
  });
});

describe('a click', () => {
  const CLICK = '/click?o=16&a=1';

  test('goes to the offer with its id, and sets the cookie', async () => {
    const answer = await ask(edge.port, 'GET', `${CLICK}&sub_id1=x`);
    expect(answer.status).toBe(302);
    const id = new URL(headerOf(answer, 'location')).searchParams.get('cid') ?? '';
    expect(codec.open(id)?.offerId).toBe(16);
    expect(headerOf(answer, 'x-sluice-verdict')).toBe('accepted');
    expect(headerOf(answer, 'cache-control')).toBe('no-store');
    expect(answer.headers.get('set-cookie')).toEqual([
      `slc_16=${id}; Path=/; Max-Age=172800; HttpOnly; SameSite=Lax`,
    ]);
    expect(
      edge.stored().find((hit) => hit.endpoint === 'click' && hit.clickId === id),
    ).toMatchObject({ query: 'o=16&a=1&sub_id1=x', offerId: 16, affiliateId: 1, verdictCode: 0 });
  });

  test('gives its id as JSON when asked to', async () => {
    const answer = await ask(edge.port, 'GET', `${CLICK}&return=click_id`);
    expect(answer.status).toBe(200);
    const { click_id } = JSON.parse(answer.body.toString()) as { click_id: string };
    expect(codec.open(click_id)?.offerId).toBe(16);
    expect(headerOf(answer, 'set-cookie')).toContain(`slc_16=${click_id};`);
    expect(headerOf(answer, 'x-sluice-verdict')).toBe('accepted');
  });

  test('goes to a deep link of a listed host only', async () => {
    const link = encodeURIComponent('https://good.example/p?x=1');
    const good = await ask(edge.port, 'GET', `${CLICK}&deep_link=${link}`);
    expect(headerOf(good, 'location')).toBe('https://good.example/p?x=1');
    const evil = await ask(edge.port, 'GET', `${CLICK}&deep_link=https%3A%2F%2Fevil.example`);
    expect(headerOf(evil, 'location')).toMatch(/^https:\/\/shop\.example\/\?cid=/);
  });

  test.each([
    ['/click?o=17&a=1', 302, 'offer_not_active', 'https://back.example/?o=17'],
    ['/click?o=18&a=1', 404, 'offer_not_active', ''],
    ['/click?o=99&a=1', 404, 'offer_not_found', ''],
    ['/click', 404, 'offer_not_found', ''],
    ['/click?o=16&a=99', 404, 'affiliate_not_found', ''],
  ])('%s is %d %s, stored, and sets no cookie', async (path, status, slug, location) => {
    const query = `${path}${path.includes('?') ? '&' : '?'}source=${slug}`;
    const answer = await ask(edge.port, 'GET', query);
    expect(answer.status).toBe(status);
    expect(headerOf(answer, 'x-sluice-verdict')).toBe(slug);
    expect(headerOf(answer, 'location')).toBe(location);
    expect(answer.headers.has('set-cookie')).toBe(false);
    if (status === 404) expect(answer.body.toString()).toContain('<!doctype html>');
    expect(edge.stored().some((hit) => hit.query === query.slice(query.indexOf('?') + 1))).toBe(
      true,
    );
  });

  test('that is invalid is told so as JSON with return=click_id, whatever trafficback there is', async () => {
    const answer = await ask(edge.port, 'GET', '/click?o=17&a=1&return=click_id');
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ error: 'offer_not_active' });
  });

  test('keeps only our cookies of the visitor', async () => {
    const headers = { Cookie: 'session=private; slc_16=abc; x=slc_1; slc_17=def' };
    await ask(edge.port, 'GET', `${TRACK}?adv_param1=cookies`, headers);
    const hit = edge.stored().find(({ query }) => query === 'adv_param1=cookies');
    expect(hit?.cookies).toBe('slc_16=abc; slc_17=def');
  });
});

describe('methods', () => {
  test.each(['/click?o=16&a=1', `${TRACK}?return=img`, '/healthz'])(
    'HEAD %s has the head of GET and no body',
    async (path) => {
      const [get, head] = [await ask(edge.port, 'GET', path), await ask(edge.port, 'HEAD', path)];
      expect(head.status).toBe(get.status);
      expect(head.body).toHaveLength(0);
      expect(headerOf(head, 'content-length')).toBe(headerOf(get, 'content-length'));
      expect(headerOf(head, 'content-type')).toBe(headerOf(get, 'content-type'));
    },
  );

  test.each(['PUT', 'DELETE', 'PATCH', 'TRACE', 'PROPFIND'])(
    '%s is 405, says what is allowed, and is no hit',
    async (method) => {
      const before = edge.stored().length;
      const answer = await ask(edge.port, method, TRACK);
      expect(answer.status).toBe(405);
      expect(headerOf(answer, 'allow')).toBe('GET, HEAD, POST, OPTIONS');
      expect(edge.stored()).toHaveLength(before);
    },
  );

  test('POST /click takes its parameters from a form as well', async () => {
    const type = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const answer = await ask(edge.port, 'POST', '/click', type, 'o=16&a=1&return=click_id');
    expect(answer.status).toBe(200);
  });
});

describe('paths', () => {
  test.each(['/', '/nope', '/clicks', '/click/', '/Click', '/track', '/trackx/goal', '/healthz/'])(
    '%s is 404 and no hit',
    async (path) => {
      const before = edge.stored().length;
      expect((await ask(edge.port, 'GET', path)).status).toBe(404);
      expect(edge.stored()).toHaveLength(before);
    },
  );

  test.each([
    '/track/',
    '/track/nope',
    '/track/goal/',
    '/track/GOAL',
    '/track/click',
    '/track/%67oal',
  ])('%s is 404 and stored as unknown', async (path) => {
    const answer = await ask(edge.port, 'GET', path);
    expect(answer.status).toBe(404);
    expect(edge.hit(hitIdOf(answer))).toMatchObject({ endpoint: 'unknown', path });
  });

  test.each([
    '/track/goal',
    '/track/conv',
    '/track/conv-change',
    '/track/conv-addchange',
    '/track/promo',
  ])('%s is an endpoint', async (path) => {
    const answer = await ask(edge.port, 'GET', path);
    expect(answer.status).toBe(200);
    expect(edge.hit(hitIdOf(answer))).toMatchObject({ endpoint: path.slice('/track/'.length) });
  });
});

describe('limits', () => {
  const refused = (reason: string) =>
    edge.metric(new RegExp(`sluice_edge_requests_refused_total\\{reason="${reason}"\\}`));

  test('a body of 64 KiB is taken, one byte more is 413, counted and not stored', async () => {
    const type = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const body = (bytes: number) => `adv_param1=${'x'.repeat(bytes - 'adv_param1='.length)}`;
    const taken = await ask(edge.port, 'POST', TRACK, type, body(64 * 1024));
    expect(taken.status).toBe(200);
    expect(edge.hit(hitIdOf(taken))?.body).toHaveLength(64 * 1024);
    const [stored, counted] = [edge.stored().length, await refused('body_too_large')];
    expect((await ask(edge.port, 'POST', TRACK, type, body(64 * 1024 + 1))).status).toBe(413);
    expect(await refused('body_too_large')).toBe(counted + 1);
    expect(edge.stored()).toHaveLength(stored);
  });

  test('a body without a length is counted as it comes', async () => {
    const part = `${'x'.repeat(0x8000)}\r\n`;
    const head = { 'Transfer-Encoding': 'chunked' };
    const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`);
    const request = (parts: number) =>
      `POST ${TRACK} HTTP/1.1\r\nHost: x\r\n${lines.join('')}\r\n${`8000\r\n${part}`.repeat(parts)}0\r\n\r\n`;
    const [taken] = await sendRaw(edge.port, request(2));
    expect(taken?.status).toBe(200);
    const [over] = await sendRaw(edge.port, request(3));
    expect(over?.status).toBe(413);
  });

  test('request line and headers of 16 KiB are taken, more is 431, counted and not stored', async () => {
    const taken = await ask(edge.port, 'GET', `${TRACK}?sub_id1=${'x'.repeat(15_000)}`);
    expect(taken.status).toBe(200);
    const [stored, counted] = [edge.stored().length, await refused('headers_too_large')];
    const long = `${TRACK}?sub_id1=${'x'.repeat(16 * 1024)}`;
    expect((await ask(edge.port, 'GET', long)).status).toBe(431);
    expect((await ask(edge.port, 'GET', TRACK, { 'X-Long': 'x'.repeat(16 * 1024) })).status).toBe(
      431,
    );
    expect(await refused('headers_too_large')).toBe(counted + 2);
    expect(edge.stored()).toHaveLength(stored);
  });

  test('a head of 16,384 bytes is taken, one more is 431', async () => {
    const headOf = (target: string, bytes: number): string => {
      const lines = `GET ${target} HTTP/1.1\r\nHost: x\r\nCookie: `;
      return `${lines}${'x'.repeat(bytes - lines.length - 4)}\r\n\r\n`;
    };
    for (const target of [`${TRACK}?adv_param1=1`, TRACK]) {
      const [taken] = await sendRaw(edge.port, headOf(target, 16_384));
      const [over] = await sendRaw(edge.port, headOf(target, 16_385));
      expect([taken?.status, over?.status]).toEqual([200, 431]);
    }
  });

  test.each([
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 3\r\n'],
    ['two lengths, the longer one last', 'Content-Length: 3\r\nContent-Length: 5\r\n'],
    ['an empty length before another', 'Content-Length:\r\nContent-Length: 5\r\n'],
    ['an empty length after another', 'Content-Length: 5\r\nContent-Length:\r\n'],
  ])(
    'a request with %s is 400, counted, and none after it on its connection is served',
    async (_, lines) => {
      const [stored, counted] = [edge.stored().length, await refused('length_unclear')];
      for (const method of ['POST', 'GET', 'HEAD']) {
        const request = `${method} ${TRACK} HTTP/1.1\r\nHost: x\r\n${lines}\r\n`;
        const answers = await sendRaw(edge.port, request, { expected: 2 });
        expect(answers.map(({ status }) => status)).toEqual([400]);
        const smuggled = `a=bcdGET ${TRACK} HTTP/1.1\r\nHost: x\r\n\r\n`;
        expect(await sendRaw(edge.port, request + smuggled)).toEqual([]);
      }
      expect(await refused('length_unclear')).toBe(counted + 6);
      expect(edge.stored()).toHaveLength(stored);
    },
  );

  test('the same length said twice is one', async () => {
    const length = 'Content-Length: 5\r\n';
    const request = `POST ${TRACK} HTTP/1.1\r\nHost: x\r\n${length}${length}\r\na=bcd`;
    expect((await sendRaw(edge.port, request))[0]?.status).toBe(200);
  });

  test('98 headers are taken', async () => {
    const lines = Array.from({ length: 97 }, (_, n) => `X-${n}: 1\r\n`).join('');
    const request = `GET ${TRACK} HTTP/1.1\r\nHost: x\r\n${lines}\r\n`;
    expect((await sendRaw(edge.port, request))[0]?.status).toBe(200);
  });

  test.each(['\u{fc}', '', '\u{fc}\u{f6}'])(
    'an Idempotency-Key of which nothing is printable ASCII, %j, is 400',
    async (key) => {
      const request = `POST /track/batch HTTP/1.1\r\nHost: x\r\nIdempotency-Key: ${key}\r\nContent-Length: 0\r\n\r\n`;
      const [answer] = await sendRaw(edge.port, Buffer.from(request));
      expect(answer?.status).toBe(400);
      expect(answer?.body.toString()).toContain('1 to 200 printable ASCII characters');
    },
  );

  test('far more than 16 KiB of headers is refused too, and the edge lives', async () => {
    const [answer] = await sendRaw(
      edge.port,
      `GET ${TRACK} HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(200_000)}\r\n\r\n`,
    );
    expect([431, undefined]).toContain(answer?.status);
    expect((await ask(edge.port, 'GET', '/healthz')).status).toBe(200);
  });

  test('HTTP/1.0 is refused', async () => {
    const before = edge.stored().length;
    const [answer] = await sendRaw(edge.port, `GET ${TRACK} HTTP/1.0\r\nHost: x\r\n\r\n`);
    expect(answer?.status ?? 505).toBeGreaterThanOrEqual(400);
    expect(edge.stored()).toHaveLength(before);
  });
});
