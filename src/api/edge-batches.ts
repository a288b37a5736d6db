/**
 * Batches that the API sends to the edge on someone's behalf: the edge stores, judges and refuses them like any other
 * (docs/batches.md), so that what the API makes happen is as durable and as much once as what advertisers send.
 */
import type { FastifyRequest } from 'fastify';
import type { BatchKind } from '../domain/hit.ts';
import { isOn } from '../domain/parameters.ts';
import { queryParameters, type ApiContext } from './context.ts';
import { Problem } from './problem.ts';

export interface EdgeBatch {
  readonly kind: BatchKind;
  /** Only this advertiser's offers exist for it; 0: all do. */
  readonly advertiserId: number;
  /** Login or key name of who asks. */
  readonly author: string;
  readonly dryRun?: boolean;
  readonly suppressPostbacks?: boolean;
  /** '' for none. */
  readonly idempotencyKey: string;
  readonly contentEncoding?: string;
  readonly body: string | ReadableStream;
}

export interface EdgeAnswer {
  /** 202; of a dry run 200. */
  readonly status: number;
  readonly receipt: Readonly<Record<string, unknown>>;
  /** An earlier upload under the same key was answered so. */
  readonly repeated: boolean;
}

interface Refused {
  readonly error?: string;
  readonly line?: number | null;
  readonly column?: string | number | null;
}

function problemOf(status: number, { error = 'refused', line, column }: Refused): Problem {
  if (line === undefined || line === null) return new Problem(status, 'Refused', error);
  const place = `line ${line}${column === undefined || column === null ? '' : `, column ${column}`}`;
  return new Problem(status, 'Refused', `${error} (${place})`, [{ field: place, message: error }]);
}

function queryOf(batch: EdgeBatch): string {
  const query = new URLSearchParams({ kind: batch.kind, author: batch.author });
  if (batch.advertiserId !== 0) query.set('advertiser_id', String(batch.advertiserId));
  if (batch.dryRun === true) query.set('dry_run', '1');
  if (batch.suppressPostbacks === true) query.set('suppress_postbacks', '1');
  return query.toString();
}

/** Resolves once the batch is on the edge's disk. Throws a Problem for what the edge refuses; then nothing is stored. */
export async function sendBatch(
  gate: ApiContext['batchGate'],
  batch: EdgeBatch,
  signal: AbortSignal,
): Promise<EdgeAnswer> {
  const { idempotencyKey, contentEncoding = '' } = batch;
  let response: Response;
  try {
    response = await fetch(`${gate.edgeUrl}/track/batch?${queryOf(batch)}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${gate.key}`,
        ...(idempotencyKey !== '' && { 'idempotency-key': idempotencyKey }),
        ...(contentEncoding !== '' && { 'content-encoding': contentEncoding }),
      },
      body: batch.body,
      duplex: 'half',
      signal,
    });
  } catch {
    throw new Problem(503, 'Service Unavailable', 'the tracking front does not answer: try again');
  }
  // Not the asker's fault: to the console a 401 is a session that ended.
  if (response.status === 401)
    throw new Problem(
      502,
      'Bad Gateway',
      'the tracking front does not know the admin key of the API: set SLUICE_ADMIN_KEY to the same for both',
    );
  // The edge answers in JSON, whatever it says.
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok) throw problemOf(response.status, answer);
  return {
    status: response.status,
    receipt: answer,
    repeated: response.headers.has('idempotent-replay'),
  };
}

/** What of a request goes on to the edge, and whether its client is gone. */
export function uploadOptions(request: FastifyRequest): {
  readonly idempotencyKey: string;
  readonly dryRun: boolean;
  readonly suppressPostbacks: boolean;
  readonly contentEncoding: string;
  readonly signal: AbortSignal;
} {
  const gone = new AbortController();
  request.raw.once('aborted', () => gone.abort());
  const key = request.headers['idempotency-key'];
  const query = queryParameters(request);
  return {
    idempotencyKey: typeof key === 'string' ? key : '',
    dryRun: isOn(query.get('dry_run')?.at(-1)),
    suppressPostbacks: isOn(query.get('suppress_postbacks')?.at(-1)),
    contentEncoding: request.headers['content-encoding'] ?? '',
    signal: gone.signal,
  };
}
