/** A conversion call: stored as it came; nobody has judged it when it is answered. */
import type { ConversionEndpoint } from '../domain/hit.ts';
import { parseBody } from '../domain/parameters.ts';
import { encodeHit } from '../queue/chunk-job.ts';
import { acceptedAnswer, unknownEndpointAnswer } from './answers.ts';
import { wantedForm, type ClientReader } from './client.ts';
import { decodeBody, rawHit, type HitBody } from './raw-hit.ts';
import type { HitToStore } from './tick-store.ts';
import type { EdgeRequest } from './uws-adapter.ts';

export interface ConversionDeps {
  readonly hitIds: () => string;
  readonly clientOf: ClientReader;
  readonly clock: () => number;
}

function returnOfBody({ body, bodyIsBase64 }: HitBody, contentType: string): string | undefined {
  if (body === '' || bodyIsBase64) return undefined;
  const parsed = parseBody(body, contentType);
  return parsed.readable ? parsed.parameters.get('return') : undefined;
}

export function receiveConversion(
  deps: ConversionDeps,
  endpoint: ConversionEndpoint,
  request: EdgeRequest,
): HitToStore {
  const body = decodeBody(request);
  const { form, fromBrowser } = wantedForm(request, returnOfBody(body, request.contentType));
  const hitId = deps.hitIds();
  const receivedAtMs = deps.clock();
  const client = deps.clientOf(request);
  const raw = rawHit(request, endpoint, { hitId, receivedAtMs, client, fromBrowser, body });
  const answer =
    endpoint === 'unknown'
      ? unknownEndpointAnswer(request.path, hitId, request.origin)
      : acceptedAnswer(form, hitId, request.origin);
  return {
    kind: 'conversions',
    endpoint,
    receivedAtMs,
    record: encodeHit(raw),
    answer,
  };
}
