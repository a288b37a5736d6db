/** The lock file keeps what package.json promises: npm only warns of a package that needs a newer Node. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';

interface LockedPackage {
  readonly dev?: boolean;
  readonly engines?: { readonly node?: string };
}

const lock = JSON.parse(readFileSync(projectPath('package-lock.json'), 'utf8')) as {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};

/** True when one of the alternatives of `range` begins at `major`.`minor` or below, or is that major. */
function allows(range: string, major: number, minor: number): boolean {
  return range.split('||').some((alternative) => {
    const [, operator = '', from = '', fromMinor = '0'] =
      /^\s*(>=|\^|)\s*(\d+)(?:\.(\d+))?/.exec(alternative) ?? [];
    const begins = Number(from) < major || (Number(from) === major && Number(fromMinor) <= minor);
    return begins && (operator === '>=' || Number(from) === major);
  });
}

it('every production package runs on the oldest Node that is promised', () => {
  const [, major, minor] = /^>=(\d+)\.(\d+)/.exec(lock.packages['']?.engines?.node ?? '') ?? [];
  const locked = Object.entries(lock.packages).filter(([path, { dev }]) => path !== '' && !dev);
  expect(locked.length).toBeGreaterThan(50);
  for (const [path, { engines }] of locked)
    expect(allows(engines?.node ?? '>=0', Number(major), Number(minor)), path).toBe(true);
});
