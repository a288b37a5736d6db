/** What the supervisor does with its roles: when one that dies is started again, and what becomes of their lines. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startChild, type Child } from '../../src/cli/child.ts';
import { waitFor } from '../support/wait-for.ts';

const SOON = 10_000;
const MIB = 1024 * 1024;

let logDir = '';
let child: Child | undefined;
beforeEach(() => {
  logDir = mkdtempSync(join(tmpdir(), 'sluice-child-'));
});
afterEach(async () => {
  await child?.stop(1_000);
  vi.restoreAllMocks();
  rmSync(logDir, { recursive: true, force: true });
});

function run(script: string): void {
  child = startChild({
    name: 'role',
    command: { program: process.execPath, args: ['-e', script] },
    env: process.env,
    logDir,
    onDeath: () => undefined,
  });
}

test('a role that dies at once is started again after 300 ms, then after twice as long', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    let died = (): void => undefined;
    const nextDeath = (): Promise<void> => new Promise((resolve) => (died = resolve));
    let death = nextDeath();
    child = startChild({
      name: 'role',
      command: { program: process.execPath, args: ['-e', 'process.exit(1)'] },
      env: process.env,
      logDir,
      onDeath: () => died(),
    });
    for (const delayMs of [300, 600, 1_200]) {
      await death;
      death = nextDeath();
      vi.advanceTimersByTime(delayMs - 1);
      expect(vi.getTimerCount()).toBe(1);
      vi.advanceTimersByTime(1);
      expect(vi.getTimerCount()).toBe(0);
    }
  } finally {
    vi.useRealTimers();
  }
});

test('a log that can not be written is complained of once, and the role goes on', async () => {
  symlinkSync('/dev/full', join(logDir, 'role.log'));
  const complaint = vi.spyOn(console, 'error').mockReturnValue(undefined);
  const done = join(logDir, 'done');
  run(`
    let n = 0;
    setInterval(() => {
      console.log('line', n++);
      if (n === 20) require('node:fs').writeFileSync(${JSON.stringify(done)}, '');
    }, 5);
  `);
  await waitFor(() => existsSync(done), { timeoutMs: SOON, what: 'the role to go on' });
  await waitFor(() => complaint.mock.calls.length > 0, { timeoutMs: SOON, what: 'a complaint' });
  expect(complaint.mock.calls).toHaveLength(1);
  expect(complaint.mock.calls[0]?.[0]).toContain('ENOSPC');
});

test('a log is bounded while its role lives', async () => {
  run(`
    process.stdout.write('x'.repeat(${21 * MIB}), () => console.log('the next line'));
    setInterval(() => undefined, 1_000);
  `);
  const [full, next] = [join(logDir, 'role.log.1'), join(logDir, 'role.log')];
  await waitFor(
    () =>
      existsSync(full) &&
      existsSync(next) &&
      readFileSync(next, 'utf8').endsWith('the next line\n'),
    {
      timeoutMs: SOON,
      what: 'a second log',
    },
  );
  expect(statSync(full).size).toBeGreaterThan(20 * MIB);
  expect(statSync(next).size).toBeLessThan(2 * MIB);
});
