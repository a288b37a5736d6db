import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { longTransaction, shortClick, shortTransaction } from '../../workers/gate/short-names.ts';

test('a transaction id is the same again after it was short', () => {
  const ids = Array.from({ length: 1_000 }, () => randomUUID());
  ids.push('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff');
  for (const id of ids) {
    const short = shortTransaction(id);
    expect(short).toHaveLength(22);
    // The state's values separate names by bars.
    expect(short).not.toContain('|');
    expect(longTransaction(short)).toBe(id);
  }
  expect(new Set(ids.map(shortTransaction)).size).toBe(ids.length);
});

test('what is no such id stays as it is', () => {
  for (const text of ['', 't1', '-', 'F0000000-0000-4000-8000-000000000000']) {
    expect(shortTransaction(text)).toBe(text);
    expect(longTransaction(text)).toBe(text);
    expect(shortClick(text)).toBe(text);
  }
});

test('an id with a single character that is none of its own stays as it is', () => {
  const uuid = randomUUID();
  const click = uuid.replaceAll('-', '');
  for (const wrong of ['g', 'G', 'A', '-', '|', 'é', '٣', '😀'.charAt(0)]) {
    for (let at = 0; at < uuid.length; at++) {
      const id = uuid.slice(0, at) + wrong + uuid.slice(at + 1);
      if (id !== uuid) expect(shortTransaction(id)).toBe(id);
    }
    for (let at = 0; at < click.length; at++) {
      const id = click.slice(0, at) + wrong + click.slice(at + 1);
      expect(shortClick(id)).toBe(id);
    }
  }
  expect(shortTransaction(`${uuid}\n`)).toBe(`${uuid}\n`);
  expect(shortClick(uuid)).toBe(uuid);
  expect(shortTransaction(click)).toBe(click);
});

test('two clicks never get one name', () => {
  const ids = Array.from({ length: 1_000 }, () => randomUUID().replaceAll('-', ''));
  expect(new Set(ids.map(shortClick)).size).toBe(ids.length);
  expect(shortClick('00112233445566778899aabbccddeeff')).toBe('ABEiM0RVZneImaq7zN3u_w');
});
