/** Parameters as clients really send them: doubled, broken, in forms and JSON; and the token, which no row may hold. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  blankToken,
  blankTokenOfBase64,
  blankTokenOfUrl,
  mergeParameters,
  parseBody,
  parseQuery,
  type Parameters,
} from '../../../src/domain/parameters.ts';

const plain = (parameters: Parameters): Record<string, string> => Object.fromEntries(parameters);
const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';

function readable(body: string, type: string): Record<string, string> {
  const result = parseBody(body, type);
  if (!result.readable) throw new Error(result.reason);
  return plain(result.parameters);
}

describe('a query', () => {
  test.each<[string, Record<string, string>]>([
    ['', {}],
    ['a=1&b=2', { a: '1', b: '2' }],
    ['a=1&a=2', { a: '1' }],
    ['a=&a=2&a=3', { a: '2' }],
    ['a&a=2', { a: '2' }],
    ['a=', { a: '' }],
    ['a', { a: '' }],
    ['=1&&=', {}],
    ['a=b=c', { a: 'b=c' }],
    ['a=1+2%202', { a: '1 2 2' }],
    ['a=%2B', { a: '+' }],
    ['sub%5Fid1=x', { sub_id1: 'x' }],
    ['a=%C3%A9', { a: 'é' }],
    ['a=%00b', { a: '\0b' }],
    ['a=%zz', { a: '%zz' }],
    ['a=%', { a: '%' }],
    ['a=%E9', { a: '%E9' }],
    ['a=%%click_id%%', { a: '%%click_id%%' }],
    ['%=1', { '%': '1' }],
    ['?a=1', { '?a': '1' }],
    ['__proto__=1&constructor=2', { ['__proto__']: '1', constructor: '2' }],
    ['a=1;b=2', { a: '1;b=2' }],
    ['A=1&a=2', { A: '1', a: '2' }],
  ])('%j', (raw, expected) => {
    expect([...parseQuery(raw)]).toEqual(
      Object.getOwnPropertyNames(expected).map((name) => [
        name,
        Object.getOwnPropertyDescriptor(expected, name)?.value,
      ]),
    );
  });

  test('whatever is encoded by a client comes out as it went in', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(
          fc.tuple(
            fc.string({ unit: 'grapheme', minLength: 1 }),
            fc.string({ unit: 'grapheme', minLength: 1 }),
          ),
          { selector: ([name]) => name },
        ),
        (pairs) => {
          const encoded = pairs
            .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
            .join('&');
          expect([...parseQuery(encoded)]).toEqual(pairs);
          expect([...parseQuery(new URLSearchParams(pairs).toString())]).toEqual(pairs);
        },
      ),
    );
  });

  test('nothing that can be sent makes it throw, and it agrees with itself', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (raw) => {
        expect(plain(parseQuery(raw))).toEqual(plain(parseQuery(raw)));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('query and body together', () => {
  const merged = (query: string, body: string): Record<string, string> =>
    plain(mergeParameters(parseQuery(query), parseQuery(body)));

  test('the query wins', () => expect(merged('a=1', 'a=2&b=3')).toEqual({ a: '1', b: '3' }));
  test('an empty value of the query does not hide the one of the body', () =>
    expect(merged('a=&c=', 'a=2')).toEqual({ a: '2', c: '' }));
  test('an empty body changes nothing', () => expect(merged('a=1', '')).toEqual({ a: '1' }));
});

describe('a JSON body', () => {
  test.each<[string, Record<string, string>]>([
    ['{}', {}],
    ['{"amount":12.5,"ok":true,"no":null,"s":"x"}', { amount: '12.5', ok: 'true', no: '', s: 'x' }],
    ['{"amount":10.00}', { amount: '10' }],
    ['{"amount":1e2}', { amount: '100' }],
    ['{"amount":-0.5}', { amount: '-0.5' }],
    ['{"a":"","a":"2","a":"3"}', { a: '2' }],
    ['{"a":null,"a":2}', { a: '2' }],
    ['{"":"x","a":1}', { a: '1' }],
    ['{ "a" : "x,y}" , "b" : "\\"q\\"" }', { a: 'x,y}', b: '"q"' }],
    ['{"a":"\\u00e9\\n"}', { a: 'é\n' }],
    ['\n {"a": 1}\n', { a: '1' }],
  ])('%s', (body, expected) => expect(readable(body, JSON_TYPE)).toEqual(expected));

  test('a number keeps every digit that was sent', () => {
    expect(
      readable(
        '{"adv_order_id":12345678901234567891,"amount":12345678901234.5678,"n":-12345678901234567891}',
        JSON_TYPE,
      ),
    ).toEqual({
      adv_order_id: '12345678901234567891',
      amount: '12345678901234.5678',
      n: '-12345678901234567891',
    });
  });

  test('half a character becomes a whole one, so that every store can hold it', () => {
    for (const text of Object.values(readable('{"a":"\\ud800","b":"x\\udc00y"}', JSON_TYPE)))
      expect(text.isWellFormed()).toBe(true);
  });

  test('the name __proto__ is a name like any other', () => {
    const result = parseBody('{"__proto__":"x"}', JSON_TYPE);
    expect(result.readable && [...result.parameters]).toEqual([['__proto__', 'x']]);
  });

  test.each([
    ['{"a":[1]}', '"a" is not a plain value'],
    ['{"a":{"b":1}}', '"a" is not a plain value'],
    ['[{"a":1}]', 'not an object'],
    ['"x"', 'not an object'],
    ['null', 'not an object'],
    ['5', 'not an object'],
    ['{"a":1', "can't be read"],
    ['{"a":01}', "can't be read"],
    ["{'a':1}", "can't be read"],
    ['a=1', "can't be read"],
  ])('%s is unreadable, and says why', (body, reason) => {
    const result = parseBody(body, JSON_TYPE);
    expect(result.readable).toBe(false);
    expect(!result.readable && result.reason).toContain(reason);
  });

  test('agrees with JSON.parse on every flat object', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string({ unit: 'grapheme', minLength: 1 }),
          fc.oneof(fc.string({ unit: 'grapheme' }), fc.boolean(), fc.integer(), fc.constant(null)),
        ),
        fc.constantFrom(0, 2, '\t'),
        (object, indent) => {
          const expected = Object.entries(object).map(([name, value]) => [
            name,
            value === null ? '' : String(value),
          ]);
          const result = parseBody(JSON.stringify(object, null, indent), JSON_TYPE);
          expect(result.readable && [...result.parameters]).toEqual(expected);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe('a body by its type', () => {
  test.each([
    ['a=1&b=2', FORM],
    ['a=1&b=2', `${FORM}; charset=ISO-8859-1`],
    ['a=1&b=2', `${FORM.toUpperCase()} ; charset=utf-8`],
    ['a=1&b=2', ''],
    ['a=1&b=2', 'text/plain;charset=UTF-8'],
    ['{"a":1,"b":"2"}', JSON_TYPE],
    ['{"a":1,"b":"2"}', 'application/json; charset=utf-8'],
    ['{"a":1,"b":"2"}', 'application/vnd.api+json'],
    ['{"a":1,"b":"2"}', ''],
    [' {"a":1,"b":"2"}', 'text/plain'],
    ['{"a":1,"b":"2"}', FORM],
  ])('%s as %j', (body, type) => expect(readable(body, type)).toEqual({ a: '1', b: '2' }));

  test.each(['text/xml', 'multipart/form-data; boundary=x', 'application/octet-stream', 'é'])(
    '%s is unreadable',
    (type) => expect(parseBody('a=1', type).readable).toBe(false),
  );

  test('an empty body has no parameters, whatever its type says', () => {
    for (const type of ['', FORM, JSON_TYPE, 'text/xml']) expect(readable('', type)).toEqual({});
  });
});

const SECRET = 's3cr3t-0f-acme';

describe('the token', () => {
  test.each([
    `token=${SECRET}`,
    `a=1&token=${SECRET}&b=2`,
    `?token=${SECRET}`,
    `%74oken=${SECRET}`,
    `t%6Fk%65n=${SECRET}`,
    `%74%6f%6b%65%6e=${SECRET}`,
    `TOKEN=${SECRET}`,
    `token=&token=${SECRET}`,
    `token=x&token=${SECRET}`,
    `token=a"${SECRET}`,
    `token=a b ${SECRET}`,
    `token=a\n${SECRET}`,
    `token={"${SECRET}`,
    `{"token":"${SECRET}"}`,
    `{"a":1, "token" : "${SECRET}", "b":2}`,
    `{"token":"a\\"${SECRET}"}`,
    `{"\\u0074oken":"${SECRET}"}`,
    `{"t\\u006F\\u006ben":"${SECRET}"}`,
    `{"token":["a", "${SECRET}"]}`,
    `{"token":{"a":{"b":1},"c":"${SECRET}"}}`,
    `{"token":"${SECRET}`,
    `{"token":"a b ${SECRET}`,
    `{"url":"https://x.example/?token=${SECRET}"}`,
    `["token=${SECRET}"]`,
    `<call><token>${SECRET}</token></call>`,
    `<call token="${SECRET}"/>`,
    `click_id=x?token=${SECRET}`,
    `click_id=x;token=${SECRET}`,
    `{'click_id':'x','token':'${SECRET}'}`,
    `{click_id: x, token: ${SECRET}}`,
    `{"click_id":"x","token":'${SECRET}'}`,
    `token: ${SECRET}`,
    `click_id: x\ntoken: ${SECRET}`,
    `--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n${SECRET}\r\n--x--\r\n`,
    `--x\r\nContent-Disposition: form-data; name=token\r\nContent-Type: text/plain\r\n\r\n${SECRET}`,
  ])('in %s is blanked', (text) => {
    expect(blankToken(text)).not.toContain(SECRET);
  });

  test.each([
    ['a=1&token=x&b=2', 'a=1&token=***&b=2'],
    ['a=1&token=x', 'a=1&token=***'],
    ['token[]=x&amp;token=y', 'token[]=***&amp;token=***'],
    ['token_x=1&xtoken=2', 'token_x=1&xtoken=2'],
    ['click_id=token&amount=5', 'click_id=token&amount=5'],
    ['{"a":1,"token":"x","b":"y"}', '{"a":1,"token":"***","b":"y"}'],
    ['{"token":12}', '{"token":"***"}'],
    ['{"note":"their token: x"}', '{"note":"their token: x"}'],
    ['{"mytoken":"x","tokens":"y"}', '{"mytoken":"x","tokens":"y"}'],
    ['', ''],
  ])('of %s leaves everything else as it was', (text, expected) => {
    expect(blankToken(text)).toBe(expected);
  });

  test.each([
    ['https://x.example/p?a=1&token=x&b=2#top', 'https://x.example/p?a=1&token=***&b=2#top'],
    ['https://x.example/?token=x', 'https://x.example/?token=***'],
    ['https://x.example/?mytoken=x', 'https://x.example/?mytoken=x'],
    ['/track/conv&click_id=1&token=x', '/track/conv&click_id=1&token=***'],
    ['click_id=a?token=x was not minted here', 'click_id=a?token=*** was not minted here'],
  ])('of the URL %s leaves everything else as it was', (url, expected) => {
    expect(blankTokenOfUrl(url)).toBe(expected);
  });

  test('in a form of another charset is blanked, and the rest keeps its bytes', () => {
    const body = (token: string) => Buffer.from(`name=J\xf6rg&token=${token}&a=1`, 'latin1');
    expect(blankTokenOfBase64(body(SECRET).toString('base64'))).toBe(
      body('***').toString('base64'),
    );
    const gzip = Buffer.from([0x1f, 0x8b, 8, 0, 255]).toString('base64');
    expect(blankTokenOfBase64(gzip)).toBe(gzip);
  });

  test('is gone from every form that is read as a token', () => {
    const value = fc
      .string({ unit: 'binary-ascii', minLength: 3, maxLength: 20 })
      .map((text) => `Q${text}Q`);
    fc.assert(
      fc.property(value, fc.constantFrom('form', 'raw', 'json'), (secret, kind) => {
        const text =
          kind === 'form'
            ? new URLSearchParams({ a: '1', token: secret, b: '2' }).toString()
            : kind === 'raw'
              ? `a=1&token=${secret}&b=2`
              : JSON.stringify({ a: 1, token: secret, b: 2 });
        const blanked = blankToken(text);
        const type = kind === 'json' ? JSON_TYPE : FORM;
        const before = parseBody(text, type);
        const after = parseBody(blanked, type);
        if (!before.readable || !after.readable) throw new Error('unreadable');
        expect(after.parameters.get('token')).toBe('***');
        expect(after.parameters.get('a')).toBe('1');
        expect(after.parameters.get('b')).toBe('2');
      }),
      { numRuns: 1_000 },
    );
  });
});
