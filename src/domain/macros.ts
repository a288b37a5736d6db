/** Landing and trafficback URLs: macros filled and URL-encoded, deep links only to hosts of the offer's list. */
import type { Offer } from './catalogue.ts';
import type { Parameters } from './parameters.ts';
import { remembering } from './remembering.ts';

const NUMBERED = [1, 2, 3, 4, 5];
const FROM_REQUEST = [
  'aff_click_id',
  'deep_link',
  'source',
  'idfa',
  'gaid',
  ...NUMBERED.map((n) => `sub_id${n}`),
  ...NUMBERED.map((n) => `aff_param${n}`),
];
const FROM_REQUEST_SET: ReadonlySet<string> = new Set(FROM_REQUEST);
const MACRO = /\{([a-z_]+[1-5]?)\}/;

export interface MacroValues {
  readonly clickId: string;
  readonly offerId: string;
  readonly affiliateId: string;
  readonly parameters: Parameters;
}

function valueOf(name: string, values: MacroValues): string | undefined {
  if (name === 'click_id') return values.clickId;
  if (name === 'offer_id') return values.offerId;
  if (name === 'affiliate_id') return values.affiliateId;
  return FROM_REQUEST_SET.has(name) ? (values.parameters.get(name) ?? '') : undefined;
}

/** What encodeURIComponent leaves as it is. */
const UNRESERVED = /^[\w.!~*'()-]*$/;

function encode(value: string): string {
  if (UNRESERVED.test(value)) return value;
  try {
    return encodeURIComponent(value);
  } catch {
    // A lone surrogate has no encoding.
    return encodeURIComponent(value.toWellFormed());
  }
}

/** Texts and names of macros in turn, a text first. */
function split(template: string): readonly string[] {
  return template.split(MACRO);
}

/** URLs of the catalogue whose parts are kept. */
const TEMPLATES_MAX = 2_000;

const partsOf = remembering(TEMPLATES_MAX, split);

/** Each `{macro}` becomes its URL-encoded value; an unknown one stays as it is. */
function fill(parts: readonly string[], values: MacroValues): string {
  let filled = parts[0] ?? '';
  for (let index = 1; index < parts.length; index += 2) {
    const name = parts[index] ?? '';
    const value = valueOf(name, values);
    filled += (value === undefined ? `{${name}}` : encode(value)) + (parts[index + 1] ?? '');
  }
  return filled;
}

function allowedDeepLink(deepLink: string, hosts: readonly string[]): boolean {
  if (deepLink === '' || hosts.length === 0 || !URL.canParse(deepLink)) return false;
  const url = new URL(deepLink);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return false;
  if (url.username !== '' || url.password !== '') return false;
  return hosts.some((host) => host.toLowerCase() === url.hostname);
}

/** The URL written so that it is a legal header value: no control characters, no bytes beyond ASCII. */
function headerSafe(url: string): string {
  return /^[\x21-\x7e]*$/.test(url) ? url : encodeURI(url.toWellFormed()).replaceAll('%25', '%');
}

/** Where a valid click goes. */
export function landingUrl(offer: Offer, values: MacroValues): string {
  const deepLink = values.parameters.get('deep_link') ?? '';
  // The link is normalised by the parser that checked it: what is compared is what is sent.
  const parts = allowedDeepLink(deepLink, offer.allowed_deep_link_hosts)
    ? split(new URL(deepLink).href.replaceAll('%7B', '{').replaceAll('%7D', '}'))
    : partsOf(offer.url);
  return headerSafe(fill(parts, values));
}

/** Where an invalid click goes, or undefined when neither the offer nor the network has a trafficback URL. */
export function trafficbackUrl(
  offer: Offer | undefined,
  globalUrl: string | null,
  values: MacroValues,
): string | undefined {
  const template = offer?.trafficback_url ?? globalUrl;
  return template ? headerSafe(fill(partsOf(template), values)) : undefined;
}
