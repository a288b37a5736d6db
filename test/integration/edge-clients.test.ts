/** Who the visitor is: trusted proxies counted from the right, forged headers, and what https changes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { catalogue } from '../support/catalogue.ts';
import { ask, headerOf, sendRaw } from '../support/raw-http.ts';
import { startEdge, type TestEdge } from '../support/start-edge.ts';

/** The tests connect from 127.0.0.1: behind `trusting` that is a proxy, behind `alone` a stranger. */
let trusting: TestEdge;
let alone: TestEdge;
let elsewhere: TestEdge;
beforeAll(async () => {
  trusting = await startEdge(catalogue(), {
    trustedProxies: ['127.0.0.0/8', '10.0.0.0/8', '2001:db8:ffff::/48'],
  });
  alone = await startEdge(catalogue());
  elsewhere = await startEdge(catalogue(), { trustedProxies: ['192.0.2.0/24'] });
});
afterAll(async () => {
  await Promise.all([trusting.close(), alone.close(), elsewhere.close()]);
});

let calls = 0;
async function ipSeenBy(edge: TestEdge, headers: Record<string, string>): Promise<string> {
  const query = `adv_param1=${++calls}`;
  await ask(edge.port, 'GET', `/track/goal?${query}`, headers);
  return edge.stored().find((hit) => hit.query === query)?.ip ?? 'not stored';
}

describe('behind a trusted proxy', () => {
  test.each([
    ['no header', '', '127.0.0.1'],
    ['the client', '203.0.113.9', '203.0.113.9'],
    ['a forged address before the client', '198.51.100.1, 203.0.113.9', '203.0.113.9'],
    ['a forged trusted address before the client', '10.9.9.9, 203.0.113.9', '203.0.113.9'],
    ['two proxies', '203.0.113.9, 10.1.2.3', '203.0.113.9'],
    ['a forged one, the client and two proxies', '1.1.1.1,203.0.113.9 ,10.1.2.3', '203.0.113.9'],
    ['only proxies', '10.1.1.1, 10.2.2.2', '10.1.1.1'],
    ['IPv6', '2001:db8::9, 2001:db8:ffff::1', '2001:db8::9'],
    ['a mapped IPv4', '::ffff:203.0.113.9', '203.0.113.9'],
    ['nonsense', 'unknown', '127.0.0.1'],
    ['nonsense before a proxy', '203.0.113.9, unknown, 10.1.2.3', '10.1.2.3'],
    ['nonsense at the end', '203.0.113.9, <script>', '127.0.0.1'],
    ['an empty list', ' , ,', '127.0.0.1'],
    ['a number', '1', '127.0.0.1'],
    ['an address with its port', '203.0.113.9:1234', '203.0.113.9'],
    ['IPv6 in brackets', '[2001:db8::9]', '2001:db8::9'],
    ['IPv6 with its port', '203.0.113.1, [2001:db8::9]:1234', '2001:db8::9'],
    ['a port that is none', '203.0.113.9:http', '127.0.0.1'],
  ])('%s', async (_, forwarded, ip) => {
    const headers = forwarded === '' ? {} : { 'X-Forwarded-For': forwarded };
    expect(await ipSeenBy(trusting, headers)).toBe(ip);
  });

  test('several lines are one list', async () => {
    const query = `adv_param1=${++calls}`;
    await sendRaw(
      trusting.port,
      `GET /track/goal?${query} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n`,
    );
    expect(trusting.stored().find((hit) => hit.query === query)?.ip).toBe('203.0.113.9');
  });
});

describe('from a stranger', () => {
  test('X-Forwarded-For counts for nothing', async () => {
    const forged = { 'X-Forwarded-For': '203.0.113.9', 'X-Forwarded-Proto': 'https' };
    expect(await ipSeenBy(alone, forged)).toBe('127.0.0.1');
    expect(await ipSeenBy(elsewhere, forged)).toBe('127.0.0.1');
  });
});

async function cookieOf(edge: TestEdge, lines: string): Promise<string> {
  const [answer] = await sendRaw(
    edge.port,
    `GET /click?o=16&a=1 HTTP/1.1\r\nHost: x\r\n${lines}\r\n`,
  );
  return answer === undefined ? '' : headerOf(answer, 'set-cookie');
}

describe('the cookie', () => {
  test('over https, as a trusted proxy says, is for third parties and secure', async () => {
    const cookie = await cookieOf(trusting, 'X-Forwarded-Proto: https\r\n');
    expect(cookie).toMatch(
      /^slc_16=[0-9a-f]{32}; Path=\/; Max-Age=2592000; HttpOnly; SameSite=None; Secure$/,
    );
  });

  test.each([
    ['which spoke http to the next', '203.0.113.9, 10.1.2.3', 'https, http'],
    ['two of them, in http', '203.0.113.9, 10.1.2.3, 10.1.2.4', 'https, http, http'],
    ['after a forged entry in both lists', '1.1.1.1, 203.0.113.9, 10.1.2.3', 'http, https, http'],
    ['which alone tells', '203.0.113.9, 10.1.2.3', 'https'],
    ['and only the nearest has added', '203.0.113.9', 'http, https'],
  ])('over https to the first proxy, %s, is secure', async (_, hops, protos) => {
    const lines = `X-Forwarded-For: ${hops}\r\nX-Forwarded-Proto: ${protos}\r\n`;
    expect(await cookieOf(trusting, lines)).toMatch(/; SameSite=None; Secure$/);
  });

  test.each([
    ['203.0.113.9, 10.1.2.3', 'http, https'],
    ['1.1.1.1, 203.0.113.9', 'https, http'],
    ['nonsense, 10.1.2.3', 'https, http'],
    ['203.0.113.9', 'https, http'],
  ])('over http to the first proxy is lax: %s with %s', async (hops, protos) => {
    const lines = `X-Forwarded-For: ${hops}\r\nX-Forwarded-Proto: ${protos}\r\n`;
    expect(await cookieOf(trusting, lines)).toMatch(/; SameSite=Lax$/);
  });

  test.each([
    ['over http', 'X-Forwarded-Proto: http\r\n'],
    ['without a word of the proxy', ''],
    ['when the nearest proxy says http', 'X-Forwarded-Proto: https, http\r\n'],
    [
      'when the nearest proxy adds a line',
      'X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n',
    ],
  ])('%s is lax and not secure', async (_, lines) => {
    expect(await cookieOf(trusting, lines)).toMatch(/; HttpOnly; SameSite=Lax$/);
  });

  test('is not made secure by a stranger', async () => {
    for (const edge of [alone, elsewhere])
      expect(await cookieOf(edge, 'X-Forwarded-Proto: https\r\n')).toMatch(/; SameSite=Lax$/);
  });
});
