/**
 * Events that postbacks are made of, read from the log: conversions, and changes that gave a transaction another status.
 * What an event says is the transaction as it was right after it.
 */
import type { ClickHouse } from '../../clickhouse/client.ts';
import { timeLiteral } from '../../clickhouse/insert.ts';
import type { MacroTexts } from '../../src/domain/affiliate-postback-url.ts';
import { msOfUuidV7, TIME_SLACK_MS } from '../../src/domain/uuid-v7.ts';

/** A row of the log, as far as events need it. */
export interface EventRow {
  readonly lane: number;
  readonly position: number;
  readonly block_row: number;
  readonly block_s: number;
  readonly hit_id: string;
  readonly hit_ms: number;
  readonly row_kind: 'conversion' | 'change';
  readonly transaction_id: string;
  readonly click_id: string;
  readonly click_ms: number | null;
  readonly offer_id: number;
  readonly goal_id: number;
  readonly affiliate_id: number;
  readonly conv_status: string;
  readonly payout: string | null;
  readonly amount: string | null;
  readonly currency: string;
  readonly catalogue_version: number;
  readonly [column: string]: string | number | null;
}

const NUMBERED = [1, 2, 3, 4, 5];
const CARRIED = [
  'promo_code',
  'track_id',
  'adv_order_id',
  'aff_click_id',
  'source',
  'country',
  'device',
  ...NUMBERED.map((n) => `sub_id${n}`),
  ...NUMBERED.map((n) => `aff_param${n}`),
];

/** Money as text: a float would round it. */
export const EVENT_COLUMNS = `lane, position, block_row, toUnixTimestamp(block_time) AS block_s, hit_id,
  toUnixTimestamp64Milli(hit_time) AS hit_ms, toString(row_kind) AS row_kind, transaction_id, click_id,
  toUnixTimestamp64Milli(click_time) AS click_ms, offer_id, goal_id, affiliate_id, conv_status,
  toString(payout) AS payout, toString(amount) AS amount, currency, catalogue_version, ${CARRIED.join(', ')}`;

/** Created and changed rows of transactions, in the order of the log. */
export async function readHistories(
  clickhouse: ClickHouse,
  transactionIds: readonly string[],
): Promise<ReadonlyMap<string, readonly EventRow[]>> {
  const histories = new Map<string, EventRow[]>();
  const times = transactionIds.flatMap((id) => msOfUuidV7(id) ?? []);
  if (times.length === 0) return histories;
  const rows = await clickhouse.query<EventRow>(
    `SELECT ${EVENT_COLUMNS} FROM postback_log
     WHERE hit_time >= ${timeLiteral(Math.min(...times) - TIME_SLACK_MS)} AND row_kind IN ('conversion', 'change')
       AND transaction_id IN {ids:Array(String)}
     ORDER BY position, block_row`,
    { ids: transactionIds },
  );
  for (const row of rows) {
    const known = histories.get(row.transaction_id);
    if (known === undefined) histories.set(row.transaction_id, [row]);
    else known.push(row);
  }
  return histories;
}

/** What an event says, and whether its news is old. */
export interface StandingEvent {
  readonly row: EventRow;
  readonly convStatus: string;
  readonly previousStatus: string;
  /** A later event gave the transaction another status. */
  readonly superseded: boolean;
  readonly texts: MacroTexts;
}

const seconds = (ms: number | null): string => (ms === null ? '' : String(Math.floor(ms / 1000)));

/** The event of a hit within its transaction's history; undefined when the history lacks it or how it began. */
export function standingEvent(
  history: readonly EventRow[],
  hitId: string,
): StandingEvent | undefined {
  const at = history.findIndex((row) => row.hit_id === hitId);
  const row = history[at];
  const created = history.find(({ row_kind }) => row_kind === 'conversion');
  if (row === undefined || created === undefined) return undefined;
  const until = history.slice(0, at + 1);
  const last = (column: 'payout' | 'amount' | 'currency' | 'conv_status'): string =>
    until.findLast((past) => past[column] !== null && past[column] !== '')?.[column] ?? '';
  const convStatus = last('conv_status');
  const previousStatus =
    history.slice(0, at).findLast((past) => past.conv_status !== '')?.conv_status ?? '';
  const superseded = history
    .slice(at + 1)
    .some((later) => later.conv_status !== '' && later.conv_status !== convStatus);
  const texts = {
    ...Object.fromEntries(CARRIED.map((name) => [name, String(created[name] ?? '')])),
    click_id: created.click_id,
    transaction_id: created.transaction_id,
    offer_id: String(created.offer_id),
    goal_id: created.goal_id === 0 ? '' : String(created.goal_id),
    affiliate_id: String(created.affiliate_id),
    conv_status: convStatus,
    payout: last('payout'),
    amount: last('amount'),
    currency: last('currency'),
    event_time: seconds(row.hit_ms),
    conv_time: seconds(created.hit_ms),
    click_time: seconds(created.click_ms),
  };
  const { offer_id, goal_id, affiliate_id } = created;
  const whole = { ...row, offer_id, goal_id, affiliate_id };
  return { row: whole, convStatus, previousStatus, superseded, texts };
}
