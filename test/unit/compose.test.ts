/** The production files, checked by a parser: no Docker engine is needed, and none was used. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { projectPath } from '../../src/project-root.ts';

interface Service {
  readonly command?: readonly string[];
  readonly healthcheck?: object;
  readonly volumes?: readonly string[];
  readonly image?: string;
}

const compose = parse(readFileSync(projectPath('docker-compose.yml'), 'utf8'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, object>>;
};

describe('docker-compose.yml', () => {
  it('has every role, each but the migration with a health check', () => {
    expect(Object.keys(compose.services).toSorted()).toEqual([
      'api',
      'clickhouse',
      'edge',
      'migrate',
      'redis',
      'worker',
    ]);
    for (const [name, service] of Object.entries(compose.services)) {
      if (name !== 'migrate') expect(service.healthcheck, name).toBeDefined();
    }
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
});
