/** A conversion call, decoded: its parameters, what is malformed in them, and how it came in. No look-ups yet. */
import { createHash } from 'node:crypto';
import { CONVERSION_STATUSES } from '../catalogue.ts';
import { hintOfValue } from '../hints.ts';
import type { Channel, ConversionHit } from '../hit.ts';
import { canonicalIp } from '../ip-rules.ts';
import { mergeParameters, parseBody, parseQuery, type Parameters } from '../parameters.ts';
import { isCurrency, isMoney } from '../values.ts';

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
}

/** A parameter's value, '' when absent. */
export function parameterOf(call: Call, name: string): string {
  return call.parameters.get(name) ?? '';
}

/** The stored form of a security token: rows, Redis and exports never hold the token itself. */
export function hashToken(token: string): string {
  return `sha256:${createHash('sha256').update(token).digest('hex')}`;
}

const VALUE_RULES: readonly {
  readonly names: readonly string[];
  readonly holds: (value: string) => boolean;
  readonly rule: string;
}[] = [
  {
    names: ['amount', 'payout', 'revenue'],
    holds: isMoney,
    rule: 'a plain decimal of 0 or more with up to 4 places, like 1234.56',
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

function malformedValue(parameters: Parameters): Malformed | undefined {
  for (const { names, holds, rule } of VALUE_RULES) {
    for (const name of names) {
      const value = parameters.get(name) ?? '';
      if (value === '' || holds(value)) continue;
      return {
        detail: `${name}=${value.slice(0, 100)} is not ${rule}`,
        hint: hintOfValue(name, value),
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
}

/** Decodes a hit; never throws for anything a client can send. */
export function decodeCall(hit: ConversionHit, replay?: ReplayOrigin): Call {
  const query = parseQuery(hit.query);
  const body = hit.bodyIsBase64
    ? ({ readable: false, reason: 'the body is not UTF-8 text' } as const)
    : parseBody(hit.body, hit.contentType);
  const parameters = body.readable ? mergeParameters(query, body.parameters) : query;
  let malformed: Malformed | undefined;
  if (hit.endpoint === 'unknown') {
    malformed = { detail: `${hit.path.slice(0, 200)} is no endpoint of this tracker`, hint: '' };
  } else if (!body.readable) {
    malformed = {
      detail: body.reason,
      hint: 'Send the parameters in the query, as a form, or as a JSON object.',
    };
  } else {
    malformed = malformedValue(parameters);
  }
  const token = parameters.get('token') ?? '';
  return {
    hit,
    parameters,
    malformed,
    tokenHash: token === '' || replay !== undefined ? '' : hashToken(token),
    channel: replay === undefined ? channelOf(hit, parameters) : 'replay',
    replayedFrom: replay?.replayedFrom ?? '',
    tokenVerifiedBefore: replay?.tokenVerifiedBefore ?? false,
  };
}
