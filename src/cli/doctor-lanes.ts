/** The doctor's look at the lanes: where Redis stands in the log, and whether its counters are what the log says. */
import { createLaneLog } from '../../workers/gate/lane-log.ts';
import { shortTransaction } from '../../workers/gate/short-names.ts';
import { LANE_COUNT } from '../domain/gate-request.ts';
import { fine, wrong, type Finding } from './finding.ts';
import type { Instance } from './instance.ts';

/** A lane that moves while it is audited is audited again; a busy one may never stand still. */
const AUDITS_MAX = 5;
const SHOWN_MAX = 3;

interface GoalCount {
  readonly goal_id: number;
  readonly counted: number;
  readonly released: number;
  readonly last: string;
}

async function appliedOf({ redis, keys }: Instance, lane: number): Promise<number> {
  return Number((await redis.hget(keys.lane.meta(lane), 'applied')) ?? -1);
}

/** Goals whose counter in Redis is not what the log says up to the position; the counter is `count|last transaction`. */
async function differences(
  { clickhouse, redis, keys }: Instance,
  lane: number,
  position: number,
): Promise<string[]> {
  const goals = await clickhouse.query<GoalCount>(
    `SELECT goal_id, countIf(log.released = 1) AS released, countIf(row_kind = 'conversion') - countIf(log.released = 1) AS counted,
       argMaxIf(hit_id, (position, block_row), row_kind = 'conversion') AS last FROM postback_log AS log
     WHERE lane = {lane:UInt16} AND position <= {position:UInt64} AND (row_kind = 'conversion' OR log.released = 1) GROUP BY goal_id`,
    { lane, position },
  );
  const found: string[] = [];
  for (const { goal_id, counted, released, last } of goals) {
    const counter = (await redis.hget(keys.lane.caps(lane, goal_id), 'g:ever')) ?? '0|';
    // Once something was released, who was counted last may go unnamed.
    const logged = `${counted}|${shortTransaction(last)}`;
    const same = released > 0 ? counter.startsWith(`${counted}|`) : counter === logged;
    if (!same) found.push(`goal ${goal_id}: Redis ${counter}, ClickHouse ${logged}`);
  }
  return found;
}

async function auditCounters(instance: Instance, lane: number): Promise<Finding> {
  const what = `lane ${lane} counters`;
  for (let audit = 0; audit < AUDITS_MAX; audit++) {
    const position = await appliedOf(instance, lane);
    if (position < 0) return fine(what, 'no state yet: made by the next block');
    const found = await differences(instance, lane, position);
    if (found.length === 0) return fine(what, 'as the log says');
    if ((await appliedOf(instance, lane)) === position)
      return wrong(
        what,
        `${found.slice(0, SHOWN_MAX).join('; ')}: run sluice rebuild, and report this`,
      );
  }
  return fine(what, 'the lane is busy: not audited this time');
}

async function checkPosition(instance: Instance, lane: number): Promise<Finding> {
  const applied = await appliedOf(instance, lane);
  const last = await createLaneLog(instance.clickhouse, lane).lastPosition();
  const what = `lane ${lane}`;
  if (applied > last) {
    // Between the two questions the log may only have grown, so this is no race.
    return wrong(what, `Redis at ${applied} is ahead of ClickHouse at ${last}: run sluice rebuild`);
  }
  return applied === last || (applied < 0 && last === 0)
    ? fine(what, `Redis and ClickHouse both at ${last}`)
    : fine(what, `Redis at ${applied}, ClickHouse at ${last}: made level by the next block`);
}

export async function checkLanes(instance: Instance): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (let lane = 0; lane < LANE_COUNT; lane++)
    findings.push(await checkPosition(instance, lane), await auditCounters(instance, lane));
  return findings;
}
