/**
 * Keeps in one lane what might go to another the next time. Replays of a call: where its log lets one of them count; a
 * promo code or a cookie may mean another offer under another catalogue, and the first replay that could count decides.
 * Deliveries of a change: the transaction that it names may be stored in between, and the first delivery decides. Both by
 * the device that decides lane positions: one block, one token, one guard, read back.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { insertGuarded, type Row } from '../../clickhouse/insert.ts';
import { REPLAY_LANE_COLUMNS } from '../../clickhouse/tables.ts';
import { AppError } from '../../src/domain/app-error.ts';

/** What is kept in a lane → lane: a replay by its original, a change as `change:<hit id>`. */
export type Lanes = ReadonlyMap<string, number>;

const ATTEMPTS_MAX = 100;
const SECOND_LOOK_MS = 50;
/** Ids a look-up; more go in several. */
const LOOKUP_IDS_MAX = 2_000;

export function createReplayLanes(clickhouse: ClickHouse) {
  const table = `${clickhouse.privateDatabase}.replay_lanes`;

  async function lastPosition(): Promise<number> {
    const rows = await clickhouse.query<{ last: number }>(
      `SELECT max(position) AS last FROM ${table}`,
    );
    return rows[0]?.last ?? 0;
  }

  async function find(originals: readonly string[]): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (let at = 0; at < originals.length; at += LOOKUP_IDS_MAX) {
      const rows = await clickhouse.query<{ original: string; lane: number }>(
        `SELECT original, lane FROM ${table} WHERE original IN {ids:Array(String)}`,
        { ids: originals.slice(at, at + LOOKUP_IDS_MAX) },
      );
      for (const { original, lane } of rows) found.set(original, lane);
    }
    return found;
  }

  /** Writes the block behind `last`, unless someone has. A token that a kill burned is not used again. */
  async function write(rows: readonly Row[], last: number, burned: Map<number, number>) {
    await insertGuarded(clickhouse, {
      table,
      columns: REPLAY_LANE_COLUMNS,
      rows,
      // Who races for a position must have the same token: only one of them can write.
      token: `replay-lanes:${last + 1}#${burned.get(last) ?? 0}`,
      guard: `NOT EXISTS (SELECT 1 FROM ${table} WHERE position > ${last})`,
    });
    if ((await lastPosition()) > last) return;
    await pause(SECOND_LOOK_MS);
    if ((await lastPosition()) === last) burned.set(last, (burned.get(last) ?? 0) + 1);
  }

  async function decide(wanted: Lanes): Promise<Lanes> {
    const originals = [...wanted.keys()];
    const burned = new Map<number, number>();
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      // Asked first: whoever wrote up to here is seen by the look-up that follows.
      const last = await lastPosition();
      const held = await find(originals);
      const missing = [...wanted].filter(([original]) => !held.has(original));
      if (missing.length === 0) return held;
      const rows = missing.map(([original, lane]): Row => [last + 1, original, lane]);
      await write(rows, last, burned);
    }
    throw new AppError('GATE_BUSY', `lanes of replays were taken ${ATTEMPTS_MAX} times`);
  }

  // One after the other in a process: its chunks would only race for the next block.
  let last: Promise<unknown> = Promise.resolve();
  /** Resolves to the lanes that hold, once every original has one; `wanted` is taken where none was decided before. */
  return function decideInTurn(wanted: Lanes): Promise<Lanes> {
    if (wanted.size === 0) return Promise.resolve(wanted);
    const mine = last.then(() => decide(wanted));
    last = mine.catch(() => undefined);
    return mine;
  };
}
