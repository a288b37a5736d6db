/** One record of a batch file becomes one conversion hit; what is wrong with it is found here, before anyone judges. */
import {
  CONVERSION_ENDPOINTS,
  type ConversionEndpoint,
  type ConversionHit,
} from '../domain/hit.ts';
import { malformedValue } from '../domain/judge/call.ts';
import { RAW_KEPT_MAX } from './limits.ts';
import type { FileRecord, LineFault } from './record.ts';

const numbered = (prefix: string): string[] => [1, 2, 3, 4, 5].map((n) => `${prefix}${n}`);

/** The columns of a CSV file (CONTRACT.md, "Parameters of all"). */
export const BATCH_PARAMETERS: ReadonlySet<string> = new Set([
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

const DEFAULT_ENDPOINT: ConversionEndpoint = 'goal-by-click-id';

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

function endpointOf(parameters: ReadonlyMap<string, string>): ConversionEndpoint | undefined {
  const sent = parameters.get('endpoint') ?? '';
  if (sent === '') return DEFAULT_ENDPOINT;
  const name = sent.replace(/^\/?track\//, '');
  return CONVERSION_ENDPOINTS.find((endpoint) => endpoint === name);
}

function unreadableLine(text: string, fault: LineFault): BatchLine {
  // It can't be told which part of a broken line is a token, and rows never hold one.
  const kept = /token/i.test(text) ? '' : text.slice(0, RAW_KEPT_MAX);
  return {
    endpoint: DEFAULT_ENDPOINT,
    body: kept,
    contentType: 'text/plain',
    unreadable: fault,
    malformed: undefined,
  };
}

/** `hidesText`: the file has a token column, so that the text of a broken line may hold one. */
export function readLine(record: FileRecord, hidesText: boolean): BatchLine {
  if (record.fault !== undefined) return unreadableLine(hidesText ? '' : record.text, record.fault);
  const parsed: Parsed =
    record.values === undefined
      ? parseObject(record.text)
      : { parameters: new Map(Object.entries(record.values)) };
  if (parsed.fault !== undefined) return unreadableLine(record.text, parsed.fault);
  const { parameters } = parsed;
  const endpoint = endpointOf(parameters);
  if (endpoint === undefined) {
    const reason = `${(parameters.get('endpoint') ?? '').slice(0, 100)} is none of ${CONVERSION_ENDPOINTS.join(', ')}`;
    return unreadableLine('', { column: 'endpoint', reason });
  }
  const bad = malformedValue(parameters);
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
