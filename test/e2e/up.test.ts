/** `sluice up` as an operator meets it: two instances side by side, clear refusals, starts again what dies. */
import { createServer, type Server } from 'node:net';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LANE_COUNT } from '../../src/domain/gate-request.ts';
import { BEHIND_EDGE } from '../../src/niceness.ts';
import { runCommand, startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

let one: RunningSluice;
let two: RunningSluice;

beforeAll(async () => {
  [one, two] = await Promise.all([startSluice(), startSluice({ SLUICE_EDGES: '2' })]);
}, 180_000);

afterAll(async () => {
  await Promise.all([one?.stop(), two?.stop()]);
});

function untilWell(sluice: RunningSluice): Promise<true> {
  return waitFor(
    () =>
      sluice.run(['doctor']).then(
        () => true as const,
        () => undefined,
      ),
    { timeoutMs: 15_000, what: 'doctor to find nothing wrong' },
  );
}

describe('sluice up', () => {
  it('runs two instances side by side, each with processes that name their role', () => {
    for (const role of ['edge', 'worker', 'api', 'clickhouse', 'redis-server']) {
      expect(one.pidsOf(role), role).toHaveLength(1);
    }
    expect(two.pidsOf('edge')).toHaveLength(2);
    expect(one.edgeUrl).not.toBe(two.edgeUrl);
  });

  it('runs worker, API and ClickHouse behind the edge, with every thread', () => {
    const nicenessOf = (role: string): Set<number> =>
      new Set(
        one
          .pidsOf(role)
          .flatMap((pid) => readdirSync(`/proc/${pid}/task`))
          .map((thread) => getPriority(Number(thread))),
      );
    expect(nicenessOf('edge')).toEqual(new Set([getPriority()]));
    const behind = Math.min(19, getPriority() + BEHIND_EDGE);
    expect(nicenessOf('worker')).toEqual(new Set([behind]));
    expect(nicenessOf('api')).toEqual(new Set([behind]));
    // Its engine has a thread that puts itself first when root runs it: it watches memory.
    expect(nicenessOf('clickhouse')).toContain(behind);
  });

  it('prints the admin key when it makes it, and only then', () => {
    expect(one.output()).toContain(one.adminKey);
  });

  it('starts any role again within seconds', async () => {
    for (const role of ['edge', 'worker', 'api', 'clickhouse', 'redis-server']) {
      const [pid] = one.pidsOf(role);
      if (pid === undefined) throw new Error(`no ${role}`);
      process.kill(pid, 'SIGKILL');
      await waitFor(() => one.pidsOf(role).some((other) => other !== pid), {
        timeoutMs: 8_000,
        what: `${role} to be started again`,
      });
    }
    await one.edgeReady();
  });

  it('listens on any one address, and is ended by a terminal’s Ctrl-C in order', async () => {
    const host = '127.0.0.2';
    const other = await startSluice({ SLUICE_HOST: host }, [], { ownGroup: true });
    try {
      const port = new URL(other.edgeUrl).port;
      expect((await fetch(`http://${host}:${port}/readyz`)).status).toBe(200);
      await untilWell(other);
      const analyst = new URL(other.clickhouseUrl).port;
      const asked = await fetch(`http://${host}:${analyst}/?user=analyst&query=SELECT+1`);
      expect(await asked.text()).toBe('1\n');
      expect(await other.interrupt()).toBe(0);
      expect(other.output()).toContain('sluice has stopped');
      expect(other.output()).not.toContain('died');
    } finally {
      await other.stop();
    }
  });

  it('is ended in order when everything of it is ended at once, as service managers do', async () => {
    const roles = ['edge', 'worker', 'api', 'clickhouse', 'redis-server'];
    const other = await startSluice();
    const pids = roles.flatMap((role) => other.pidsOf(role));
    const code = other.stop();
    for (const pid of pids) process.kill(pid, 'SIGTERM');
    expect(await code).toBe(0);
    expect(other.output()).not.toContain('died');
  });

  it('refuses a second instance on the same data dir', async () => {
    const result = await runCommand(['up'], { ...one.env, SLUICE_EDGE_PORT: '1' });
    expect(result.code).toBe(1);
    expect(result.output).toMatch(/another sluice runs on .*SLUICE_DATA_DIR/);
  });

  it('names a taken port and how to choose another', async () => {
    const holder: Server = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const address = holder.address();
    const port = address === null || typeof address === 'string' ? 0 : address.port;
    const dataDir = mkdtempSync(join(tmpdir(), 'sluice-port-'));
    const result = await runCommand(['up'], {
      ...one.env,
      SLUICE_DATA_DIR: dataDir,
      SLUICE_EDGE_PORT: String(port),
    });
    expect(result.code).toBe(1);
    expect(result.output).toContain(`port ${port}`);
    expect(result.output).toContain('SLUICE_EDGE_PORT');
    holder.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
});

describe('the command line', () => {
  it('reports every fault in the settings at once, by name, with exit code 1', async () => {
    const result = await runCommand(['doctor'], {
      ...one.env,
      SLUICE_EDGE_PORT: 'x',
      SLUICE_SPOOL_SYNC: 'maybe',
      SLUICE_HOST: '0.0.0.0',
    });
    expect(result.code).toBe(1);
    for (const name of ['SLUICE_EDGE_PORT', 'SLUICE_SPOOL_SYNC', 'SLUICE_ANALYST_PASSWORD'])
      expect(result.output).toContain(name);
  });

  it('exits 2 for bad usage and 0 for --help', async () => {
    expect((await runCommand(['nonsense'], one.env)).code).toBe(2);
    expect((await runCommand(['catalogue', 'apply'], one.env)).code).toBe(2);
    expect((await runCommand(['demo', '--seconds', 'abc'], one.env)).code).toBe(2);
    const unknown = await runCommand(['replay', '--verdict', 'nope', '--preview'], one.env);
    expect(unknown.code).toBe(2);
    expect(unknown.output).toContain('goal_not_found');
    for (const command of ['up', 'migrate', 'catalogue', 'rebuild', 'doctor', 'explain', 'demo']) {
      const help = await runCommand([command, '--help'], one.env);
      expect(help.code, command).toBe(0);
      expect(help.output).toContain('Usage: sluice');
    }
  });

  it('applies a catalogue twice without a second version, and export applies unchanged', async () => {
    const file = join(one.dataDir, 'catalogue.yaml');
    writeFileSync(
      file,
      'advertisers: [{id: 1, name: Acme}]\noffers: [{id: 5, advertiser_id: 1, title: Shop, url: "https://shop.example/"}]\n',
    );
    expect(await one.run(['catalogue', 'apply', '--dry-run', file])).toContain('dry run');
    expect(await one.run(['catalogue', 'apply', file])).toContain('2 created');
    expect(await one.run(['catalogue', 'apply', file])).toContain(
      '0 created, 0 changed, 2 left alone',
    );
    writeFileSync(file, await one.run(['catalogue', 'export']));
    expect(await one.run(['catalogue', 'apply', file])).toContain('0 created, 0 changed');
  });

  it('names the field and the line of a bad catalogue file', async () => {
    const file = join(one.dataDir, 'bad.yaml');
    writeFileSync(
      file,
      'advertisers:\n  - {id: 1, name: Acme}\noffers:\n  - {id: 5, advertiser_id: 9, title: Shop, url: shop}\n',
    );
    const output = await one.run(['catalogue', 'apply', file], 1);
    expect(output).toContain('offers[0].url');
    expect(output).toContain('line 4');
  });

  it('refuses a catalogue file that takes another offer’s goal', async () => {
    const file = join(one.dataDir, 'moved.yaml');
    const offer = (id: number, goals: string): string =>
      `  - {id: ${id}, advertiser_id: 1, title: Shop, url: "https://shop.example/", goals: ${goals}}\n`;
    const goal = '[{id: 7, alias: sale}]';
    const acme = 'advertisers: [{id: 1, name: Acme}]\n';
    writeFileSync(file, `${acme}offers:\n${offer(8, goal)}`);
    await one.run(['catalogue', 'apply', file]);
    writeFileSync(file, `offers:\n${offer(9, goal)}`);
    expect(await one.run(['catalogue', 'apply', file], 1)).toContain('goal 7 is of offer 8');
  });

  it('exits 2 for an advertiser that is no id', async () => {
    const output = await one.run(['batch', 'orders.csv', '--advertiser', 'acme'], 2);
    expect(output).toContain('must be an id');
  });

  it('rebuilds Redis and says that all is well', async () => {
    expect(await one.run(['rebuild'])).toContain(`lane ${LANE_COUNT - 1}`);
    await untilWell(one);
  });
});
