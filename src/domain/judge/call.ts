/** A conversion call, decoded: its parameters, what is malformed in them, and how it came in. No look-ups yet. */
import { hash } from 'node:crypto';
import { CONVERSION_STATUSES } from '../catalogue.ts';
import { hintOfAmount, hintOfText } from '../hints.ts';
import type { BatchKind, BatchOrigin, Channel, ConversionEndpoint, ConversionHit } from '../hit.ts';
import { canonicalIp } from '../ip-rules.ts';
import { mergeParameters, parseBody, parseQuery, type Parameters } from '../parameters.ts';
import { isCurrency, isMoney, MONEY_RULE } from '../values.ts';

export interface Malformed {
  readonly detail: string;
  readonly hint: string;
}

export interface Call {
  readonly hit: ConversionHit;
  readonly parameters: Parameters;
  /** Why the call is 120, or undefined. */
  readonly malformed: Malformed | undefined;
  /** `sha256:<hex>` of the token sent, '' when none was. */
  readonly tokenHash: string;
  readonly channel: Channel;
  /** The hit that this one replays, '' for an original. */
  readonly replayedFrom: string;
  /** A replay of a call whose token was right when it came: the stored request has it blanked. */
  readonly tokenVerifiedBefore: boolean;
  /** Of a replay whose original's addresses were not kept whole: what Unique IP compared; '' when it was skipped. */
  readonly keptVisitorIp: string | undefined;
  /** The batch that brought the call; its API key stands for the advertiser's token. */
  readonly batch: BatchOrigin | undefined;
}

/** A parameter's value, '' when absent. */
export function parameterOf(call: Call, name: string): string {
  return call.parameters.get(name) ?? '';
}

/** The stored form of a security token: rows, Redis and exports never hold the token itself. */
export function hashToken(token: string): string {
  return `sha256:${hash('sha256', token)}`;
}

const NOTES_MAX = 2_000;
const RELEASE_WORDS = ['true', 'false', '1', '0'];

/** Whether `release=` asks to free what a transaction claimed. */
export function isRelease(value: string): boolean {
  return value === 'true' || value === '1';
}

const MONEY: readonly string[] = ['amount', 'payout', 'revenue'];

const VALUE_RULES: readonly {
  readonly names: readonly string[];
  readonly holds: (value: string) => boolean;
  readonly rule: string;
}[] = [
  {
    names: MONEY,
    holds: isMoney,
    rule: `${MONEY_RULE}, like 1234.56`,
  },
  { names: ['currency'], holds: isCurrency, rule: 'an ISO 4217 code, like EUR' },
  {
    names: ['conv_status'],
    holds: (value) => (CONVERSION_STATUSES as readonly string[]).includes(value),
    rule: `one of ${CONVERSION_STATUSES.join(', ')}`,
  },
  {
    names: ['ip'],
    holds: (value) => canonicalIp(value) !== undefined,
    rule: 'an IPv4 or IPv6 address',
  },
];

/** Parameters of those who correct: to any other call they mean nothing, whatever they hold. */
const CORRECTION_RULES: typeof VALUE_RULES = [
  {
    names: ['release'],
    holds: (value) => RELEASE_WORDS.includes(value),
    rule: 'true or false',
  },
  {
    names: ['notes'],
    holds: (value) => value.length <= NOTES_MAX,
    rule: `a text of at most ${NOTES_MAX} characters`,
  },
];

/** Whether calls of an endpoint may carry notes. */
export function takesNotes(endpoint: ConversionEndpoint): boolean {
  return endpoint === 'conv-change' || endpoint === 'conv-addchange' || endpoint === 'manual';
}

type NamedFault = Malformed & { readonly name: string };

/** The first value of a call that is not what it must be, with its parameter's name. */
export function malformedValue(
  endpoint: ConversionEndpoint,
  parameters: Parameters,
): NamedFault | undefined {
  const fault = faultByRules(VALUE_RULES, parameters);
  if (fault !== undefined || !takesNotes(endpoint)) return fault;
  return faultByRules(CORRECTION_RULES, parameters) ?? releaseFault(parameters);
}

function releaseFault(parameters: Parameters): NamedFault | undefined {
  const status = parameters.get('conv_status') ?? '';
  if (!isRelease(parameters.get('release') ?? '') || status === '' || status === 'rejected')
    return undefined;
  const detail = `release goes with conv_status=rejected or alone: a conversion that is ${status} counts`;
  return { name: 'release', detail, hint: '' };
}

function faultByRules(rules: typeof VALUE_RULES, parameters: Parameters): NamedFault | undefined {
  for (const { names, holds, rule } of rules) {
    for (const name of names) {
      const value = parameters.get(name) ?? '';
      if (value === '' || holds(value)) continue;
      return {
        name,
        detail: `${name}=${value.slice(0, 100)} is not ${rule}`,
        hint: MONEY.includes(name) ? hintOfAmount(name, value) : hintOfText(name, value),
      };
    }
  }
  return undefined;
}

function channelOf(hit: ConversionHit, parameters: Parameters): Channel {
  if (hit.endpoint === 'promo') return 'promo';
  const byCookie = hit.endpoint === 'goal' && (parameters.get('click_id') ?? '') === '';
  return hit.fromBrowser || byCookie ? 'pixel' : 'postback';
}

export interface ReplayOrigin {
  readonly replayedFrom: string;
  readonly tokenVerifiedBefore: boolean;
  /** The batch that brought the original. */
  readonly batch?: BatchOrigin;
  /** Addresses were not kept whole: what Unique IP compared of the original. */
  readonly keptVisitorIp?: string;
  /** The original was no rejected call: the transaction that it is or changed. */
  readonly countedAs?: string;
}

function malformedOf(
  hit: ConversionHit,
  body: ReturnType<typeof parseBody>,
  parameters: Parameters,
): Malformed | undefined {
  if (hit.batch !== undefined && hit.batch.error !== '') {
    const hint =
      'Correct this line and send it in another batch; the other lines are not affected.';
    return { detail: hit.batch.error, hint };
  }
  if (hit.endpoint === 'unknown')
    return { detail: `${hit.path.slice(0, 200)} is no endpoint of this tracker`, hint: '' };
  if (!body.readable) {
    const hint = 'Send the parameters in the query, as a form, or as a JSON object.';
    return { detail: body.reason, hint };
  }
  return malformedValue(hit.endpoint, parameters);
}

/** What someone of the network did by hand is `manual`, one by one or by file. */
const BATCH_CHANNELS: Readonly<Record<BatchKind, Channel>> = {
  postbacks: 'batch',
  corrections: 'manual',
  manual: 'manual',
  replay: 'replay',
};

function channelFrom(
  hit: ConversionHit,
  parameters: Parameters,
  replay: ReplayOrigin | undefined,
  batch: BatchOrigin | undefined,
): Channel {
  if (replay !== undefined) return 'replay';
  if (batch === undefined) return channelOf(hit, parameters);
  return BATCH_CHANNELS[batch.kind];
}

/** Decodes a hit; never throws for anything a client can send. */
export function decodeCall(hit: ConversionHit, replay?: ReplayOrigin, batch?: BatchOrigin): Call {
  const query = parseQuery(hit.query);
  const body = hit.bodyIsBase64
    ? ({ readable: false, reason: 'the body is not UTF-8 text' } as const)
    : parseBody(hit.body, hit.contentType);
  const parameters = body.readable ? mergeParameters(query, body.parameters) : query;
  const token = parameters.get('token') ?? '';
  return {
    hit,
    parameters,
    malformed: malformedOf(hit, body, parameters),
    // A replay's token is blanked: it counts by `tokenVerifiedBefore`, and one that was wrong stays wrong.
    tokenHash: token === '' ? '' : hashToken(token),
    channel: channelFrom(hit, parameters, replay, batch),
    replayedFrom: replay?.replayedFrom ?? '',
    tokenVerifiedBefore: replay?.tokenVerifiedBefore ?? false,
    keptVisitorIp: replay?.keptVisitorIp,
    batch,
  };
}
