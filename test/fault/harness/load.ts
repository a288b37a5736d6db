/**
 * An open-loop client: requests leave on a fixed schedule whether earlier ones were answered or not, latency counts from
 * the scheduled time, and every acknowledgement is written down as it arrives. What is sent follows from the seed.
 */
import { Agent, request } from 'node:http';
import { waitFor } from '../../support/wait-for.ts';

export interface SentClick {
  readonly kind: 'click';
  readonly sequence: number;
  readonly offerId: number;
  readonly affiliateId: number;
  readonly ip: string;
}

export interface SentCall {
  readonly kind: 'call';
  readonly sequence: number;
  readonly click: SentClick;
  readonly clickId: string;
  readonly orderId: string;
  readonly trackId: string;
}

export type Sent = SentClick | SentCall;

export interface Ledger {
  readonly sent: Map<number, Sent>;
  /** sequence → click id or hit id. */
  readonly acknowledged: Map<number, string>;
  refused: number;
  failed: number;
  /** ms from the scheduled time to the answer, with when it was scheduled. */
  readonly latencies: { readonly atMs: number; readonly ms: number }[];
}

export interface Load {
  readonly ledger: Ledger;
  /** Acknowledged so far. */
  readonly progress: () => number;
  /** Stops sending and waits for what is under way. */
  stop(): Promise<void>;
}

export function createRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const OFFERS = [100, 101, 102, 103];
const ADDRESSES = 400;
const SENT_AT_ONCE_MAX = 400;
const TIMEOUT_MS = 10_000;

export function createLedger(): Ledger {
  return { sent: new Map(), acknowledged: new Map(), refused: 0, failed: 0, latencies: [] };
}

/** p-th percentile (0 to 1) of the latencies scheduled within the window, in ms. */
export function percentile(ledger: Ledger, p: number, fromMs = 0, toMs = Infinity): number {
  const window = ledger.latencies
    .filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
    .map(({ ms }) => ms)
    .toSorted((a, b) => a - b);
  return window[Math.min(window.length - 1, Math.floor(p * window.length))] ?? Number.NaN;
}

export function startLoad(options: {
  readonly edgeUrls: readonly string[];
  readonly perSecond: number;
  readonly seed: number;
  readonly ledger?: Ledger;
  readonly offers?: readonly number[];
  /** Share of clicks among the requests, of 100. */
  readonly clickPercent?: number;
}): Load {
  const ledger = options.ledger ?? createLedger();
  const random = createRandom(options.seed);
  // In turn: a connection that idles for 10 s is closed by the edge, maybe just when it would be used again.
  const agent = new Agent({ keepAlive: true, maxSockets: 128, scheduling: 'fifo' });
  const offers = options.offers ?? OFFERS;
  const clicks: { readonly click: SentClick; readonly clickId: string }[] = [];
  let sequence = ledger.sent.size;
  let underWay = 0;
  const pick = <T>(items: readonly T[]): T => {
    const item = items[random(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  };

  function nextSent(): Sent {
    sequence += 1;
    if (clicks.length === 0 || random(100) < (options.clickPercent ?? 40)) {
      return {
        kind: 'click',
        sequence,
        offerId: pick(offers),
        affiliateId: 1 + random(2),
        ip: `10.1.${random(2)}.${random(ADDRESSES / 2)}`,
      };
    }
    // Mostly recent clicks, some old ones; ids repeat, as shops do.
    const recent = Math.min(clicks.length, random(4) === 0 ? clicks.length : 50);
    const { click, clickId } = clicks[clicks.length - 1 - random(recent)] ?? pick(clicks);
    return {
      kind: 'call',
      sequence,
      click,
      clickId,
      orderId: random(10) === 0 ? '' : `o${random(sequence + 1)}`,
      trackId: random(20) === 0 ? '' : `t${random(2 * sequence + 1)}`,
    };
  }

  function pathOf(sent: Sent): string {
    if (sent.kind === 'click')
      return `/click?o=${sent.offerId}&a=${sent.affiliateId}&sub_id5=${sent.sequence}&return=click_id`;
    return `/track/goal-by-click-id?click_id=${sent.clickId}&adv_order_id=${sent.orderId}&track_id=${sent.trackId}&adv_param5=${sent.sequence}`;
  }

  function note(sent: Sent, status: number, body: string): void {
    if (status !== 200) {
      ledger.refused += 1;
      return;
    }
    const answer = JSON.parse(body) as { click_id?: string; hit_id?: string };
    const id = answer.click_id ?? answer.hit_id ?? '';
    ledger.acknowledged.set(sent.sequence, id);
    if (sent.kind === 'click') clicks.push({ click: sent, clickId: id });
  }

  function send(scheduledMs: number): void {
    const sent = nextSent();
    ledger.sent.set(sent.sequence, sent);
    underWay += 1;
    let over = false;
    const end = (failed: boolean): void => {
      if (over) return;
      over = true;
      underWay -= 1;
      if (failed) ledger.failed += 1;
    };
    const ip = sent.kind === 'click' ? sent.ip : '192.0.2.1';
    const outgoing = request(
      `${pick(options.edgeUrls)}${pathOf(sent)}`,
      { agent, headers: { 'X-Forwarded-For': ip }, timeout: TIMEOUT_MS },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => (body += text));
        response.on('error', () => end(true));
        response.on('aborted', () => end(true));
        response.on('end', () => {
          note(sent, response.statusCode ?? 0, body);
          ledger.latencies.push({ atMs: scheduledMs, ms: Date.now() - scheduledMs });
          end(false);
        });
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')));
    outgoing.on('error', () => end(true));
    outgoing.end();
  }

  const beganMs = Date.now();
  let scheduled = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((Date.now() - beganMs) / 1000) * options.perSecond);
    while (scheduled < due) {
      const atMs = beganMs + (scheduled / options.perSecond) * 1000;
      scheduled += 1;
      // A machine that can't keep up must not drown the test; what is skipped was never sent.
      if (underWay < SENT_AT_ONCE_MAX) send(atMs);
    }
  }, 5);

  return {
    ledger,
    progress: () => ledger.acknowledged.size,
    async stop() {
      clearInterval(timer);
      await waitFor(() => underWay === 0, {
        timeoutMs: TIMEOUT_MS + 1_000,
        what: 'the last requests to be answered or to fail',
      });
      agent.destroy();
    },
  };
}
