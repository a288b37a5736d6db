/**
 * What the load is made of: requests as bytes, made before the clock starts as far as possible. Headers are those that
 * a browser or an advertiser's server sends, because an edge that is asked with none has little to copy.
 */
import { readFileSync } from 'node:fs';

/** A kind of traffic. `clickIds`: a file of 32-byte click ids, one after the other. */
export type Traffic =
  | { readonly kind: 'goal-gif' }
  | { readonly kind: 'click' }
  | { readonly kind: 'conversion'; readonly clickIdsFile: string; readonly skip: number };

export type RequestMaker = (index: number, mark: string) => string | Buffer;

const VARIANTS = 4_096;
const CLICK_ID_BYTES = 32;
export const OFFER_IDS = [16, 17, 18, 19] as const;
const AFFILIATE_IDS = [1, 2, 3, 4] as const;

const USER_AGENTS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15',
  'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
] as const;

function at<T>(items: readonly [T, ...T[]], index: number): T {
  return items[index % items.length] ?? items[0];
}

/** A public-looking address by number, never the same for two numbers below 2^24. */
export function visitorIp(index: number): string {
  return `77.${(index >>> 16) & 255}.${(index >>> 8) & 255}.${index & 255}`;
}

/** Header lines of a browser, for wrk and the generator alike. */
export function browserHeaders(index: number): readonly (readonly [string, string])[] {
  return [
    ['Host', 'track.example'],
    ['User-Agent', at(USER_AGENTS, index)],
    ['Accept', 'image/avif,image/webp,image/apng,image/*,*/*;q=0.8'],
    ['Accept-Language', 'en-GB,en;q=0.9,de;q=0.8'],
    ['Accept-Encoding', 'gzip, deflate, br'],
    ['Referer', 'https://blog.example/best-running-shoes'],
    ['X-Forwarded-For', visitorIp(index)],
  ];
}

function get(path: string, headers: readonly (readonly [string, string])[]): string {
  return `GET ${path} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

export function goalGifPath(): string {
  return '/track/goal?offer_id=16&return=img&amount=49.90&adv_order_id=A-4711';
}

export function goalCookie(clickId: string): readonly [string, string] {
  return ['Cookie', `slc_16=${clickId}; _ga=GA1.1.1837465.1719; consent=all`];
}

export function clickPath(index: number, mark: string): string {
  return `/click?o=${at(OFFER_IDS, index)}&a=${at(AFFILIATE_IDS, index >>> 2)}&sub_id1=newsletter&sub_id2=${index % 997}&aff_click_id=ac-${index}&source=blog${mark === '' ? '' : `&sub_id5=${mark}`}`;
}

function clickRequests(): RequestMaker {
  const ready = Array.from({ length: VARIANTS }, (_, index) =>
    Buffer.from(get(clickPath(index, ''), browserHeaders(index)), 'latin1'),
  );
  return (index, mark) =>
    (mark === '' ? ready[index % VARIANTS] : undefined) ??
    get(clickPath(index, mark), browserHeaders(index));
}

function goalGifRequests(): RequestMaker {
  const cookie = goalCookie('0123456789abcdef0123456789abcdef');
  const request = Buffer.from(get(goalGifPath(), [...browserHeaders(0), cookie]), 'latin1');
  return () => request;
}

/** Postbacks of distinct clicks with distinct track and order ids: each passes every check and claims. */
function conversionRequests(clickIdsFile: string, skip: number): RequestMaker {
  const ids = readFileSync(clickIdsFile);
  const known = ids.length / CLICK_ID_BYTES;
  const tail =
    ' HTTP/1.1\r\nHost: track.example\r\nUser-Agent: Acme-Postback/2.1\r\nAccept: */*\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n';
  return (index, mark) => {
    const number = skip + index;
    const from = (number % known) * CLICK_ID_BYTES;
    const id = ids.toString('latin1', from, from + CLICK_ID_BYTES);
    const marked = mark === '' ? '' : `&sub_id5=${mark}`;
    return `GET /track/goal-by-click-id?click_id=${id}&amount=49.90&currency=EUR&adv_order_id=O-${number}&track_id=t-${number}${marked}${tail}`;
  };
}

export function createRequests(traffic: Traffic): RequestMaker {
  if (traffic.kind === 'click') return clickRequests();
  return traffic.kind === 'goal-gif'
    ? goalGifRequests()
    : conversionRequests(traffic.clickIdsFile, traffic.skip);
}
