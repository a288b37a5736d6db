/**
 * Which addresses Sluice may send to on behalf of an affiliate: public ones, and what the operator allows. Pure.
 * Everything else is someone's inside: private, loopback, link-local, carrier NAT, tunnels that lead there, metadata.
 */
import ipaddr from 'ipaddr.js';
import { canonicalIp, matchingCidr } from './ip-rules.ts';

/** Public by number, an inside by meaning: Azure's metadata and DNS. */
const INSIDE = ['168.63.129.16/32'];
/** The only IPv6 space that is given out to the public; ranges within it that are not are told by the library. */
const PUBLIC_IPV6 = ['2000::/3'];

/** `allowed`: CIDRs of the operator. A mapped IPv4 address is judged as what it maps to. */
export function mayConnectTo(address: string, allowed: readonly string[]): boolean {
  const canonical = canonicalIp(address);
  if (canonical === undefined) return false;
  if (matchingCidr(canonical, allowed) !== undefined) return true;
  if (ipaddr.parse(canonical).range() !== 'unicast') return false;
  return canonical.includes(':')
    ? matchingCidr(canonical, PUBLIC_IPV6) !== undefined
    : matchingCidr(canonical, INSIDE) === undefined;
}

/** The address that a URL's host is, or undefined when it is a name. The URL parser has made 0x7f.1 into 127.0.0.1. */
export function literalAddress(hostname: string): string | undefined {
  return canonicalIp(hostname.replace(/^\[(.*)\]$/, '$1'));
}

/** Why a host can be refused before anyone resolves it, or undefined. */
export function faultOfHost(url: string, allowed: readonly string[]): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const { hostname } = new URL(url);
  const literal = literalAddress(hostname);
  if (literal !== undefined && !mayConnectTo(literal, allowed))
    return `${literal} is not a public address`;
  const isLocal = /(?:^|\.)(?:localhost|local|internal)\.?$/i.test(hostname);
  return isLocal && allowed.length === 0 ? `${hostname} is not a public host` : undefined;
}
