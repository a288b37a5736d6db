/**
 * The URL of an affiliate postback: its macros, what may stand in it, filling it. Pure, and for the console too. What the
 * network earns has no macro: a URL ends at the affiliate.
 */
const NUMBERED = [1, 2, 3, 4, 5];

/** What macros stand for, as of the event: everything as text, '' when absent. */
export const POSTBACK_MACROS = [
  'aff_click_id',
  'click_id',
  'transaction_id',
  'postback_id',
  'offer_id',
  'goal_id',
  'goal_alias',
  'affiliate_id',
  'conv_status',
  'payout',
  'currency',
  'amount',
  'promo_code',
  'track_id',
  'adv_order_id',
  'source',
  'country',
  'device',
  'event_time',
  'conv_time',
  'click_time',
  ...NUMBERED.map((n) => `sub_id${n}`),
  ...NUMBERED.map((n) => `aff_param${n}`),
];
const KNOWN: ReadonlySet<string> = new Set(POSTBACK_MACROS);
/** Anything in braces: a macro that is misspelt must be found, not sent. */
const BRACES = /\{([^{}]*)\}/g;

export type MacroTexts = Readonly<Record<string, string>>;

/** Names in braces that are no macros, in the order of the URL. */
export function unknownMacros(url: string): readonly string[] {
  return [...url.matchAll(BRACES)].flatMap(([, name = '']) => (KNOWN.has(name) ? [] : [name]));
}

function encode(text: string): string {
  // A lone surrogate has no encoding.
  return encodeURIComponent(text.toWellFormed());
}

/** The URL with its macros filled and URL-encoded. */
export function fillPostbackUrl(template: string, texts: MacroTexts): string {
  return template.replace(BRACES, (whole, name: string) =>
    KNOWN.has(name) ? encode(texts[name] ?? '') : whole,
  );
}

const PORT_UNPRIVILEGED_MIN = 1024;

/**
 * Why a URL can't be sent to, or undefined. Macros are allowed after the host only: whoever clicks must not choose where
 * a postback goes. Whether the host's addresses are public is asked when it is sent (`outgoing-address.ts`).
 */
export function faultOfPostbackUrl(url: string): string | undefined {
  if (/[\s\p{Cc}]/u.test(url) || !URL.canParse(url)) return 'must be an http or https URL';
  const parsed = new URL(url);
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
    return 'must be an http or https URL';
  if (parsed.username !== '' || parsed.password !== '') return 'must not hold a name or password';
  if (/^[a-z]+:\/\/[^/?#]*[{}]/i.test(url)) return 'must not have a macro in its host';
  const port = Number(parsed.port);
  if (parsed.port !== '' && port !== 80 && port !== 443 && port < PORT_UNPRIVILEGED_MIN)
    return 'must have port 80, 443 or one from 1024';
  const [unknown] = unknownMacros(url);
  return unknown === undefined ? undefined : `{${unknown.slice(0, 60)}} is no macro`;
}
