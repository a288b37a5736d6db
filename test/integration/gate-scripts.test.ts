/**
 * The gate's Lua files: each is loaded into a real Redis, and its header, its body and the typed function that calls it
 * say the same about keys, arguments and replies (STYLE.md, "Lua").
 */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { GateRequest, GateRules } from '../../src/domain/gate-request.ts';
import { projectPath } from '../../src/project-root.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { encodeEvents } from '../../workers/gate/apply-input.ts';
import { claimNames } from '../../workers/gate/claims.ts';
import { encodeRequests } from '../../workers/gate/judge-input.ts';
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
  const LANE = 1;
  const keys = createRedisKeys(`gate-scripts-${process.pid}`);
  const meta = keys.lane.meta(LANE);
  const clicks = keys.lane.clicks(LANE, 12);
  const NO_LIMITS = { daily: null, monthly: null, total: null };
  const rules = {
    oncePerClick: true,
    uniqueOrderId: false,
    uniqueIpWindow: null,
    uniqueTrackId: false,
    caps: NO_LIMITS,
    affiliateCaps: null,
    timezone: 'UTC',
  };
  const accepted = {
    transactionId: 't1',
    hitTimeMs: 0,
    offerId: 16,
    goalId: 12,
    affiliateId: 1,
    clickId: 'c1',
    orderId: '',
    trackId: '',
    uniqueIp: '',
  };
  const { transactionId: _, ...claimed } = accepted;
  const request: GateRequest = {
    ...claimed,
    hitId: 't2',
    rules,
    mode: 'create',
    targetTransactionId: '',
    targetInBlock: false,
    release: undefined,
  };
  const asked = encodeRequests([request], keys, LANE);
  const claims = encodeEvents([{ conversion: accepted, releasedBy: '' }], () => rules, keys, LANE);

  beforeEach(async () => {
    const held = await server.redis.keys(`{${keys.prefix}:l:*`);
    if (held.length > 0) await server.redis.del(...held);
  });

  const judge = (position: string, signatures = '{}') =>
    scripts.judgeScript.run(server.redis, asked.keys, [position, signatures, ...asked.args]);
  const apply = (from: string, nonce = '', signatures = '{}', to = '4') =>
    scripts.applyScript.run(server.redis, claims.keys, [
      from,
      to,
      signatures,
      nonce,
      ...claims.args,
    ]);

  test('of a lane without state', async () => {
    const position = { kind: 'position', applied: -1 };
    expect(await judge('0')).toEqual(position);
    expect(await apply('0')).toEqual(position);
  });

  test('of a rebuild, from its begin to its end', async () => {
    const begin = (nonce: string, now: string) =>
      scripts.rebuildBeginScript.run(server.redis, [meta], [nonce, now, '1000']);
    const clear = (nonce: string) =>
      scripts.rebuildClearScript.run(server.redis, [meta, clicks], [nonce, '600']);
    const end = (nonce: string) => scripts.rebuildEndScript.run(server.redis, [meta], [nonce, '7']);
    expect(await begin('n1', '0')).toBe(true);
    expect(await begin('n2', '500')).toBe(false);
    await server.redis.hset(clicks, 'old', 'x');
    expect(await clear('n2')).toBe(false);
    expect(await server.redis.exists(clicks)).toBe(1);
    expect(await clear('n1')).toBe(true);
    expect(await server.redis.exists(clicks)).toBe(0);
    expect(await apply('0', 'n1', '{"16":"UTC|off"}')).toEqual({ kind: 'ok' });
    expect(await apply('0', 'other')).toEqual({ kind: 'position', applied: -1 });
    expect(await server.redis.hgetall(clicks)).toEqual({ c1: 't1' });
    // Nobody judges while a rebuild is under way.
    expect(await judge('7')).toEqual({ kind: 'position', applied: -1 });
    expect(await end('other')).toBe(false);
    expect(await end('n1')).toBe(true);
    expect(await server.redis.hgetall(meta)).toEqual({ 'sig:16': 'UTC|off', applied: '7' });
    // A rebuild whose owner is silent is taken over.
    expect(await begin('n3', '0')).toBe(true);
    expect(await begin('n4', '1000')).toBe(true);
    expect(await end('n3')).toBe(false);
  });

  test('of a lane that stands at a position', async () => {
    await server.redis.hset(meta, 'applied', '3', 'sig:16', 'UTC|off');
    expect(await judge('2')).toEqual({ kind: 'position', applied: 3 });
    expect(await judge('3', '{"16":"UTC|day"}')).toEqual({ kind: 'stale', offerId: 16 });
    expect(await judge('3', '{"16":"UTC|off"}')).toEqual({ kind: 'ok', answers: new Map() });
    expect(await apply('3', '', '{"16":"UTC|day"}')).toEqual({ kind: 'stale', offerId: 16 });
    expect(await server.redis.exists(clicks)).toBe(0);
    expect(await apply('3')).toEqual({ kind: 'ok' });
    expect(await apply('3')).toEqual({ kind: 'position', applied: 4 });
    expect(await judge('4')).toEqual({
      kind: 'ok',
      answers: new Map([[1, [101, 't1']]]),
    });
  });

  test('of releases: a slot is free when nobody holds it, and a released holder is not named', async () => {
    const second = { ...accepted, transactionId: 't5' };
    const events = [accepted, second].map((conversion) => ({ conversion, releasedBy: '' }));
    const releaseOf = (conversion: typeof accepted, releasedBy: string) => ({
      conversion,
      releasedBy,
    });
    let position = 3;
    await server.redis.hset(meta, 'applied', String(position));
    const applied = async (list: Parameters<typeof encodeEvents>[0]): Promise<unknown> => {
      const { keys: names, args } = encodeEvents(list, () => rules, keys, LANE);
      const [from, to] = [String(position), String(++position)];
      await scripts.applyScript.run(server.redis, names, [from, to, '{}', '', ...args]);
      return server.redis.hget(clicks, 'c1');
    };
    const judged = async (): Promise<unknown> => {
      const reply = await judge(String(position));
      return reply.kind === 'ok' ? reply.answers.get(1) : reply;
    };
    expect(await applied(events)).toBe('t1|t5|2');
    expect(await judged()).toEqual([101, 't1']);
    expect(await applied([releaseOf(accepted, 'r1')])).toBe('|t5|1');
    expect(await judged()).toEqual([101, '']);
    expect(await applied([releaseOf(second, 'r2')])).toBe('|t5|0');
    expect(await judged()).toBeUndefined();
    expect(await applied(events.slice(1))).toBe('t5');
    expect(await server.redis.hgetall(keys.lane.released(LANE, 12))).toEqual({
      t1: 'r1',
      t5: 'r2',
    });
    expect(await server.redis.hget(keys.lane.caps(LANE, 12), 'g:ever')).toBe('1|t5');
  });

  type Answers = readonly (readonly [number: number, answer: readonly (number | string)[]])[];

  // One is used, and the block asks three times. A holder within the block is named by its number.
  test.each<[string, number, Answers]>([
    ['out of reach of the block', 5, []],
    ['that the block just fills', 4, []],
    ['that the block would overshoot by one', 3, [[3, [107, 2, 2, 3]]]],
    ['that is full', 1, [1, 2, 3].map((number) => [number, [107, 2, 'before', 1]])],
  ])('of a cap %s', async (_, total, answers) => {
    await server.redis.hset(meta, 'applied', '3');
    await server.redis.hset(keys.lane.caps(LANE, 12), 'g:ever', '1|before');
    const capped = { ...rules, caps: { ...NO_LIMITS, total } };
    const block = [1, 2, 3].map((number) => ({
      ...request,
      hitId: `t${number}`,
      clickId: `c${number}`,
      rules: capped,
    }));
    const { keys: names, args } = encodeRequests(block, keys, LANE);
    expect(await scripts.judgeScript.run(server.redis, names, ['3', '{}', ...args])).toEqual({
      kind: 'ok',
      answers: new Map(answers),
    });
  });

  /** What the fields of two conversions with the same ids hold, in one block or in two, judged under these rules. */
  async function heldAfter(judgedBy: GateRules, blocks: readonly (readonly string[])[]) {
    await server.redis.hset(meta, 'applied', '0');
    for (const [index, ids] of blocks.entries()) {
      const events = ids.map((transactionId) => {
        const conversion = { ...accepted, transactionId, orderId: 'o1', trackId: 'k1' };
        const asked = { ...request, hitId: transactionId, orderId: 'o1', trackId: 'k1' };
        const judged = {
          request: { ...asked, rules: judgedBy },
          names: claimNames(conversion, rules),
        };
        return { conversion, releasedBy: '', judged };
      });
      const { keys: names, args } = encodeEvents(events, () => rules, keys, LANE);
      const positions = [String(index), String(index + 1)];
      await scripts.applyScript.run(server.redis, names, [...positions, '{}', '', ...args]);
    }
    return {
      click: await server.redis.hget(clicks, 'c1'),
      order: await server.redis.hget(keys.lane.orders(LANE, 12), 'o1'),
      track: await server.redis.hget(keys.lane.tracks(LANE, 12), 'k1'),
    };
  }

  const twice = { click: 't1|t5|2', order: 't1|2', track: 't1|2' };
  test.each([
    ['one block', [['t1', 't5']]],
    ['two', [['t1'], ['t5']]],
  ])('of claims that no rule looked at, in %s: each counts', async (_, blocks) => {
    const off = { ...rules, oncePerClick: false, uniqueOrderId: false, uniqueTrackId: false };
    expect(await heldAfter(off, blocks)).toEqual(twice);
  });

  test('of a claim whose rules found everything free', async () => {
    const on = { ...rules, oncePerClick: true, uniqueOrderId: true, uniqueTrackId: true };
    expect(await heldAfter(on, [['t1']])).toEqual({ click: 't1', order: 't1', track: 't1' });
  });

  test('judging writes nothing', async () => {
    await server.redis.hset(meta, 'applied', '0');
    expect(await judge('0', '{"16":"UTC|off"}')).toMatchObject({ kind: 'ok' });
    expect(await server.redis.keys(`{${keys.prefix}:l:*`)).toEqual([meta]);
    expect(await server.redis.hgetall(meta)).toEqual({ applied: '0' });
  });

  test('after Redis has forgotten its scripts', async () => {
    await server.redis.hset(meta, 'applied', '0');
    await server.redis.script('FLUSH');
    expect(await judge('0')).toMatchObject({ kind: 'ok' });
  });
});
