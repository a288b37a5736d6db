/**
 * `POST /track/batch` on the edge: who may upload, the upload to disk piece by piece, the answer. Reading the file is the
 * batch process's work. Nothing of an upload exists before that process says so; a cut one leaves nothing.
 */
import { open, rm } from 'node:fs/promises';
import type { Logger } from 'pino';
import { makeBatchesDir, partFile } from '../batch/batch-folder.ts';
import type { BatchProcess } from '../batch/batch-process.ts';
import { claimOf } from '../batch/claims.ts';
import { FILE_BYTES_MAX } from '../batch/limits.ts';
import type { StoreOutcome } from '../batch/messages.ts';
import { messageOf } from '../domain/app-error.ts';
import type { CatalogueSnapshot } from '../domain/catalogue.ts';
import { isOn, parseQuery } from '../domain/parameters.ts';
import { jsonAnswer, type Answer } from './answers.ts';
import { Refusal, RETRY_AFTER, senderOf, unavailable, type Sender } from './batch-sender.ts';
import type { ClientReader } from './client.ts';
import type { EdgeCounters } from './counters.ts';
import {
  createUploadPace,
  createUploadReceiver,
  ReceiveFailed,
  type UploadReceiver,
} from './upload-receiver.ts';
import type { Respond, UploadBody, UploadRequest } from './uws-adapter.ts';

/** Uploads received at once by an edge; more would only make each slower. */
const UPLOADS_MAX = 8;
/**
 * All uploads of an edge together. A file that comes as fast as a local disk gives it holds up every answer meanwhile
 * (docs/batches.md); reading its lines takes longer than receiving it at this pace.
 */
const UPLOAD_BYTES_A_SECOND = 32 * 1024 * 1024;
/** Of the spool's limit; the rest is for live calls. */
const SPOOL_SHARE = 0.8;
const TEXT_MAX = 2_048;
const TOO_LARGE = 'a file may have at most 1 GiB';
const KEY_SHAPE = /^[\x21-\x7e][\x20-\x7e]{0,199}$/;

export interface BatchUploadDeps {
  readonly edgeDir: string;
  readonly edgeNumber: number;
  readonly batches: BatchProcess;
  readonly adminKey: string;
  readonly snapshot: () => CatalogueSnapshot;
  readonly hitIds: () => string;
  readonly clientOf: ClientReader;
  /** Bytes that all of the spool holds now, and may hold. */
  readonly spoolBytes: () => number;
  readonly spoolBytesMax: number;
  readonly clock: () => number;
  readonly counters: EdgeCounters;
  readonly logger: Logger;
}

function checkHead(request: UploadRequest): void {
  const { contentLength, contentEncoding, idempotencyKey } = request;
  if (contentLength !== undefined && contentLength > FILE_BYTES_MAX)
    throw new Refusal('batch_too_large', '413 Content Too Large', TOO_LARGE);
  if (!['', 'identity', 'gzip', 'x-gzip'].includes(contentEncoding.toLowerCase()))
    throw new Refusal(
      'batch_encoding',
      '415 Unsupported Media Type',
      'send the file plain or gzip',
    );
  if (idempotencyKey !== undefined && !KEY_SHAPE.test(idempotencyKey))
    throw new Refusal(
      'batch_key',
      '400 Bad Request',
      'Idempotency-Key must be 1 to 200 printable ASCII characters',
    );
}

function answerOf(outcome: StoreOutcome): { readonly answer: Answer; readonly refused: string } {
  switch (outcome.kind) {
    case 'stored': {
      const extra = outcome.repeated ? ['Idempotent-Replay: true'] : [];
      return { answer: jsonAnswer('202 Accepted', outcome.receipt, extra), refused: '' };
    }
    case 'dry-run': {
      const { batch_id: _, status_url: __, ...receipt } = outcome.receipt;
      return { answer: jsonAnswer('200 OK', { dry_run: true, ...receipt }), refused: '' };
    }
    case 'refused': {
      const status = {
        400: '400 Bad Request',
        413: '413 Content Too Large',
        415: '415 Unsupported Media Type',
      };
      const { reason, line, column } = outcome;
      return {
        answer: jsonAnswer(status[outcome.status], { error: reason, line, column }),
        refused: 'batch_file',
      };
    }
    case 'conflict': {
      const error = 'this Idempotency-Key was used with another file';
      return {
        answer: jsonAnswer('409 Conflict', { error, batch_id: outcome.batchId }),
        refused: 'batch_conflict',
      };
    }
    default: {
      const reason = outcome.kind === 'unavailable' ? outcome.reason : 'the upload was given up';
      const error =
        outcome.kind === 'unavailable' && outcome.uncertain
          ? `${reason}. It is not known whether the batch exists: send it again with the same Idempotency-Key`
          : `${reason}. Nothing was stored: try again`;
      return {
        answer: jsonAnswer('503 Service Unavailable', { error }, [RETRY_AFTER]),
        refused: 'batch_unavailable',
      };
    }
  }
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const fault = error instanceof ReceiveFailed ? error.fault : 'disk';
  switch (fault) {
    case 'silent':
      return new Refusal('batch_silence', '408 Request Timeout', 'nothing came for a minute');
    case 'too-large':
      return new Refusal('batch_too_large', '413 Content Too Large', TOO_LARGE);
    case 'gone':
      return new Refusal('aborted', '503 Service Unavailable', 'the client is gone');
    case 'no-room':
      return unavailable('the spool is too full for a batch');
    default:
      return unavailable('the upload could not be written');
  }
}

export interface BatchUploads {
  upload(request: UploadRequest, body: UploadBody, respond: Respond): void;
}

export function createBatchUploads(deps: BatchUploadDeps): BatchUploads {
  const { edgeDir, batches, clock, counters, logger } = deps;
  const pace = createUploadPace(UPLOAD_BYTES_A_SECOND, () => performance.now());
  const receiving = new Set<UploadReceiver>();

  function roomFor(): number {
    let room = deps.spoolBytesMax * SPOOL_SHARE - deps.spoolBytes() - batches.bytes;
    for (const { bytes } of receiving) room -= bytes;
    return room;
  }

  /** The upload to disk, and what the batch process makes of it. The file is gone afterwards. */
  async function store(
    request: UploadRequest,
    sender: Sender,
    receiver: UploadReceiver,
  ): Promise<StoreOutcome> {
    const batchId = deps.hitIds();
    const file = partFile(edgeDir, batchId);
    const key = request.idempotencyKey ?? '';
    makeBatchesDir(edgeDir);
    const handle = await open(file, 'wx');
    try {
      try {
        await receiver.into(handle);
      } finally {
        await handle.close();
      }
      const upload = {
        batchId,
        file,
        edgeDir,
        edgeNumber: deps.edgeNumber,
        advertiserId: sender.advertiserId,
        kind: sender.kind,
        author: sender.author,
        suppressPostbacks: sender.suppressPostbacks,
        claim: claimOf(sender.kind, sender.advertiserId, key, batchId),
        keyGiven: key !== '',
        receivedAtMs: clock(),
        ip: deps.clientOf(request).ip,
        userAgent: request.userAgent.slice(0, TEXT_MAX),
        uploadedBy: sender.name,
        catalogueVersion: deps.snapshot().version,
        bytesMax: roomFor(),
      };
      const dryRun = isOn(parseQuery(request.query).get('dry_run'));
      return await batches.store({ upload, dryRun }, receiver.gone);
    } finally {
      await rm(file, { force: true });
    }
  }

  async function work(request: UploadRequest, receiver: UploadReceiver): Promise<Answer> {
    checkHead(request);
    if (receiving.size > UPLOADS_MAX) throw unavailable('too many batches are being received');
    const sender = await senderOf(deps, request);
    const outcome = await store(request, sender, receiver);
    const { answer, refused } = answerOf(outcome);
    if (refused !== '') counters.refuse(refused, 1);
    if (outcome.kind === 'stored') {
      const { batch_id, lines } = outcome.receipt;
      logger.info({ batch: batch_id, lines, repeated: outcome.repeated }, 'a batch is stored');
    }
    return answer;
  }

  async function serve(
    request: UploadRequest,
    receiver: UploadReceiver,
    respond: Respond,
  ): Promise<void> {
    let answer: Answer;
    try {
      answer = await work(request, receiver);
    } catch (error) {
      const refusal = refusalOf(error);
      if (!(error instanceof Refusal) && !(error instanceof ReceiveFailed))
        logger.error({ error: messageOf(error) }, 'an upload failed');
      counters.refuse(refusal.reason, 1);
      ({ answer } = refusal);
    }
    counters.answer('batch', answer.status);
    respond(answer);
    receiver.discard();
  }

  return {
    upload(request, body, respond) {
      const receiver = createUploadReceiver(body, {
        pace,
        bytesMax: FILE_BYTES_MAX,
        hasRoom: () => roomFor() > 0,
      });
      receiving.add(receiver);
      void serve(request, receiver, respond).finally(() => receiving.delete(receiver));
    },
  };
}
