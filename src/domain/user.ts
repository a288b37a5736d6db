/** A user of the console as everyone may see it; passwords and their rules are in `src/accounts/`. */
export const USER_ROLES = ['manager', 'advertiser', 'affiliate'] as const;
export const USER_STATUSES = ['active', 'disabled'] as const;

export interface User {
  readonly id: number;
  /** Small letters; unique. */
  readonly login: string;
  readonly name: string;
  readonly role: (typeof USER_ROLES)[number];
  /** Of an advertiser's user, else 0. */
  readonly advertiser_id: number;
  /** Of an affiliate's user, else 0. */
  readonly affiliate_id: number;
  readonly status: (typeof USER_STATUSES)[number];
}
