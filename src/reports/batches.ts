/** What became of a batch: how far it is, counts per verdict, and the verdict of every line, in order, page by page. */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { CHUNKS_MAX } from '../batch/limits.ts';
import { VERDICTS } from '../domain/verdicts.ts';
import { ownsRow, type Principal } from './principal.ts';

export interface BatchStatus {
  readonly batch_id: string;
  readonly advertiser_id: number;
  readonly received_at: string;
  readonly uploaded_by: string;
  /** What its lines are: postbacks, corrections, manual or replay. */
  readonly kind: string;
  /** Login or key name of who asked for it. */
  readonly author: string;
  readonly format: string;
  /** `judging`: not every line has its verdict yet. */
  readonly state: 'judging' | 'done';
  readonly lines: number;
  readonly hits: number;
  /** Hits that have their verdict. */
  readonly judged: number;
  /** `judged` of `hits`, 0 to 1. */
  readonly progress: number;
  /** Hits by verdict slug; only verdicts that occur. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly rejected_lines: number;
  readonly rejected: readonly unknown[];
  readonly lines_url: string;
}

export interface StoredBatch {
  readonly batch_id: string;
  readonly advertiser_id: number;
  readonly received_ms: number;
  readonly received_at: string;
  readonly uploaded_by: string;
  readonly kind: string;
  readonly author: string;
  readonly format: string;
  readonly lines: number;
  readonly hits: number;
  readonly rejected_lines: number;
  readonly receipt: string;
}

export interface BatchLineRow {
  readonly line: number;
  readonly [column: string]: string | number | null;
}

/** Columns of a line, as in `postbacks`. */
export const LINE_COLUMNS = [
  'line',
  'hit_id',
  'verdict_code',
  'verdict',
  'title',
  'detail',
  'hint',
  'transaction_id',
  'blocking_transaction_id',
  'endpoint',
  'click_id',
  'offer_id',
  'goal_id',
  'affiliate_id',
  'conv_status',
  'amount',
  'payout',
  'revenue',
  'currency',
  'promo_code',
  'track_id',
  'adv_order_id',
  'replayed_from',
] as const;

const LINES_A_PAGE = 20_000;
/** Rows of a batch are found by the times of its chunks, which are indexed; replayed calls keep their own receipt time. */
const OF_BATCH = `chunk_time BETWEEN fromUnixTimestamp64Milli({receivedMs:Int64} - ${CHUNKS_MAX}, 'UTC') AND fromUnixTimestamp64Milli({receivedMs:Int64}, 'UTC')
  AND batch_id = {batchId:String}`;

/** A batch that the principal may see, or undefined. */
export async function findBatch(
  clickhouse: ClickHouse,
  principal: Principal,
  batchId: string,
): Promise<StoredBatch | undefined> {
  const rows = await clickhouse.query<StoredBatch>(
    `SELECT batch_id, advertiser_id, toUnixTimestamp64Milli(b.received_at) AS received_ms, toString(b.received_at) AS received_at,
       uploaded_by, kind, author, format, lines, hits, rejected_lines, receipt
     FROM ${clickhouse.privateDatabase}.batches AS b WHERE batch_id = {batchId:String} LIMIT 1`,
    { batchId },
  );
  const [batch] = rows;
  return batch !== undefined && ownsRow(principal, { ...batch }) ? batch : undefined;
}

export async function batchStatus(
  clickhouse: ClickHouse,
  batch: StoredBatch,
): Promise<BatchStatus> {
  const counts = await clickhouse.query<{ verdict: string; hits: number }>(
    `SELECT verdict, count() AS hits FROM postback_log WHERE ${OF_BATCH} GROUP BY verdict ORDER BY hits DESC, verdict`,
    { receivedMs: batch.received_ms, batchId: batch.batch_id },
  );
  const judged = counts.reduce((sum, { hits }) => sum + hits, 0);
  // Written by the upload.
  const { rejected } = JSON.parse(batch.receipt) as { readonly rejected: readonly unknown[] };
  return {
    batch_id: batch.batch_id,
    advertiser_id: batch.advertiser_id,
    received_at: batch.received_at,
    uploaded_by: batch.uploaded_by,
    kind: batch.kind,
    author: batch.author,
    format: batch.format,
    state: judged >= batch.hits ? 'done' : 'judging',
    lines: batch.lines,
    hits: batch.hits,
    judged,
    progress: batch.hits === 0 ? 1 : Math.min(1, judged / batch.hits),
    verdicts: Object.fromEntries(counts.map(({ verdict, hits }) => [verdict, hits])),
    rejected_lines: batch.rejected_lines,
    rejected,
    lines_url: `/api/v1/batches/${batch.batch_id}/lines`,
  };
}

/** Codes of the verdicts asked for, by slug or code; undefined for one that does not exist. */
export function verdictCodes(asked: readonly string[]): number[] | undefined {
  const codes = asked.map(
    (text) => VERDICTS.find(({ code, slug }) => slug === text || String(code) === text)?.code,
  );
  return codes.every((code) => code !== undefined) ? codes : undefined;
}

/** Every judged line in the order of the file, a page at a time: memory holds one, however long the file. */
export async function* batchLines(
  clickhouse: ClickHouse,
  batch: StoredBatch,
  codes: readonly number[],
): AsyncGenerator<readonly BatchLineRow[]> {
  const columns = LINE_COLUMNS.map((name) => (name === 'line' ? 'batch_line AS line' : name));
  let after = 0;
  for (;;) {
    const page = await clickhouse.query<BatchLineRow>(
      `SELECT ${columns.join(', ')} FROM postback_log
       WHERE ${OF_BATCH} AND batch_line > {after:UInt32} ${codes.length === 0 ? '' : 'AND verdict_code IN {codes:Array(UInt16)}'}
       ORDER BY batch_line LIMIT ${LINES_A_PAGE}`,
      { receivedMs: batch.received_ms, batchId: batch.batch_id, after, codes },
    );
    if (page.length > 0) yield page;
    const last = page.at(-1);
    if (last === undefined || page.length < LINES_A_PAGE) return;
    after = last.line;
  }
}
