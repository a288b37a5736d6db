/** Raw rows go by their rules, conversions and statistics stay; and the roll-up says the same before and after. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { applyRetention, type Retention } from '../../clickhouse/retention.ts';
import { createRollups, LOOK_BACK_S } from '../../clickhouse/rollups.ts';
import { startClickHouse, type TestClickHouse } from '../support/start-clickhouse.ts';

const RETENTION: Retention = { clicksDays: 40, invalidDays: 40, affiliatePostbacksDays: null };
const DAYS = 45;

let database: TestClickHouse;
let clickhouse: ClickHouse;
beforeAll(async () => {
  database = await startClickHouse();
  ({ clickhouse } = database);
}, 120_000);
afterAll(async () => {
  await database.close();
});

interface Totals {
  readonly clicks: number;
  readonly conversions: number;
  readonly invalid_traffic: number;
  readonly payout: string;
}

const longAgo = `now() - INTERVAL ${DAYS} DAY`;

async function statistics(): Promise<Totals | undefined> {
  const [row] = await clickhouse.query<Totals>(
    `SELECT sum(clicks) AS clicks, sum(conversions) AS conversions, sum(invalid_traffic) AS invalid_traffic,
       toString(sum(payout)) AS payout FROM statistics_hourly`,
  );
  return row;
}

async function insertCall(kind: 'conversion' | 'change' | 'invalid', more = ''): Promise<void> {
  await clickhouse.command(
    `INSERT INTO postback_log (row_kind, hit_id, transaction_id, hit_time, offer_id, goal_id, verdict_code, conv_status, payout, block_time)
     SELECT '${kind}', '${kind}', '0197f000-0000-7000-8000-000000000000', ${longAgo}, 5, 50, ${kind === 'invalid' ? 106 : 0}, 'approved', 5, ${more === '' ? longAgo : more}`,
  );
}

/** One round of roll-ups and all merges that are due. */
async function settle(retention: Retention): Promise<void> {
  await createRollups({ clickhouse, retention, clock: Date.now }).round();
  for (const table of ['click_log', 'postback_log'])
    await clickhouse.command(`OPTIMIZE TABLE ${table} FINAL`);
}

it('removes old clicks and rejected calls, keeps conversions, and statistics go on counting all of them', async () => {
  await clickhouse.command(
    `INSERT INTO click_log (hit_id, click_id, hit_time, click_time, offer_id, verdict_code, block_time)
     SELECT toString(number), toString(number), ${longAgo}, ${longAgo}, 5, 0, ${longAgo} FROM numbers(7)`,
  );
  await insertCall('conversion');
  await insertCall('invalid');
  await settle({ clicksDays: null, invalidDays: null, affiliatePostbacksDays: null });
  const before = await statistics();
  expect(before).toEqual({ clicks: 7, conversions: 1, invalid_traffic: 1, payout: '5' });

  expect(await applyRetention(clickhouse, RETENTION)).toEqual(['click_log', 'postback_log']);
  expect(await applyRetention(clickhouse, RETENTION)).toEqual([]);
  await settle(RETENTION);
  const [left] = await clickhouse.query<{ clicks: number; calls: string[] }>(
    'SELECT (SELECT count() FROM click_log) AS clicks, (SELECT groupArray(toString(row_kind)) FROM postback_log) AS calls',
  );
  expect(left).toEqual({ clicks: 0, calls: ['conversion'] });
  expect(await statistics()).toEqual(before);

  // A row written now makes the old hour due again: what is gone must still be counted.
  await insertCall('conversion', 'now()');
  await settle(RETENTION);
  expect(await statistics()).toEqual({ ...before, conversions: 2, payout: '10' });
}, 60_000);

it('lifts a rule that is taken back', async () => {
  expect(
    await applyRetention(clickhouse, {
      clicksDays: null,
      invalidDays: 40,
      affiliatePostbacksDays: null,
    }),
  ).toEqual(['click_log']);
  expect(
    await applyRetention(clickhouse, {
      clicksDays: null,
      invalidDays: null,
      affiliatePostbacksDays: null,
    }),
  ).toEqual(['postback_log']);
});

it('counts every hour that was written to, however many and whatever breaks on the way', async () => {
  const HOURS = 110;
  const counted = async (): Promise<number> => {
    const [row] = await clickhouse.query<{ hours: number }>(
      'SELECT uniqExact(hour) AS hours FROM statistics_hourly WHERE offer_id = 77',
    );
    return row?.hours ?? 0;
  };
  // At the edge of what a look goes back to: what the first round leaves is out of its sight soon after.
  await clickhouse.command(
    `INSERT INTO click_log (hit_id, click_id, hit_time, click_time, offer_id, verdict_code, block_time)
     SELECT toString(1000 + number), toString(1000 + number), now() - INTERVAL number HOUR, now(), 77, 0, now() - INTERVAL ${LOOK_BACK_S - 1} SECOND
     FROM numbers(${HOURS})`,
  );
  let commands = 0;
  const breaking: ClickHouse = {
    ...clickhouse,
    command: (...statement) => {
      commands += 1;
      if (commands === 41) return Promise.reject(new Error('ClickHouse went away'));
      return clickhouse.command(...statement);
    },
  };
  let now = 0;
  const rollups = createRollups({ clickhouse: breaking, retention: RETENTION, clock: () => now });
  const nextRound = (): Promise<void> => {
    now += 3_600_000;
    return rollups.round();
  };
  await expect(nextRound()).rejects.toThrow('went away');
  expect(await counted()).toBeGreaterThan(0);
  for (let round = 0; round < 4; round++) await nextRound();
  expect(await counted()).toBe(HOURS);
  const looked = commands;
  await nextRound();
  // Nothing was written since: only what is younger than the last look is looked at again.
  expect(commands - looked).toBeLessThan(2 * HOURS);
}, 120_000);
