/**
 * What a catalogue entity must look like, field by field, as it comes from YAML or REST: defaults filled in, unknown
 * fields refused by name. Rules between entities (references, uniqueness) are in `rules.ts`.
 */
import { z } from 'zod';
import { faultOfPostbackUrl } from '../domain/affiliate-postback-url.ts';
import {
  ADVERTISER_STATUSES,
  AFFILIATE_STATUSES,
  AVAILABILITIES,
  CONVERSION_STATUSES,
  DEPLOYMENT_STATUSES,
  GOAL_STATUSES,
  GOAL_TYPES,
  OFFER_STATUSES,
  POSTBACK_METHODS,
  POSTBACK_STATUSES,
  UNIQUE_IP_WINDOWS,
} from '../domain/catalogue.ts';
import { OFFER_ID_MAX } from '../domain/click-id.ts';
import { parseCidr } from '../domain/ip-rules.ts';
import { hashToken } from '../domain/judge/call.ts';
import { isTimeZone } from '../domain/time-buckets.ts';
import { isCurrency, isMoney, MONEY_RULE } from '../domain/values.ts';
import { faultText } from './fault-text.ts';

const ID_MAX = 2 ** 32 - 1;
const NAME_MAX = 200;
const URL_MAX = 4_000;

/** The highest id that an entity of a kind may have. */
export const idMaxOf = (kind: string): number => (kind === 'offers' ? OFFER_ID_MAX : ID_MAX);

const id = z.number().int().min(1).max(ID_MAX);
const name = z.string().trim().min(1).max(NAME_MAX);
const cap = z.number().int().min(0).nullable().default(null);
const caps = z.strictObject({ daily: cap, monthly: cap, total: cap });
const NO_CAPS = { daily: null, monthly: null, total: null };

/** Money as a number or as text; kept as text so that no float rounds it. */
const money = z
  .union([z.string(), z.number()], `must be ${MONEY_RULE}`)
  .transform(String)
  .pipe(z.string().refine(isMoney, `must be ${MONEY_RULE}`))
  .default('0');

function isHttpUrl(text: string): boolean {
  return (
    URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && !/[\s\p{Cc}]/u.test(text)
  );
}
const url = z.string().max(URL_MAX).refine(isHttpUrl, 'must be an http or https URL');
const cidrs = z
  .array(
    z.string().refine((text) => parseCidr(text) !== undefined, 'must be a CIDR like 10.0.0.0/8'),
  )
  .default([]);

/** A token or its stored form; only the hash is kept. */
const token = z
  .string()
  .min(1)
  .max(200)
  .transform((text) => (/^sha256:[0-9a-f]{64}$/.test(text) ? text : hashToken(text)))
  .pipe(z.string())
  .nullable()
  .default(null);

function isDate(text: string): boolean {
  return (
    /^\d{4}-\d{2}-\d{2}$/.test(text) &&
    new Date(`${text}T00:00:00Z`).toJSON()?.slice(0, 10) === text
  );
}
const date = z.string().refine(isDate, 'must be a date like 2026-05-31').nullable().default(null);

export const advertiserSchema = z.strictObject({
  id,
  name,
  status: z.enum(ADVERTISER_STATUSES).default('active'),
  token,
  require_token: z.boolean().default(false),
});

export const affiliateSchema = z.strictObject({
  id,
  name,
  status: z.enum(AFFILIATE_STATUSES).default('active'),
});

export const goalSchema = z.strictObject({
  id,
  offer_id: id,
  alias: z.string().trim().min(1).max(NAME_MAX),
  title: z.string().trim().max(NAME_MAX).default(''),
  status: z.enum(GOAL_STATUSES).default('active'),
  type: z.enum(GOAL_TYPES).default('CPA'),
  default: z.boolean().default(false),
  payout: money,
  revenue: money,
  currency: z
    .string()
    .refine(isCurrency, 'must be an ISO 4217 code like EUR')
    .toUpperCase()
    .default('USD'),
  conversion_status: z.enum(CONVERSION_STATUSES).default('approved'),
  multiple_conversions: z.boolean().default(false),
  unique_track_id: z.boolean().default(false),
  unique_order_id: z.boolean().default(false),
  caps: caps.default(NO_CAPS),
  affiliate_caps: z
    .record(z.string().regex(/^[1-9][0-9]*$/, 'must be an affiliate id'), caps)
    .default({}),
});

export const offerSchema = z.strictObject({
  id: id.max(OFFER_ID_MAX, `must be at most ${OFFER_ID_MAX}: a click id holds 24 bits of it`),
  advertiser_id: id,
  title: name,
  status: z.enum(OFFER_STATUSES).default('active'),
  url,
  availability: z.enum(AVAILABILITIES).default('public'),
  timezone: z
    .string()
    .refine(isTimeZone, 'must be an IANA time zone like Europe/Berlin')
    .default('UTC'),
  click_lifetime_days: z.number().min(0).max(3_650).default(30),
  unique_ip: z
    .strictObject({
      enabled: z.boolean().default(false),
      window: z.enum(UNIQUE_IP_WINDOWS).default('ever'),
    })
    .default({ enabled: false, window: 'ever' }),
  promo_codes_enabled: z.boolean().default(false),
  trafficback_url: url.nullable().default(null),
  allowed_deep_link_hosts: z
    .array(
      z
        .string()
        .trim()
        .toLowerCase()
        .regex(/^[a-z0-9.-]+$/, 'must be a host name like shop.example'),
    )
    .default([]),
  postback_ips: z.strictObject({ allow: cidrs, deny: cidrs }).default({ allow: [], deny: [] }),
});

export const deploymentSchema = z.strictObject({
  offer_id: id,
  affiliate_id: id,
  status: z.enum(DEPLOYMENT_STATUSES).default('approved'),
});

export const promoCodeSchema = z.strictObject({
  code: z.string().regex(/^[0-9A-Za-z]{1,100}$/, 'must be 1 to 100 Latin letters and digits'),
  affiliate_id: id,
  offer_id: id,
  start_date: date,
  end_date: date,
  description: z
    .string()
    .max(2_000)
    .nullable()
    .default('')
    .transform((text) => text ?? '')
    .pipe(z.string()),
});

export const affiliatePostbackSchema = z.strictObject({
  id,
  affiliate_id: id,
  offer_id: id.nullable().default(null),
  goal_id: id.nullable().default(null),
  url: z
    .string()
    .trim()
    .max(URL_MAX)
    .superRefine((text, context) => {
      const message = faultOfPostbackUrl(text);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    }),
  method: z.enum(POSTBACK_METHODS).default('GET'),
  statuses: z
    .array(z.enum(CONVERSION_STATUSES))
    .min(1, 'must name a status')
    .transform((statuses) => [...new Set(statuses)])
    .pipe(z.array(z.enum(CONVERSION_STATUSES)))
    .default(['approved']),
  status: z.enum(POSTBACK_STATUSES).default('active'),
});

/** One fault: the field's path, and what it must be. */
export interface Fault {
  readonly field: string;
  readonly message: string;
  /** The value is fine, but another entity has it. */
  readonly taken?: true;
}

/** The parsed value, or every fault with its path below `path`. */
export function parseEntity<T>(
  schema: z.ZodType<T>,
  value: unknown,
  path: string,
): { value: T } | { faults: Fault[] } {
  const parsed = schema.safeParse(value, { error: faultText });
  if (parsed.success) return { value: parsed.data };
  return {
    faults: parsed.error.issues.flatMap((issue) => {
      const at = issue.path
        .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
        .join('');
      if (issue.code === 'unrecognized_keys') {
        return issue.keys.map((key) => ({
          field: `${path}${at}.${key}`.replace(/^\./, ''),
          message: 'is not a field of this kind',
        }));
      }
      return [{ field: `${path}${at}`.replace(/^\./, '') || '(whole)', message: issue.message }];
    }),
  };
}
