/** What a schema's faults say, in words for those who write catalogue files and call the API: not for programmers of zod. */
import type { z } from 'zod';

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map of fields',
  record: 'a map of fields',
};
const UNITS: Readonly<Record<string, string>> = { string: ' characters', array: ' entries' };

function kindOf(value: unknown): string {
  if (value === null) return 'empty';
  return KINDS[Array.isArray(value) ? 'array' : typeof value] ?? typeof value;
}

function ofType(expected: string, input: unknown): string {
  const wanted = KINDS[expected] ?? expected;
  if (expected === 'string' && ['number', 'boolean'].includes(typeof input))
    return `must be ${wanted}: put it in quotes`;
  return `must be ${wanted}, not ${kindOf(input)}`;
}

/** The message of an issue that its schema has none for; undefined: zod's own will do. */
export const faultText: z.core.$ZodErrorMap = (issue) => {
  if (issue.input === undefined) return 'is missing';
  switch (issue.code) {
    case 'invalid_type':
      return ofType(issue.expected, issue.input);
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return `must be at least ${issue.minimum}${UNITS[issue.origin] ?? ''}`;
    case 'too_big':
      return `must be at most ${issue.maximum}${UNITS[issue.origin] ?? ''}`;
    case 'invalid_key':
      return issue.issues[0]?.message;
    default:
      return undefined;
  }
};
