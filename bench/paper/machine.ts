/** The machine and the versions that a run was made with. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { projectPath } from '../../src/project-root.ts';
import { versionOf } from '../stage/system-packages.ts';

function commit(): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', args, { cwd: projectPath(), encoding: 'utf8' }).trim();
    const changed = git('status', '--porcelain', '--', 'src', 'workers', 'clickhouse') !== '';
    return `${git('rev-parse', '--short=12', 'HEAD')}${changed ? ', with changes' : ''}`;
  } catch {
    return 'unknown: not a checkout';
  }
}

function packageVersion(name: string): string {
  const text = readFileSync(projectPath('node_modules', name, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Ticks of all cores since the machine started, and those of them that a hypervisor gave to others. */
export interface MachineTicks {
  readonly all: number;
  readonly stolen: number;
}

const STEAL_FIELD = 7;

export function readMachineTicks(): MachineTicks {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  // After steal come guest times, which are counted in user time already.
  const ticks = line
    .split(/\s+/)
    .slice(1, STEAL_FIELD + 2)
    .map(Number);
  return { all: ticks.reduce((sum, each) => sum + each, 0), stolen: ticks[STEAL_FIELD] ?? 0 };
}

export function describeMachine(startedAt: Date): readonly (readonly [string, string])[] {
  const cores = cpus();
  return [
    ['when', startedAt.toISOString()],
    ['commit', commit()],
    ['processor', `${cores[0]?.model.trim() ?? 'unknown'}, ${cores.length} cores`],
    ['memory', `${Math.round(totalmem() / 1024 ** 3)} GiB`],
    [
      'load average at the end',
      loadavg()
        .map((load) => load.toFixed(2))
        .join(', '),
    ],
    ['kernel', release()],
    ['Node', process.version],
    ['Redis', versionOf('redis-server', ['--version'])],
    ['ClickHouse engine', `chdb ${packageVersion('chdb')}`],
    ['uWebSockets.js', packageVersion('uWebSockets.js')],
    ['BullMQ', packageVersion('bullmq')],
    ['wrk', versionOf('wrk', ['-v'])],
    ['nginx', versionOf('/usr/sbin/nginx', ['-v'])],
  ];
}
