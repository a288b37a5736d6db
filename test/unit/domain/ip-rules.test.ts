/** Addresses: one text for one address, /64 for IPv6, and ranges that mean what an operator reads in them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalIp, matchingCidr, parseCidr, uniqueIpOf } from '../../../src/domain/ip-rules.ts';

test.each([
  ['203.0.113.9', '203.0.113.9'],
  [' 203.0.113.9 ', '203.0.113.9'],
  ['::ffff:203.0.113.9', '203.0.113.9'],
  ['::FFFF:cb00:7109', '203.0.113.9'],
  ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
  ['2001:db8::0001', '2001:db8::1'],
  ['::1', '::1'],
  ['fe80::1%eth0', 'fe80::1'],
])('%s is %s', (text, canonical) => expect(canonicalIp(text)).toBe(canonical));

test.each([
  '',
  ' ',
  'unknown',
  '1',
  '0x7f000001',
  '127.1',
  '010.0.0.1',
  '1.2.3',
  '1.2.3.4.5',
  '1.2.3.256',
  '1.2.3.4:80',
  '[::1]:80',
  '1.2.3.4/32',
  '2001:db8::g',
  '1:2:3:4:5:6:7',
  'shop.example',
])('%j is no address', (text) => {
  expect(canonicalIp(text)).toBeUndefined();
  expect(uniqueIpOf(text)).toBe('');
});

test('IPv4 is compared whole, IPv6 by its /64, a mapped IPv4 as IPv4', () => {
  expect(uniqueIpOf('203.0.113.9')).toBe('203.0.113.9');
  expect(uniqueIpOf('::ffff:203.0.113.9')).toBe('203.0.113.9');
  expect(uniqueIpOf('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64');
  expect(uniqueIpOf('2001:db8:1:2::')).toBe('2001:db8:1:2::/64');
  expect(uniqueIpOf('2001:db8:1:3::')).toBe('2001:db8:1:3::/64');
});

test('what is compared is compared as it is', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (ip) => {
      expect(uniqueIpOf(ip)).not.toBe('');
      expect(uniqueIpOf(uniqueIpOf(ip))).toBe(uniqueIpOf(ip));
    }),
  );
});

const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));

test('two IPv6 addresses are one visitor exactly when their first four groups agree', () => {
  fc.assert(
    fc.property(
      fc.array(group, { minLength: 8, maxLength: 8 }),
      fc.array(group, { minLength: 8, maxLength: 8 }),
      fc.integer({ min: 0, max: 8 }),
      (one, other, shared) => {
        const two = [...one.slice(0, shared), ...other.slice(shared)];
        const isMapped = (groups: string[]) =>
          canonicalIp(groups.join(':'))?.includes('.') === true;
        fc.pre(!isMapped(one) && !isMapped(two));
        const sameNetwork = one.slice(0, 4).join(':') === two.slice(0, 4).join(':');
        expect(uniqueIpOf(one.join(':')) === uniqueIpOf(two.join(':'))).toBe(sameNetwork);
      },
    ),
  );
});

test('the canonical text of an address is its own canonical text', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (ip) => {
      const canonical = canonicalIp(ip);
      expect(canonical).toBeDefined();
      expect(canonicalIp(canonical ?? '')).toBe(canonical);
    }),
  );
});

test.each([
  ['10.1.2.3', '10.0.0.0/8'],
  ['10.1.2.3', '10.9.9.9/8'],
  ['10.1.2.3', '10.1.2.3'],
  ['10.1.2.3', ' 10.1.2.3/32 '],
  ['10.1.2.3', '0.0.0.0/0'],
  ['::ffff:10.1.2.3', '10.0.0.0/8'],
  ['10.1.2.3', '::ffff:10.0.0.0/104'],
  ['10.1.2.3', '::ffff:10.1.2.3'],
  ['2001:db8::5', '2001:db8::/32'],
  ['2001:db8::5', '2001:DB8::5'],
  ['2001:db8::5', '::/0'],
])('%s is in %s', (ip, cidr) => {
  expect(matchingCidr(ip, ['192.0.2.0/24', cidr])).toBe(cidr);
});

test.each([
  ['10.1.2.3', '11.0.0.0/8'],
  ['10.1.2.3', '10.1.2.0/31'],
  ['10.1.2.3', '::/0'],
  ['2001:db8::5', '0.0.0.0/0'],
  ['2001:db8::5', '2001:db9::/32'],
  ['', '0.0.0.0/0'],
  ['unknown', '0.0.0.0/0'],
])('%s is not in %s', (ip, cidr) => expect(matchingCidr(ip, [cidr])).toBeUndefined());

test.each([
  '',
  'x',
  '10',
  '10/8',
  '10.0/8',
  '010.0.0.0/8',
  '0x0a.0.0.0/8',
  '10.0.0.0/33',
  '10.0.0.0/-1',
  '10.0.0.0/',
  '10.0.0.0/8/8',
  '2001:db8::/129',
  '10.0.0.*',
  'localhost',
])('%j is no range: it would mean something else than it says', (text) => {
  expect(parseCidr(text)).toBeUndefined();
});

test('membership of an IPv4 range is that of its leading bits', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.integer({ min: 0, max: 32 }),
      fc.integer({ min: 0, max: 32 }),
      (base, other, shared, prefix) => {
        const mask = shared === 0 ? 0 : (-1 << (32 - shared)) >>> 0;
        const address = ((base & mask) | (other & ~mask)) >>> 0;
        const text = (value: number) =>
          [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
        const isInside = prefix === 0 || address >>> (32 - prefix) === base >>> (32 - prefix);
        expect(matchingCidr(text(address), [`${text(base)}/${prefix}`]) !== undefined).toBe(
          isInside,
        );
      },
    ),
    { numRuns: 500 },
  );
});
