/** Landing URLs: macros encoded, deep links only to hosts of the list, whatever a link tries. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { landingUrl, trafficbackUrl, type MacroValues } from '../../../src/domain/macros.ts';
import { offer } from '../../support/catalogue.ts';

const CLICK = 'ab'.repeat(16);
const values = (parameters: Record<string, string> = {}): MacroValues => ({
  clickId: CLICK,
  offerId: '16',
  affiliateId: '1',
  parameters: new Map(Object.entries(parameters)),
});

describe('macros', () => {
  test.each<[string, Record<string, string>, string]>([
    ['https://s.example/?c={click_id}', {}, `https://s.example/?c=${CLICK}`],
    ['{offer_id}-{affiliate_id}', {}, '16-1'],
    ['{sub_id1}{sub_id5}', { sub_id1: 'a b', sub_id5: '&=?#/' }, 'a%20b%26%3D%3F%23%2F'],
    ['{aff_param1}', { aff_param1: '{click_id}' }, '%7Bclick_id%7D'],
    [
      '{aff_click_id}',
      { aff_click_id: 'é\u0000\r\nSet-Cookie: x' },
      '%C3%A9%00%0D%0ASet-Cookie%3A%20x',
    ],
    ['{source}|{idfa}|{gaid}', { source: '1', idfa: '2', gaid: '3' }, '1|2|3'],
    ['{sub_id2}', {}, ''],
    ['{unknown}-{sub_id6}-{sub_id}-{click_id-', {}, '{unknown}-{sub_id6}-{sub_id}-{click_id-'],
    [
      '{unknown} {sub_id6} {sub_id} {click_id ',
      {},
      encodeURI('{unknown} {sub_id6} {sub_id} {click_id '),
    ],
    ['{SUB_ID1}', { sub_id1: 'x' }, '{SUB_ID1}'],
    ['{{sub_id1}}', { sub_id1: 'x' }, '{x}'],
    ['{token}', { token: 'secret' }, '{token}'],
    ['{constructor}{__proto__}', {}, '{constructor}{__proto__}'],
    ['{sub_id1}', { sub_id1: '\ud800' }, '%EF%BF%BD'],
    ['{deep_link}', { deep_link: 'https://x.example/?a=1' }, 'https%3A%2F%2Fx.example%2F%3Fa%3D1'],
    ["{sub_id1}'", { sub_id1: '$&$1' }, "%24%26%241'"],
  ])('%s', (template, parameters, expected) => {
    expect(landingUrl(offer({ url: template }), values(parameters))).toBe(expected);
  });

  test('no value can leave its place in the URL', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const url = landingUrl(
          offer({ url: 'https://shop.example/p?a={sub_id1}&b=2#f' }),
          values({ sub_id1: text }),
        );
        expect(url).toMatch(/^[\x21-\x7e]*$/);
        const parsed = new URL(url);
        expect(parsed.origin + parsed.pathname).toBe('https://shop.example/p');
        expect(parsed.hash).toBe('#f');
        expect([...parsed.searchParams]).toEqual([
          ['a', text.toWellFormed()],
          ['b', '2'],
        ]);
      }),
      { numRuns: 1_000 },
    );
  });

  test('a URL with characters that no header may hold is written with legal ones', () => {
    const made = landingUrl(
      offer({ url: 'https://shop.example/é?a=%C3%A9 b&c={click_id}' }),
      values(),
    );
    expect(made).toBe(`https://shop.example/%C3%A9?a=%C3%A9%20b&c=${CLICK}`);
  });
});

const LISTED = offer({ allowed_deep_link_hosts: ['good.example', 'xn--bcher-kva.example'] });
const OWN = `https://shop.example/?cid=${CLICK}`;
const landing = (deepLink: string): string => landingUrl(LISTED, values({ deep_link: deepLink }));

describe('a deep link', () => {
  test.each([
    ['https://good.example', 'https://good.example/'],
    ['https://good.example/a?b=c#d', 'https://good.example/a?b=c#d'],
    ['http://good.example/', 'http://good.example/'],
    ['https://GOOD.Example/A', 'https://good.example/A'],
    ['https://good.example:443/', 'https://good.example/'],
    ['https://bücher.example/x', 'https://xn--bcher-kva.example/x'],
    ['https://good.example/?cid={click_id}', `https://good.example/?cid=${CLICK}`],
    ['https://good.example/{sub_id1}/x', 'https://good.example//x'],
    ['https://good.example/é x', 'https://good.example/%C3%A9%20x'],
    ['https:good.example/', 'https://good.example/'],
    ['https:\\\\good.example\\x', 'https://good.example/x'],
    ['https://good.example/\\evil.example', 'https://good.example//evil.example'],
    ['https://good.example/@evil.example', 'https://good.example/@evil.example'],
    // A browser reads the backslash as a slash; what is sent has one.
    ['https://good.example\\@evil.example', 'https://good.example/@evil.example'],
    ['https://good.exa\tmple/\n', 'https://good.example/'],
    ['https://ｇｏｏｄ.example/', 'https://good.example/'],
  ])('%j goes to %s', (deepLink, expected) => expect(landing(deepLink)).toBe(expected));

  test.each([
    '',
    'good.example',
    '//good.example/',
    '//evil.example',
    '///evil.example',
    '/path',
    'https://evil.example/',
    'https://evil.example/good.example',
    'https://evil.example?good.example',
    'https://evil.example#good.example',
    'https://good.example@evil.example/',
    'https://good.example:pw@evil.example/',
    'https://user@good.example/',
    'https://user:pw@good.example/',
    'https://evil.example\\@good.example',
    'https://evil.example%2f@good.example/',
    'https://good.example.evil.example/',
    'https://evilgood.example/',
    'https://sub.good.example/',
    'https://good.example./',
    'https://goоd.example/',
    'https://good.example%00.evil.example/',
    'https://good.example%2eevil.example/',
    'https://good.example。evil.example/',
    'https://[::1]/',
    'https://good.example:99999/',
    'https://%67ood.evil.example/',
    'https://{sub_id1}/',
    'javascript:alert(1)//good.example',
    'data:text/html,good.example',
    'ftp://good.example/',
    'file://good.example/etc/passwd',
    'blob:https://good.example/x',
    'java\nscript://good.example/%0aalert(1)',
    ' javascript:alert(1)',
  ])('%j goes to the own URL of the offer', (deepLink) => {
    expect(landing(deepLink)).toBe(OWN);
  });

  test('on another port of a listed host is a link to that host', () => {
    expect(landing('https://good.example:8443/x')).toBe('https://good.example:8443/x');
  });

  test('counts for nothing when the offer lists no host', () => {
    expect(landingUrl(offer(), values({ deep_link: 'https://good.example/' }))).toBe(OWN);
  });

  test('whatever it holds, a browser ends at the own URL or at a listed host', () => {
    const piece = fc.constantFrom(
      'https:',
      'http:',
      '/',
      '\\',
      '@',
      ':',
      'good.example',
      'evil.example',
      '#',
      '?',
      '.',
      '%2f',
      '%5c',
      '%00',
      '%40',
      '\t',
      '\n',
      ' ',
      '{sub_id1}',
      '{click_id}',
      '8080',
      '[',
      ']',
      '。',
    );
    const link = fc
      .array(piece, { minLength: 1, maxLength: 9 })
      .map((pieces) => pieces.join(''))
      .chain((text) => fc.constantFrom(text, `https://${text}`, `//${text}`));
    fc.assert(
      fc.property(link, fc.constantFrom('evil.example', '@evil.example', '/'), (deepLink, sub) => {
        const url = landingUrl(LISTED, values({ deep_link: deepLink, sub_id1: sub }));
        expect(url).toMatch(/^[\x21-\x7e]+$/);
        const { hostname, protocol, username } = new URL(url, 'https://tracker.example/click');
        expect(['good.example', 'shop.example']).toContain(hostname);
        expect(['https:', 'http:']).toContain(protocol);
        expect(username).toBe('');
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('the trafficback URL', () => {
  test.each<[string | null | undefined, string | null, string | undefined]>([
    ['https://own.example/{sub_id1}', 'https://all.example', 'https://own.example/s'],
    [null, 'https://all.example/?o={offer_id}', 'https://all.example/?o=16'],
    [undefined, 'https://all.example', 'https://all.example'],
    [null, null, undefined],
    [undefined, null, undefined],
  ])('of an offer with %s and the network with %s', (own, global, expected) => {
    const of = own === undefined ? undefined : offer({ trafficback_url: own });
    expect(trafficbackUrl(of, global, values({ sub_id1: 's' }))).toBe(expected);
  });
});
