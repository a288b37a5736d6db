import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  faultOfPostbackUrl,
  fillPostbackUrl,
  POSTBACK_MACROS,
} from '../../../src/domain/affiliate-postback-url.ts';
import {
  ATTEMPTS_MAX,
  entriesFor,
  outcomeOfStatus,
  parseRetryAfter,
  postbackIdOf,
  retryDelayMs,
} from '../../../src/domain/affiliate-postbacks.ts';
import type { AffiliatePostback } from '../../../src/domain/catalogue.ts';
import { faultOfHost, mayConnectTo } from '../../../src/domain/outgoing-address.ts';

const HOUR_MS = 3_600_000;

describe('a postback URL', () => {
  it('gets its macros filled and encoded; what the network earns has none', () => {
    const texts = { aff_click_id: 'a b&c=d', payout: '5.25', revenue: '8' };
    const url = 'https://t.example/?c={aff_click_id}&p={payout}&s={sub_id1}';
    expect(fillPostbackUrl(url, texts)).toBe('https://t.example/?c=a%20b%26c%3Dd&p=5.25&s=');
    for (const name of ['revenue', 'profit', 'adv_param1', 'adv_user_id', 'ip', 'token'])
      expect(POSTBACK_MACROS).not.toContain(name);
  });

  it('stays at its host whatever a macro holds', () => {
    const template = `https://t.example/p?${POSTBACK_MACROS.map((name) => `${name}={${name}}`).join('&')}`;
    expect(faultOfPostbackUrl(template)).toBeUndefined();
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const filled = fillPostbackUrl(
          template,
          Object.fromEntries(POSTBACK_MACROS.map((name) => [name, text])),
        );
        const url = new URL(filled);
        expect(url.host).toBe('t.example');
        expect(url.searchParams.get('sub_id3')).toBe(text.toWellFormed());
      }),
    );
  });

  it.each([
    ['ftp://t.example/', 'must be an http or https URL'],
    ['https://t.example/a b', 'must be an http or https URL'],
    ['https://a:b@t.example/', 'must not hold a name or password'],
    ['https://{source}.example/', 'must not have a macro in its host'],
    ['https://t.example:{sub_id1}/', 'must be an http or https URL'],
    ['https://t.example/?r={revenue}', '{revenue} is no macro'],
    ['https://t.example/?r={Payout}', '{Payout} is no macro'],
    ['https://t.example:25/', 'must have port 80, 443 or one from 1024'],
  ])('%s %s', (url, fault) => {
    expect(faultOfPostbackUrl(url)).toBe(fault);
  });
});

describe('the entries of an event', () => {
  const entry = (id: number, fields: Partial<AffiliatePostback>): AffiliatePostback => ({
    id,
    affiliate_id: 1,
    offer_id: null,
    goal_id: null,
    url: 'https://t.example/',
    method: 'GET',
    statuses: ['approved'],
    status: 'active',
    ...fields,
  });
  const all = [
    entry(1, { statuses: ['approved', 'rejected'] }),
    entry(2, { offer_id: 10 }),
    entry(3, { offer_id: 10 }),
    entry(4, { goal_id: 11 }),
    entry(5, { goal_id: 12, status: 'inactive' }),
    entry(6, { affiliate_id: 2, goal_id: 11 }),
  ];
  const chosen = (offerId: number, goalId: number, convStatus: string): number[] =>
    entriesFor(all, { affiliateId: 1, offerId, goalId, convStatus }).map(({ id }) => id);

  it('are those of the most specific level that wants the status', () => {
    expect(chosen(10, 11, 'approved')).toEqual([4]);
    expect(chosen(10, 12, 'approved')).toEqual([2, 3]);
    expect(chosen(20, 21, 'approved')).toEqual([1]);
    expect(chosen(10, 11, 'rejected')).toEqual([1]);
    expect(chosen(10, 11, 'hold')).toEqual([]);
  });

  it('have an id that hangs on the entry, the transaction and the event', () => {
    const ids = [postbackIdOf(1, 't', 'h'), postbackIdOf(2, 't', 'h'), postbackIdOf(1, 't', 'i')];
    expect(new Set(ids).size).toBe(3);
    expect(postbackIdOf(1, 't', 'h')).toBe(ids[0]);
  });
});

describe('a failed attempt', () => {
  it('is repeated within about a day, at the server’s wish not before, within bounds', () => {
    const delays = Array.from({ length: ATTEMPTS_MAX - 1 }, (_, index) =>
      retryDelayMs(index + 1, 0.5),
    );
    const hours = delays.reduce((sum, delay) => sum + delay, 0) / HOUR_MS;
    expect(hours).toBeGreaterThan(12);
    expect(hours).toBeLessThan(30);
    expect(retryDelayMs(1, 0)).toBe(0);
    expect(retryDelayMs(1, 0.5, 60_000)).toBe(60_000);
    expect(retryDelayMs(1, 0.5, 1_000 * HOUR_MS)).toBe(6 * HOUR_MS);
    expect(parseRetryAfter('120', 0)).toBe(120_000);
    expect(parseRetryAfter('Thu, 01 Jan 1970 00:01:00 GMT', 20_000)).toBe(40_000);
    expect(parseRetryAfter('soon', 0)).toBe(0);
  });

  it.each([
    [200, 'sent'],
    [204, 'sent'],
    [304, 'failed'],
    [404, 'failed'],
    [429, 'retry'],
    [503, 'retry'],
  ])('%i means %s', (status, outcome) => {
    expect(outcomeOfStatus(status)).toBe(outcome);
  });
});

describe('an address', () => {
  it.each([
    '127.0.0.1',
    '0.0.0.0',
    '10.1.2.3',
    '172.16.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '198.18.0.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:10.0.0.1',
    'fe80::1',
    'fec0::1',
    'fd00:ec2::254',
    'ff02::1',
    '64:ff9b::7f00:1',
    '64:ff9b:1::1',
    '2002:7f00:1::',
    '2001:0:1::',
    '2001:db8::1',
    'not an address',
  ])('%s is not called', (address) => {
    expect(mayConnectTo(address, [])).toBe(false);
  });

  it.each(['8.8.8.8', '93.184.215.14', '2001:4860:4860::8888', '::ffff:8.8.8.8'])(
    '%s is',
    (address) => {
      expect(mayConnectTo(address, [])).toBe(true);
    },
  );

  it('is called when the operator allows it, and only then', () => {
    expect(mayConnectTo('127.0.0.1', ['127.0.0.1/32'])).toBe(true);
    expect(mayConnectTo('127.0.0.2', ['127.0.0.1/32'])).toBe(false);
    expect(faultOfHost('http://2130706433/', [])).toBe('127.0.0.1 is not a public address');
    expect(faultOfHost('http://[::ffff:7f00:1]/', [])).toBe('127.0.0.1 is not a public address');
    expect(faultOfHost('http://localhost:6390/', [])).toContain('not a public host');
    expect(faultOfHost('https://tracker.example/', [])).toBeUndefined();
  });
});
