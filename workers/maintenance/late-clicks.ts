/**
 * Replays calls that were judged 108 only because their click had not arrived, once it has. What is to be replayed
 * follows from ClickHouse alone; a replay's chunk id is made of the original's hit id, so it is written once.
 */
import { createHash } from 'node:crypto';
import type { ClickHouse } from '../../clickhouse/client.ts';
import type { CatalogueStore } from '../../src/catalogue/store.ts';
import type { IpStorage } from '../../src/domain/ip-storage.ts';
import type { IngestConversions } from '../ingest/conversions.ts';
import {
  hitOfOriginal,
  ORIGINAL_COLUMNS,
  originOf,
  type OriginalRow,
} from '../ingest/originals.ts';

/** Clicks that come later than this are replayed by hand. */
const DAYS = 7;
/** Replayed together, so that they share blocks: a block costs about as much as a hundred of its calls. */
const PAGE = 500;
/** Of the chunks that are made here, one a call: none other has an id of this form. */
const CHUNK_PREFIX = 'replay-';

/** The replay's hit id: the original's time, and bits that follow from its id, so that a second replay has the same. */
function hitIdOfLateReplay(hitId: string): string {
  const hash = createHash('sha256').update(`replay ${hitId}`).digest('hex');
  return `${hitId.slice(0, 14)}7${hash.slice(0, 3)}-${'89ab'.charAt(Number.parseInt(hash.charAt(3), 16) & 3)}${hash.slice(4, 7)}-${hash.slice(7, 19)}`;
}

export interface LateClickDeps {
  readonly clickhouse: ClickHouse;
  readonly store: Pick<CatalogueStore, 'current'>;
  readonly ingestConversions: IngestConversions;
  readonly ips: IpStorage;
}

const WAITING = 'click_pending = 1 AND verdict_code = 108';
const RECENT = `hit_time > now() - INTERVAL ${DAYS} DAY`;
/** Not one that was replayed by this very round before, nor one whose replay by someone counts. */
const UNREPLAYED = `hit_id NOT IN (SELECT replayed_from FROM postback_log
  WHERE replayed_from > '' AND (row_kind != 'invalid' OR startsWith(chunk_id, '${CHUNK_PREFIX}')))`;

/**
 * Whether any call waits for its click. Asked each round, of every stored call: where the conditions below WHERE hold nowhere
 * in a part, ClickHouse remembers it, as they never change; one that changes, or holds for most, would have all of it read.
 */
async function isAnyWaiting(clickhouse: ClickHouse): Promise<boolean> {
  const [row] = await clickhouse.query<{ waiting: number }>(
    `SELECT countIf(${RECENT} AND replayed_from = '' AND ${UNREPLAYED}) AS waiting
     FROM postback_log WHERE ${WAITING}`,
  );
  return (row?.waiting ?? 0) > 0;
}

/**
 * Calls that can be replayed now, and not all of them: a page. Their clicks are looked for by the time within their ids,
 * the second column of the clicks' order.
 */
async function replayable(clickhouse: ClickHouse): Promise<readonly OriginalRow[]> {
  if (!(await isAnyWaiting(clickhouse))) return [];
  return clickhouse.query<OriginalRow>(
    `SELECT ${ORIGINAL_COLUMNS}
     FROM postback_log
     WHERE ${WAITING} AND ${RECENT} AND replayed_from = '' AND ${UNREPLAYED}
       AND click_id IN (SELECT click_id FROM click_log WHERE verdict_code = 0 AND (click_time, click_id) IN (
         SELECT assumeNotNull(click_time), click_id FROM postback_log WHERE ${WAITING} AND ${RECENT}))
     LIMIT ${PAGE}`,
  );
}

async function replay(deps: LateClickDeps, row: OriginalRow, version: number): Promise<boolean> {
  const hit = hitOfOriginal(row, hitIdOfLateReplay(row.hit_id), undefined, deps.ips);
  const header = {
    chunkId: `${CHUNK_PREFIX}${row.hit_id}`,
    kind: 'conversions' as const,
    edgeNumber: 0,
    openedAtMs: row.hit_ms,
    catalogueVersion: version,
  };
  const origins = new Map([[hit.hitId, originOf(row, deps.ips)]]);
  const outcome = await deps.ingestConversions({ header, hits: [hit] }, origins);
  return outcome.kind === 'stored';
}

/** Replays what can be, page by page as long as a whole one could be; returns how many. `onPage` is called before each. */
export async function replayLateClicks(
  deps: LateClickDeps,
  onPage: () => Promise<unknown> = () => Promise.resolve(),
): Promise<number> {
  for (let total = 0; ;) {
    await onPage();
    const rows = await replayable(deps.clickhouse);
    if (rows.length === 0) return total;
    const { version } = await deps.store.current();
    // To its end, whatever fails: a page that was left running would meet the next round.
    const settled = await Promise.allSettled(rows.map((row) => replay(deps, row, version)));
    const failed = settled.find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
    const replayed = settled.filter((one) => one.status === 'fulfilled' && one.value).length;
    total += replayed;
    if (replayed < PAGE) return total;
  }
}
