/** The gate's scripts, typed. Replies are mapped here and nowhere else. */
import { defineGate } from './define-gate.ts';

/** Code and values; judge.lua's header says which. */
export type JudgeAnswer = readonly (number | string)[];

export type JudgeReply =
  /** By the request's number, from 1; those that are not in it are accepted. */
  | { readonly kind: 'ok'; readonly answers: ReadonlyMap<number, JudgeAnswer> }
  /** The lane stands elsewhere; -1: it has no state. */
  | { readonly kind: 'position'; readonly applied: number }
  /** The offer's state was built under another rule signature. */
  | { readonly kind: 'stale'; readonly offerId: number };

export type ApplyReply = Exclude<JudgeReply, { kind: 'ok' }> | { readonly kind: 'ok' };

function parts(reply: unknown): [string, string] {
  if (!Array.isArray(reply)) throw new Error(`the gate answered ${JSON.stringify(reply)}`);
  return [String(reply[0]), String(reply[1] ?? '')];
}

function parseState(kind: string, value: string): Exclude<JudgeReply, { kind: 'ok' }> {
  if (kind === 'position') return { kind, applied: Number(value) };
  if (kind === 'stale') return { kind, offerId: Number(value) };
  throw new Error(`the gate answered ${kind}`);
}

export const judgeScript = defineGate<JudgeReply>('judge.lua', (reply) => {
  const [kind, value] = parts(reply);
  // judge.lua encodes an array of pairs.
  return kind === 'ok'
    ? { kind, answers: new Map(JSON.parse(value) as [number, JudgeAnswer][]) }
    : parseState(kind, value);
});

export const applyScript = defineGate<ApplyReply>('apply.lua', (reply) => {
  const [kind, value] = parts(reply);
  return kind === 'ok' ? { kind } : parseState(kind, value);
});

const asBoolean = (reply: unknown): boolean => reply === 1;
export const rebuildBeginScript = defineGate('rebuild_begin.lua', asBoolean);
export const rebuildClearScript = defineGate('rebuild_clear.lua', asBoolean);
export const rebuildEndScript = defineGate('rebuild_end.lua', asBoolean);
export const turnTakeScript = defineGate('turn_take.lua', asBoolean);
export const turnReleaseScript = defineGate('turn_release.lua', asBoolean);
