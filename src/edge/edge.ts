/**
 * The front's routing: what is a hit is made, stored and answered; what is none is refused and counted. Never waits for
 * Redis, ClickHouse or the catalogue store (invariant 8).
 */
import type { Logger } from 'pino';
import { messageOf } from '../domain/app-error.ts';
import type { CatalogueSnapshot } from '../domain/catalogue.ts';
import { createClickIdCodec, type ClickIdCodec } from '../domain/click-id.ts';
import type { Reach } from '../domain/crash-points.ts';
import {
  CONVERSION_ENDPOINTS,
  PATHS,
  type ConversionEndpoint,
  type Endpoint,
} from '../domain/hit.ts';
import type { ChunkWriter } from '../spool/chunk-writer.ts';
import {
  jsonAnswer,
  methodAnswer,
  notStoredAnswer,
  preflightAnswer,
  type Answer,
} from './answers.ts';
import { receiveClick, type ClickDeps } from './click.ts';
import { receiveConversion } from './conversion.ts';
import type { EdgeCounters } from './counters.ts';
import { createTickStore } from './tick-store.ts';
import { UPLOAD_PATH, type EdgeRequest, type Respond } from './uws-adapter.ts';

export interface EdgeDeps extends Omit<ClickDeps, 'codecOf'> {
  readonly snapshot: () => CatalogueSnapshot;
  readonly writer: ChunkWriter;
  readonly counters: EdgeCounters;
  readonly reach: Reach;
  readonly logger: Logger;
  /** Answers /healthz, /readyz and /metrics; false for any other path. */
  readonly status: (path: string, respond: Respond) => boolean;
}

export interface Edge {
  handle(request: EdgeRequest, respond: Respond): void;
}

const METHODS = new Set(['GET', 'HEAD', 'POST']);
const ROUTES: ReadonlyMap<string, Endpoint> = new Map(
  (['click', ...CONVERSION_ENDPOINTS] as const).map((name) => [PATHS[name], name]),
);

function endpointOf(path: string): Endpoint | undefined {
  return ROUTES.get(path) ?? (path.startsWith('/track/') ? 'unknown' : undefined);
}

/** One codec for as long as a catalogue is in force: making one sets up the cipher. */
function createCodecs(): (snapshot: CatalogueSnapshot) => ClickIdCodec {
  let codec: ClickIdCodec | undefined;
  let of: CatalogueSnapshot | undefined;
  return (snapshot) => {
    if (codec === undefined || of !== snapshot) {
      codec = createClickIdCodec(snapshot.state.click_id_keys);
      of = snapshot;
    }
    return codec;
  };
}

export function createEdge(deps: EdgeDeps): Edge {
  const { counters } = deps;
  const tick = createTickStore(deps);
  const clickDeps: ClickDeps = { ...deps, codecOf: createCodecs() };

  function refuse(endpoint: string, reason: string, answer: Answer, respond: Respond): void {
    counters.refuse(reason, 1);
    counters.answer(endpoint, answer.status);
    respond(answer);
  }

  /** Why the request is no hit, or undefined. */
  function refusalOf(
    { method, origin, path }: EdgeRequest,
    version: number,
  ): { readonly reason: string; readonly answer: Answer } | undefined {
    if (method === 'OPTIONS') return { reason: 'preflight', answer: preflightAnswer(origin) };
    // Uploads by POST do not come this way.
    if (path === UPLOAD_PATH)
      return { reason: 'method', answer: methodAnswer(method, 'POST, OPTIONS') };
    if (!METHODS.has(method)) return { reason: 'method', answer: methodAnswer(method) };
    if (version === 0)
      return { reason: 'no_catalogue', answer: notStoredAnswer('no catalogue is known yet') };
    return undefined;
  }

  function receive(endpoint: Endpoint, request: EdgeRequest, respond: Respond): void {
    const snapshot = deps.snapshot();
    const refusal = refusalOf(request, snapshot.version);
    if (refusal !== undefined) {
      refuse(endpoint, refusal.reason, refusal.answer, respond);
      return;
    }
    try {
      const hit =
        endpoint === 'click'
          ? receiveClick(clickDeps, snapshot, request)
          : receiveConversion(deps, endpoint satisfies ConversionEndpoint, request);
      tick.add(hit, snapshot.version, respond);
    } catch (error) {
      // A full disk (click clock), or a request that meets a bug of ours: that one request is refused, loudly.
      deps.logger.error(
        { error: messageOf(error), path: request.path.slice(0, 200) },
        'a request was not stored',
      );
      refuse(endpoint, 'not_stored', notStoredAnswer('not stored'), respond);
    }
  }

  return {
    handle(request, respond) {
      const endpoint = endpointOf(request.path);
      if (endpoint !== undefined) {
        receive(endpoint, request, respond);
        return;
      }
      if (deps.status(request.path, respond)) return;
      const answer = jsonAnswer('404 Not Found', { error: 'not found' }, [], request.origin);
      refuse('other', 'unknown_path', answer, respond);
    },
  };
}
