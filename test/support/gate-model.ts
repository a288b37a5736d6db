/**
 * The gate's rules as a plain model, written from CONTRACT.md ("Verdicts") alone: lists and loops, no indexes, no Lua,
 * no bucket code of the product (it has its own calendar). Slow and obvious.
 */
import type { GateReply, GateRequest } from '../../src/domain/gate-request.ts';

interface Accepted {
  readonly request: GateRequest;
  /** A change freed what it claimed. */
  released: boolean;
}

/** Calendar label of an instant in a zone; two instants are in one period exactly when their labels are equal. */
function label(period: string, zone: string, ms: number): string {
  if (period === 'ever' || period === 'total') return 'ever';
  const parts = new Intl.DateTimeFormat('en-CA', {
    timeZone: zone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'longOffset',
  }).formatToParts(ms);
  const get = (type: string): string => parts.find((part) => part.type === type)?.value ?? '';
  const date = `${get('year')}-${get('month')}-${get('day')}`;
  if (period === 'hour') return `${date} ${get('hour')} ${get('timeZoneName')}`;
  if (period === 'day' || period === 'daily') return date;
  if (period === 'month' || period === 'monthly') return date.slice(0, 7);
  const noon = new Date(`${date}T12:00:00Z`);
  const monday = new Date(noon.getTime() - ((noon.getUTCDay() + 6) % 7) * 86_400_000);
  return `week of ${monday.toISOString().slice(0, 10)}`;
}

export function createGateModel() {
  const all: Accepted[] = [];
  /** What counts for the call that is judged: of the calls of one block, releases count from the next block on. */
  let accepted: Accepted[] = [];

  function capReply(request: GateRequest): GateReply | undefined {
    const { rules } = request;
    const scopes = [
      ['goal', rules.caps, (): boolean => true],
      [
        'affiliate',
        rules.affiliateCaps,
        (other: GateRequest): boolean => other.affiliateId === request.affiliateId,
      ],
    ] as const;
    for (const [scope, caps, belongs] of scopes) {
      for (const period of ['daily', 'monthly', 'total'] as const) {
        const limit = caps?.[period] ?? null;
        if (limit === null) continue;
        const counted = accepted.filter(
          ({ request: other }) =>
            other.goalId === request.goalId &&
            belongs(other) &&
            label(period, rules.timezone, other.hitTimeMs) ===
              label(period, rules.timezone, request.hitTimeMs),
        );
        if (counted.length >= limit) {
          return {
            kind: 'cap-reached',
            scope,
            period,
            limit,
            used: counted.length,
            blockingTransactionId: counted.at(-1)?.request.hitId ?? '',
          };
        }
      }
    }
    return undefined;
  }

  function decide(request: GateRequest): GateReply {
    const { rules } = request;
    const ofGoal = accepted
      .map(({ request: other }) => other)
      .filter((other) => other.goalId === request.goalId);
    const ofClick = ofGoal.filter(
      (other) => request.clickId !== '' && other.clickId === request.clickId,
    );
    if (request.mode !== 'create') {
      if (request.targetTransactionId !== '') return changeOf(request);
      const last = all.findLast(
        ({ request: other }) =>
          other.goalId === request.goalId &&
          request.clickId !== '' &&
          other.clickId === request.clickId,
      );
      if (last !== undefined)
        return { kind: 'changed', transactionId: last.request.hitId, released: 'no' };
      if (request.mode === 'change') return { kind: 'transaction-not-found' };
    }
    const [firstOfClick] = ofClick;
    if (rules.oncePerClick && firstOfClick !== undefined) {
      return { kind: 'rejected', code: 101, blockingTransactionId: firstOfClick.hitId };
    }
    const sameOrder = ofGoal.find(
      (other) => request.orderId !== '' && other.orderId === request.orderId,
    );
    if (rules.uniqueOrderId && sameOrder !== undefined) {
      return { kind: 'rejected', code: 122, blockingTransactionId: sameOrder.hitId };
    }
    const window = rules.uniqueIpWindow;
    if (window !== null && request.uniqueIp !== '') {
      const sameIp = accepted.find(
        ({ request: other }) =>
          other.offerId === request.offerId &&
          other.uniqueIp === request.uniqueIp &&
          label(window, rules.timezone, other.hitTimeMs) ===
            label(window, rules.timezone, request.hitTimeMs),
      );
      if (sameIp !== undefined)
        return { kind: 'rejected', code: 102, blockingTransactionId: sameIp.request.hitId };
    }
    if (rules.uniqueTrackId) {
      const sameTrack = ofGoal.find((other) => other.trackId === request.trackId);
      if (request.trackId === '') return { kind: 'rejected', code: 103, blockingTransactionId: '' };
      if (sameTrack !== undefined)
        return { kind: 'rejected', code: 103, blockingTransactionId: sameTrack.hitId };
    }
    const capped = capReply(request);
    if (capped !== undefined) return capped;
    const item = { request, released: false };
    accepted.push(item);
    all.push(item);
    return { kind: 'accepted' };
  }

  function changeOf(request: GateRequest): GateReply {
    const transactionId = request.targetTransactionId;
    const target = all.find(({ request: other }) => other.hitId === transactionId);
    if (target === undefined) return { kind: 'transaction-not-found' };
    if (target.released) return { kind: 'changed', transactionId, released: 'before' };
    if (request.release === undefined) return { kind: 'changed', transactionId, released: 'no' };
    target.released = true;
    return { kind: 'changed', transactionId, released: 'now' };
  }

  return {
    /** The replies to the calls of a block, in order. */
    decideBlock(requests: readonly GateRequest[]): GateReply[] {
      accepted = all.filter(({ released }) => !released);
      return requests.map(decide);
    },
    /** Whether a transaction counts. */
    counts: (transactionId: string): boolean =>
      all.some(({ request, released }) => request.hitId === transactionId && !released),
    all: (): readonly GateRequest[] => all.map(({ request }) => request),
  };
}
