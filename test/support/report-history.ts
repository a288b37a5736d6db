/** A history for the reports: clicks and calls at random and at the very edges of days, clock changes among them. */
import type { StoredRow } from './stored-rows.ts';

export interface History {
  readonly clicks: readonly StoredRow[];
  readonly calls: readonly StoredRow[];
  /** What became of the calls, changes counted in: a row for each transaction and each invalid call. */
  readonly outcomes: readonly StoredRow[];
}

/** Numbers in [0, 1), the same for the same seed. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Midnights of Berlin around both clock changes of 2026, and the changes themselves (01:00 UTC). */
const EDGES = [
  '2026-03-27T23:00:00Z',
  '2026-03-28T23:00:00Z',
  '2026-03-29T01:00:00Z',
  '2026-03-29T22:00:00Z',
  '2026-10-23T22:00:00Z',
  '2026-10-24T22:00:00Z',
  '2026-10-25T00:00:00Z',
  '2026-10-25T01:00:00Z',
  '2026-10-25T23:00:00Z',
].map((text) => Date.parse(text));
const FIRST_MS = Date.parse('2026-03-27T00:00:00Z');
const SPAN_MS = 3 * 86_400_000;

export const timeText = (ms: number): string =>
  new Date(ms).toISOString().replace('T', ' ').replace('Z', '');

export function createHistory(seed: number, size: number): History {
  const random = createRandom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const timeOf = (): number => {
    if (random() < 0.5) return pick(EDGES) + pick([-1, 0, 1, 59 * 60_000]);
    const start = random() < 0.5 ? FIRST_MS : FIRST_MS + (EDGES[4] ?? 0) - (EDGES[0] ?? 0);
    return start + Math.floor(random() * SPAN_MS);
  };
  let serial = 0;
  const idOf = (ms: number): string => {
    const hex = ms.toString(16).padStart(12, '0');
    const tail = (++serial).toString(16).padStart(12, '0');
    return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${tail}`;
  };
  const shared = (ms: number): StoredRow => ({
    hit_id: idOf(ms),
    hit_time: timeText(ms),
    offer_id: pick([10, 20]),
    affiliate_id: pick([1, 2]),
    advertiser_id: pick([1, 2]),
    country: pick(['DE', 'US', '']),
    device: pick(['mobile', 'desktop']),
    sub_id1: pick(['a', 'b', '']),
    sub_id2: pick(['x', 'y']),
    sub_id3: pick(['p', '']),
    sub_id4: pick(['q', '']),
    sub_id5: pick(['r', '']),
  });
  const clicks = Array.from({ length: size }, (): StoredRow => {
    const ms = timeOf();
    const verdict = random() < 0.8 ? [0, 'accepted'] : [115, 'offer_not_active'];
    return {
      ...shared(ms),
      click_time: timeText(ms),
      click_id: verdict[0] === 0 ? idOf(ms).replaceAll('-', '') : '',
      verdict_code: verdict[0],
      verdict: verdict[1],
    };
  });
  const made = Array.from({ length: size }, (): StoredRow => {
    const ms = timeOf();
    const base = {
      ...shared(ms),
      goal_id: pick([11, 12]),
      promo_code: pick(['', 'SPRING']),
      currency: pick(['EUR', 'USD']),
    };
    if (random() < 0.3)
      return { ...base, row_kind: 'invalid', verdict_code: 107, verdict: 'goal_cap_reached' };
    return {
      ...base,
      row_kind: 'conversion',
      transaction_id: (base as StoredRow)['hit_id'],
      verdict_code: 0,
      verdict: 'accepted',
      conv_status: pick(['approved', 'pending', 'rejected', 'hold']),
      payout: Math.floor(random() * 100_000) / 10_000,
      revenue: Math.floor(random() * 200_000) / 10_000,
    };
  });
  const changes = made
    .filter((row) => row['row_kind'] === 'conversion' && random() < 0.2)
    .map((row): StoredRow => {
      const ms = timeOf();
      return {
        hit_id: idOf(ms),
        hit_time: timeText(ms),
        offer_id: row['offer_id'],
        goal_id: row['goal_id'],
        affiliate_id: row['affiliate_id'],
        advertiser_id: row['advertiser_id'],
        row_kind: 'change',
        transaction_id: row['transaction_id'],
        verdict: 'accepted',
        conv_status: 'rejected',
        payout: random() < 0.5 ? 1.5 : null,
      };
    });
  const changeOf = new Map(changes.map((row) => [row['transaction_id'], row]));
  const outcomes = made.map((row): StoredRow => {
    const change = changeOf.get(row['transaction_id']);
    if (change === undefined) return row;
    return { ...row, conv_status: 'rejected', payout: change['payout'] ?? row['payout'] };
  });
  return { clicks, calls: [...made, ...changes], outcomes };
}
