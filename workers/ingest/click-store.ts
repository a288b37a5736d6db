/** Writes click chunks and finds stored clicks: a chunk is one guarded insert, a look-up one query for many ids. */
import { setTimeout as pause } from 'node:timers/promises';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { insertGuarded, timeLiteral } from '../../clickhouse/insert.ts';
import { CLICK_COLUMNS } from '../../clickhouse/tables.ts';
import { AppError } from '../../src/domain/app-error.ts';
import type { Reach } from '../../src/domain/crash-points.ts';
import type { ClickIdCodec, OpenedClickId } from '../../src/domain/click-id.ts';
import { FULL_IPS, type IpStorage } from '../../src/domain/ip-storage.ts';
import type { Chunk, ChunkHeader, ClickHit } from '../../src/domain/hit.ts';
import type { StoredClick } from '../../src/domain/judge/resolve.ts';
import { createJoined } from './joined.ts';
import { clickRow, type Enrichment } from './rows.ts';

/** Clicks remembered after a look-up: shops repeat postbacks within minutes. */
const REMEMBERED_MAX = 50_000;
/** Ids a look-up; more go in several. */
const LOOKUP_IDS_MAX = 2_000;
/** A token may be burned by a kill in the middle of its insert; each kill burns one. */
const TOKENS_MAX = 20;
const SECOND_LOOK_MS = 100;

interface ClickRecord {
  readonly click_id: string;
  readonly click_time_ms: number;
  readonly offer_id: number;
  readonly affiliate_id: number;
  readonly advertiser_id: number;
  readonly ip: string;
  readonly aff_click_id: string;
  readonly source: string;
  readonly sub_ids: string[];
  readonly aff_params: string[];
}

/** Click ids that are looked for, opened. */
export type Wanted = ReadonlyMap<string, OpenedClickId>;

export interface ClickStore {
  /** Returns when every hit of the chunk is a row, written now or by an earlier delivery. */
  storeChunk(chunk: Chunk, codec: ClickIdCodec): Promise<void>;
  /** Stored clicks by id; ids that are not stored are missing. */
  find(ids: Wanted): Promise<Map<string, StoredClick>>;
}

const numbered = (prefix: string): string =>
  `[${[1, 2, 3, 4, 5].map((n) => `${prefix}${n}`).join(', ')}]`;

export function createClickStore(deps: {
  readonly clickhouse: ClickHouse;
  readonly enrichment: Enrichment;
  readonly ips?: IpStorage;
  readonly clock: () => number;
  readonly reach?: Reach;
}): ClickStore {
  const { clickhouse, enrichment } = deps;
  const ips = deps.ips ?? FULL_IPS;
  const remembered = new Map<string, StoredClick>();

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

  async function lookUp(
    ids: readonly (readonly [string, OpenedClickId])[],
  ): Promise<ClickRecord[]> {
    return clickhouse.query<ClickRecord>(
      `SELECT click_id, toUnixTimestamp64Milli(click_time) AS click_time_ms, offer_id, affiliate_id, advertiser_id, if(ip_key = '', ip, ip_key) AS ip,
         aff_click_id, source, ${numbered('sub_id')} AS sub_ids, ${numbered('aff_param')} AS aff_params
       FROM click_log
       WHERE offer_id IN {offers:Array(UInt32)}
         AND click_time IN (SELECT fromUnixTimestamp64Milli(arrayJoin({times:Array(Int64)}), 'UTC'))
         AND click_id IN {ids:Array(String)} AND verdict_code = 0`,
      {
        offers: [...new Set(ids.map(([, opened]) => opened.offerId))],
        times: [...new Set(ids.map(([, opened]) => opened.ms))],
        ids: ids.map(([id]) => id),
      },
    );
  }

  /** Of each set of ids those that are stored. */
  const stored = createJoined<Wanted, Map<string, StoredClick>>(async (sets) => {
    const ids = new Map(sets.flatMap((set) => [...set]));
    const missing = [...ids].filter(([id]) => !remembered.has(id));
    if (remembered.size + missing.length > REMEMBERED_MAX) {
      remembered.clear();
      missing.splice(0, missing.length, ...ids);
    }
    for (let at = 0; at < missing.length; at += LOOKUP_IDS_MAX) {
      for (const row of await lookUp(missing.slice(at, at + LOOKUP_IDS_MAX)))
        remembered.set(row.click_id, row);
    }
    return sets.map((set) => {
      const found = [...set.keys()].map((id) => remembered.get(id));
      return new Map(
        found.flatMap((click) => (click === undefined ? [] : [[click.click_id, click]])),
      );
    });
  });

  return {
    async storeChunk(chunk, codec) {
      const clicks = chunk.hits.filter((hit): hit is ClickHit => hit.endpoint === 'click');
      const expected = clicks.length;
      for (let token = 0; token < TOKENS_MAX; token++) {
        const blockTimeS = Math.floor(deps.clock() / 1000);
        await insertGuarded(clickhouse, {
          table: 'click_log',
          columns: CLICK_COLUMNS,
          rows: clicks.map((hit) =>
            clickRow(hit, codec.open(hit.clickId), chunk, { enrichment, ips, blockTimeS }),
          ),
          token: `${chunk.header.chunkId}#${token}`,
          guard: `NOT EXISTS (SELECT 1 FROM click_log WHERE chunk_time = ${timeLiteral(chunk.header.openedAtMs)} AND chunk_id = '${chunk.header.chunkId}')`,
        });
        deps.reach?.('clicks-inserted');
        if ((await storedRows(chunk.header)) >= expected) return;
        await pause(SECOND_LOOK_MS);
        if ((await storedRows(chunk.header)) >= expected) return;
      }
      throw new AppError(
        'CLICKHOUSE_UNAVAILABLE',
        `chunk ${chunk.header.chunkId} is not in ClickHouse after ${TOKENS_MAX} inserts`,
      );
    },
    find: stored,
  };
}
