/** ioredis makes all methods of strings slow; they are made fast again. Only V8 itself can say so. */
import { setFlagsFromString } from 'node:v8';
import { runInThisContext } from 'node:vm';
import { expect, test } from 'vitest';
import { makeStringMethodsFast } from '../../src/redis/string-methods.ts';

setFlagsFromString('--allow-natives-syntax');
const isFast = runInThisContext('(object) => %HasFastProperties(object)') as (
  object: object,
) => boolean;

test('the methods of strings are fast again after ioredis was loaded, and stay so', async () => {
  await import('ioredis');
  expect(isFast(String.prototype)).toBe(false);
  makeStringMethodsFast();
  expect(isFast(String.prototype)).toBe(true);
  class Derived extends String {}
  expect(new Derived('x').at(0)).toBe('x');
  expect(isFast(String.prototype)).toBe(true);
});
