/**
 * A hit: one HTTP call as the edge received it, before anyone has understood it.
 * Owns the shape that travels through spool and queue; decoding (`call.ts`) and judging it are in `src/domain/judge/`.
 */

export const ENDPOINTS = [
  'click',
  'goal-by-click-id',
  'goal',
  'conv',
  'conv-change',
  'conv-addchange',
  'promo',
  /** A conversion entered by hand, without a click: only in batches of that kind, no path of the front. */
  'manual',
  /** Any other path below /track/: stored so that it can be found, judged 120. */
  'unknown',
] as const;
export type Endpoint = (typeof ENDPOINTS)[number];
export type ConversionEndpoint = Exclude<Endpoint, 'click'>;

/** Those below /track/ that exist. */
export const CONVERSION_ENDPOINTS: readonly ConversionEndpoint[] = ENDPOINTS.filter(
  (name): name is Exclude<ConversionEndpoint, 'unknown' | 'manual'> =>
    name !== 'click' && name !== 'unknown' && name !== 'manual',
);

/** The paths that endpoints are called at; for `manual` and `unknown`, which have none, one that no other has. */
export const PATHS = Object.fromEntries(
  ENDPOINTS.map((name) => [name, name === 'click' ? '/click' : `/track/${name}`]),
) as Readonly<Record<Endpoint, string>>;

/** How a hit came in; the `channel` column. `postback`: no browser asked; `pixel`: one did. */
export const CHANNELS = ['postback', 'pixel', 'promo', 'batch', 'replay', 'manual'] as const;
export type Channel = (typeof CHANNELS)[number];

/** The form of the answer: `return=`, or what the browser asked for. */
export const RETURN_FORMS = ['img', 'js', 'iframe', 'json'] as const;
export type ReturnForm = (typeof RETURN_FORMS)[number];

/** What every hit carries. Strings are '' when absent. */
export interface RawHit {
  /** UUIDv7, lower case with dashes; also the transaction id if the hit becomes one. */
  readonly hitId: string;
  /** Receipt time at the edge, ms since 1970. */
  readonly receivedAtMs: number;
  readonly endpoint: Endpoint;
  readonly method: string;
  /** Path as sent, without the query; at most 2,048 characters are kept. */
  readonly path: string;
  /** Query as sent, without `?`, undecoded. The token is still in it: blank it before showing or storing rows. */
  readonly query: string;
  /** Body as sent. Bytes that are not UTF-8 are kept as base64 and `bodyIsBase64` is true. */
  readonly body: string;
  readonly bodyIsBase64: boolean;
  readonly contentType: string;
  /** Only the `slc_*` pairs of the Cookie header, joined by `; `. */
  readonly cookies: string;
  /** The visitor's or caller's address after trusted proxies, canonical text form. */
  readonly ip: string;
  readonly userAgent: string;
  readonly referer: string;
  /** A browser asked: Sec-Fetch-Dest, Origin, an image/script/frame Accept, or `return` of img, js or iframe. */
  readonly fromBrowser: boolean;
}

/** A click, fully understood at the edge because its answer depends on it. */
export interface ClickHit extends RawHit {
  readonly endpoint: 'click';
  /** 32 hex characters; '' for an invalid click: no id is minted, so a conversion can't refer to it. */
  readonly clickId: string;
  readonly offerId: number;
  readonly affiliateId: number;
  readonly advertiserId: number;
  /** Verdict the edge gave under the chunk's catalogue version (0, 105, 109, 110, 115, 120, 121). */
  readonly verdictCode: number;
  readonly detail: string;
}

/** Where a line of a batch file stood. */
export interface BatchPlace {
  /** From 1. CSV and NDJSON: the line as an editor counts it, where the record begins; JSON array: the element. */
  readonly line: number;
  /** Why the line can't be read; '' when it can. */
  readonly error: string;
}

export interface ConversionHit extends RawHit {
  readonly endpoint: ConversionEndpoint;
  /** Only of hits that came in a batch. */
  readonly batch?: BatchPlace;
}

/**
 * What the lines of a batch are. `postbacks`: calls of an advertiser. The others are made by the API alone, on behalf of
 * who asked it: changes of transactions, conversions without a click, calls that were rejected and are judged again.
 */
export const BATCH_KINDS = ['postbacks', 'corrections', 'manual', 'replay'] as const;
export type BatchKind = (typeof BATCH_KINDS)[number];

/** The batch that a chunk's hits came in. */
export interface BatchOrigin {
  readonly batchId: string;
  /** Only this advertiser's offers exist for the batch; 0: all do. */
  readonly advertiserId: number;
  readonly kind: BatchKind;
  /** Login or key name of who asked for it. */
  readonly author: string;
  /** Affiliates are not told of what the batch brings. */
  readonly suppressPostbacks: boolean;
}

export type Hit = ClickHit | ConversionHit;

/** The two kinds of chunk. */
export const CHUNK_KINDS = ['clicks', 'conversions'] as const;
export type ChunkKind = (typeof CHUNK_KINDS)[number];

/** What heads a chunk file and its job. */
export interface ChunkHeader {
  /** `<edge number>-<opened at ms>-<sequence>-<c|t>`, or `batch-<batch id>-<number>`; unique for ever, no colon (BullMQ forbids it in job ids). */
  readonly chunkId: string;
  readonly kind: ChunkKind;
  readonly edgeNumber: number;
  /** When the edge opened it, ms since 1970; every hit in it is received at or after this. Indexed in ClickHouse. */
  readonly openedAtMs: number;
  /** The catalogue version the edge had; constant within a chunk (a change of catalogue closes the chunk). */
  readonly catalogueVersion: number;
  /** Only of chunks made of a batch file. */
  readonly batch?: BatchOrigin;
}

/** A whole chunk, decoded. `hits.length` is the number of intact records; the job repeats it as `hitCount`. */
export interface Chunk {
  readonly header: ChunkHeader;
  readonly hits: readonly Hit[];
}

/** When the chunk of that id was opened, ms since 1970; undefined: the id does not say. */
export function openedAtMsOf(chunkId: string): number | undefined {
  const [edge = '', openedAtMs = ''] = chunkId.split('-');
  return /^\d+$/.test(edge) && /^\d+$/.test(openedAtMs) ? Number(openedAtMs) : undefined;
}
