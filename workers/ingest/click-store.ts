/** Writes click chunks and finds stored clicks: a chunk is one guarded insert, a look-up one query for many ids. */
import { setTimeout as pause } from 'node:timers/promises';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { insertGuarded, timeLiteral, type Row } from '../../clickhouse/insert.ts';
import { CLICK_COLUMNS } from '../../clickhouse/tables.ts';
import { AppError } from '../../src/domain/app-error.ts';
import type { Reach } from '../../src/domain/crash-points.ts';
import type { ClickIdCodec, OpenedClickId } from '../../src/domain/click-id.ts';
import { FULL_IPS, type IpStorage } from '../../src/domain/ip-storage.ts';
import type { Chunk, ChunkHeader, ClickHit } from '../../src/domain/hit.ts';
import type { StoredClick } from '../../src/domain/judge/resolve.ts';
import { createClickMemory } from './click-memory.ts';
import { createJoined } from './joined.ts';
import {
  attributionOfColumn,
  attributionOfRow,
  attributionOfText,
  storedClick,
  textOfAttribution,
} from './attribution.ts';
import { clickRow, type Enrichment } from './rows.ts';

/** Ids a look-up; more go in several. A larger one costs less an id; its parameters travel in the URL, of 1 MiB at most. */
const LOOKUP_IDS_MAX = 5_000;
/** A token may be burned by a kill in the middle of its insert; each kill burns one. */
const TOKENS_MAX = 20;
const SECOND_LOOK_MS = 100;

/** Click ids that are looked for, opened. */
export type Wanted = ReadonlyMap<string, OpenedClickId>;

export interface ClickStore {
  /** Returns when every hit of the chunk is a row, written now or by an earlier delivery. */
  storeChunk(chunk: Chunk, codec: ClickIdCodec): Promise<void>;
  /** Stored clicks by id; ids that are not stored are missing. */
  find(ids: Wanted): Promise<Map<string, StoredClick>>;
}

export function createClickStore(deps: {
  readonly clickhouse: ClickHouse;
  readonly enrichment: Enrichment;
  readonly ips?: IpStorage;
  readonly clock: () => number;
  readonly reach?: Reach;
}): ClickStore {
  const { clickhouse, enrichment } = deps;
  const ips = deps.ips ?? FULL_IPS;
  const memory = createClickMemory();

  function rememberRows(clicks: readonly ClickHit[], rows: readonly Row[]): void {
    for (const [index, row] of rows.entries()) {
      const clickId = clicks[index]?.clickId ?? '';
      if (clickId !== '') memory.remember(clickId, textOfAttribution(attributionOfRow(row)));
    }
  }

  /** Rows of each chunk. */
  const storedRows = createJoined<ChunkHeader, number>(async (headers) => {
    const times = headers.map(({ openedAtMs }) => openedAtMs);
    const rows = await clickhouse.query<{ chunk_id: string; stored: number }>(
      `SELECT chunk_id, count() AS stored FROM click_log
       WHERE chunk_time BETWEEN ${timeLiteral(Math.min(...times))} AND ${timeLiteral(Math.max(...times))}
         AND chunk_id IN {ids:Array(String)} GROUP BY chunk_id`,
      { ids: headers.map(({ chunkId }) => chunkId) },
    );
    const stored = new Map(rows.map((row) => [row.chunk_id, row.stored]));
    return headers.map(({ chunkId }) => stored.get(chunkId) ?? 0);
  });

  /**
   * By offer and time, which are the table's order. Many small stretches of few files: mapped, each costs no system call, a
   * fifth less in all; and the size of a block is not estimated at each of them, a tenth less (ADR 0014).
   */
  function lookUp(opened: readonly OpenedClickId[]) {
    return clickhouse.query<{ readonly click_id: string; readonly attribution: string }>(
      `SELECT click_id, attribution FROM click_log
       WHERE (offer_id, click_time) IN (
         SELECT offer, fromUnixTimestamp64Milli(ms, 'UTC')
         FROM (SELECT {offers:Array(UInt32)} AS offer, {times:Array(Int64)} AS ms) ARRAY JOIN offer, ms)
       SETTINGS local_filesystem_read_method = 'mmap', preferred_block_size_bytes = 0`,
      { offers: opened.map(({ offerId }) => offerId), times: opened.map(({ ms }) => ms) },
    );
  }

  /** Of all the sets together: column `attribution` by click id. Other clicks of the same offer and millisecond may be in it. */
  const lookedUp = createJoined<Wanted, ReadonlyMap<string, string>>(async (sets) => {
    const opened: OpenedClickId[] = [];
    for (const set of sets) for (const one of set.values()) opened.push(one);
    const found = new Map<string, string>();
    for (let at = 0; at < opened.length; at += LOOKUP_IDS_MAX) {
      for (const { click_id, attribution } of await lookUp(opened.slice(at, at + LOOKUP_IDS_MAX)))
        found.set(click_id, attribution);
    }
    return sets.map(() => found);
  });

  return {
    async storeChunk(chunk, codec) {
      const clicks = chunk.hits.filter((hit): hit is ClickHit => hit.endpoint === 'click');
      const hasAll = async (): Promise<boolean> =>
        (await storedRows(chunk.header)) >= clicks.length;
      const blockTimeS = Math.floor(deps.clock() / 1000);
      const opened = codec.openAll(clicks.map(({ clickId }) => clickId));
      const rows = clicks.map((hit, index) =>
        clickRow(hit, opened[index], chunk, { enrichment, ips, blockTimeS }),
      );
      for (let token = 0; token < TOKENS_MAX; token++) {
        await insertGuarded(clickhouse, {
          table: 'click_log',
          columns: CLICK_COLUMNS,
          rows,
          token: `${chunk.header.chunkId}#${token}`,
          guard: `NOT EXISTS (SELECT 1 FROM click_log WHERE chunk_time = ${timeLiteral(chunk.header.openedAtMs)} AND chunk_id = '${chunk.header.chunkId}')`,
        });
        deps.reach?.('clicks-inserted');
        if (await hasAll()) return rememberRows(clicks, rows);
        await pause(SECOND_LOOK_MS);
        if (await hasAll()) return rememberRows(clicks, rows);
      }
      throw new AppError(
        'CLICKHOUSE_UNAVAILABLE',
        `chunk ${chunk.header.chunkId} is not in ClickHouse after ${TOKENS_MAX} inserts`,
      );
    },
    async find(ids) {
      const found = new Map<string, StoredClick>();
      const missing = new Map<string, OpenedClickId>();
      for (const [id, opened] of ids) {
        const known = attributionOfText(memory.recall(id) ?? '');
        if (known === undefined) missing.set(id, opened);
        else found.set(id, storedClick(id, opened, known));
      }
      if (missing.size === 0) return found;
      const columns = await lookedUp(missing);
      for (const [id, opened] of missing) {
        const column = columns.get(id);
        if (column === undefined) continue;
        // Not remembered: old clicks that come in their order would push each other out before they come again.
        found.set(id, storedClick(id, opened, attributionOfColumn(column)));
      }
      return found;
    },
  };
}
