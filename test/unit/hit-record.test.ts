/** The record of a hit: what goes in comes out, records from before fields were left out are read, and it is short. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { browserHeaders, clickPath } from '../../bench/load/requests.ts';
import { ENDPOINTS, PATHS, type ClickHit, type Hit, type RawHit } from '../../src/domain/hit.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import { decodeHit, encodeHit } from '../../src/queue/chunk-job.ts';
import { encodeFrames } from '../../src/spool/chunk-file.ts';

const RECEIVED_MS = Date.UTC(2026, 5, 1);
const plain: RawHit = {
  hitId: '',
  receivedAtMs: RECEIVED_MS,
  endpoint: 'goal',
  method: 'GET',
  path: '/track/goal',
  query: '',
  body: '',
  bodyIsBase64: false,
  contentType: '',
  cookies: '',
  ip: '2001:db8::1',
  userAgent: '',
  referer: '',
  fromBrowser: false,
};
const ofClick = {
  clickId: '0123456789abcdef0123456789abcdef',
  offerId: 16,
  affiliateId: 2,
  advertiserId: 1,
  verdictCode: 0,
  detail: '',
};

const anyText = fc.oneof(
  fc.string(),
  fc.constantFrom('\\1', '\\\\2', '\\', 'Mozilla/5.0 (', 'Mozilla/5.0 (Mozilla/5.0 (\t\\3\r\n'),
);
const anyHit = fc
  .record({
    idMs: fc.integer({ min: RECEIVED_MS - 2, max: RECEIVED_MS + 2 }),
    endpoint: fc.constantFrom(...ENDPOINTS),
    method: fc.constantFrom('GET', 'HEAD', 'POST'),
    path: fc.oneof(fc.constantFrom(...Object.values(PATHS)), fc.constant('/track/else')),
    texts: fc.tuple(anyText, anyText, anyText, anyText, anyText),
    flags: fc.tuple(fc.boolean(), fc.boolean()),
  })
  .map(({ idMs, endpoint, method, path, texts, flags }): Hit => {
    const [query, body, cookies, userAgent, referer] = texts;
    const [bodyIsBase64, fromBrowser] = flags;
    const asked = { method, path, query, body, bodyIsBase64, cookies, userAgent, referer };
    const raw = { ...plain, ...asked, hitId: createHitIds(() => idMs)(), fromBrowser };
    return endpoint === 'click' ? { ...raw, endpoint, ...ofClick } : { ...raw, endpoint };
  });

test('any hit survives its record', () => {
  fc.assert(
    fc.property(anyHit, (hit) => {
      expect(decodeHit(encodeHit(hit))).toEqual(hit);
    }),
  );
});

test('a record of 0.1.0, which left nothing out, is read as ever', () => {
  const record =
    '019e7f5b-a800-7000-8000-000000000001\t1780272000001\tgoal\tGET\t/track/goal\toffer_id=16\t\t0\t\t\t77.0.0.1\tMozilla/5.0 (X11; Linux x86_64)\t\t1';
  expect(decodeHit(record)).toEqual({
    hitId: '019e7f5b-a800-7000-8000-000000000001',
    receivedAtMs: 1_780_272_000_001,
    endpoint: 'goal',
    method: 'GET',
    path: '/track/goal',
    query: 'offer_id=16',
    body: '',
    bodyIsBase64: false,
    contentType: '',
    cookies: '',
    ip: '77.0.0.1',
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64)',
    referer: '',
    fromBrowser: true,
  });
});

test('clicks of browsers take 300 bytes of the spool at the most, on average', () => {
  const hitIds = createHitIds(() => RECEIVED_MS);
  const records = Array.from({ length: 1_000 }, (_, index) => {
    const headers = new Map(browserHeaders(index));
    const [path = '', query = ''] = clickPath(index, '').split('?');
    const click: ClickHit = {
      ...plain,
      hitId: hitIds(),
      endpoint: 'click',
      path,
      query,
      ip: headers.get('X-Forwarded-For') ?? '',
      userAgent: headers.get('User-Agent') ?? '',
      referer: headers.get('Referer') ?? '',
      ...ofClick,
    };
    return encodeHit(click);
  });
  expect(encodeFrames(records).length / records.length).toBeLessThanOrEqual(300);
});
