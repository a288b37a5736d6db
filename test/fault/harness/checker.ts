/**
 * Compares every acknowledged hit with the final rows, and judges all calls again with a plain model of its own, in the
 * order of the log: that order is the witness that some legal order of the calls explains every verdict.
 */
import type { ClickHouse } from '../../../clickhouse/client.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Ledger, SentCall } from './load.ts';

interface CallRow {
  readonly hit_id: string;
  readonly seq: number;
  readonly hit_ms: number;
  readonly verdict_code: number;
  readonly blocking_transaction_id: string;
  readonly replayed_from: string;
  readonly click_pending: number;
}

export interface Report {
  readonly clicks: number;
  readonly calls: number;
  /** Stored though never acknowledged: the answer was lost. */
  readonly unacknowledged: number;
  readonly replayed: number;
  readonly verdicts: Readonly<Record<string, number>>;
}

interface OfferRules {
  readonly zone: string;
  readonly oncePerClick?: boolean;
  readonly uniqueOrder?: boolean;
  readonly uniqueTrack?: boolean;
  readonly uniqueIpByHour?: boolean;
  readonly daily?: number;
  readonly total?: number;
  readonly affiliateDaily?: Readonly<Record<number, number>>;
}

/** test/fault/catalogue.yaml, by hand: the model must not share the product's reading of it. */
const RULES: Readonly<Record<number, OfferRules>> = {
  100: { zone: 'UTC', oncePerClick: true },
  101: { zone: 'Pacific/Kiritimati', uniqueOrder: true, uniqueTrack: true },
  102: { zone: 'Australia/Lord_Howe', uniqueIpByHour: true },
  103: { zone: 'America/New_York', daily: 120, total: 150, affiliateDaily: { 2: 40 } },
};

function periodLabel(zone: string, ms: number, hour: boolean): string {
  return new Intl.DateTimeFormat('en-CA', {
    timeZone: zone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    ...(hour && { hour: '2-digit', hourCycle: 'h23', timeZoneName: 'longOffset' }),
  }).format(ms);
}

/** Verdict code and blocking transaction of each call in turn. */
function createModel() {
  const held = new Map<string, string>();
  const counts = new Map<string, { count: number; last: string }>();

  function capKeys(rules: OfferRules, call: SentCall, ms: number): [key: string, limit: number][] {
    const { offerId, affiliateId } = call.click;
    const day = periodLabel(rules.zone, ms, false);
    const affiliateLimit = rules.affiliateDaily?.[affiliateId];
    return [
      [`${offerId} day ${day}`, rules.daily ?? Infinity],
      [`${offerId} total`, rules.total ?? Infinity],
      [`${offerId} affiliate ${affiliateId} day ${day}`, affiliateLimit ?? Infinity],
    ];
  }

  return function judge(call: SentCall, hitId: string, ms: number): [code: number, holder: string] {
    const { offerId, ip } = call.click;
    const rules = RULES[offerId];
    if (rules === undefined) throw new Error(`no rules for offer ${offerId}`);
    const keys = {
      click: `${offerId} click ${call.clickId}`,
      order: `${offerId} order ${call.orderId}`,
      ip: `${offerId} ip ${ip} ${rules.uniqueIpByHour === true ? periodLabel(rules.zone, ms, true) : ''}`,
      track: `${offerId} track ${call.trackId}`,
    };
    const holder = (key: string): string => held.get(key) ?? '';
    if (rules.oncePerClick === true && held.has(keys.click)) return [101, holder(keys.click)];
    if (rules.uniqueOrder === true && call.orderId !== '' && held.has(keys.order))
      return [122, holder(keys.order)];
    if (rules.uniqueIpByHour === true && held.has(keys.ip)) return [102, holder(keys.ip)];
    if (rules.uniqueTrack === true && call.trackId === '') return [103, ''];
    if (rules.uniqueTrack === true && held.has(keys.track)) return [103, holder(keys.track)];
    const caps = capKeys(rules, call, ms);
    for (const [key, limit] of caps) {
      const counted = counts.get(key) ?? { count: 0, last: '' };
      if (counted.count >= limit) return [107, counted.last];
    }
    for (const key of Object.values(keys)) if (!held.has(key)) held.set(key, hitId);
    for (const [key] of caps)
      counts.set(key, { count: (counts.get(key)?.count ?? 0) + 1, last: hitId });
    return [0, ''];
  };
}

async function readCalls(sql: ClickHouse): Promise<CallRow[]> {
  return sql.query<CallRow>(
    `SELECT hit_id, toUInt64OrZero(adv_param5) AS seq, toUnixTimestamp64Milli(hit_time) AS hit_ms, verdict_code,
       blocking_transaction_id, replayed_from, click_pending
     FROM postback_log ORDER BY lane, position, block_row`,
  );
}

/** What is wrong with the rows of one request. */
function faultOfRows(
  rows: readonly CallRow[],
  acknowledgedId: string | undefined,
): string | undefined {
  const originals = rows.filter(({ replayed_from }) => replayed_from === '');
  const replays = rows.filter(({ replayed_from }) => replayed_from !== '');
  if (originals.length === 0) return acknowledgedId === undefined ? undefined : 'missing';
  if (originals.length > 1) return 'stored twice';
  const [original] = originals;
  if (acknowledgedId !== undefined && original?.hit_id !== acknowledgedId) return 'another id';
  if (replays.length > 1) return 'replayed twice';
  if (original?.click_pending === 1 && replays.length === 0) return 'its click came, no replay';
  if (replays.length === 1 && original?.click_pending !== 1) return 'replayed without reason';
  return undefined;
}

/** Waits until every acknowledged hit has a row. */
export async function untilStored(
  sql: ClickHouse,
  ledger: Ledger,
  timeoutMs: number,
): Promise<void> {
  const acknowledged = [...ledger.acknowledged.keys()];
  const wanted = (kind: 'click' | 'call'): number =>
    acknowledged.filter((sequence) => ledger.sent.get(sequence)?.kind === kind).length;
  const [clicks, calls] = [wanted('click'), wanted('call')];
  let seen = '';
  await waitFor(
    async () => {
      let row: { clicks: number; calls: number; pending: number } | undefined;
      try {
        [row] = await sql.query(
          `SELECT (SELECT uniqExact(click_id) FROM click_log WHERE verdict_code = 0) AS clicks,
             (SELECT countIf(replayed_from = '') FROM postback_log) AS calls,
             (SELECT toInt64(countIf(click_pending = 1)) - countIf(replayed_from != '') FROM postback_log) AS pending`,
        );
        seen = JSON.stringify(row);
      } catch (error) {
        // It may be on its way back.
        seen = String(error);
      }
      return row !== undefined && row.clicks >= clicks && row.calls >= calls && row.pending <= 0;
    },
    { timeoutMs, intervalMs: 300, what: `${clicks} clicks and ${calls} calls` },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; ClickHouse has ${seen}`);
  });
}

/** Throws with the first faults found; otherwise reports what was compared. */
export async function check(sql: ClickHouse, ledger: Ledger): Promise<Report> {
  const faults: string[] = [];
  const clickRows = await sql.query<{ click_id: string; seq: number; n: number }>(
    `SELECT click_id, any(toUInt64OrZero(sub_id5)) AS seq, count() AS n FROM click_log WHERE verdict_code = 0 GROUP BY click_id`,
  );
  const stored = new Map(clickRows.map((row) => [row.click_id, row]));
  for (const { click_id, n } of clickRows) if (n > 1) faults.push(`click ${click_id}: ${n} rows`);
  const rows = await readCalls(sql);
  const bySequence = new Map<number, CallRow[]>();
  for (const row of rows) bySequence.set(row.seq, [...(bySequence.get(row.seq) ?? []), row]);
  for (const [sequence, sent] of ledger.sent) {
    const id = ledger.acknowledged.get(sequence);
    if (sent.kind === 'click') {
      if (id !== undefined && stored.get(id)?.seq !== sequence)
        faults.push(`click ${sequence} (${id}): missing`);
      continue;
    }
    const fault = faultOfRows(bySequence.get(sequence) ?? [], id);
    if (fault !== undefined) faults.push(`call ${sequence} (${id ?? 'unacknowledged'}): ${fault}`);
  }
  const judge = createModel();
  const verdicts: Record<string, number> = {};
  for (const row of rows) {
    const sent = ledger.sent.get(row.seq);
    if (sent?.kind !== 'call') {
      faults.push(`row ${row.hit_id}: nobody sent it`);
      continue;
    }
    verdicts[row.verdict_code] = (verdicts[row.verdict_code] ?? 0) + 1;
    if (row.click_pending === 1) continue;
    const [code, holder] = judge(sent, row.hit_id, row.hit_ms);
    if (code !== row.verdict_code || holder !== row.blocking_transaction_id)
      faults.push(
        `call ${row.seq}: verdict ${row.verdict_code} held by ${row.blocking_transaction_id}, the model says ${code} held by ${holder}`,
      );
  }
  if (faults.length > 0)
    throw new Error(`${faults.length} faults, the first: \n${faults.slice(0, 10).join('\n')}`);
  return {
    clicks: clickRows.length,
    calls: rows.length,
    unacknowledged: rows.filter(({ seq }) => !ledger.acknowledged.has(seq)).length,
    replayed: rows.filter(({ replayed_from }) => replayed_from !== '').length,
    verdicts,
  };
}
