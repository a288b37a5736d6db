/**
 * Replays calls that were judged 108 only because their click had not arrived, once it has. What is to be replayed
 * follows from ClickHouse alone; a replay's chunk id is made of the original's hit id, so it is written once.
 */
import { createHash } from 'node:crypto';
import type { ClickHouse } from '../../clickhouse/client.ts';
import type { CatalogueStore } from '../../src/catalogue/store.ts';
import { ENDPOINTS, type ConversionHit } from '../../src/domain/hit.ts';
import type { IngestConversions } from '../ingest/conversions.ts';

/** Clicks that come later than this are replayed by hand. */
const DAYS = 7;
const REPLAYS_A_ROUND = 200;

interface PendingRow {
  readonly hit_id: string;
  readonly hit_ms: number;
  readonly endpoint: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly body: string;
  readonly content_type: string;
  readonly cookies: string;
  readonly ip: string;
  readonly user_agent: string;
  readonly referer: string;
  readonly body_base64: 0 | 1;
  readonly from_browser: 0 | 1;
  readonly token_valid: number;
  readonly batch_id: string;
  readonly advertiser_id: number;
  readonly author: string;
  readonly suppress_postbacks: number;
}

/** The replay's hit id: the original's time, and bits that follow from its id, so that a second replay has the same. */
export function replayHitId(hitId: string): string {
  const hash = createHash('sha256').update(`replay ${hitId}`).digest('hex');
  return `${hitId.slice(0, 14)}7${hash.slice(0, 3)}-${'89ab'.charAt(Number.parseInt(hash.charAt(3), 16) & 3)}${hash.slice(4, 7)}-${hash.slice(7, 19)}`;
}

function toHit(row: PendingRow): ConversionHit {
  const endpoint = ENDPOINTS.find((name) => name === row.endpoint);
  return {
    hitId: replayHitId(row.hit_id),
    receivedAtMs: row.hit_ms,
    endpoint: endpoint === undefined || endpoint === 'click' ? 'unknown' : endpoint,
    method: row.method,
    path: row.path,
    query: row.query,
    body: row.body,
    bodyIsBase64: row.body_base64 === 1,
    contentType: row.content_type,
    cookies: row.cookies,
    ip: row.ip,
    userAgent: row.user_agent,
    referer: row.referer,
    fromBrowser: row.from_browser === 1,
  };
}

/** Replays what can be; returns how many. */
export async function replayLateClicks(deps: {
  readonly clickhouse: ClickHouse;
  readonly store: Pick<CatalogueStore, 'current'>;
  readonly ingestConversions: IngestConversions;
}): Promise<number> {
  const rows = await deps.clickhouse.query<PendingRow>(
    `SELECT hit_id, toUnixTimestamp64Milli(hit_time) AS hit_ms, endpoint, method, path, query, body, content_type, cookies, if(visitor_ip = '', ip, visitor_ip) AS ip,
       user_agent, referer, body_base64, from_browser, token_valid, batch_id, advertiser_id, author, suppress_postbacks
     FROM postback_log
     WHERE click_pending = 1 AND verdict_code = 108 AND hit_time > now() - INTERVAL ${DAYS} DAY
       AND hit_id NOT IN (SELECT replayed_from FROM postback_log WHERE replayed_from != '' AND hit_time > now() - INTERVAL ${DAYS} DAY)
       AND click_id IN (SELECT click_id FROM click_log WHERE verdict_code = 0 AND click_id IN (
         SELECT click_id FROM postback_log WHERE click_pending = 1 AND verdict_code = 108 AND hit_time > now() - INTERVAL ${DAYS} DAY))
     LIMIT ${REPLAYS_A_ROUND}`,
  );
  if (rows.length === 0) return 0;
  const { version } = await deps.store.current();
  let replayed = 0;
  for (const row of rows) {
    const hit = toHit(row);
    const header = {
      chunkId: `replay-${row.hit_id}`,
      kind: 'conversions' as const,
      edgeNumber: 0,
      openedAtMs: row.hit_ms,
      catalogueVersion: version,
    };
    const origin = {
      replayedFrom: row.hit_id,
      tokenVerifiedBefore: row.token_valid === 1,
      ...(row.batch_id !== '' && {
        batch: {
          batchId: row.batch_id,
          advertiserId: row.advertiser_id,
          kind: 'postbacks' as const,
          author: row.author,
          suppressPostbacks: row.suppress_postbacks === 1,
        },
      }),
    };
    const outcome = await deps.ingestConversions(
      { header, hits: [hit] },
      new Map([[hit.hitId, origin]]),
    );
    if (outcome.kind === 'stored') replayed += 1;
  }
  return replayed;
}
