/** `sluice doctor`: looks the instance over; each line says ok or what is wrong and what to do. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { isRetryable, messageOf } from '../domain/app-error.ts';
import { CHUNK_KINDS, openedAtMsOf } from '../domain/hit.ts';
import { readBacklog } from '../queue/backlog.ts';
import { queueNameOf } from '../queue/chunk-job.ts';
import { readHeartbeats } from '../redis/heartbeats.ts';
import { checkAffiliatePostbacks } from './doctor-affiliate-postbacks.ts';
import { checkLanes } from './doctor-lanes.ts';
import { fine, wrong, type Finding } from './finding.ts';
import { openInstance, type Instance } from './instance.ts';

/** A chunk that waits longer says that something behind the edge is stuck. */
const CHUNK_AGE_MAX_MS = 60_000;

async function checkClickHouse({ clickhouse }: Instance): Promise<Finding> {
  const what = 'ClickHouse';
  try {
    await clickhouse.ping();
    return fine(what, 'answers');
  } catch (error) {
    return isRetryable(error)
      ? wrong(what, 'does not answer: look at its log; hits stay in the spool meanwhile')
      : wrong(
          what,
          `${messageOf(error)}: correct user and password in CLICKHOUSE_URL, or SLUICE_DATA_DIR, whose secrets are taken without it`,
        );
  }
}

async function checkRedis({ redis }: Instance): Promise<Finding> {
  const pong = await redis.ping().then(() => '', messageOf);
  return pong === ''
    ? fine('Redis', 'answers')
    : wrong('Redis', `does not answer (${pong}): hits stay in the spool meanwhile`);
}

async function checkDuplicates({ clickhouse }: Instance): Promise<Finding> {
  const [row] = await clickhouse.query<{ twice: number }>(
    `SELECT count() AS twice FROM (
       SELECT hit_id FROM click_log WHERE hit_time > now() - INTERVAL 1 DAY GROUP BY hit_id HAVING count() > 1
       UNION ALL SELECT hit_id FROM postback_log WHERE hit_time > now() - INTERVAL 1 DAY GROUP BY hit_id HAVING count() > 1)`,
  );
  const twice = row?.twice ?? 0;
  return twice === 0
    ? fine('hits stored twice', 'none in the last day')
    : wrong('hits stored twice', `${twice} in the last day: this is a defect, report it`);
}

async function checkRoles({ redis, keys }: Instance): Promise<Finding[]> {
  const heard = await readHeartbeats(redis, keys);
  return ['edge', 'worker'].map((role) => {
    const alive = heard.filter(({ beat, alive }) => beat.role === role && alive).length;
    return alive > 0
      ? fine(`${role}s`, `${alive} alive`)
      : wrong(`${role}s`, 'none was heard of lately: start one');
  });
}

async function checkQueues({ redis, keys }: Instance): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const kind of CHUNK_KINDS) {
    const { oldestMs } = await readBacklog(redis, keys, queueNameOf(kind));
    const what = `queue of ${kind}`;
    const waits = `the oldest waits ${Math.round((oldestMs ?? 0) / 1000)} s`;
    findings.push(
      (oldestMs ?? 0) < CHUNK_AGE_MAX_MS
        ? fine(what, oldestMs === null ? 'empty' : waits)
        : wrong(what, `${waits}: start more workers`),
    );
  }
  return findings;
}

function checkSpool(config: Config): Finding[] {
  const spool = join(config.dataDir, 'spool');
  if (!existsSync(spool))
    return [
      fine(
        'spool',
        `no edge has run on ${config.dataDir}; doctor sees the spools of edges only where they are`,
      ),
    ];
  const folders = readdirSync(spool).filter((name) => /^[0-9]+$/.test(name));
  const opened = folders.flatMap((name) =>
    readdirSync(join(spool, name))
      .filter((file) => /\.(open|ready)$/.test(file))
      .map((file) => openedAtMsOf(file) ?? 0),
  );
  const oldest = Math.min(...opened, Date.now());
  const quarantine = join(spool, 'quarantine');
  const damaged = existsSync(quarantine) ? readdirSync(quarantine).length : 0;
  return [
    Date.now() - oldest < CHUNK_AGE_MAX_MS
      ? fine('spool', `${opened.length} chunks on their way`)
      : wrong(
          'spool',
          `${opened.length} chunks, the oldest ${Math.round((Date.now() - oldest) / 1000)} s old: is a worker alive, does ClickHouse answer?`,
        ),
    damaged === 0
      ? fine('quarantine', 'empty')
      : wrong(
          'quarantine',
          `${damaged} damaged stretches of chunks or batches in ${quarantine}: keep them, and find out what damaged the disk`,
        ),
  ];
}

async function checkCatalogue({ redis, keys, store }: Instance): Promise<Finding> {
  const { version } = await store.current();
  const published = Number((await redis.get(keys.catalogueVersion)) ?? 0);
  return version === published
    ? fine('catalogue', `version ${version} everywhere`)
    : wrong(
        'catalogue',
        `version ${version} is stored, Redis holds ${published}: is the API process alive?`,
      );
}

type Check = (instance: Instance) => Promise<Finding | readonly Finding[]>;

/** What each check asks, beside the two stores themselves. */
const CHECKS: readonly (readonly [what: string, asks: 'ClickHouse' | 'Redis' | 'both', Check])[] = [
  ['hits stored twice', 'ClickHouse', checkDuplicates],
  ['lanes', 'both', checkLanes],
  ['roles', 'Redis', checkRoles],
  ['queues', 'Redis', checkQueues],
  ['affiliate postbacks', 'both', checkAffiliatePostbacks],
  ['catalogue', 'both', checkCatalogue],
];

/** A check that fails is a finding too, and no reason to leave out the others. */
async function look(what: string, check: () => Promise<Finding | readonly Finding[]>) {
  try {
    return [await check()].flat();
  } catch (error) {
    return [
      wrong(
        what,
        `could not be checked (${messageOf(error)}): run sluice migrate, then look again`,
      ),
    ];
  }
}

async function checkInstance(instance: Instance): Promise<Finding[]> {
  const stores = { ClickHouse: await checkClickHouse(instance), Redis: await checkRedis(instance) };
  const findings: Finding[] = Object.values(stores);
  for (const [what, asks, check] of CHECKS) {
    const asked = asks === 'both' ? Object.values(stores) : [stores[asks]];
    if (asked.every(({ ok }) => ok)) findings.push(...(await look(what, () => check(instance))));
  }
  return findings;
}

export async function runDoctor(config: Config): Promise<number> {
  const instance = await openInstance(config);
  try {
    const findings = await checkInstance(instance);
    findings.push(...(await look('spool', async () => checkSpool(config))));
    for (const { what, ok, detail } of findings)
      console.log(`${ok ? 'ok     ' : 'PROBLEM'} ${what}: ${detail}`);
    return findings.every(({ ok }) => ok) ? 0 : 1;
  } finally {
    await instance.close();
  }
}
