/** The row of a click: an invalid one says what its link looks like having gone wrong. */
import { expect, test } from 'vitest';
import { CLICK_COLUMNS } from '../../clickhouse/tables.ts';
import { createDeviceReader } from '../../src/domain/device.ts';
import { FULL_IPS } from '../../src/domain/ip-storage.ts';
import { verdictOf } from '../../src/domain/verdicts.ts';
import { clickRow } from '../../workers/ingest/rows.ts';
import { clickChunk, clickHit } from '../support/test-worker.ts';

const NOW = Date.parse('2026-06-15T12:00:00Z');
const enrichment = { country: () => '', device: createDeviceReader() };

function hintIn(verdict: 'accepted' | 'affiliate_not_found', fields: object): unknown {
  const { code } = verdictOf(verdict);
  const hit = { ...clickHit('hit', '', 16, NOW), verdictCode: code, ...fields };
  const how = { enrichment, ips: FULL_IPS, blockTimeS: 0 };
  const row = clickRow(hit, undefined, clickChunk('0-1-0-c', [hit]), how);
  return row[CLICK_COLUMNS.findIndex(([name]) => name === 'hint')];
}

test.each([
  [{ query: 'o=16&a=%7Baff_id%7D' }, 'The macro {aff_id} in a was not replaced'],
  [{ query: '', body: '{"o":16,"aff_id":1}' }, 'The link has aff_id'],
])('of an invalid click %j has a hint: %s', (fields, hint) => {
  expect(hintIn('affiliate_not_found', fields)).toContain(hint);
});

test('of an accepted click has none', () => {
  expect(hintIn('accepted', { query: 'o=16&a=1&sub_id1={sub}' })).toBe('');
});
