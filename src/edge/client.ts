/** Who asks, and in which form they want the answer: trusted proxies, browsers, `return`. */
import { RETURN_FORMS, type ReturnForm } from '../domain/hit.ts';
import { canonicalIp, matchingCidr } from '../domain/ip-rules.ts';
import { remembering } from '../domain/remembering.ts';
import type { EdgeRequest } from './uws-adapter.ts';

const IPV4 = /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/;

/** Addresses of which it is remembered whether they are trusted proxies. */
const REMEMBERED_MAX = 10_000;

export interface Client {
  readonly ip: string;
  readonly https: boolean;
}

export type ClientReader = (request: Omit<EdgeRequest, 'body'>) => Client;

/** `8.8.8.8:1234` and `[2a00::1]:1234`, as some balancers write. */
const WITH_PORT = /^(?:\[([^\]]*)\]|([^:]*))(?::\d+)?$/;

function withoutPort(hop: string): string {
  const [, v6, v4] = WITH_PORT.exec(hop) ?? [];
  return v6 ?? v4 ?? hop;
}

/**
 * What the client spoke, by X-Forwarded-Proto. `hop`: entries of X-Forwarded-For to the right of the client's, -1 when it
 * is in none. Where each proxy added to both lists, the same place counts; otherwise the nearest proxy's word, which may
 * be the only one.
 */
function protoOf(protos: string, hops: string, hop: number): string {
  if (!protos.includes(',')) return protos.trim();
  const list = protos.split(',');
  const isOfHops = list.length === hops.split(',').length;
  return (list.at(isOfHops && hop > 0 ? -1 - hop : -1) ?? '').trim();
}

/** X-Forwarded-For is read from the right: the first address that is no trusted proxy is the client. */
export function createClientReader(trustedProxies: readonly string[]): ClientReader {
  const peerIp = (peer: string): string => (IPV4.test(peer) ? peer : (canonicalIp(peer) ?? peer));
  if (trustedProxies.length === 0) return (request) => ({ ip: peerIp(request.peer), https: false });
  // Proxies are few and ask all the time; visitors' addresses come here too, so the memory is bounded.
  const isTrusted = remembering(
    REMEMBERED_MAX,
    (ip) => matchingCidr(ip, trustedProxies) !== undefined,
  );
  return (request) => {
    let ip = peerIp(request.peer);
    if (!isTrusted(ip)) return { ip, https: false };
    const hops = request.forwardedFor;
    let hop = -1;
    for (let end = hops.length; end >= 0;) {
      const comma = hops.lastIndexOf(',', end - 1);
      const address = canonicalIp(withoutPort(hops.slice(comma + 1, end).trim()));
      if (address === undefined) break;
      ip = address;
      hop++;
      if (comma < 0 || !isTrusted(ip)) break;
      end = comma;
    }
    const proto = protoOf(request.forwardedProto, hops, hop);
    return { ip, https: proto.toLowerCase() === 'https' };
  };
}

const RETURN_PARAMETER = /(?:^|&)return=([^&]+)/;

function asForm(text: string | undefined): ReturnForm | undefined {
  return RETURN_FORMS.find((form) => form === text);
}

/** What java.net.HttpURLConnection sends unless told otherwise; many advertisers' servers are not. */
const ACCEPT_OF_JAVA = 'text/html, image/gif, image/jpeg, *; q=.2';

function formOfBrowser(request: EdgeRequest): ReturnForm | undefined {
  switch (request.fetchDest) {
    case 'image':
      return 'img';
    case 'script':
      return 'js';
    case 'iframe':
    case 'frame':
    case 'embed':
    case 'object':
      return 'iframe';
    case '':
      break;
    default:
      return undefined;
  }
  // Browsers without Sec-Fetch-Dest tell by what they accept first.
  if (request.accept.startsWith('image/')) return 'img';
  if (
    request.accept.startsWith('application/javascript') ||
    request.accept.startsWith('text/javascript')
  )
    return 'js';
  return request.accept.startsWith('text/html') && !request.accept.startsWith(ACCEPT_OF_JAVA)
    ? 'iframe'
    : undefined;
}

export interface Wanted {
  readonly form: ReturnForm;
  readonly fromBrowser: boolean;
}

/** The answer's form, and whether a browser asked. `return` in the query decides, then in a form or JSON body, then headers. */
export function wantedForm(request: EdgeRequest, bodyReturn: string | undefined): Wanted {
  const asked = asForm(RETURN_PARAMETER.exec(request.query)?.[1]) ?? asForm(bodyReturn);
  const byHeaders = formOfBrowser(request);
  const tagged = asked !== undefined && asked !== 'json';
  // Scripts of browsers that know no Sec-Fetch (Safari before 16.4) tell by Origin.
  const bySender = request.fetchDest !== '' || request.origin !== '';
  return {
    form: asked ?? byHeaders ?? 'json',
    fromBrowser: tagged || byHeaders !== undefined || bySender,
  };
}

/** Only our cookies are kept: the rest is none of our business. */
export function clickCookies(header: string): string {
  let kept = '';
  // Straight to the next one: a browser sends dozens of others.
  for (let at = header.indexOf('slc_'); at >= 0; at = header.indexOf('slc_', at + 1)) {
    const before = header.slice(0, at).trimEnd();
    if (before !== '' && !before.endsWith(';')) continue;
    const semicolon = header.indexOf(';', at);
    const cookie = header.slice(at, semicolon < 0 ? undefined : semicolon).trimEnd();
    kept = kept === '' ? cookie : `${kept}; ${cookie}`;
  }
  return kept;
}
