/** Hints: each mistake of CONTRACT.md is recognised, and a right value gets none. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createClickIdCodec } from '../../../src/domain/click-id.ts';
import { hintOfClickId, hintOfValue } from '../../../src/domain/hints.ts';
import { TEST_KEY } from '../../support/catalogue.ts';

const codec = createClickIdCodec([TEST_KEY]);
/** Has letters, so that capitals differ. */
const ID = codec.mint(Date.UTC(2026, 5, 15), 16, 0, 7);
const genuine = (id: string): boolean => codec.open(id) !== undefined;
const hint = (value: string): string => hintOfClickId(value, genuine);

describe('a click id', () => {
  test.each([
    ['', 'empty or missing'],
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

describe('a value', () => {
  test.each([
    ['amount', '{amount}', 'not replaced'],
    ['amount', '%7Bamount%7D', 'not replaced'],
    ['amount', 'amount', 'the name was sent in place of the value'],
    ['amount', 'AMOUNT', 'the name was sent in place of the value'],
    ['currency', 'currency', 'the name was sent in place of the value'],
    ['amount', 'null', 'had no value'],
    ['amount', '12.5 ', 'space'],
    ['amount', '$12.50', 'bare number'],
    ['amount', '12.50USD', 'bare number'],
    ['amount', '12,50', 'point before the decimals'],
    ['amount', '1.234,56', 'point before the decimals'],
    ['amount', '1,234.56', 'thousands separators'],
  ])('%s=%s is told: %s', (name, value, expected) => {
    expect(hintOfValue(name, value)).toContain(expected);
  });

  test.each([
    ['amount', '12.50'],
    ['currency', 'EUR'],
    ['offer_id', '16'],
    ['conv_status', 'paid'],
  ])('%s=%s gets none', (name, value) => expect(hintOfValue(name, value)).toBe(''));
});
