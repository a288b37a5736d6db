/** Hints: each mistake of CONTRACT.md is recognised, and a right value gets none. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createClickIdCodec } from '../../../src/domain/click-id.ts';
import {
  hintOfAmount,
  hintOfClick,
  hintOfClickId,
  hintOfId,
  hintOfMissingClickId,
  hintOfText,
} from '../../../src/domain/hints.ts';
import { parseQuery } from '../../../src/domain/parameters.ts';
import { TEST_KEY } from '../../support/catalogue.ts';

const codec = createClickIdCodec([TEST_KEY]);
/** Has letters, so that capitals differ. */
const ID = codec.mint(Date.UTC(2026, 5, 15), 16, 0, 7);
const genuine = (id: string): boolean => codec.open(id) !== undefined;
const hint = (value: string): string => hintOfClickId(value, genuine);

describe('a click id', () => {
  test.each([
    ['{click_id}', 'not replaced'],
    ['{{clickid}}', 'not replaced'],
    ['%7Bclick_id%7D', 'not replaced'],
    ['%7bclick_id%7d', 'not replaced'],
    ['[click_id]', 'not replaced'],
    ['%%click_id%%', 'not replaced'],
    ['${CLICK_ID}', 'not replaced'],
    ['#clickid#', 'not replaced'],
    ['<click_id>', 'not replaced'],
    [' {click_id} ', 'not replaced'],
    ['click_id', 'the name was sent in place of the value'],
    ['ClickID', 'the name was sent in place of the value'],
    ['undefined', 'no click id at hand'],
    ['NULL', 'no click id at hand'],
    ['0', 'no click id at hand'],
    [` ${ID}`, 'space or quote'],
    [`"${ID}"`, 'space or quote'],
    [`'${ID}'`, 'space or quote'],
    [ID.toUpperCase(), 'capitals'],
    [`${ID}${ID}`, 'sent twice'],
    [`${ID},${ID}`, 'sent twice'],
    [ID.slice(0, 20), '20 of 32 characters'],
    [ID.slice(0, 31), '31 of 32 characters'],
    [ID.slice(0, 16).toUpperCase(), '16 of 32 characters'],
    ['778899', "affiliate's own click id"],
    ['1234567890', "affiliate's own click id"],
    ['12345678901234567890', "affiliate's own click id"],
    ['ABCDEF12', "affiliate's own click id"],
    ['507f1f77bcf86cd799439011', "affiliate's own click id"],
    ['abcdefABCDEFabcdef12', "affiliate's own click id"],
    ['0190a5b0-0000-7000-8000-000000000001', 'transaction id'],
    ['clk_12345', "affiliate's own click id"],
    ['wÄhlen', "affiliate's own click id"],
  ])('%j is told: %s', (value, expected) => expect(hint(value)).toContain(expected));

  test('of 32 hex characters that nobody minted gets no guess', () => {
    expect(hint('0123456789abcdef0123456789abcdef')).toBe('');
  });

  test('no text makes it throw or answer without end', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (value) => {
        expect(hint(value).length).toBeLessThan(2_300);
      }),
    );
  });
});

test.each([
  ['', 'empty or missing'],
  ['click_id=', 'empty or missing'],
  ['offer_id=16', 'empty or missing'],
  [`click_id[]=${ID}`, 'The call has click_id[]: the parameter is called click_id'],
  [`offer_id=16&amp;click_id=${ID}`, 'The call has amp;click_id'],
  [`ClickID=${ID}`, 'The call has ClickID'],
  [`click-id=${ID}`, 'The call has click-id'],
])('a call without click_id, %j, is told: %s', (query, expected) => {
  expect(hintOfMissingClickId(parseQuery(query))).toContain(expected);
});

describe('a text', () => {
  test.each([
    ['currency', 'currency', 'the name was sent in place of the value'],
    ['track_id', '{track_id}', 'not replaced'],
    ['adv_order_id', '%7Border_id%7D', 'not replaced'],
    ['track_id', 'null', 'had no value'],
    ['goal_alias', 'sale ', 'space'],
  ])('%s=%s is told: %s', (name, value, expected) => {
    expect(hintOfText(name, value)).toContain(expected);
  });

  test.each([
    ['currency', 'EUR'],
    ['conv_status', 'paid'],
    ['track_id', 'lead-1,2 EUR'],
    ['transaction_id', '01a205c9-cf88-7000-8000-000000000001'],
  ])('%s=%s gets none', (name, value) => expect(hintOfText(name, value)).toBe(''));
});

describe('an amount', () => {
  test.each([
    ['{amount}', 'not replaced'],
    ['%7Bamount%7D', 'not replaced'],
    ['amount', 'the name was sent in place of the value'],
    ['AMOUNT', 'the name was sent in place of the value'],
    ['null', 'had no value'],
    ['12.5 ', 'space'],
    ['$12.50', 'bare number'],
    ['12.50USD', 'bare number'],
    ['12,50', 'point before the decimals'],
    ['1.234,56', 'point before the decimals'],
    ['1,234.56', 'thousands separators'],
  ])('%s is told: %s', (value, expected) => {
    expect(hintOfAmount('amount', value)).toContain(expected);
  });

  test('that is right gets none', () => expect(hintOfAmount('amount', '12.50')).toBe(''));
});

describe('an id', () => {
  test.each([
    ['{offer_id}', 'not replaced'],
    ['offer_id', 'the name was sent in place of the value'],
    ['16abc', 'send the number alone'],
    ['1,2', 'send the number alone'],
  ])('%s is told: %s', (value, expected) => {
    expect(hintOfId('offer_id', value)).toContain(expected);
  });

  test('of nothing gets none', () => expect(hintOfId('offer_id', '999')).toBe(''));
});

describe('an invalid click', () => {
  test.each([
    ['offer_not_found', 'o=%7Boffer_id%7D&a=1', 'The macro {offer_id} in o was not replaced'],
    ['offer_not_found', 'o={offer_id}&a={aff_id}', 'The macro {offer_id} in o'],
    ['offer_not_found', 'o=16abc&a=1', 'o=16abc: send the number alone'],
    ['offer_not_found', 'o=undefined&a=1', 'had no value'],
    ['offer_not_found', 'offer_id=16&a=1', 'The link has offer_id: the parameter is called o.'],
    [
      'offer_not_found',
      'offer_id=16&affiliate_id=1',
      'The link has offer_id and affiliate_id: the parameters are called o and a.',
    ],
    ['offer_not_found', '', 'o is empty or missing'],
    ['affiliate_not_found', 'o=16&a=%7Baff_id%7D', 'The macro {aff_id} in a was not replaced'],
    [
      'affiliate_not_found',
      'o=16&amp;a=1',
      'The link has amp;a: the parameter is called a. Outside of HTML write & in place of &amp;.',
    ],
    ['affiliate_not_found', 'o=16&A=1', 'The link has A: the parameter is called a.'],
    ['affiliate_not_found', 'o=16', 'a is empty or missing'],
  ] as const)('%s of %j is told: %s', (verdict, query, expected) => {
    expect(hintOfClick(verdict, parseQuery(query))).toContain(expected);
  });

  test.each([
    ['accepted', 'o=16&a=1'],
    ['offer_not_found', 'o=99&a=1'],
    ['affiliate_not_found', 'o=16&a=99'],
    ['offer_not_active', 'o=16&a={aff_id}'],
  ] as const)('%s of %j gets none', (verdict, query) => {
    expect(hintOfClick(verdict, parseQuery(query))).toBe('');
  });
});
