/** A catalogue file that can't be taken says why, and where, in words for those who write it. */
import { describe, expect, it } from 'vitest';
import { parseCatalogueFile } from '../../../src/catalogue/file.ts';
import { CatalogueFaults } from '../../../src/catalogue/store.ts';
import { decodeCatalogueFile } from '../../../src/catalogue/yaml-document.ts';

function faultsOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof CatalogueFaults) return error.message;
    throw error;
  }
  return 'none';
}

const offer = (fields: string): string =>
  `offers:\n  - {id: 16, advertiser_id: 1, url: 'https://shop.example/', ${fields}}\n`;

describe('a catalogue file', () => {
  it.each([
    ['advertisers: []\n---\naffiliates: []\n', '(file): line 2: a second document begins here'],
    ['advertisers:\n  - {id: 1, name: 42}\n', 'name: must be a text: put it in quotes'],
    [offer('title: true'), 'title: must be a text: put it in quotes'],
    [offer('title: null'), 'title: must be a text, not empty'],
    [offer('title: [a]'), 'title: must be a text, not a list'],
    ['advertisers:\n  - {id: 1}\n', 'line 2: advertisers[0].name: is missing'],
    ["advertisers:\n  - {id: '1', name: A}\n", 'id: must be a number, not a text'],
    ['advertisers:\n  - {id: 1.5, name: A}\n', 'id: must be a whole number'],
    ['advertisers:\n  - {id: 0, name: A}\n', 'id: must be at least 1'],
    ['advertisers:\n  - {id: 1, name: A, status: on}\n', 'status: must be one of active, inactive'],
    ['advertisers:\n  - Acme\n', 'advertisers[0]: must be a map of fields, not a text'],
    ['advertisers:\n  - {id: 1, name: !upper acme}\n', 'line 2: the tag !upper means nothing'],
    [
      offer('title: A, goals: [{id: 1, alias: sale, payout: [5]}]'),
      'payout: must be a plain decimal of 0 or more with up to 14 digits',
    ],
    [
      offer('title: A, goals: [{id: 1, alias: sale, affiliate_caps: {x: {daily: 1}}}]'),
      'affiliate_caps.x: must be an affiliate id',
    ],
  ])('%j is told: %s', (text, told) => {
    expect(faultsOf(() => parseCatalogueFile(text))).toContain(told);
  });

  it('that is not UTF-8 is refused whole', () => {
    const latin1 = Buffer.from('affiliates: [{id: 1, name: Müller}]', 'latin1');
    expect(faultsOf(() => decodeCatalogueFile(latin1))).toContain('the file is not UTF-8');
    const utf16 = Buffer.from('\u{feff}affiliates: []', 'utf16le');
    expect(faultsOf(() => decodeCatalogueFile(utf16))).toContain('the file is not UTF-8');
  });

  it('in UTF-8 is read, with a byte order mark or without', () => {
    for (const mark of ['', '\u{feff}']) {
      const text = decodeCatalogueFile(Buffer.from(`${mark}affiliates: [{id: 1, name: Müller}]`));
      expect(parseCatalogueFile(text).affiliates).toMatchObject([{ name: 'Müller' }]);
    }
  });
});
