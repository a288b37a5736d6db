/** The production files, checked by a parser: no Docker engine is needed, and none was used. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ENGINE_THREADS_MIN } from '../../clickhouse/embedded/threads.ts';
import { readConfig } from '../../src/config.ts';
import { projectPath } from '../../src/project-root.ts';

interface Service {
  readonly command?: readonly string[];
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly image?: string;
  readonly deploy?: { readonly replicas?: number };
}

const compose = parse(readFileSync(projectPath('docker-compose.yml'), 'utf8'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, object>>;
};

const ROLES = ['migrate', 'edge', 'worker', 'api'];

/** Settings that no container gets from outside. */
const NOT_PASSED: Readonly<Record<string, string>> = {
  SLUICE_DATA_DIR: 'the image says where its volume is',
  SLUICE_EDGE_PORT: 'ports are mapped by `ports`; inside they are the defaults',
  SLUICE_API_PORT: 'as the edge’s',
  SLUICE_REDIS_PORT: 'of the Redis that `up` starts',
  SLUICE_CLICKHOUSE_PORT: 'of the embedded ClickHouse',
  CLICKHOUSE_DATABASE: 'the grants of docker/clickhouse/analyst.xml name it',
  SLUICE_EDGES: 'how many `up` starts',
  SLUICE_WORKERS: 'as the edges',
  UV_THREADPOOL_SIZE: 'the image’s',
  SLUICE_CRASH_FILE: 'fault tests only',
};

describe('docker-compose.yml', () => {
  it('passes every setting on to every role, but those that are listed as not', () => {
    const source = readFileSync(projectPath('src', 'config.ts'), 'utf8');
    const read = new Set(
      [...source.matchAll(/read\.\w+\('([A-Z_]+)'/g)].map(([, name = '']) => name),
    );
    expect(read.size).toBeGreaterThan(20);
    for (const role of ROLES) {
      const passed = Object.keys(compose.services[role]?.environment ?? {});
      expect([...passed, ...Object.keys(NOT_PASSED)].toSorted(), role).toEqual(
        [...read].toSorted(),
      );
    }
  });

  it('leaves a setting that nobody set at its default', () => {
    const environment = Object.entries(compose.services['edge']?.environment ?? {});
    const optional = environment.filter(([, value]) => value.includes(':-'));
    for (const [name, value] of optional) expect(value).toBe(`\${${name}:-}`);
    const unset = Object.fromEntries(optional.map(([name]) => [name, '']));
    expect(optional.length).toBeGreaterThan(10);
    expect(readConfig(unset)).toEqual(readConfig({}));
  });

  it('has every role, each that listens with a health check', () => {
    expect(Object.keys(compose.services).toSorted()).toEqual([
      'api',
      'clickhouse',
      'edge',
      'migrate',
      'redis',
      'worker',
    ]);
    for (const [name, service] of Object.entries(compose.services)) {
      if (name === 'migrate') continue;
      // A worker listens nowhere: a check that asks nobody would say that it is well when it is not.
      if (name === 'worker') expect(service.healthcheck).toEqual({ disable: true });
      else expect(service.healthcheck?.test, name).toBeDefined();
    }
  });

  it('tells every role where the edge is: in its own container nobody else listens', () => {
    for (const name of ROLES) {
      const url = new URL(compose.services[name]?.environment?.['SLUICE_EDGE_URL'] ?? '');
      expect(compose.services[url.hostname]?.command).toEqual(['edge']);
      expect(compose.services[url.hostname]?.ports).toContain(`${url.port}:${url.port}`);
    }
  });

  it('runs one edge on a spool: edges of two containers do not see that they share it', () => {
    const mounts = Object.values(compose.services).filter(({ volumes = [] }) =>
      volumes.some((volume) => volume.startsWith('spool:')),
    );
    expect(mounts).toHaveLength(1);
    expect(mounts[0]?.deploy?.replicas ?? 1).toBe(1);
  });

  it('keeps what must not be lost on volumes', () => {
    for (const name of ['clickhouse', 'redis', 'edge']) {
      const [volume = ''] = compose.services[name]?.volumes ?? [];
      expect(Object.keys(compose.volumes)).toContain(volume.split(':')[0]);
    }
  });

  it('runs Redis append-only and without eviction', () => {
    const command = compose.services['redis']?.command ?? [];
    expect(command.join(' ')).toContain('--appendonly yes');
    expect(command.join(' ')).toContain('--maxmemory-policy noeviction');
  });
});

describe('Dockerfile', () => {
  const text = readFileSync(projectPath('Dockerfile'), 'utf8');
  it('is multi-stage and does not run as root', () => {
    expect(text.match(/^FROM /gm)).toHaveLength(2);
    expect(text).toMatch(/^USER node$/m);
  });

  it('gives the role clickhouse the threads it needs, as the launcher does', () => {
    const launcher = readFileSync(projectPath('sluice'), 'utf8');
    const [, ofImage] = /UV_THREADPOOL_SIZE=(\d+)/.exec(text) ?? [];
    const [, ofLauncher] = /UV_THREADPOOL_SIZE:-(\d+)/.exec(launcher) ?? [];
    expect(Number(ofImage)).toBeGreaterThanOrEqual(ENGINE_THREADS_MIN);
    expect(ofLauncher).toBe(ofImage);
    const settings = readFileSync(projectPath('docs', 'settings.md'), 'utf8');
    expect(settings).toContain(`\`clickhouse\` needs ${ENGINE_THREADS_MIN} or more`);
    expect(settings).toContain(`\`./sluice clickhouse\` and the Docker image ${ofImage}`);
  });
});
