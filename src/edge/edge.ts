/**
 * The front's logic: routes a request, makes the hit, and answers only when the hit is in the spool. The hits of one
 * event-loop tick share one write a kind. Never waits for Redis, ClickHouse or the catalogue store (invariant 8).
 */
import type { Logger } from 'pino';
import { messageOf } from '../domain/app-error.ts';
import type { CatalogueSnapshot } from '../domain/catalogue.ts';
import { createClickIdCodec, type ClickIdCodec } from '../domain/click-id.ts';
import {
  ENDPOINTS,
  type ChunkKind,
  type ConversionEndpoint,
  type ConversionHit,
  type RawHit,
} from '../domain/hit.ts';
import { judgeClick } from '../domain/judge-click.ts';
import { landingUrl, trafficbackUrl } from '../domain/macros.ts';
import { parseBody, parseQuery } from '../domain/parameters.ts';
import { encodeHit } from '../queue/chunk-job.ts';
import type { ChunkWriter } from '../spool/chunk-writer.ts';
import type { ClickClock } from '../spool/click-clock.ts';
import {
  acceptedAnswer,
  invalidClickPage,
  jsonAnswer,
  notStoredAnswer,
  preflightAnswer,
  redirectAnswer,
  type Answer,
} from './answers.ts';
import { clickCookies, wantedForm, type Client, type ClientReader } from './client.ts';
import type { EdgeCounters } from './counters.ts';
import type { EdgeRequest, Respond } from './uws-adapter.ts';

export interface EdgeDeps {
  readonly snapshot: () => CatalogueSnapshot;
  readonly writer: ChunkWriter;
  readonly clickClock: ClickClock;
  readonly hitIds: () => string;
  readonly edgeNumber: number;
  readonly clientOf: ClientReader;
  readonly trafficbackUrl: string | null;
  readonly clock: () => number;
  readonly counters: EdgeCounters;
  readonly logger: Logger;
  /** Answers of /healthz, /readyz and /metrics. */
  readonly status: (path: string, respond: Respond) => boolean;
}

interface Pending {
  readonly receivedAtMs: number;
  readonly kind: ChunkKind;
  readonly record: string;
  readonly answer: Answer;
  readonly respond: Respond;
}

/** Kept of a path and of headers that end up in rows. */
const TEXT_MAX = 2_048;
const SECONDS_A_DAY = 86_400;
const METHODS = new Set(['GET', 'HEAD', 'POST']);
const CONVERSIONS: ReadonlyMap<string, ConversionEndpoint> = new Map(
  ENDPOINTS.filter((name) => name !== 'click' && name !== 'unknown').map((name) => [
    `/track/${name}`,
    name,
  ]),
);

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decodeBody(request: EdgeRequest): { body: string; bodyIsBase64: boolean } {
  if (request.body.length === 0) return { body: '', bodyIsBase64: false };
  const encoded = request.contentEncoding !== '' && request.contentEncoding !== 'identity';
  try {
    if (!encoded) return { body: utf8.decode(request.body), bodyIsBase64: false };
  } catch {
    // Not UTF-8: kept as it came, judged 120 by the worker.
  }
  return { body: request.body.toString('base64'), bodyIsBase64: true };
}

function rawHit(
  deps: EdgeDeps,
  request: EdgeRequest,
  client: Client,
  fromBrowser: boolean,
): Omit<RawHit, 'endpoint'> {
  return {
    hitId: deps.hitIds(),
    receivedAtMs: deps.clock(),
    method: request.method,
    path: request.path.slice(0, TEXT_MAX),
    query: request.query,
    ...decodeBody(request),
    contentType: request.contentType.slice(0, TEXT_MAX),
    cookies: clickCookies(request.cookie),
    ip: client.ip,
    userAgent: request.userAgent.slice(0, TEXT_MAX),
    referer: request.referer.slice(0, TEXT_MAX),
    fromBrowser,
  };
}

function cookieOf(offerId: number, clickId: string, lifetimeDays: number, https: boolean): string {
  const maxAge = Math.max(1, Math.round(lifetimeDays * SECONDS_A_DAY));
  const site = https ? 'SameSite=None; Secure' : 'SameSite=Lax';
  return `slc_${offerId}=${clickId}; Path=/; Max-Age=${maxAge}; HttpOnly; ${site}`;
}

export interface Edge {
  handle(request: EdgeRequest, respond: Respond): void;
}

export function createEdge(deps: EdgeDeps): Edge {
  let pending: Pending[] = [];
  let scheduled = false;
  /** When the first hit of this tick came: a chunk opened for them must not be younger than any click id in it. */
  let tickStartedMs = 0;
  let codec: ClickIdCodec | undefined;
  let codecVersion = -1;

  function codecNow(snapshot: CatalogueSnapshot): ClickIdCodec {
    if (codec === undefined || codecVersion !== snapshot.version) {
      codec = createClickIdCodec(snapshot.state.click_id_keys);
      codecVersion = snapshot.version;
    }
    return codec;
  }

  function answerAll(batch: readonly Pending[]): void {
    for (const { answer, respond } of batch) respond(answer);
  }

  function refuseAll(batch: readonly Pending[], error: unknown): void {
    deps.counters.refuse('not_stored', batch.length);
    const answer = notStoredAnswer(messageOf(error));
    for (const { respond } of batch) respond(answer);
  }

  function store(kind: ChunkKind, batch: readonly Pending[]): void {
    if (batch.length === 0) return;
    try {
      deps.writer.append(
        kind,
        batch.map(({ record }) => record),
        tickStartedMs,
      );
    } catch (error) {
      deps.counters.spoolWritable = false;
      refuseAll(batch, error);
      return;
    }
    deps.counters.spoolWritable = true;
    deps.counters.store(kind, batch.length);
    answerAll(batch);
  }

  function flush(): void {
    scheduled = false;
    const batch = pending;
    pending = [];
    store(
      'clicks',
      batch.filter(({ kind }) => kind === 'clicks'),
    );
    store(
      'conversions',
      batch.filter(({ kind }) => kind === 'conversions'),
    );
    deps.writer.closeDue();
  }

  function enqueue(item: Pending): void {
    pending.push(item);
    if (scheduled) return;
    scheduled = true;
    tickStartedMs = item.receivedAtMs;
    // After the poll phase: every request that this tick brought is in `pending` by then.
    setImmediate(flush);
  }

  function handleClick(request: EdgeRequest, respond: Respond): void {
    const snapshot = deps.snapshot();
    const client = deps.clientOf(request);
    const body = request.body.length === 0 ? '' : decodeBody(request).body;
    const parsedBody = parseBody(body, request.contentType);
    const parameters =
      request.query === '' && parsedBody.readable
        ? parsedBody.parameters
        : parseQuery(request.query);
    const judged = judgeClick(snapshot, parameters);
    const { verdict, offer } = judged;
    const valid = verdict.code === 0 && offer !== undefined;
    const wantsJson = parameters.get('return') === 'click_id';
    const raw = rawHit(deps, request, client, request.fetchDest !== '');
    let clickId = '';
    let receivedAtMs = raw.receivedAtMs;
    if (valid) {
      const { ms, sequence } = deps.clickClock.next();
      clickId = codecNow(snapshot).mint(ms, offer.id, deps.edgeNumber, sequence);
      receivedAtMs = Math.max(receivedAtMs, ms);
    }
    const values = {
      clickId,
      offerId: offer === undefined ? (parameters.get('o') ?? '') : String(offer.id),
      affiliateId:
        judged.affiliateId === 0 ? (parameters.get('a') ?? '') : String(judged.affiliateId),
      parameters,
    };
    const record = encodeHit({
      ...raw,
      receivedAtMs,
      endpoint: 'click',
      clickId,
      offerId: offer?.id ?? 0,
      affiliateId: judged.affiliateId,
      advertiserId: offer?.advertiser_id ?? 0,
      verdictCode: verdict.code,
      detail: judged.detail,
    });
    const slug: readonly [string, string] = ['X-Sluice-Verdict', verdict.slug];
    let answer: Answer;
    if (valid) {
      const cookie = cookieOf(offer.id, clickId, offer.click_lifetime_days, client.https);
      answer = wantsJson
        ? jsonAnswer(
            '200 OK',
            { click_id: clickId },
            [slug, ['Set-Cookie', cookie]],
            request.origin,
          )
        : redirectAnswer(landingUrl(offer, values), verdict.slug, cookie);
    } else if (wantsJson) {
      const problem = { error: verdict.slug, title: verdict.title, detail: judged.detail };
      answer = jsonAnswer('404 Not Found', problem, [slug], request.origin);
    } else {
      const back = trafficbackUrl(offer, deps.trafficbackUrl, values);
      answer =
        back === undefined
          ? invalidClickPage(verdict.slug, verdict.title)
          : redirectAnswer(back, verdict.slug, '');
    }
    enqueue({ kind: 'clicks', receivedAtMs: raw.receivedAtMs, record, answer, respond });
  }

  function handleConversion(
    endpoint: ConversionEndpoint,
    request: EdgeRequest,
    respond: Respond,
  ): void {
    const { body, bodyIsBase64 } = decodeBody(request);
    const parsed = body === '' || bodyIsBase64 ? undefined : parseBody(body, request.contentType);
    const wanted = wantedForm(
      request,
      parsed?.readable === true ? parsed.parameters.get('return') : undefined,
    );
    const hit: ConversionHit = {
      ...rawHit(deps, request, deps.clientOf(request), wanted.fromBrowser),
      endpoint,
    };
    const answer =
      endpoint === 'unknown'
        ? jsonAnswer(
            '404 Not Found',
            { error: `${request.path.slice(0, 200)} is no endpoint`, hit_id: hit.hitId },
            [],
            request.origin,
          )
        : acceptedAnswer(wanted.form, hit.hitId, request.origin);
    enqueue({
      kind: 'conversions',
      receivedAtMs: hit.receivedAtMs,
      record: encodeHit(hit),
      answer,
      respond,
    });
  }

  function refuse(reason: string, answer: Answer, respond: Respond): void {
    deps.counters.refuse(reason, 1);
    respond(answer);
  }

  return {
    handle(request, respond) {
      const { path, method } = request;
      const isClick = path === '/click';
      const endpoint = isClick ? undefined : CONVERSIONS.get(path);
      if (!isClick && endpoint === undefined && !path.startsWith('/track/')) {
        if (deps.status(path, respond)) return;
        refuse(
          'unknown_path',
          jsonAnswer('404 Not Found', { error: 'not found' }, [], request.origin),
          respond,
        );
        return;
      }
      if (method === 'OPTIONS') {
        refuse('preflight', preflightAnswer(request.origin), respond);
        return;
      }
      if (!METHODS.has(method)) {
        const allow: readonly [string, string] = ['Allow', 'GET, HEAD, POST, OPTIONS'];
        refuse(
          'method',
          jsonAnswer('405 Method Not Allowed', { error: `${method.slice(0, 20)} is not allowed` }, [
            allow,
          ]),
          respond,
        );
        return;
      }
      if (deps.snapshot().version === 0) {
        refuse('no_catalogue', notStoredAnswer('no catalogue is known yet'), respond);
        return;
      }
      try {
        if (isClick) handleClick(request, respond);
        else handleConversion(endpoint ?? 'unknown', request, respond);
      } catch (error) {
        // A full disk (click clock), or a request that meets a bug of ours: that one request is refused, loudly.
        deps.logger.error(
          { error: messageOf(error), path: path.slice(0, 200) },
          'a request was not stored',
        );
        refuse('not_stored', notStoredAnswer('not stored'), respond);
      }
    },
  };
}
