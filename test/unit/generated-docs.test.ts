import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sqlDocument, verdictsDocument } from '../../scripts/generate-docs.ts';
import { projectPath } from '../../src/project-root.ts';

it('docs/verdicts.md is what the table says (npm run docs writes it)', () => {
  expect(readFileSync(projectPath('docs', 'verdicts.md'), 'utf8')).toBe(verdictsDocument());
});

it('docs/sql.md is what the migrations say, and no column is without its meaning', () => {
  const document = sqlDocument();
  expect(readFileSync(projectPath('docs', 'sql.md'), 'utf8')).toBe(document);
  expect(document).not.toMatch(/\|  \|/);
});
