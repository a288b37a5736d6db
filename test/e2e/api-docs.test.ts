/** The commands of docs/api.md, run in order against an empty instance as they stand there. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';

const run = promisify(execFile);
const document = readFileSync(projectPath('docs', 'api.md'), 'utf8');
let sluice: RunningSluice;

beforeAll(async () => {
  sluice = await startSluice();
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

it('every command of docs/api.md works and gives what stands below it', async () => {
  const blocks = [...document.matchAll(/```sh\n([\s\S]*?)```(?:\n```json\n([\s\S]*?)```)?/g)];
  const commands = blocks.filter(([, text = '']) => !text.startsWith('export'));
  expect(commands.length).toBeGreaterThanOrEqual(7);
  for (const [, script = '', promised = ''] of commands) {
    const { stdout } = await run('sh', ['-e', '-c', script], {
      cwd: sluice.dataDir,
      env: { ...process.env, API: sluice.apiUrl, KEY: sluice.adminKey },
    });
    // What the page leaves out is marked; every other stretch of it must be in the output, in order.
    let from = 0;
    for (const stretch of promised.split(/…|\n/).filter((text) => text.trim() !== '')) {
      const found = stdout.indexOf(stretch, from);
      expect(found, `${stretch}\nin\n${stdout}`).toBeGreaterThanOrEqual(0);
      from = found;
    }
  }
});
