/**
 * The gate's Lua files: each is loaded into a real Redis, and its header, its body and the typed function that calls it
 * say the same about keys, arguments and replies (STYLE.md, "Lua").
 */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
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
const META = '{gate-scripts}:meta';
const STATE = '{gate-scripts}:clicks:1';
beforeAll(async () => {
  server = await startRedis();
});
beforeEach(async () => {
  await server.redis.del(META, STATE);
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
    const numbers = header.args.map(Number);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    const read = [...body(source).matchAll(/ARGV\[(\d+)\]/g)].map((match) => Number(match[1]));
    expect([...new Set(read)].toSorted((a, b) => a - b)).toEqual(numbers);
  });

  test('reads keys that its header names, and only through KEYS', () => {
    const read = [...body(source).matchAll(/KEYS\[(\w+(?:\[\d+\])?)\]?/g)].map((match) => match[1]);
    expect(read).toContain('1');
    const hasMore = read.some((index) => index !== '1') || body(source).includes('#KEYS');
    expect(header.keys).toEqual(hasMore ? ['1', '2…'] : ['1']);
    // A key that is built inside a script would belong to no slot.
    for (const [, key] of body(source).matchAll(/redis\.call\('\w+', ([^,)]+)/g))
      expect(key).toMatch(/^(KEYS\[.+\]?|meta)$/);
  });

  test('replies only what its header names', () => {
    const replies = [...body(source).matchAll(/^ {0,2}(?:if .*)?return ([^\n]+?)(?: end)?$/gm)]
      .map((match) => match[1] ?? '')
      .filter((reply) => /^(\d|\{')/.test(reply));
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
  const claim = JSON.stringify([['t1', 2, 'c1', 2, '', 2, '', 2, '', 2, []]]);
  const request = JSON.stringify([
    ['create', 't2', '', 2, 'c1', true, 2, '', false, 2, '', 2, '', false, 2, [], false],
  ]);

  test('of a lane without state', async () => {
    const { redis } = server;
    const position = { kind: 'position', applied: -1 };
    expect(await scripts.judgeScript.run(redis, [META], ['0', '{}', '[]'])).toEqual(position);
    expect(await scripts.applyScript.run(redis, [META], ['0', '1', '{}', '[]', ''])).toEqual(
      position,
    );
  });

  test('of a rebuild, from its begin to its end', async () => {
    const { redis } = server;
    const begin = (nonce: string, now: string) =>
      scripts.rebuildBeginScript.run(redis, [META], [nonce, now, '1000']);
    expect(await begin('n1', '0')).toBe(true);
    expect(await begin('n2', '500')).toBe(false);
    await redis.hset(STATE, 'old', 'x');
    expect(await scripts.rebuildClearScript.run(redis, [META, STATE], ['n2', '600'])).toBe(false);
    expect(await redis.exists(STATE)).toBe(1);
    expect(await scripts.rebuildClearScript.run(redis, [META, STATE], ['n1', '600'])).toBe(true);
    expect(await redis.exists(STATE)).toBe(0);
    expect(
      await scripts.applyScript.run(redis, [META, STATE], ['0', '0', '{"4":"s"}', claim, 'n1']),
    ).toEqual({ kind: 'ok' });
    expect(
      await scripts.applyScript.run(redis, [META, STATE], ['0', '0', '{}', claim, 'other']),
    ).toEqual({ kind: 'position', applied: -1 });
    // Nobody judges while a rebuild is under way.
    expect(await scripts.judgeScript.run(redis, [META, STATE], ['7', '{}', '[]'])).toMatchObject({
      kind: 'position',
    });
    expect(await scripts.rebuildEndScript.run(redis, [META], ['other', '7'])).toBe(false);
    expect(await scripts.rebuildEndScript.run(redis, [META], ['n1', '7'])).toBe(true);
    expect(await redis.hgetall(META)).toEqual({ 'sig:4': 's', applied: '7' });
    // A rebuild whose owner is silent is taken over.
    expect(await begin('n3', '0')).toBe(true);
    expect(await begin('n4', '1000')).toBe(true);
    expect(await scripts.rebuildEndScript.run(redis, [META], ['n3', '7'])).toBe(false);
  });

  test('of a lane that stands at a position', async () => {
    const { redis } = server;
    await redis.hset(META, 'applied', '3', 'sig:4', 'UTC|off');
    const judge = (position: string, signatures: string) =>
      scripts.judgeScript.run(redis, [META, STATE], [position, signatures, request]);
    expect(await judge('2', '{}')).toEqual({ kind: 'position', applied: 3 });
    expect(await judge('3', '{"4":"UTC|day"}')).toEqual({ kind: 'stale', offerId: 4 });
    expect(await judge('3', '{"4":"UTC|off"}')).toEqual({ kind: 'ok', answers: [[0]] });
    const apply = (from: string, signatures = '{}') =>
      scripts.applyScript.run(redis, [META, STATE], [from, '4', signatures, claim, '']);
    expect(await apply('3', '{"4":"UTC|day"}')).toEqual({ kind: 'stale', offerId: 4 });
    expect(await redis.exists(STATE)).toBe(0);
    expect(await apply('3')).toEqual({ kind: 'ok' });
    expect(await apply('3')).toEqual({ kind: 'position', applied: 4 });
    expect(await scripts.judgeScript.run(redis, [META, STATE], ['4', '{}', request])).toEqual({
      kind: 'ok',
      answers: [[101, 't1']],
    });
  });

  test('judging writes nothing', async () => {
    const { redis } = server;
    await redis.hset(META, 'applied', '0');
    const before = await redis.dump(META);
    await scripts.judgeScript.run(redis, [META, STATE], ['0', '{"4":"UTC|off"}', request]);
    expect(await redis.dump(META)).toBe(before);
    expect(await redis.exists(STATE)).toBe(0);
  });

  test('after Redis has forgotten its scripts', async () => {
    const { redis } = server;
    await redis.hset(META, 'applied', '0');
    await redis.script('FLUSH');
    expect(await scripts.judgeScript.run(redis, [META], ['0', '{}', '[]'])).toMatchObject({
      kind: 'ok',
    });
  });
});
