/** Device columns from user agents, also from those that no browser has. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createDeviceReader } from '../../../src/domain/device.ts';

const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36';
const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1';

test.each([
  [CHROME, { device: 'desktop', os: 'Windows', browser: 'Chrome' }],
  [IPHONE, { device: 'mobile', os: 'iOS', browser: 'Safari' }],
  ['', { device: '', os: '', browser: '' }],
])('%s', (userAgent, expected) => {
  expect(createDeviceReader()(userAgent)).toEqual(expected);
});

test.each([
  'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
  'curl/8.5.0',
  'python-requests/2.31',
  'Go-http-client/1.1',
])('%s is a bot', (userAgent) => expect(createDeviceReader()(userAgent).device).toBe('bot'));

test('an agent asked for again gets the same answer', () => {
  const read = createDeviceReader();
  expect(read(CHROME)).toBe(read(CHROME));
});

test('no text makes it throw', () => {
  const read = createDeviceReader();
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      const device = read(text);
      expect(Object.values(device).every((value) => typeof value === 'string')).toBe(true);
    }),
    { numRuns: 500 },
  );
});
