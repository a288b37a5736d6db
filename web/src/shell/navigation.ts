/** What each role finds where. Only a convenience: what a user may do is decided by the API. */
import type { User } from '../../../src/domain/user.ts';

export interface NavigationGroup {
  readonly title: string;
  readonly items: readonly (readonly [href: string, label: string])[];
}

const REPORTS: NavigationGroup['items'] = [
  ['/reports/clicks', 'Clicks'],
  ['/reports/transactions', 'Transactions'],
  ['/reports/statistics', 'Statistics'],
];
const LOGS: NavigationGroup['items'] = [
  ['/reports/invalid-traffic', 'Invalid Traffic'],
  ['/reports/invalid-clicks', 'Invalid Clicks'],
  ['/reports/postbacks', 'Postbacks'],
];

const AFFILIATE_POSTBACKS = ['/reports/affiliate-postbacks', 'Affiliate Postbacks'] as const;

const BY_ROLE: Readonly<Record<User['role'], readonly NavigationGroup[]>> = {
  manager: [
    {
      title: 'Overview',
      items: [
        ['/', 'Dashboard'],
        ['/debugger', 'Debugger'],
        ['/batches', 'Batch upload'],
        ['/corrections', 'Corrections'],
      ],
    },
    { title: 'Reports', items: REPORTS },
    { title: 'Logs', items: [...LOGS, AFFILIATE_POSTBACKS] },
    {
      title: 'Catalogue',
      items: [
        ['/offers', 'Offers'],
        ['/affiliates', 'Affiliates'],
        ['/advertisers', 'Advertisers'],
      ],
    },
    {
      title: 'Access',
      items: [
        ['/users', 'Users'],
        ['/api-keys', 'API keys'],
      ],
    },
  ],
  advertiser: [
    {
      title: 'Overview',
      items: [
        ['/', 'Dashboard'],
        ['/offers', 'Offers'],
        ['/debugger', 'Debugger'],
      ],
    },
    {
      title: 'Assets',
      items: [
        ['/assets/tracking-link', 'Tracking Link'],
        ['/batches', 'Batch upload'],
        ['/corrections', 'Corrections'],
      ],
    },
    { title: 'Reports', items: REPORTS },
    { title: 'Logs', items: LOGS },
  ],
  affiliate: [
    {
      title: 'Overview',
      items: [
        ['/', 'Dashboard'],
        ['/offers', 'Offers'],
        ['/postbacks', 'Postback URLs'],
      ],
    },
    { title: 'Reports', items: REPORTS },
    { title: 'Logs', items: [AFFILIATE_POSTBACKS] },
  ],
};

export function navigationOf(role: User['role']): readonly NavigationGroup[] {
  return BY_ROLE[role];
}
