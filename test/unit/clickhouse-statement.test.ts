/** What the embedded ClickHouse reads out of a statement's text: kinds, FORMAT clauses, where data begins. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readInsertHead, withDataFile } from '../../clickhouse/embedded/insert-statement.ts';
import {
  blankLiterals,
  isStacked,
  kindOf,
  splitFormat,
  withoutSemicolon,
} from '../../clickhouse/embedded/statement.ts';

describe('literals and comments', () => {
  test.each([
    ["'a;b'", 5],
    ["'it''s; \\' ;'", 13],
    ['"a;""b"', 7],
    ['`a;``b`', 7],
    ['-- ;', 4],
    ['# ;', 3],
    ['/* ; */', 7],
    ['$x$ ; $x$', 9],
    ['$$ ; $$', 7],
  ])('%s is blanked whole', (text, length) => {
    expect(blankLiterals(`a ${text}\nb`)).toBe(`a ${' '.repeat(length)}\nb`);
  });

  test('whatever the text, its length stays', () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom(
            "'",
            '"',
            '`',
            '$',
            '/',
            '*',
            '-',
            '#',
            '\\',
            ';',
            ' ',
            'a',
            '\n',
            '(',
          ),
        }),
        (text) => {
          expect(blankLiterals(text).length).toBe(text.length);
        },
      ),
    );
  });
});

test.each([
  ['SELECT 1', 'read'],
  ['  -- c\n (select 1)', 'read'],
  ['WITH a AS (SELECT 1) SELECT * FROM a', 'read'],
  ['FROM t SELECT a', 'read'],
  ['show tables', 'read'],
  ['/* x */ INSERT INTO t VALUES (1)', 'insert'],
  ['CREATE TABLE t (a Int8)', 'other'],
  ['', 'other'],
])('%s is of kind %s', (sql, kind) => {
  expect(kindOf(sql)).toBe(kind);
});

test.each([
  ['SELECT 1;', false, 'SELECT 1'],
  ['SELECT 1 ; -- end', false, 'SELECT 1 '],
  ["SELECT ';'", false, "SELECT ';'"],
  ['SELECT 1; SELECT 2', true, 'SELECT 1; SELECT 2'],
  ['SELECT 1;;', false, 'SELECT 1'],
])('%s: stacked %s', (sql, stacked, without) => {
  expect(isStacked(withoutSemicolon(sql))).toBe(stacked);
  expect(withoutSemicolon(sql)).toBe(without);
});

test.each([
  ['SELECT 1 FORMAT JSON', 'SELECT 1', 'JSON', ''],
  ['SELECT 1\nformat CSV settings a = 1', 'SELECT 1', 'CSV', 'settings a = 1'],
  ["SELECT 'FORMAT JSON'", "SELECT 'FORMAT JSON'", undefined, ''],
  ['SELECT format FROM t', 'SELECT format FROM t', undefined, ''],
])('the FORMAT clause of %s', (sql, head, format, settings) => {
  expect(splitFormat(sql)).toEqual({ sql: head, format, settings });
});

describe('where the data of an INSERT begins', () => {
  test.each([
    ['INSERT INTO t FORMAT CSV\n1,2', 'CSV', '1,2'],
    ['INSERT INTO t FORMAT JSONEachRow {"a":1}', 'JSONEachRow', '{"a":1}'],
    ['INSERT INTO t (a, b) VALUES (1, 2)', 'Values', ' (1, 2)'],
    ["INSERT INTO t VALUES ('FORMAT CSV')", 'Values', " ('FORMAT CSV')"],
    ['INSERT INTO t FORMAT Values (1)', 'Values', '(1)'],
    ['INSERT INTO t FORMAT CSV "a",1', 'CSV', '"a",1'],
    ['INSERT INTO t FORMAT CSV\n\n1', 'CSV', '\n1'],
    ['INSERT INTO t FORMAT CSV', 'CSV', ''],
    ["INSERT INTO t SELECT a FROM input('a Int8') FORMAT CSV\n1", 'CSV', '1'],
    ['INSERT INTO t FORMAT TSV\nVALUES\tSELECT', 'TSV', 'VALUES\tSELECT'],
    ['INSERT INTO t SELECT * FROM values(1, 2)', undefined, ''],
    ["INSERT INTO t SELECT 'FORMAT CSV'", undefined, ''],
  ])('%s', (sql, format, data) => {
    const head = readInsertHead(sql);
    expect(head.format).toBe(format);
    expect(sql.slice(head.dataOffset)).toBe(data);
  });
});

test.each([
  ['INSERT INTO t FORMAT CSV', "INSERT INTO t  FROM INFILE '/f'  FORMAT CSV"],
  [
    'INSERT INTO t (a) SETTINGS async_insert=0 FORMAT TSV',
    "INSERT INTO t (a)  FROM INFILE '/f' SETTINGS async_insert=0  FORMAT TSV",
  ],
  [
    "INSERT INTO t SELECT a FROM input('a DateTime64(3, \\'UTC\\')') WHERE a > 1 FORMAT CSV",
    "INSERT INTO t SELECT a FROM file('/f', 'CSV', 'a DateTime64(3, \\'UTC\\')') WHERE a > 1 ",
  ],
])('%s reads its data from a file', (sql, expected) => {
  expect(withDataFile(readInsertHead(sql), '/f', undefined)).toBe(expected);
});
