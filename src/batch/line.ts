/** One record of a batch file becomes one conversion hit; what is wrong with it is found here, before anyone judges. */
import {
  CONVERSION_ENDPOINTS,
  type BatchKind,
  type ConversionEndpoint,
  type ConversionHit,
} from '../domain/hit.ts';
import { malformedValue } from '../domain/judge/call.ts';
import { RAW_KEPT_MAX } from './limits.ts';
import type { FileRecord, LineFault } from './record.ts';

const numbered = (prefix: string): string[] => [1, 2, 3, 4, 5].map((n) => `${prefix}${n}`);

/** The columns of a CSV file of postbacks (CONTRACT.md, "Parameters of all"). */
const POSTBACK_PARAMETERS: ReadonlySet<string> = new Set([
  'endpoint',
  'click_id',
  'transaction_id',
  'code',
  'offer_id',
  'goal_id',
  'goal_alias',
  'amount',
  'currency',
  'payout',
  'revenue',
  'conv_status',
  'track_id',
  'adv_order_id',
  'adv_user_id',
  ...numbered('adv_param'),
  ...numbered('sub_id'),
  ...numbered('aff_param'),
  'ip',
  'token',
]);

const CORRECTION_PARAMETERS: ReadonlySet<string> = new Set([
  'transaction_id',
  'conv_status',
  'amount',
  'payout',
  'revenue',
  'currency',
  'notes',
  'release',
]);

const MANUAL_PARAMETERS: ReadonlySet<string> = new Set([
  'affiliate_id',
  'offer_id',
  'goal_id',
  'goal_alias',
  'conv_status',
  'amount',
  'payout',
  'revenue',
  'currency',
  'notes',
  'ip',
  'track_id',
  'adv_order_id',
  'adv_user_id',
  ...numbered('adv_param'),
  ...numbered('sub_id'),
  ...numbered('aff_param'),
]);

/** How the lines of a kind are read. */
export interface LineRules {
  /** The columns of a CSV file. */
  readonly parameters: ReadonlySet<string>;
  /** What a line is without a word of its own. */
  readonly endpoint: ConversionEndpoint;
  /** A line may name another endpoint. */
  readonly choosesEndpoint: boolean;
  /** Without these a line can't be judged. */
  readonly needs: readonly string[];
}

export const LINE_KINDS: Readonly<Record<BatchKind, LineRules>> = {
  postbacks: {
    parameters: POSTBACK_PARAMETERS,
    endpoint: 'goal-by-click-id',
    choosesEndpoint: true,
    needs: [],
  },
  corrections: {
    parameters: CORRECTION_PARAMETERS,
    endpoint: 'conv-change',
    choosesEndpoint: false,
    needs: ['transaction_id'],
  },
  manual: {
    parameters: MANUAL_PARAMETERS,
    endpoint: 'manual',
    choosesEndpoint: false,
    needs: ['affiliate_id'],
  },
  replay: {
    parameters: new Set(['hit_id']),
    endpoint: 'unknown',
    choosesEndpoint: false,
    needs: ['hit_id'],
  },
};

export interface BatchLine {
  readonly endpoint: ConversionEndpoint;
  /** JSON object of the parameters; of a line that can't be read its text. */
  readonly body: string;
  readonly contentType: string;
  /** The line can't be read: it becomes 120. */
  readonly unreadable: LineFault | undefined;
  /** A value in it is not what it must be: it becomes 120 as well, if nothing before that decides. */
  readonly malformed: LineFault | undefined;
}

type Parsed =
  | { readonly parameters: Map<string, string>; readonly fault?: undefined }
  | { readonly fault: LineFault };

function faultOfJson(error: unknown): LineFault {
  const message = error instanceof Error ? error.message : '';
  const position = /at position (\d+)/.exec(message)?.[1];
  return {
    column: position === undefined ? null : Number(position) + 1,
    reason: `this is no JSON: ${message.slice(0, 200)}`,
  };
}

function parseObject(text: string): Parsed {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { fault: faultOfJson(error) };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { fault: { column: 1, reason: 'this is no JSON object' } };
  const parameters = new Map<string, string>();
  for (const [name, item] of Object.entries(value)) {
    if (typeof item === 'object' && item !== null) {
      const reason = 'the value is an object or a list, not a plain value';
      return { fault: { column: name.slice(0, 100), reason } };
    }
    parameters.set(name, item === null ? '' : String(item));
  }
  return { parameters };
}

function endpointOf(
  parameters: ReadonlyMap<string, string>,
  rules: LineRules,
): ConversionEndpoint | undefined {
  const sent = parameters.get('endpoint') ?? '';
  if (sent === '' || !rules.choosesEndpoint) return rules.endpoint;
  const name = sent.replace(/^\/?track\//, '');
  return CONVERSION_ENDPOINTS.find((endpoint) => endpoint === name);
}

function unreadableLine(text: string, rules: LineRules, fault: LineFault): BatchLine {
  // It can't be told which part of a broken line is a token, and rows never hold one.
  const kept = /token/i.test(text) ? '' : text.slice(0, RAW_KEPT_MAX);
  return {
    endpoint: rules.endpoint,
    body: kept,
    contentType: 'text/plain',
    unreadable: fault,
    malformed: undefined,
  };
}

/** `hidesText`: the file has a token column, so that the text of a broken line may hold one. */
export function readLine(record: FileRecord, rules: LineRules, hidesText: boolean): BatchLine {
  if (record.fault !== undefined)
    return unreadableLine(hidesText ? '' : record.text, rules, record.fault);
  const parsed: Parsed =
    record.values === undefined
      ? parseObject(record.text)
      : { parameters: new Map(Object.entries(record.values)) };
  if (parsed.fault !== undefined) return unreadableLine(record.text, rules, parsed.fault);
  const { parameters } = parsed;
  const endpoint = endpointOf(parameters, rules);
  if (endpoint === undefined) {
    const reason = `${(parameters.get('endpoint') ?? '').slice(0, 100)} is none of ${CONVERSION_ENDPOINTS.join(', ')}`;
    return unreadableLine('', rules, { column: 'endpoint', reason });
  }
  const missing = rules.needs.find((name) => (parameters.get(name) ?? '') === '');
  if (missing !== undefined)
    return unreadableLine(record.text, rules, { column: missing, reason: `${missing} is missing` });
  const bad = malformedValue(endpoint, parameters);
  return {
    endpoint,
    body: record.values === undefined ? record.text : JSON.stringify(record.values),
    contentType: 'application/json',
    unreadable: undefined,
    malformed: bad && { column: bad.name, reason: bad.detail },
  };
}

/** The words of a fault, for rows. */
export function describeFault(line: number, { column, reason }: LineFault): string {
  const place = column === null ? `line ${line}` : `line ${line}, column ${column}`;
  return `${place}: ${reason}`;
}

export interface BatchSender {
  readonly receivedAtMs: number;
  readonly ip: string;
  readonly userAgent: string;
}

export function hitOfLine(
  line: BatchLine,
  at: number,
  hitId: string,
  sender: BatchSender,
): ConversionHit {
  return {
    hitId,
    receivedAtMs: sender.receivedAtMs,
    endpoint: line.endpoint,
    method: 'POST',
    path: '/track/batch',
    query: '',
    body: line.body,
    bodyIsBase64: false,
    contentType: line.contentType,
    cookies: '',
    ip: sender.ip,
    userAgent: sender.userAgent,
    referer: '',
    fromBrowser: false,
    batch: {
      line: at,
      error: line.unreadable === undefined ? '' : describeFault(at, line.unreadable),
    },
  };
}
