/** Whose an upload is and what it is, as its key and its query say; and the refusals of one. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { BatchProcess } from '../batch/batch-process.ts';
import type { KeyHolder } from '../batch/key-holders.ts';
import type { CatalogueSnapshot } from '../domain/catalogue.ts';
import { BATCH_KINDS, type BatchKind } from '../domain/hit.ts';
import { isOn, parseQuery } from '../domain/parameters.ts';
import { parseId } from '../domain/values.ts';
import { jsonAnswer, type Answer } from './answers.ts';
import type { UploadRequest } from './uws-adapter.ts';

const AUTHOR_MAX = 200;
export const RETRY_AFTER = 'Retry-After: 5';

export interface BatchSenderDeps {
  readonly batches: BatchProcess;
  readonly adminKey: string;
  readonly snapshot: () => CatalogueSnapshot;
}

/** The answer that ends an upload early. */
export class Refusal extends Error {
  readonly answer: Answer;
  readonly reason: string;
  constructor(reason: string, status: string, error: string, extra: readonly string[] = []) {
    super(error);
    this.reason = reason;
    this.answer = jsonAnswer(status, { error }, extra);
  }
}

export const unavailable = (error: string): Refusal =>
  new Refusal('batch_unavailable', '503 Service Unavailable', error, [RETRY_AFTER]);

/** Whose upload it is and what it is, as the key allows. */
export interface Sender {
  /** Only this advertiser's offers exist for it; 0: all do. */
  readonly advertiserId: number;
  readonly name: string;
  readonly kind: BatchKind;
  /** Who asked for it: a manager's key may speak for someone (the API does), any other is itself. */
  readonly author: string;
  readonly suppressPostbacks: boolean;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function sameHash(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

async function holderOf(deps: BatchSenderDeps, key: string): Promise<KeyHolder> {
  const hash = sha256(key);
  if (deps.adminKey !== '' && sameHash(hash, sha256(deps.adminKey)))
    return { role: 'manager', name: 'admin key', advertiserId: 0 };
  let holder: KeyHolder | null;
  try {
    holder = await deps.batches.holderOf(hash);
  } catch {
    throw unavailable('whose key this is cannot be known now: try again');
  }
  if (holder === null) throw new Refusal('batch_key', '401 Unauthorized', 'the key is not valid');
  return holder;
}

const forbidden = (error: string): Refusal => new Refusal('batch_key', '403 Forbidden', error);

function kindOf(asked: string, holder: KeyHolder): BatchKind {
  const kind = BATCH_KINDS.find((name) => name === (asked || 'postbacks'));
  if (kind === undefined)
    throw new Refusal(
      'batch_key',
      '400 Bad Request',
      `kind must be one of ${BATCH_KINDS.join(', ')}`,
    );
  if (kind !== 'postbacks' && holder.role !== 'manager')
    throw forbidden(`batches of kind ${kind} are a manager's`);
  return kind;
}

/** Whose offers the upload is for. */
function advertiserFor(
  deps: BatchSenderDeps,
  holder: KeyHolder,
  kind: BatchKind,
  asked: string,
): number {
  if (holder.role === 'manager' && asked === '' && kind !== 'postbacks') return 0;
  const advertiserId = holder.role === 'advertiser' ? holder.advertiserId : parseId(asked);
  if (holder.role === 'manager' && advertiserId === 0)
    throw new Refusal(
      'batch_key',
      '400 Bad Request',
      'a manager names the advertiser: ?advertiser_id=',
    );
  if (holder.role === 'advertiser' && asked !== '' && parseId(asked) !== advertiserId)
    throw forbidden('the key is of another advertiser');
  if (deps.snapshot().advertiser(advertiserId) === undefined)
    throw new Refusal('batch_key', '404 Not Found', `no advertiser has the id ${advertiserId}`);
  return advertiserId;
}

export async function senderOf(deps: BatchSenderDeps, request: UploadRequest): Promise<Sender> {
  const key = /^Bearer +(\S+)$/i.exec(request.authorization)?.[1] ?? '';
  if (key === '')
    throw new Refusal(
      'batch_key',
      '401 Unauthorized',
      'send an API key: Authorization: Bearer <key>',
    );
  const holder = await holderOf(deps, key);
  if (holder.role === 'affiliate') throw forbidden('batches are for advertisers and managers');
  const query = parseQuery(request.query);
  const asked = (name: string): string => query.get(name) ?? '';
  const kind = kindOf(asked('kind'), holder);
  const author = holder.role === 'manager' ? asked('author').slice(0, AUTHOR_MAX) : '';
  return {
    advertiserId: advertiserFor(deps, holder, kind, asked('advertiser_id')),
    name: holder.name,
    kind,
    author: author || holder.name,
    suppressPostbacks: isOn(query.get('suppress_postbacks')),
  };
}
