/**
 * The job contract: one job a chunk, and its records: one line a hit, tab separated and escaped, which is cheap to make
 * and to read. The job carries the header; the records are in the content of the chunk's file, which goes to the worker
 * beside it (chunk-content.ts). Both producer and consumer use this.
 */
import { AppError } from '../domain/app-error.ts';
import {
  BATCH_KINDS,
  CHUNK_KINDS,
  ENDPOINTS,
  PATHS,
  type BatchOrigin,
  type ChunkHeader,
  type ChunkKind,
  type ClickHit,
  type ConversionHit,
  type Endpoint,
  type Hit,
  type RawHit,
} from '../domain/hit.ts';
import { remembering } from '../domain/remembering.ts';
import { headOfUuidV7, msOfHead } from '../domain/uuid-v7.ts';

export interface ChunkJob {
  readonly header: ChunkHeader;
  readonly hitCount: number;
}

/** Clicks go first: they have a queue of their own. So have batches, which must not stand before live calls. */
export const QUEUE_NAMES = ['clicks', 'conversions', 'batches'] as const;
export type QueueName = (typeof QUEUE_NAMES)[number];

/** The queue of live chunks of a kind. */
export function queueNameOf(kind: ChunkKind): QueueName {
  return kind;
}

const NEEDS_ESCAPE = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
};
/** What nearly every browser says of itself, spelled in two characters: an eighth of a click's record. */
const PHRASES: readonly (readonly [short: string, phrase: string])[] = [
  ['\\1', 'Mozilla/5.0 ('],
  ['\\2', 'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/'],
  ['\\3', 'AppleWebKit/605.1.15 (KHTML, like Gecko) Version/'],
];
const UNESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\',
  t: '\t',
  n: '\n',
  r: '\r',
  ...Object.fromEntries(PHRASES.map(([short, phrase]) => [short.slice(1), phrase])),
};

function escape(text: string): string {
  return NEEDS_ESCAPE.test(text) ? text.replace(/[\\\t\n\r]/g, (c) => ESCAPES[c] ?? c) : text;
}

function unescape(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\(.)/g, (_, c: string) => UNESCAPES[c] ?? c);
}

/** User agents of the edge or worker. */
const REMEMBERED_MAX = 2_000;

const shorten = remembering(REMEMBERED_MAX, (userAgent) =>
  PHRASES.reduce((text, [short, phrase]) => text.replace(phrase, short), escape(userAgent)),
);
const lengthen = remembering(REMEMBERED_MAX, unescape);

// Many hits share a millisecond.
let headMs = 0;
let head = headOfUuidV7(headMs);

/** '' for the time that is in the hit's id. */
function timeField({ receivedAtMs, hitId }: RawHit): string {
  if (receivedAtMs !== headMs) {
    headMs = receivedAtMs;
    head = headOfUuidV7(headMs);
  }
  return hitId.startsWith(head) ? '' : String(receivedAtMs);
}

/** What nearly all hits have is left out: GET, the endpoint's own path, false, the time of the id. */
function encodeRaw(hit: RawHit): string {
  const { hitId, endpoint } = hit;
  const method = hit.method === 'GET' ? '' : escape(hit.method);
  const path = hit.path === PATHS[endpoint] ? '' : escape(hit.path);
  const isBase64 = hit.bodyIsBase64 ? '1' : '';
  const fromBrowser = hit.fromBrowser ? '1' : '';
  return `${hitId}\t${timeField(hit)}\t${endpoint}\t${method}\t${path}\t${escape(hit.query)}\t${escape(hit.body)}\t${isBase64}\t${escape(hit.contentType)}\t${escape(hit.cookies)}\t${hit.ip}\t${shorten(hit.userAgent)}\t${escape(hit.referer)}\t${fromBrowser}`;
}

/** The record of a click: the request, and what the edge made of it. */
export function encodeClick(raw: RawHit, click: Omit<ClickHit, keyof RawHit>): string {
  return `${encodeRaw(raw)}\t${click.clickId}\t${click.offerId}\t${click.affiliateId}\t${click.advertiserId}\t${click.verdictCode}\t${escape(click.detail)}`;
}

/** One record, without a line end. */
export function encodeHit(hit: Hit): string {
  if (hit.endpoint === 'click') return encodeClick(hit, hit);
  const { batch } = hit;
  return batch === undefined
    ? encodeRaw(hit)
    : `${encodeRaw(hit)}\t${batch.line}\t${escape(batch.error)}`;
}

const ENDPOINTS_BY_NAME = new Map<string, Endpoint>(ENDPOINTS.map((name) => [name, name]));
const COMMON_FIELDS = 14;
const CLICK_FIELDS = 20;
const BATCH_FIELDS = 16;

export function unreadable(reason: string): never {
  throw new AppError('CHUNK_UNREADABLE', reason);
}

/** Decodes one record; throws CHUNK_UNREADABLE for a line that `encodeHit` can't have made. */
export function decodeHit(line: string): Hit {
  const fields = line.split('\t');
  const text = (index: number): string => unescape(fields[index] ?? '');
  const endpoint = ENDPOINTS_BY_NAME.get(fields[2] ?? '');
  const ofBatch = fields.length === BATCH_FIELDS;
  if (
    endpoint === undefined ||
    (endpoint === 'click'
      ? fields.length !== CLICK_FIELDS
      : fields.length !== COMMON_FIELDS && !ofBatch)
  ) {
    unreadable(`a record of ${fields.length} fields for endpoint ${String(fields[2])}`);
  }
  if (endpoint === 'click')
    return Object.assign(rawOf(endpoint, fields, text), {
      clickId: text(14),
      offerId: Number(fields[15]),
      affiliateId: Number(fields[16]),
      advertiserId: Number(fields[17]),
      verdictCode: Number(fields[18]),
      detail: text(19),
    });
  const hit: ConversionHit = rawOf(endpoint, fields, text);
  return ofBatch
    ? Object.assign(hit, { batch: { line: Number(fields[14]), error: text(15) } })
    : hit;
}

/** To be added to, not spread: an object that is put together by spreading has no fixed shape in V8, and took five times as long. */
function rawOf<Name extends Endpoint>(
  endpoint: Name,
  fields: readonly string[],
  text: (index: number) => string,
): RawHit & { readonly endpoint: Name } {
  const hitId = fields[0] ?? '';
  // Files from before they were left out have time, method and path.
  return {
    hitId,
    receivedAtMs: fields[1] === '' ? msOfHead(hitId) : Number(fields[1]),
    endpoint,
    method: text(3) || 'GET',
    path: text(4) || PATHS[endpoint],
    query: text(5),
    body: text(6),
    bodyIsBase64: fields[7] === '1',
    contentType: text(8),
    cookies: text(9),
    ip: text(10),
    userAgent: lengthen(fields[11] ?? ''),
    referer: text(12),
    fromBrowser: fields[13] === '1',
  };
}

function parseBatch(chunkId: string, value: unknown): BatchOrigin {
  if (typeof value === 'object' && value !== null) {
    const { batchId, advertiserId, kind, author, suppressPostbacks } = value as Record<
      string,
      unknown
    >;
    // Files and jobs from before there were kinds have none: they are postbacks.
    const knownKind = BATCH_KINDS.find((name) => name === (kind ?? 'postbacks'));
    if (
      typeof batchId === 'string' &&
      typeof advertiserId === 'number' &&
      knownKind !== undefined
    ) {
      return {
        batchId,
        advertiserId,
        kind: knownKind,
        author: typeof author === 'string' ? author : '',
        suppressPostbacks: suppressPostbacks === true,
      };
    }
  }
  return unreadable(`the header of chunk ${chunkId} names no batch and advertiser`);
}

/** The header of a job or a chunk file; throws CHUNK_UNREADABLE for anything else. */
export function parseHeader(value: unknown): ChunkHeader {
  if (typeof value !== 'object' || value === null) unreadable('a chunk without a header');
  const { chunkId, kind, edgeNumber, openedAtMs, catalogueVersion, batch } = value as Record<
    string,
    unknown
  >;
  const knownKind = CHUNK_KINDS.find((name) => name === kind);
  if (typeof chunkId !== 'string' || knownKind === undefined)
    unreadable('a chunk header without id or kind');
  if (
    typeof edgeNumber !== 'number' ||
    typeof openedAtMs !== 'number' ||
    typeof catalogueVersion !== 'number'
  ) {
    unreadable(`the header of chunk ${chunkId} lacks numbers`);
  }
  const header = { chunkId, kind: knownKind, edgeNumber, openedAtMs, catalogueVersion };
  return batch === undefined ? header : { ...header, batch: parseBatch(chunkId, batch) };
}
