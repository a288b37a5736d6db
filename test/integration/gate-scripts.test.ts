/**
 * The gate's Lua files: each is loaded into a real Redis, and its header, its body and the typed function that calls it
 * say the same about keys, arguments and replies (STYLE.md, "Lua").
 */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import * as scripts from '../../workers/gate/scripts.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';

const FILES = readdirSync(projectPath('workers', 'gate')).filter((name) => name.endsWith('.lua'));
const SCRIPTS = Object.values(scripts);

interface Header {
  readonly title: string;
  readonly keys: readonly string[];
  readonly args: readonly string[];
  readonly reply: string;
}

/** Reads the comment block that opens a file. */
function headerOf(source: string): Header {
  const lines = source.split('\n');
  const block = lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith('--')),
  );
  const named = (label: string): string[] =>
    block.flatMap((line) => {
      const match = new RegExp(`^-- ${label}\\[(\\d+…?)\\]\\s+\\S`).exec(line);
      return match?.[1] === undefined ? [] : [match[1]];
    });
  return {
    title: block[0] ?? '',
    keys: named('KEYS'),
    args: named('ARGV'),
    reply: block.find((line) => line.startsWith('-- Reply')) ?? '',
  };
}

const body = (source: string): string =>
  source
    .split('\n')
    .filter((line) => !line.startsWith('--'))
    .join('\n');

let server: TestRedis;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(async () => {
  await server.close();
});

test('every file has one typed function, and every function a file', () => {
  expect(SCRIPTS.map(({ file }) => file).toSorted()).toEqual(FILES.toSorted());
});

describe.each(FILES)('%s', (file) => {
  const source = readFileSync(projectPath('workers', 'gate', file), 'utf8');
  const header = headerOf(source);

  test('is what the typed function runs, and Redis compiles it', async () => {
    expect(SCRIPTS.find((script) => script.file === file)?.source).toBe(source);
    expect(await server.redis.script('LOAD', source)).toMatch(/^[0-9a-f]{40}$/);
  });

  test('opens with its name, its keys, its arguments and its reply', () => {
    expect(header.title).toMatch(new RegExp(`^-- ${file.replace('.lua', '')}: \\S.*\\.$`));
    expect(header.keys[0]).toBe('1');
    expect(header.args.length).toBeGreaterThan(0);
    expect(header.reply).toMatch(/^-- Reply\s+\S/);
  });

  test('numbers its arguments from 1 without a gap, and reads exactly those', () => {
    const numbers = header.args.map((arg) => Number(arg.replace('…', '')));
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    // Only the last may be a list: it is read by computed indexes.
    expect(header.args.slice(0, -1).join('')).not.toContain('…');
    const isList = header.args.at(-1)?.endsWith('…') === true;
    const fixed = isList ? numbers.slice(0, -1) : numbers;
    const read = [...body(source).matchAll(/ARGV\[(\d+)\]/g)].map((match) => Number(match[1]));
    expect([...new Set(read)].toSorted((a, b) => a - b)).toEqual(fixed);
    expect(/unpack\(ARGV/.test(body(source))).toBe(isList);
  });

  test('reads keys that its header names, and only through KEYS', () => {
    const read = [...body(source).matchAll(/KEYS\[(\w+(?:\[.+?\])?)\]/g)].map((match) => match[1]);
    expect(read).toContain('1');
    const hasMore = read.some((index) => index !== '1') || body(source).includes('#KEYS');
    expect(header.keys).toEqual(hasMore ? ['1', '2…'] : ['1']);
    // A key that is built inside a script would belong to no slot.
    const called = [...body(source).matchAll(/\bcall\('\w+', ([^,)]+)/g)].map((match) => match[1]);
    expect(called.length).toBeGreaterThan(0);
    for (const key of called) expect(key).toMatch(/^(KEYS\[.+\]?|meta|key|write\[1\])$/);
    for (const [, value] of body(source).matchAll(/\bkey\b.* = (.*)/g))
      expect(value).toContain('KEYS[');
  });

  test('replies only what its header names', () => {
    const replies = [...body(source).matchAll(/^(?:if .*| {2})?return (\{'\w+'.*?|\d)(?: end)?$/gm)]
      .map((match) => match[1] ?? '')
      // A number inside a function is no reply of the script.
      .filter((reply) => reply.startsWith('{') || !body(source).includes('local function'));
    expect(replies.length).toBeGreaterThan(0);
    for (const reply of replies) {
      const kind = /^\{('\w+')/.exec(reply)?.[1] ?? reply;
      expect(header.reply).toContain(kind);
    }
  });

  test('uses no clock, no chance and no global of its own', () => {
    expect(body(source)).not.toMatch(/'TIME'|math\.random|os\./);
    const assigned = [...body(source).matchAll(/^\s*(local )?(\w+) = /gm)];
    const locals = new Set(
      [...body(source).matchAll(/\blocal (?:function )?([\w, ]+)/g)].flatMap((match) =>
        (match[1] ?? '').split(',').map((name) => name.trim()),
      ),
    );
    for (const [, , name = ''] of assigned) expect(locals).toContain(name);
  });
});

describe('the typed functions map every reply', () => {
  const keys = createRedisKeys(`gate-scripts-${process.pid}`);
  const meta = keys.lane.meta(1);
  const clicks = keys.lane.clicks(1, 12);

  beforeEach(async () => {
    await server.redis.del(meta, clicks);
  });

  const begin = (nonce: string, now: string): Promise<boolean> =>
    scripts.rebuildBeginScript.run(server.redis, [meta], [nonce, now, '1000']);
  const clear = (nonce: string, step: number): Promise<boolean> =>
    scripts.rebuildClearScript.run(server.redis, [meta, clicks], [nonce, String(step), '600']);
  const end = (nonce: string, steps: number): Promise<boolean> =>
    scripts.rebuildEndScript.run(server.redis, [meta], [nonce, String(steps), '7']);

  test('of a rebuild, from its begin to its end', async () => {
    expect(await begin('n1', '0')).toBe(true);
    expect(await begin('n2', '500')).toBe(false);
    await server.redis.hset(clicks, 'old', 'x');
    expect(await clear('n2', 0)).toBe(false);
    expect(await clear('n1', 1)).toBe(false);
    expect(await server.redis.exists(clicks)).toBe(1);
    expect(await clear('n1', 0)).toBe(true);
    expect(await server.redis.exists(clicks)).toBe(0);
    expect(await end('other', 1)).toBe(false);
    expect(await end('n1', 0)).toBe(false);
    expect(await end('n1', 1)).toBe(true);
    expect(await server.redis.hgetall(meta)).toEqual({ applied: '7' });
    // A rebuild whose owner is silent is taken over, and one whose clock was ahead.
    expect(await begin('n3', '5000')).toBe(true);
    expect(await begin('n4', '6000')).toBe(true);
    expect(await end('n3', 0)).toBe(false);
    expect(await begin('n5', '5000')).toBe(true);
  });

  test('after Redis has forgotten its scripts', async () => {
    await server.redis.script('FLUSH');
    expect(await begin('n1', '0')).toBe(true);
  });
});
