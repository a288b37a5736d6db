/** Addresses: canonical text, what Unique IP compares, CIDR lists. Pure; built on ipaddr.js. */
import ipaddr from 'ipaddr.js';

/** Canonical text (v4-mapped IPv6 becomes IPv4), or undefined when the text is no address. */
export function canonicalIp(text: string): string | undefined {
  const trimmed = text.trim();
  if (!ipaddr.isValid(trimmed) || !/[.:]/.test(trimmed)) return undefined;
  if (!trimmed.includes(':') && !ipaddr.IPv4.isValidFourPartDecimal(trimmed)) return undefined;
  return ipaddr.process(trimmed).toString();
}

/** What Unique IP compares: an IPv4 address whole, an IPv6 address by its /64. '' for no address. */
export function uniqueIpOf(ip: string): string {
  const canonical = canonicalIp(ip);
  if (canonical === undefined) return '';
  if (!canonical.includes(':')) return canonical;
  const [a = 0, b = 0, c = 0, d = 0] = ipaddr.IPv6.parse(canonical).parts;
  return `${[a, b, c, d].map((part) => part.toString(16)).join(':')}::/64`;
}

/** A CIDR or a single address in normal form, or undefined. */
export function parseCidr(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] | undefined {
  try {
    if (text.includes('/')) return ipaddr.parseCIDR(text.trim());
    const address = ipaddr.process(text.trim());
    return [address, address.kind() === 'ipv4' ? 32 : 128];
  } catch {
    // The library reports a bad CIDR only by throwing.
    return undefined;
  }
}

/** The first of the CIDRs that holds the address, or undefined. */
export function matchingCidr(ip: string, cidrs: readonly string[]): string | undefined {
  const canonical = canonicalIp(ip);
  if (canonical === undefined) return undefined;
  const address = ipaddr.parse(canonical);
  return cidrs.find((text) => {
    const cidr = parseCidr(text);
    return cidr !== undefined && cidr[0].kind() === address.kind() && address.match(cidr);
  });
}
