/** Ids, money and currencies: what is one, and what only looks like one. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isCurrency, isMoney, parseId } from '../../../src/domain/values.ts';

test.each(['0', '1', '0.5', '12.3456', '00012', '99999999999999.9999', '0.0000'])(
  '%s is money',
  (text) => expect(isMoney(text)).toBe(true),
);

test.each([
  '',
  ' 1',
  '1 ',
  '1\n',
  '-1',
  '+1',
  '.5',
  '5.',
  '1.23456',
  '1,5',
  '1,000.50',
  '1e3',
  '0x10',
  'NaN',
  'Infinity',
  '5USD',
  '$5',
  '100000000000000',
  '１２',
  '١٢',
])('%j is no money', (text) => expect(isMoney(text)).toBe(false));

test('every decimal of up to 14 and 4 places is money, and one more place is not', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 99_999_999 }),
      fc.integer({ min: 0, max: 9_999 }),
      (whole, fraction) => {
        const text = `${whole}.${String(fraction).padStart(4, '0')}`;
        expect(isMoney(text)).toBe(true);
        expect(isMoney(`${text}0`)).toBe(false);
        expect(isMoney(`-${text}`)).toBe(false);
      },
    ),
  );
});

test.each(['USD', 'eur', 'Gbp', 'JPY', 'UAH'])('%s is a currency', (code) =>
  expect(isCurrency(code)).toBe(true),
);

// XXX is the code for no currency.
test.each(
  'BOV CHE CHW CLF COU MXV USN UYI UYW VED XAD XAG XAU XCG XPD XPT XTS XUA XXX ZWG'.split(' '),
)('%s, which no country pays with every day, is one of ISO 4217', (code) =>
  expect(isCurrency(code)).toBe(true),
);

test.each(['BGN', 'HRK'])('%s, withdrawn lately, is still taken', (code) =>
  expect(isCurrency(code)).toBe(true),
);

test.each(['DEM', 'FRF', 'USS', 'BTC', 'RUR'])('%s is none of today', (code) =>
  expect(isCurrency(code)).toBe(false),
);

test.each(['', 'US', 'USDT', 'XYZ', '840', 'us$', 'USD ', '$', 'ＵＳＤ'])(
  '%j is no currency',
  (code) => expect(isCurrency(code)).toBe(false),
);

test.each([
  ['1', 1],
  ['16', 16],
  ['007', 7],
  ['4294967295', 4_294_967_295],
  ['4294967296', 0],
  ['9999999999', 0],
  ['00000000001', 0],
  ['0', 0],
  ['-1', 0],
  ['1.0', 0],
  ['1e3', 0],
  ['0x10', 0],
  [' 1', 0],
  ['1\n', 0],
  ['', 0],
  ['abc', 0],
  ['१', 0],
])('the id in %j is %d', (text, id) => expect(parseId(text)).toBe(id));
