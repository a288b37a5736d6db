/** Which columns each report has for a role, which are shown at first, and how a column's values are to be read. */
import { REPORTS } from '../../../src/reports/definitions.ts';
import { hiddenColumnsOf, type Principal } from '../../../src/reports/principal.ts';
import type { User } from '../../../src/domain/user.ts';

export const REPORT_TITLES: Readonly<Record<string, string>> = {
  clicks: 'Clicks',
  transactions: 'Transactions',
  statistics: 'Statistics',
  'invalid-traffic': 'Invalid Traffic',
  'invalid-clicks': 'Invalid Clicks',
  postbacks: 'Postbacks',
  'affiliate-postbacks': 'Affiliate Postbacks',
};

const SHOWN: Readonly<Record<string, readonly string[]>> = {
  clicks: [
    'hit_time',
    'click_id',
    'offer_id',
    'affiliate_id',
    'sub_id1',
    'source',
    'country',
    'device',
    'ip',
  ],
  'invalid-clicks': [
    'hit_time',
    'title',
    'detail',
    'offer_id',
    'affiliate_id',
    'query',
    'country',
    'ip',
  ],
  transactions: [
    'hit_time',
    'transaction_id',
    'offer_id',
    'goal_id',
    'affiliate_id',
    'conv_status',
    'payout',
    'revenue',
    'amount',
    'promo_code',
    'adv_order_id',
    'click_id',
    'channel',
  ],
  'invalid-traffic': [
    'hit_time',
    'title',
    'detail',
    'hint',
    'replayed_as',
    'offer_id',
    'goal_id',
    'affiliate_id',
    'click_id',
    'promo_code',
    'endpoint',
    'ip',
  ],
  postbacks: [
    'hit_time',
    'verdict',
    'title',
    'endpoint',
    'query',
    'offer_id',
    'goal_id',
    'affiliate_id',
    'channel',
    'ip',
  ],
  'affiliate-postbacks': [
    'attempt_time',
    'outcome',
    'attempt',
    'status_code',
    'duration_ms',
    'url',
    'answer',
    'error',
    'affiliate_id',
    'offer_id',
    'conv_status',
    'next_attempt_time',
  ],
};

/** What is hidden hangs on the role alone. */
const ROLE_ONLY: Readonly<Record<User['role'], Principal>> = {
  manager: { role: 'manager', name: '' },
  advertiser: { role: 'advertiser', name: '', advertiserId: 0 },
  affiliate: { role: 'affiliate', name: '', affiliateId: 0 },
};

export interface Column {
  readonly name: string;
  readonly type: string;
}

/** Every column of a report that this role may see, in the API's order. */
export function columnsOf(report: string, role: User['role']): readonly Column[] {
  const columns = REPORTS.get(report)?.columns ?? new Map<string, string>();
  const hidden = hiddenColumnsOf(ROLE_ONLY[role]);
  return [...columns]
    .filter(([name]) => !hidden.has(name))
    .filter(([name]) => role === 'manager' || name !== `${role}_id`)
    .map(([name, type]) => ({ name, type }));
}

/** The columns shown until others are chosen. */
export function shownAtFirst(report: string, role: User['role']): readonly string[] {
  const allowed = new Set(columnsOf(report, role).map(({ name }) => name));
  return (SHOWN[report] ?? []).filter((name) => allowed.has(name));
}

export function mayRead(report: string, role: User['role']): boolean {
  return report === 'statistics' || REPORTS.get(report)?.roles.includes(role) === true;
}

export const isNumeric = (type: string): boolean => type === 'Decimal';
const WRAPPED = new Set(['detail', 'hint', 'query', 'body', 'url', 'answer', 'error']);
export const isWrapped = (name: string): boolean => WRAPPED.has(name);
