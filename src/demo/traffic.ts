/**
 * Demo traffic through the real HTTP front: visitors by the hour of the day, many addresses and browsers, late and
 * repeated postbacks, promo codes, and the mistakes that integrations really make. Seeded; the same seed sends the same.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf } from '../domain/app-error.ts';
import { visitorHeaders, type Visitor } from './visitors.ts';

export interface DemoTraffic {
  /** Sends at least one call for every verdict. */
  provokeEveryVerdict(): Promise<void>;
  /** A gentle stream until the time is over. */
  run(durationMs: number): Promise<void>;
}

/** Visits a second at the busiest hour of the compressed day. */
const VISITS_A_SECOND = 8;
/** A day of the demo's diurnal curve. */
const DEMO_DAY_MS = 120_000;
const REPORT_MS = 30_000;

/** mulberry32: small, seeded, good enough for traffic. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function createDemoTraffic(options: {
  readonly edgeUrl: string;
  readonly seed: number;
  readonly log: (line: string) => void;
}): DemoTraffic {
  const random = createRandom(options.seed);
  const pick = <T>(items: readonly [T, ...T[]]): T =>
    items[Math.floor(random() * items.length)] ?? items[0];
  const counts = { clicks: 0, calls: 0, failed: 0 };
  let orders = 0;

  async function send(
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response | undefined> {
    try {
      return await fetch(`${options.edgeUrl}${path}`, { headers, redirect: 'manual' });
    } catch (error) {
      counts.failed += 1;
      if (counts.failed === 1) options.log(`demo: a call failed: ${messageOf(error)}`);
      return undefined;
    }
  }

  async function click(query: string, visitor: Visitor = visitorHeaders(random)): Promise<string> {
    counts.clicks += 1;
    const response = await send(`/click?${query}&return=click_id`, visitor);
    if (response?.status !== 200) return '';
    const body = (await response.json()) as { click_id: string };
    return body.click_id;
  }

  async function call(
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    counts.calls += 1;
    const response = await send(path, headers);
    if (response === undefined || !(response.headers.get('content-type') ?? '').includes('json')) {
      await response?.arrayBuffer();
      return '';
    }
    const body = (await response.json()) as { hit_id?: string };
    return body.hit_id ?? '';
  }

  async function mistakes(clickId: string): Promise<void> {
    const paths: readonly string[] = [
      '/track/goal-by-click-id?click_id={click_id}',
      '/track/goal-by-click-id?click_id=%7Bclick_id%7D',
      '/track/goal-by-click-id?click_id=',
      `/track/goal-by-click-id?click_id=${clickId.slice(0, 20)}`,
      `/track/goal-by-click-id?click_id=${clickId.toUpperCase()}`,
      '/track/goal-by-click-id?click_id=affiliate-session-4711',
      `/track/goal-by-click-id?click_id=${clickId}&amount=amount`,
      `/track/goal-by-click-id?click_id=${clickId}&amount=1.234,56`,
      `/track/goal-by-click-id?click_id=${clickId}&goal_id=911`,
      '/track/postback?click_id=wrong-endpoint',
      '/track/goal?offer_id=901&return=img',
    ];
    for (const path of paths) await call(path);
  }

  async function provokeEveryVerdict(): Promise<void> {
    for (const query of [
      'o=999&a=901',
      'o=904&a=901',
      'o=901&a=999',
      'o=901&a=903',
      'o=903&a=901',
      'a=901',
    ])
      await click(query);
    const shop = await click('o=901&a=901&sub_id1=newsletter');
    const first = await call(
      `/track/goal-by-click-id?click_id=${shop}&amount=49.90&adv_order_id=D-1`,
    );
    await call(`/track/goal-by-click-id?click_id=${shop}&amount=49.90&adv_order_id=D-1`);
    for (const track of ['lead-1', 'lead-1', ''])
      await call(`/track/conv?click_id=${shop}&goal_alias=newsletter&track_id=${track}`);
    for (let i = 0; i < 2; i++)
      await call(`/track/conv?click_id=${shop}&goal_alias=basket&adv_order_id=B-1`);
    for (let i = 0; i < 7; i++)
      await call(`/track/conv?click_id=${await click('o=901&a=902')}&goal_alias=launch`);
    const visitor = visitorHeaders(random);
    for (let i = 0; i < 2; i++) {
      await call(
        `/track/conv?click_id=${await click('o=902&a=901', visitor)}&token=nordbank-demo-token`,
      );
    }
    const bank = await click('o=902&a=902');
    await call(`/track/conv?click_id=${bank}`);
    await call(`/track/conv?click_id=${shop}&token=wrong`);
    await call(`/track/conv?click_id=${shop}&goal_id=905`);
    await call(`/track/conv?click_id=${shop}&goal_id=99999`);
    await call(`/track/conv?click_id=${shop}&offer_id=99999`);
    await call(`/track/conv?click_id=${await click('o=905&a=901')}`);
    await call(`/track/conv?click_id=${await click('o=906&a=901')}`);
    await call(
      '/track/conv-change?transaction_id=01900000-0000-7000-8000-000000000000&conv_status=rejected&token=acme-demo-token',
    );
    await call(`/track/conv-change?transaction_id=${first}&conv_status=hold&token=acme-demo-token`);
    for (const code of ['TRAIL10', 'NOSUCH', 'XMAS19', 'SEASON', 'FRESH', 'GAMER'])
      await call(`/track/promo?code=${code}&amount=20`);
    await mistakes(shop);
    options.log(
      `demo: sent ${counts.clicks} clicks and ${counts.calls} conversion calls that provoke every verdict`,
    );
  }

  async function convert(clickId: string, visitor: Visitor): Promise<void> {
    // Most shops report at once; some batch, and some repeat for a while.
    await pause(random() * 3_000);
    orders += 1;
    const amount = (10 + random() * 90).toFixed(2);
    if (random() < 0.4) {
      await call('/track/goal?offer_id=901&return=img', {
        ...visitor,
        cookie: `slc_901=${clickId}`,
        'sec-fetch-dest': 'image',
      });
      return;
    }
    const path = `/track/goal-by-click-id?click_id=${clickId}&amount=${amount}&adv_order_id=A-${orders}`;
    await call(path);
    if (random() < 0.15) {
      await pause(random() * 5_000);
      await call(path);
    }
  }

  async function visit(): Promise<void> {
    const visitor = visitorHeaders(random);
    const offer = pick(['901', '901', '901', '902', '904'] as const);
    const source = pick(['newsletter', 'review', 'banner', 'social'] as const);
    const clickId = await click(
      `o=${offer}&a=${pick(['901', '902'] as const)}&sub_id1=${source}&source=${source}`,
      visitor,
    );
    if (clickId !== '' && offer === '901' && random() < 0.12) await convert(clickId, visitor);
    if (random() < 0.01) await mistakes(clickId);
    if (random() < 0.02)
      await call(`/track/promo?code=TRAIL10&amount=${(20 + random() * 50).toFixed(2)}`);
  }

  return {
    provokeEveryVerdict,
    async run(durationMs) {
      const startedAt = Date.now();
      let reportedAt = startedAt;
      while (Date.now() - startedAt < durationMs) {
        const phase = ((Date.now() - startedAt) % DEMO_DAY_MS) / DEMO_DAY_MS;
        const rate = VISITS_A_SECOND * (0.55 - 0.45 * Math.cos(2 * Math.PI * phase));
        visit().catch((error: unknown) => options.log(`demo: ${messageOf(error)}`));
        await pause((-Math.log(1 - random()) * 1000) / rate);
        if (Date.now() - reportedAt > REPORT_MS) {
          reportedAt = Date.now();
          options.log(
            `demo: ${counts.clicks} clicks, ${counts.calls} conversion calls, ${counts.failed} failed`,
          );
        }
      }
    },
  };
}
