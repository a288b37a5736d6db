/** Addresses: canonical text, what Unique IP compares, CIDR lists. Pure; built on ipaddr.js. */
import ipaddr from 'ipaddr.js';

/** Refuses what the library reads generously: `10` as 0.0.0.10, `010.0.0.1` as octal. */
function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const isPlain = text.includes(':')
    ? ipaddr.IPv6.isValid(text)
    : ipaddr.IPv4.isValidFourPartDecimal(text);
  return isPlain ? ipaddr.parse(text) : undefined;
}

/** Four decimal parts without leading zeros: canonical as it stands, which nearly every address is. */
const CANONICAL_IPV4 =
  /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

/** Canonical text (v4-mapped IPv6 becomes IPv4, a zone such as `%eth0` goes), or undefined when the text is no address. */
export function canonicalIp(text: string): string | undefined {
  if (CANONICAL_IPV4.test(text)) return text;
  const address = parseAddress(text.trim().replace(/%[0-9A-Za-z]+$/, ''));
  return address === undefined ? undefined : ipaddr.process(address.toString()).toString();
}

/** Begins a stored hash of an address (`ip-storage.ts`); no address does. */
export const IP_KEY_PREFIX = 'h:';

export function isIpKey(text: string): boolean {
  return text.startsWith(IP_KEY_PREFIX);
}

/** What `uniqueIpOf` makes of an IPv6 address; no address ends like that. */
const IPV6_NETWORK = /^[0-9a-f:]+::\/64$/;

/**
 * What Unique IP compares: an IPv4 address whole, an IPv6 address by its /64. What is compared already, a stored hash
 * too, stays as it is. '' for anything else.
 */
export function uniqueIpOf(ip: string): string {
  if (isIpKey(ip) || IPV6_NETWORK.test(ip)) return ip;
  const canonical = canonicalIp(ip);
  if (canonical === undefined) return '';
  if (!canonical.includes(':')) return canonical;
  const [a = 0, b = 0, c = 0, d = 0] = ipaddr.IPv6.parse(canonical).parts;
  return `${[a, b, c, d].map((part) => part.toString(16)).join(':')}::/64`;
}

/** A v4-mapped IPv6 address stands for an IPv4 one in all its bits but the first 96. */
const MAPPED_BITS = 96;

/** A CIDR or a single address in normal form, or undefined. */
export function parseCidr(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] | undefined {
  const [, base = '', bits] = /^([0-9A-Fa-f.:]+)(?:\/([0-9]{1,3}))?$/.exec(text.trim()) ?? [];
  const address = parseAddress(base);
  if (address === undefined) return undefined;
  const bitsMax = address.kind() === 'ipv4' ? 32 : 128;
  const prefix = bits === undefined ? bitsMax : Number(bits);
  if (prefix > bitsMax) return undefined;
  const plain = ipaddr.process(base);
  // Addresses are compared as IPv4 when they are mapped, so a mapped range must be IPv4 too.
  return plain.kind() !== address.kind() && prefix >= MAPPED_BITS
    ? [plain, prefix - MAPPED_BITS]
    : [address, prefix];
}

interface ParsedCidr {
  readonly text: string;
  readonly cidr: [ipaddr.IPv4 | ipaddr.IPv6, number];
}

/** Lists are constant (settings, an offer of a catalogue version): each is parsed once. */
const parsedLists = new WeakMap<readonly string[], readonly ParsedCidr[]>();

function parseList(cidrs: readonly string[]): readonly ParsedCidr[] {
  const known = parsedLists.get(cidrs);
  if (known !== undefined) return known;
  const parsed = cidrs.flatMap((text) => {
    const cidr = parseCidr(text);
    return cidr === undefined ? [] : [{ text, cidr }];
  });
  parsedLists.set(cidrs, parsed);
  return parsed;
}

/** The first of the CIDRs that holds the address, or undefined. The list must not change. */
export function matchingCidr(ip: string, cidrs: readonly string[]): string | undefined {
  if (cidrs.length === 0) return undefined;
  const canonical = canonicalIp(ip);
  if (canonical === undefined) return undefined;
  const address = ipaddr.parse(canonical);
  return parseList(cidrs).find(
    ({ cidr }) => cidr[0].kind() === address.kind() && address.match(cidr),
  )?.text;
}
