/**
 * How visitors' addresses are kept: whole, cut, or as a keyed hash. Unique IP stays exact in every mode, also across a
 * change from whole addresses to another mode: what is compared is then always the hash of the whole address (of its
 * /64 for IPv6). Back to whole addresses, visitors who were hashed are not recognised.
 */
import { createHmac } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import { canonicalIp, isIpKey, IP_KEY_PREFIX, uniqueIpOf } from './ip-rules.ts';

export const IP_STORAGE_MODES = ['full', 'truncated', 'hashed'] as const;
export type IpStorageMode = (typeof IP_STORAGE_MODES)[number];

export interface IpStorage {
  /** True when addresses are compared by their hashes. */
  readonly hashes: boolean;
  /** What an `ip` column holds of an address: whole; IPv4 by its /24 and IPv6 by its /48; or its key. */
  shown(ip: string): string;
  /** What Unique IP compares, of an address or of what it compares already; '' for neither. */
  key(ipOrKey: string): string;
  /** A stored request or detail without the whole address; `ips` are those known to be in it. */
  blank(text: string, ips: readonly string[]): string;
}

const HASH_HEX = 32;
const IP_PARAMETER = /(^|[?&])ip=[^&]*/gi;
const IP_IN_JSON = /("ip"\s*:\s*)"[^"]*"/gi;

export const FULL_IPS: IpStorage = {
  hashes: false,
  shown: (ip) => ip,
  key: uniqueIpOf,
  blank: (text) => text,
};

function truncate(ip: string): string {
  const canonical = canonicalIp(ip);
  if (canonical === undefined) return '';
  const address = ipaddr.parse(canonical);
  if (address instanceof ipaddr.IPv4) return `${address.octets.slice(0, 3).join('.')}.0`;
  return `${address.parts
    .slice(0, 3)
    .map((part) => part.toString(16))
    .join(':')}::`;
}

/** `secret` must be the same in every worker, and for ever: hashes of another one match nothing. */
export function createIpStorage(mode: IpStorageMode, secret: string): IpStorage {
  if (mode === 'full') return FULL_IPS;
  const key = (ipOrKey: string): string => {
    if (isIpKey(ipOrKey)) return ipOrKey;
    const unique = uniqueIpOf(ipOrKey);
    if (unique === '') return '';
    const hash = createHmac('sha256', secret).update(unique).digest('hex').slice(0, HASH_HEX);
    return `${IP_KEY_PREFIX}${hash}`;
  };
  const shown = (ip: string): string => (mode === 'hashed' || isIpKey(ip) ? key(ip) : truncate(ip));
  return {
    hashes: true,
    shown,
    key,
    blank(text, ips) {
      let blanked = text.replace(IP_PARAMETER, '$1ip=***').replace(IP_IN_JSON, '$1"***"');
      for (const ip of ips) if (ip !== '') blanked = blanked.replaceAll(ip, shown(ip));
      return blanked;
    },
  };
}
