/** The secrets of a data dir: made once, whoever comes first, and readable by their owner alone. */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { projectPath } from '../../src/project-root.ts';
import {
  clickhouseAccessOf,
  noteAdminKeyShown,
  openSecrets,
  redisUrlOf,
} from '../../src/secrets.ts';
import { waitFor } from '../support/wait-for.ts';

let root = '';
let dataDir = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluice-secrets-'));
  dataDir = join(root, 'data');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const ADMIN_KEY = 'given-by-the-operator';
const config = (env: Record<string, string> = {}) =>
  readConfig({ SLUICE_DATA_DIR: dataDir, ...env });

test('are made on first use, kept, and read by everyone after', () => {
  const first = openSecrets(config());
  expect(first.adminKey).toMatch(/^sla_[\w-]{32}$/);
  expect(openSecrets(config())).toEqual(first);
});

test('the generated admin key is to be shown until it was, whoever made it', () => {
  expect(openSecrets(config()).adminKeyShown).toBe(false);
  const made = openSecrets(config());
  expect(made.adminKeyShown).toBe(false);
  expect(openSecrets(config({ SLUICE_ADMIN_KEY: ADMIN_KEY })).adminKeyShown).toBe(true);
  noteAdminKeyShown(config());
  expect(openSecrets(config())).toEqual({ ...made, adminKeyShown: true });
  expect(statSync(join(dataDir, 'secrets.json')).mode & 0o777).toBe(0o600);
  expect(readdirSync(dataDir)).toEqual(['secrets.json']);
});

test('are for their owner alone, whatever the umask', () => {
  const before = process.umask(0);
  try {
    openSecrets(config());
  } finally {
    process.umask(before);
  }
  expect(statSync(join(dataDir, 'secrets.json')).mode & 0o777).toBe(0o600);
  expect(statSync(dataDir).mode & 0o777).toBe(0o700);
  expect(readdirSync(dataDir)).toEqual(['secrets.json']);
});

test('a key given by a setting wins and is not written', () => {
  const secrets = openSecrets(config({ SLUICE_ADMIN_KEY: ADMIN_KEY }));
  expect(secrets).toMatchObject({ adminKey: ADMIN_KEY, adminKeyShown: true });
  expect(readFileSync(join(dataDir, 'secrets.json'), 'utf8')).not.toContain(ADMIN_KEY);
  expect(openSecrets(config()).adminKey).not.toBe(ADMIN_KEY);
});

test('two data dirs have nothing in common', () => {
  const one = openSecrets(config());
  const two = openSecrets(config({ SLUICE_DATA_DIR: join(root, 'other') }));
  expect(two.adminKey).not.toBe(one.adminKey);
  expect(two.redisPassword).not.toBe(one.redisPassword);
  expect(two.clickhousePassword).not.toBe(one.clickhousePassword);
});

test('say where Redis and ClickHouse are, unless a URL does', () => {
  const secrets = openSecrets(config());
  expect(redisUrlOf(config(), secrets)).toBe(`redis://:${secrets.redisPassword}@127.0.0.1:6390`);
  expect(clickhouseAccessOf(config(), secrets)).toMatchObject({
    url: 'http://127.0.0.1:8123',
    user: 'sluice',
    password: secrets.clickhousePassword,
  });
  const given = config({
    REDIS_URL: 'redis://:p@r.example:1/2',
    CLICKHOUSE_URL: 'https://me:a%40b@c.example:8443/',
  });
  expect(redisUrlOf(given, secrets)).toBe('redis://:p@r.example:1/2');
  expect(clickhouseAccessOf(given, secrets)).toEqual({
    url: 'https://c.example:8443',
    user: 'me',
    password: 'a@b',
    database: 'sluice',
  });
});

const PROCESSES = 6;
/** Loads everything, waits for the start signal without yielding, then opens the secrets. */
const RACER = `
const { readConfig } = await import(${JSON.stringify(projectPath('src', 'config.ts'))});
const { openSecrets } = await import(${JSON.stringify(projectPath('src', 'secrets.ts'))});
const { existsSync, writeFileSync } = await import('node:fs');
const [root, me] = process.argv.slice(1);
writeFileSync(root + '/ready-' + me, '');
while (!existsSync(root + '/go'));
console.log(JSON.stringify(openSecrets(readConfig({ SLUICE_DATA_DIR: root + '/data' }))));
`;

test(`${PROCESSES} processes that start at once agree, and one of them made them`, async () => {
  const racers = Array.from({ length: PROCESSES }, (_, me) => {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '-e', RACER, root, String(me)],
      { cwd: projectPath('.'), stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    const ended = new Promise<string>((done) => child.once('close', () => done(output)));
    return { child, ended };
  });
  try {
    await waitFor(() => racers.every((_, me) => existsSync(join(root, `ready-${me}`))), {
      timeoutMs: 60_000,
      what: 'every process to be ready',
    });
    writeFileSync(join(root, 'go'), '');
    const outputs = await Promise.all(racers.map(({ ended }) => ended));
    const secrets = outputs.map((output) => JSON.parse(output) as ReturnType<typeof openSecrets>);
    for (const read of secrets)
      expect(read).toEqual(JSON.parse(readFileSync(join(dataDir, 'secrets.json'), 'utf8')));
    expect(readdirSync(dataDir)).toEqual(['secrets.json']);
  } finally {
    for (const { child } of racers) child.kill('SIGKILL');
  }
}, 90_000);
