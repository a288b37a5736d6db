/**
 * The gate's rules as plain commands, one pipelined sequence a hit: one conversion a click, unique address, unique track
 * id by HSETNX, caps by HINCRBY. What was taken for a call that is rejected later is not given back: that would cost
 * more, and such pipelines leave it.
 */

export interface PeerGateCall {
  readonly offerId: number;
  readonly affiliateId: number;
  readonly clickId: string;
  readonly ip: string;
  readonly trackId: string;
  readonly hitId: string;
  readonly day: number;
}

const CAP = 1_000_000_000;
const DAYS_A_MONTH = 30;

export function gateCommands(call: PeerGateCall): readonly (readonly [string, ...string[]])[] {
  const { offerId, affiliateId, day, hitId } = call;
  const caps = `peer:caps:${offerId}`;
  const month = Math.floor(day / DAYS_A_MONTH);
  const scopes = ['g', `a${affiliateId}`] as const;
  return [
    ['hsetnx', `peer:clicks:${offerId}`, call.clickId, hitId],
    ['hsetnx', `peer:ips:${offerId}`, `${day}|${call.ip}`, hitId],
    ['hsetnx', `peer:tracks:${offerId}`, call.trackId, hitId],
    ...scopes.flatMap((scope): [string, ...string[]][] => [
      ['hincrby', caps, `${scope}:d${day}`, '1'],
      ['hincrby', caps, `${scope}:m${month}`, '1'],
      ['hincrby', caps, `${scope}:ever`, '1'],
    ]),
  ];
}

/** The verdict from the replies, in the order of the commands. */
export function judgePipelined(replies: readonly unknown[]): number {
  const [click, ip, track, ...counts] = replies.map(Number);
  if (click !== 1) return 101;
  if (ip !== 1) return 102;
  if (track !== 1) return 103;
  return counts.some((count) => count > CAP) ? 107 : 0;
}
