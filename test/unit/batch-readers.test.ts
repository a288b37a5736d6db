/** The three formats of batch files: whatever the bytes and however they are cut, each line gets what it deserves. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createFileReader } from '../../src/batch/file-reader.ts';
import { LINE_BYTES_MAX } from '../../src/batch/limits.ts';
import { LINE_KINDS, readLine } from '../../src/batch/line.ts';
import { FileRefused, type FileRecord } from '../../src/batch/record.ts';

interface ReadFile {
  readonly records: readonly FileRecord[];
  readonly refused: FileRefused | undefined;
}

/** Reads bytes in pieces of the given sizes, over and over; the buffer of a piece is spoiled after use. */
function read(bytes: Buffer, sizes: readonly number[] = [bytes.length + 1]): ReadFile {
  const records: FileRecord[] = [];
  const reader = createFileReader(LINE_KINDS.postbacks.parameters, (record) =>
    records.push(record),
  );
  try {
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
      const end = Math.min(bytes.length, at + (sizes[turn % sizes.length] ?? 1));
      const piece = Buffer.from(bytes.subarray(at, end));
      reader.push(piece);
      piece.fill(0x21);
      at = end;
    }
    reader.end();
  } catch (error) {
    if (!(error instanceof FileRefused)) throw error;
    return { records, refused: error };
  }
  return { records, refused: undefined };
}

const COLUMNS = [...LINE_KINDS.postbacks.parameters].filter((name) => name !== 'token');
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
const value = fc.oneof(
  fc.constantFrom(
    '',
    '0',
    '10.50',
    'a,b',
    'c;d',
    'e\tf',
    'say "hi"',
    '"',
    '""',
    'two\nlines',
    'cr\r\nlf',
    'ünï €',
    ' x ',
  ),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
);

function quoted(text: string, always: boolean): string {
  return always || /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const csvFile = fc.record({
  columns: fc.shuffledSubarray(COLUMNS, { minLength: 2, maxLength: 6 }),
  delimiter: fc.constantFrom(',', ';', '\t'),
  eol: fc.constantFrom('\n', '\r\n'),
  bom: fc.boolean(),
  lastEol: fc.boolean(),
  quoteAll: fc.boolean(),
  upper: fc.boolean(),
  rows: fc.array(fc.array(value, { minLength: 6, maxLength: 6 }), { minLength: 1, maxLength: 8 }),
});

it('CSV comes back as it was written, in every column order, separator, line end and quoting, with BOM and without, cut into any pieces', () => {
  fc.assert(
    fc.property(
      csvFile,
      sizes,
      ({ columns, delimiter, eol, bom, lastEol, quoteAll, upper, rows }, cuts) => {
        const header = columns.map((name) =>
          quoted(upper ? ` ${name.toUpperCase()} ` : name, quoteAll),
        );
        // A line of nothing but blanks is no record.
        const kept = rows
          .map((row) => columns.map((_, index) => row[index] ?? ''))
          .filter((row) => quoteAll || row.join('').trim() !== '');
        fc.pre(kept.length > 0);
        const lines = [header, ...kept.map((row) => row.map((cell) => quoted(cell, quoteAll)))].map(
          (cells) => cells.join(delimiter),
        );
        const text = `${bom ? '\ufeff' : ''}${lines.join(eol)}${lastEol ? eol : ''}`;
        const { records, refused } = read(Buffer.from(text), cuts);
        expect(refused).toBeUndefined();
        expect(records.map(({ fault }) => fault).filter((fault) => fault !== undefined)).toEqual(
          [],
        );
        const expected = kept.map((row) =>
          Object.fromEntries(
            columns
              .map((name, index) => [name, (row[index] ?? '').toWellFormed()] as const)
              .filter(([, cell]) => cell !== ''),
          ),
        );
        expect(records.map(({ values }) => values)).toEqual(expected);
        // The line of each is where an editor shows its beginning.
        let line = 1;
        const starts = lines.map((record) => {
          const start = line;
          line += record.split('\n').length;
          return start;
        });
        expect(records.map((record) => record.line)).toEqual(starts.slice(1));
      },
    ),
    { numRuns: 400 },
  );
});

/** Damage to the line `id;10`; each makes exactly that line unreadable. */
const CSV_DAMAGE: readonly ((line: string) => Buffer)[] = [
  (line) => Buffer.from(`${line};more`),
  (line) => Buffer.from(line.replace(';', ' ')),
  (line) => Buffer.from(`"${line}`),
  (line) => Buffer.from(line.replace(';', ';"')),
  (line) => Buffer.from(`"a"b;${line.split(';')[1] ?? ''}`),
  (line) => Buffer.concat([Buffer.from([0xc3, 0x28]), Buffer.from(line)]),
  (line) => Buffer.concat([Buffer.from(line), Buffer.from([0xff])]),
  (line) => Buffer.from(`${'y'.repeat(LINE_BYTES_MAX)}${line}`),
];

it('damage in a line of CSV costs that line, is named with it, and leaves every other line as it was', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 30 }),
      fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 4 }),
      (count, damages, cuts) => {
        const lines = Array.from({ length: count }, (_, index) => `id${index};${index}`);
        const damaged = new Map(
          damages.map(([at, kind]) => [at % count, CSV_DAMAGE[kind % CSV_DAMAGE.length]]),
        );
        const pieces = lines.map((line, index) => damaged.get(index)?.(line) ?? Buffer.from(line));
        const file = Buffer.concat([
          Buffer.from('click_id;amount\n'),
          ...pieces.flatMap((piece) => [piece, Buffer.from('\n')]),
        ]);
        const { records, refused } = read(file, cuts);
        expect(refused).toBeUndefined();
        const good = records.filter(({ fault }) => fault === undefined);
        const openQuotes = [...damaged].filter(([at]) => pieces[at]?.includes(0x22)).length;
        // Two lines with a quote each can look like one record: what lies between is named as one broken line.
        if (openQuotes < 2) {
          expect(
            records.filter(({ fault }) => fault !== undefined).map(({ line }) => line - 2),
          ).toEqual([...damaged.keys()].toSorted((a, b) => a - b));
          expect(good.map(({ values }) => values?.['click_id'])).toEqual(
            lines.flatMap((_, index) => (damaged.has(index) ? [] : [`id${index}`])),
          );
        }
        expect(good.every(({ values, line }) => values?.['click_id'] === `id${line - 2}`)).toBe(
          true,
        );
      },
    ),
    { numRuns: 300 },
  );
});

const JSON_DAMAGE = [
  '{"a":',
  '{"a":1,}',
  'nonsense',
  '[1]',
  '"te,x]t"',
  '42',
  '{"amount":{"x":1}}',
  "{'a':1}",
  '{"a":"\u0001"}',
  '{"endpoint":"click"}',
] as const;

it('NDJSON and JSON arrays: a broken object costs itself; its line or number, and the reason, are named', () => {
  const item = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        click_id: fc.string({ maxLength: 8 }),
        amount: fc.integer({ min: 0, max: 999 }),
      }),
    },
    { weight: 1, arbitrary: fc.constantFrom(...JSON_DAMAGE) },
  );
  fc.assert(
    fc.property(
      fc.array(item, { minLength: 1, maxLength: 12 }),
      fc.boolean(),
      fc.constantFrom('\n', '\r\n', '\n\n'),
      sizes,
      (items, asArray, eol, cuts) => {
        const texts = items.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)));
        // Brackets that do not close would take the rest of an array with them.
        fc.pre(!asArray || !texts.includes('{"a":'));
        fc.pre(asArray || texts[0]?.startsWith('{') === true);
        const file = asArray ? `[${texts.join(` ,${eol}`)}]${eol}` : texts.join(eol);
        const { records, refused } = read(Buffer.from(`\ufeff${file}`), cuts);
        expect(refused).toBeUndefined();
        expect(records.map(({ text }) => text.trim())).toEqual(texts);
        const step = eol === '\n\n' ? 2 : 1;
        expect(records.map(({ line }) => line)).toEqual(
          texts.map((_, index) => (asArray ? index + 1 : index * step + 1)),
        );
        const faulty = records.map(
          (record) => readLine(record, LINE_KINDS.postbacks, false).unreadable !== undefined,
        );
        expect(faulty).toEqual(items.map((one) => typeof one === 'string'));
      },
    ),
    { numRuns: 300 },
  );
});

it('a bracket of a JSON array that closes nothing spoils its element only', () => {
  const { records, refused } = read(Buffer.from('[click_id}\0, {"a":1}]'));
  expect(refused).toBe(undefined);
  expect(records.map(({ line, text }) => [line, text])).toEqual([
    [1, 'click_id}\0'],
    [2, '{"a":1}'],
  ]);
});

it('bytes of any kind are read or refused, never thrown on, and the cuts make no difference', () => {
  const soup = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
      fc
        .constantFrom(
          'click_id',
          ';amount',
          '\n',
          '\r\n',
          '"',
          '""',
          '{',
          '}',
          '[',
          ']',
          ',',
          '{"a":1}',
          '\\',
          '\ufeff',
          '€',
        )
        .map((text) => Buffer.from(text)),
    ),
    { maxLength: 40 },
  );
  const start = fc
    .constantFrom('', 'click_id;amount\n', '[', '{"a":1}\n')
    .map((text) => Buffer.from(text));
  fc.assert(
    fc.property(start, soup, sizes, (head, parts, cuts) => {
      const file = Buffer.concat([head, ...parts]);
      const whole = read(file);
      const cut = read(file, cuts);
      expect(cut.refused?.message).toBe(whole.refused?.message);
      if (whole.refused === undefined) expect(cut.records).toEqual(whole.records);
      for (const record of cut.records) readLine(record, LINE_KINDS.postbacks, false);
    }),
    { numRuns: 600 },
  );
});

it.each([
  ['', 'the file is empty'],
  ['\n\n', 'the file is empty'],
  ['a;b\n1;2\n', 'names no parameter'],
  ['click_id;amount;click_id\n', 'names click_id twice'],
  ['[{"a":1}', 'not closed'],
  ['[{"a":"}]', 'a quote is missing'],
  ['[{"a":1}] x', 'something follows'],
  ['PK\u0003\u0004', 'ZIP'],
  ['\u001f\u008b', 'packed twice'],
])('%j is refused whole: %s', (text, reason) => {
  expect(read(Buffer.from(text, 'latin1')).refused?.message).toContain(reason);
});

it('UTF-16 is named as such, and the place of what is wrong with a header is told', () => {
  expect(read(Buffer.from('\ufeffclick_id;amount\n', 'utf16le')).refused?.message).toContain(
    'UTF-16',
  );
  const twice = read(Buffer.from('click_id;amount;click_id\n')).refused;
  expect([twice?.line, twice?.column]).toEqual([1, 3]);
});

it('a broken quote in every line does not make reading quadratic', () => {
  const line = `"${'x'.repeat(60)}\n`;
  const file = Buffer.from(`click_id;amount\n${line.repeat(30_000)}`);
  const from = performance.now();
  const { records } = read(file, [64 * 1024]);
  expect(records.every(({ fault }) => fault !== undefined)).toBe(true);
  expect(performance.now() - from).toBeLessThan(15_000);
});

it('the text of a broken line is not kept where it may hold a token', () => {
  const [record] = read(Buffer.from('{"a":1}\n{"token":"s3cret"')).records.slice(1);
  if (record === undefined) throw new Error('no record');
  expect(readLine(record, LINE_KINDS.postbacks, false).body).toBe('');
  const csv = read(Buffer.from('click_id;token\nx;s3cret;more\n')).records[0];
  if (csv === undefined) throw new Error('no record');
  expect(readLine(csv, LINE_KINDS.postbacks, true).body).toBe('');
});
