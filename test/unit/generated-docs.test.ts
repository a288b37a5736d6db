import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { redisKeysDocument, sqlDocument, verdictsDocument } from '../../scripts/generate-docs.ts';
import { projectPath } from '../../src/project-root.ts';

it('docs/verdicts.md is what the table says (npm run docs writes it)', () => {
  expect(readFileSync(projectPath('docs', 'verdicts.md'), 'utf8')).toBe(verdictsDocument());
});

it('docs/sql.md is what the migrations say, and no column is without its meaning', () => {
  const document = sqlDocument();
  expect(readFileSync(projectPath('docs', 'sql.md'), 'utf8')).toBe(document);
  expect(document).not.toMatch(/\|  \|/);
});

it('docs/redis-keys.md is what src/redis/keys.ts says', () => {
  expect(readFileSync(projectPath('docs', 'redis-keys.md'), 'utf8')).toBe(redisKeysDocument());
});

it('docs/settings.md names exactly the settings that are read', () => {
  const read = readFileSync(projectPath('src', 'config.ts'), 'utf8').matchAll(
    /read\.\w+\('([A-Z_]+)'/g,
  );
  const documented = readFileSync(projectPath('docs', 'settings.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([A-Z_]+)`/g)]);
  const names = (matches: Iterable<RegExpMatchArray>): string[] =>
    [...new Set([...matches].map((match) => match[1] ?? ''))].toSorted();
  expect(names(documented)).toEqual(names(read));
});
