/** What goes to Redis is what the library itself would send, whatever the arguments hold. */
import fc from 'fast-check';
import { Command } from 'ioredis';
import { expect, test } from 'vitest';
import { LargeCommand } from '../../workers/gate/large-command.ts';

const bytesOf = (command: Command): string => Buffer.from(command.toWritable({})).toString('hex');

function expectSame(name: string, args: readonly string[]): void {
  expect(bytesOf(new LargeCommand(name, [...args]))).toBe(bytesOf(new Command(name, [...args])));
}

test('any arguments are spelled as the library spells them', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 400 })), (args) =>
      expectSame('evalsha', args),
    ),
  );
});

test.each([
  ['none', []],
  ['an empty one', ['']],
  ['one that looks like the protocol', ['$3\r\nabc\r\n', '*1\r\n']],
  ['one of 255, 256 and 100,000 characters', ['a'.repeat(255), 'b'.repeat(256), 'c'.repeat(1e5)]],
  ['one that is not ASCII among ones that are', ['a', 'ä', 'b']],
])('arguments: %s', (_, args) => expectSame('eval', args));
