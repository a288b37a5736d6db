/** `sluice doctor`: looks the instance over; each line says ok or what is wrong and what to do. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createLaneLog } from '../../workers/gate/lane-log.ts';
import type { Config } from '../config.ts';
import { messageOf } from '../domain/app-error.ts';
import { LANE_COUNT } from '../domain/gate-request.ts';
import { openInstance, type Instance } from './instance.ts';

/** A role that did not say it lives for so long is taken for dead. */
const HEARTBEAT_MAX_MS = 10_000;
/** A chunk that waits longer says that something behind the edge is stuck. */
const CHUNK_AGE_MAX_MS = 60_000;

interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
}

const fine = (what: string, detail: string): Finding => ({ what, ok: true, detail });
const wrong = (what: string, detail: string): Finding => ({ what, ok: false, detail });

async function checkStores({ clickhouse, redis }: Instance): Promise<Finding[]> {
  const answers = await clickhouse.ping();
  const pong = await redis.ping().then(() => '', messageOf);
  return [
    answers
      ? fine('ClickHouse', 'answers')
      : wrong('ClickHouse', 'does not answer: look at its log; hits stay in the spool meanwhile'),
    pong === ''
      ? fine('Redis', 'answers')
      : wrong('Redis', `does not answer (${pong}): hits stay in the spool meanwhile`),
  ];
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

async function checkLanes({ clickhouse, redis, keys }: Instance): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (let lane = 0; lane < LANE_COUNT; lane++) {
    const last = await createLaneLog(clickhouse, lane).lastPosition();
    const applied = Number((await redis.hget(keys.lane.meta(lane), 'applied')) ?? -1);
    const what = `lane ${lane}`;
    if (applied === last || (applied < 0 && last === 0))
      findings.push(fine(what, `Redis and ClickHouse both at ${last}`));
    else if (applied < last)
      findings.push(
        fine(what, `Redis at ${applied}, ClickHouse at ${last}: made level by the next block`),
      );
    else
      findings.push(
        wrong(what, `Redis at ${applied} is ahead of ClickHouse at ${last}: run sluice rebuild`),
      );
  }
  return findings;
}

async function checkRoles({ redis, keys }: Instance): Promise<Finding[]> {
  const beats = await redis.hgetall(keys.heartbeats);
  const ages = Object.entries(beats).map(([name, text]) => {
    const { atMs } = JSON.parse(text) as { atMs: number };
    return { name, ageMs: Date.now() - atMs };
  });
  return ['edge', 'worker'].map((role) => {
    const alive = ages.filter(
      ({ name, ageMs }) => name.startsWith(role) && ageMs < HEARTBEAT_MAX_MS,
    );
    return alive.length > 0
      ? fine(`${role}s`, `${alive.length} alive`)
      : wrong(`${role}s`, `none was heard of in ${HEARTBEAT_MAX_MS / 1000} s: start one`);
  });
}

function checkSpool(config: Config): Finding[] {
  const spool = join(config.dataDir, 'spool');
  if (!existsSync(spool))
    return [wrong('spool', `${spool} does not exist: has an edge ever run here?`)];
  const folders = readdirSync(spool).filter((name) => /^[0-9]+$/.test(name));
  const opened = folders.flatMap((name) =>
    readdirSync(join(spool, name))
      .filter((file) => /\.(open|ready)$/.test(file))
      .map((file) => Number(file.split('-')[1] ?? 0)),
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
          `${damaged} damaged stretches in ${quarantine}: keep them, and find out what damaged the disk`,
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

export async function runDoctor(config: Config): Promise<number> {
  const instance = await openInstance(config);
  try {
    const findings = await checkStores(instance);
    if (findings.every(({ ok }) => ok)) {
      findings.push(
        await checkDuplicates(instance),
        ...(await checkLanes(instance)),
        ...(await checkRoles(instance)),
        await checkCatalogue(instance),
      );
    }
    findings.push(...checkSpool(config));
    for (const { what, ok, detail } of findings)
      console.log(`${ok ? 'ok     ' : 'PROBLEM'} ${what}: ${detail}`);
    return findings.every(({ ok }) => ok) ? 0 : 1;
  } finally {
    await instance.close();
  }
}
