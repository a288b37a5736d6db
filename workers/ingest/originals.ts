/**
 * Stored calls that are judged again: their rows, and the hit that a row becomes. Both those that were rejected for a
 * click that came late and those that someone chose to replay. What decides whether a replay counts is the lane's log.
 */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { timeLiteral } from '../../clickhouse/insert.ts';
import type { BatchKind, BatchOrigin, Channel, ConversionHit } from '../../src/domain/hit.ts';
import { ENDPOINTS } from '../../src/domain/hit.ts';
import type { IpStorage } from '../../src/domain/ip-storage.ts';
import type { ReplayOrigin } from '../../src/domain/judge/call.ts';
import { msOfUuidV7, TIME_SLACK_MS } from '../../src/domain/uuid-v7.ts';

export interface OriginalRow {
  readonly hit_id: string;
  readonly hit_ms: number;
  readonly row_kind: string;
  readonly transaction_id: string;
  readonly verdict_code: number;
  readonly verdict: string;
  readonly detail: string;
  readonly endpoint: string;
  readonly channel: Channel;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly body: string;
  readonly content_type: string;
  readonly cookies: string;
  readonly ip: string;
  readonly visitor_ip: string;
  readonly user_agent: string;
  readonly referer: string;
  readonly body_base64: 0 | 1;
  readonly from_browser: 0 | 1;
  readonly token_valid: 0 | 1;
  readonly replayed_from: string;
  readonly batch_id: string;
  readonly advertiser_id: number;
  readonly author: string;
  readonly suppress_postbacks: 0 | 1;
}

/** What is selected of `postback_log` for an OriginalRow. */
export const ORIGINAL_COLUMNS = `hit_id, toUnixTimestamp64Milli(hit_time) AS hit_ms, toString(row_kind) AS row_kind, transaction_id,
  verdict_code, verdict, detail, endpoint, toString(channel) AS channel, method, path, query, body, content_type, cookies, ip,
  visitor_ip, user_agent, referer, body_base64, from_browser, token_valid, replayed_from, batch_id, advertiser_id, author,
  suppress_postbacks`;

/** Ids a look-up; more go in several. */
const LOOKUP_IDS_MAX = 1_000;

async function rowsOf(
  clickhouse: ClickHouse,
  ids: readonly string[],
): Promise<Map<string, OriginalRow>> {
  const known = [...new Set(ids)].filter((id) => msOfUuidV7(id) !== undefined);
  const found = new Map<string, OriginalRow>();
  async function look(some: readonly string[], when: string): Promise<void> {
    const rows = await clickhouse.query<OriginalRow>(
      `SELECT ${ORIGINAL_COLUMNS} FROM postback_log WHERE ${when} AND hit_id IN {ids:Array(String)}`,
      { ids: some },
    );
    for (const row of rows) found.set(row.hit_id, row);
  }
  for (let at = 0; at < known.length; at += LOOKUP_IDS_MAX) {
    const some = known.slice(at, at + LOOKUP_IDS_MAX);
    const times = some.map((id) => msOfUuidV7(id) ?? 0);
    await look(
      some,
      `hit_time BETWEEN ${timeLiteral(Math.min(...times) - TIME_SLACK_MS)} AND ${timeLiteral(Math.max(...times) + TIME_SLACK_MS)}`,
    );
    // The rest by the index on ids: those of an edge whose clock was set back go on where they were, receipts do not.
    const missing = some.filter((id) => !found.has(id));
    if (missing.length > 0) await look(missing, '1');
  }
  return found;
}

/** The calls of these ids; of a call that is a replay itself the call that it replays. What is not stored is missing. */
export async function findOriginals(
  clickhouse: ClickHouse,
  ids: readonly string[],
): Promise<ReadonlyMap<string, OriginalRow>> {
  const named = await rowsOf(clickhouse, ids);
  const further = [...named.values()].flatMap(({ replayed_from: id }) => (id === '' ? [] : [id]));
  if (further.length === 0) return named;
  const roots = await rowsOf(clickhouse, further);
  return new Map(
    [...named].flatMap(([id, row]) => {
      const root = row.replayed_from === '' ? row : roots.get(row.replayed_from);
      return root === undefined ? [] : [[id, root] as const];
    }),
  );
}

function kindOf(row: OriginalRow): BatchKind {
  if (row.channel !== 'manual') return 'postbacks';
  return row.endpoint === 'manual' ? 'manual' : 'corrections';
}

/** The batch that brought a call which is no replay, as its row tells it. */
export function batchOf(row: OriginalRow): BatchOrigin | undefined {
  if (row.batch_id === '') return undefined;
  return {
    batchId: row.batch_id,
    advertiserId: row.channel === 'batch' ? row.advertiser_id : 0,
    kind: kindOf(row),
    author: row.author,
    suppressPostbacks: row.suppress_postbacks === 1,
  };
}

/** Why a line of a batch could not be read, '' when it could: readable ones are JSON. */
function unreadableOf(row: OriginalRow): string {
  return row.batch_id !== '' && row.content_type === 'text/plain' ? row.detail : '';
}

const BLANKED_IP = /(^|&)ip=\*\*\*(?=&|$)/gi;
const BLANKED_IP_IN_JSON = /("ip"\s*:\s*)"\*\*\*"/gi;

/** The call of a row as a hit under a new id; `line` is where its replay names it. */
export function hitOfOriginal(
  row: OriginalRow,
  hitId: string,
  line: number | undefined,
  ips: IpStorage,
): ConversionHit {
  const endpoint = ENDPOINTS.find((name) => name === row.endpoint);
  const error = unreadableOf(row);
  return {
    hitId,
    receivedAtMs: row.hit_ms,
    endpoint: endpoint === undefined || endpoint === 'click' ? 'unknown' : endpoint,
    method: row.method,
    path: row.path,
    // A blanked address is no value; what was compared of it is known by `keptVisitorIp`.
    query: ips.hashes ? row.query.replaceAll(BLANKED_IP, '') : row.query,
    body: ips.hashes ? row.body.replaceAll(BLANKED_IP_IN_JSON, '$1""') : row.body,
    bodyIsBase64: row.body_base64 === 1,
    contentType: row.content_type,
    cookies: row.cookies,
    ip: row.ip,
    userAgent: row.user_agent,
    referer: row.referer,
    fromBrowser: row.from_browser === 1,
    ...((line !== undefined || error !== '') && { batch: { line: line ?? 0, error } }),
  };
}

export function originOf(row: OriginalRow, ips: IpStorage): ReplayOrigin {
  const batch = batchOf(row);
  return {
    replayedFrom: row.hit_id,
    tokenVerifiedBefore: row.token_valid === 1,
    ...(batch !== undefined && { batch }),
    ...(ips.hashes && { keptVisitorIp: row.visitor_ip }),
    ...(row.row_kind !== 'invalid' && { countedAs: row.transaction_id }),
  };
}
