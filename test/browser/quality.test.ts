/**
 * What every page owes its users: no serious accessibility finding in light and dark, a phone's width without
 * sideways scrolling, a keyboard, a small first load, nothing from elsewhere; and nothing of another tenant.
 */
import { readFileSync } from 'node:fs';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectPath } from '../../src/project-root.ts';
import { launchChromium, openPage, signInPage } from '../support/chromium.ts';
import { createNetwork, PASSWORD, type Network } from '../support/network.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

const SCRIPT_BYTES_MAX = 200 * 1000;

let sluice: RunningSluice;
let browser: Browser;
let network: Network;
/** A call of the other brand's offer: what no tenant but `other` may see. */
let foreignHit = '';

beforeAll(async () => {
  [sluice, browser] = await Promise.all([startSluice(), launchChromium()]);
  network = await createNetwork(sluice, 'https://shop.example/');
  const { admin, offer, otherOffer, blogger, rival } = network;
  await admin.send('PATCH', `/offers/${offer}`, { promo_codes_enabled: true });
  await admin.send('POST', '/deployments', { offer_id: otherOffer, affiliate_id: rival });
  await admin.send('POST', '/promo-codes', {
    code: 'SPRING10',
    affiliate_id: blogger,
    offer_id: offer,
  });
  await admin.send('POST', '/promo-codes', {
    code: 'FOREIGN',
    affiliate_id: rival,
    offer_id: otherOffer,
  });
  const track = async (path: string): Promise<string> => {
    const response = await fetch(`${sluice.edgeUrl}${path}`);
    return ((await response.json()) as { hit_id: string }).hit_id;
  };
  await fetch(`${sluice.edgeUrl}/click?o=${offer}&a=${blogger}&return=click_id`);
  await track(`/track/promo?code=SPRING10&offer_id=${offer}&amount=10`);
  await track(`/track/promo?code=NOBODY&offer_id=${offer}`);
  foreignHit = await track(
    `/track/promo?code=FOREIGN&offer_id=${otherOffer}&adv_order_id=SECRET-1`,
  );
  await waitFor(
    async () => (await admin.send('GET', `/explain?hit_id=${foreignHit}`)).status === 200,
    { timeoutMs: 20_000, what: 'the calls to be judged' },
  );
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await sluice?.stop();
});

/** Opens a path and waits for its heading; says what stands there instead. */
async function open(page: Page, path: string): Promise<void> {
  await page.goto(`${sluice.apiUrl}${path}`);
  await page
    .getByRole('heading', { level: 1 })
    .or(page.locator('.state.empty'))
    .first()
    .waitFor()
    .catch(async (error: unknown) => {
      const shown = await page.locator('body').innerText();
      throw new Error(`${path} shows: ${shown.slice(0, 500)}`, { cause: error });
    });
}

/** Nothing loads any more. */
async function settle(page: Page): Promise<void> {
  await waitFor(async () => (await page.locator('.spinner').count()) === 0, {
    timeoutMs: 15_000,
    what: `${page.url()} to have loaded`,
  });
}

interface Finding {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly {
    readonly target: readonly string[];
    readonly failureSummary: string;
  }[];
}

/** Serious and critical findings, as text that says where. */
async function seriousFindings(page: Page, rules: readonly string[] = []): Promise<string[]> {
  await settle(page);
  await page.evaluate(axe.source);
  const options = { resultTypes: ['violations'], ...(rules.length > 0 && { runOnly: rules }) };
  const findings = await page.evaluate<Finding[]>(
    `axe.run(document, ${JSON.stringify(options)}).then(({ violations }) => violations)`,
  );
  return findings
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ target, failureSummary }) => `${target.join(' ')} (${failureSummary})`).join('; ')}`,
    );
}

const OFFER_TABS = [
  'general',
  'tracking',
  'limitations',
  'goals',
  'deployments',
  'promo-codes',
  'links',
  'snippets',
];

function managerPages(): string[] {
  return [
    '/',
    '/reports/clicks',
    '/reports/transactions',
    '/reports/invalid-traffic',
    '/reports/invalid-clicks',
    '/reports/postbacks',
    '/reports/affiliate-postbacks',
    '/reports/statistics?breakdown=offer',
    '/offers',
    ...OFFER_TABS.map((tab) => `/offers/${network.offer}/${tab}`),
    '/affiliates',
    `/affiliates/${network.blogger}`,
    '/advertisers',
    `/advertisers/${network.acme}`,
    '/users',
    '/api-keys',
    '/account',
    '/batches',
    '/corrections',
    '/debugger/live',
    '/debugger/test',
    '/debugger/judge',
    `/why/hit_id/${foreignHit}`,
  ];
}

describe.each([
  { colorScheme: 'light', rules: [] },
  // What differs in dark are the colours.
  { colorScheme: 'dark', rules: ['color-contrast'] },
] as const)('in $colorScheme', ({ colorScheme, rules }) => {
  it('the sign-in page has no serious finding', async () => {
    const { page } = await openPage(browser, { colorScheme });
    await page.goto(sluice.apiUrl);
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    expect(await seriousFindings(page, rules)).toEqual([]);
    await page.context().close();
  });

  it('no page of a manager has one', async () => {
    const { page, faults } = await openPage(browser, { colorScheme });
    await signInPage(page, sluice.apiUrl, 'admin', sluice.adminKey);
    for (const path of managerPages()) {
      await open(page, path);
      expect(await seriousFindings(page, rules), path).toEqual([]);
    }
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('no page of a portal has one', async () => {
    const portals = [
      [
        'blogger',
        [
          '/',
          '/offers',
          `/offers/${network.offer}`,
          '/postbacks',
          '/reports/transactions',
          '/reports/affiliate-postbacks',
        ],
      ],
      [
        'acme',
        [
          '/',
          '/assets/tracking-link',
          `/offers/${network.offer}/snippets`,
          '/reports/invalid-traffic',
        ],
      ],
    ] as const;
    for (const [login, paths] of portals) {
      const { page } = await openPage(browser, { colorScheme });
      await signInPage(page, sluice.apiUrl, login, PASSWORD);
      for (const path of paths) {
        await open(page, path);
        expect(await seriousFindings(page, rules), `${login} ${path}`).toEqual([]);
      }
      await page.context().close();
    }
  });

  it('no dialog has one', async () => {
    const { page } = await openPage(browser, { colorScheme });
    await signInPage(page, sluice.apiUrl, 'admin', sluice.adminKey);
    const dialogs = [
      ['/offers', 'New offer'],
      [`/offers/${network.offer}/goals`, 'New goal'],
      [`/offers/${network.offer}/promo-codes`, 'Add a promo code'],
      [`/affiliates/${network.blogger}`, 'Add a postback'],
      ['/users', 'New user'],
      ['/reports/transactions', 'Columns'],
      ['/reports/invalid-traffic', 'Why?'],
    ] as const;
    for (const [path, button] of dialogs) {
      await page.goto(`${sluice.apiUrl}${path}`);
      await page.getByRole('button', { name: button, exact: true }).first().click();
      await page.getByRole('dialog').waitFor();
      expect(await seriousFindings(page, rules), button).toEqual([]);
    }
    await page.context().close();
  });
});

describe('a phone', () => {
  it('scrolls no page sideways, and opens the navigation over it', async () => {
    const { page } = await openPage(browser, { width: 390 });
    await signInPage(page, sluice.apiUrl, 'admin', sluice.adminKey);
    for (const path of managerPages()) {
      await open(page, path);
      await settle(page);
      const width = Number(await page.evaluate('document.documentElement.scrollWidth'));
      expect(width, path).toBeLessThanOrEqual(390);
    }
    await page.getByRole('button', { name: 'Menu' }).click();
    await page.getByRole('link', { name: 'Transactions' }).click();
    await page.getByRole('heading', { name: 'Transactions' }).waitFor();
    expect(await page.getByRole('link', { name: 'Postbacks' }).count()).toBe(0);
    await page.context().close();
  });
});

describe('a keyboard', () => {
  it('is enough to sign in, reach a row’s Why? and come back to it', async () => {
    const { page } = await openPage(browser);
    await page.goto(`${sluice.apiUrl}/reports/invalid-traffic`);
    await page.getByLabel('Name').focus();
    await page.keyboard.type('admin');
    await page.keyboard.press('Tab');
    await page.keyboard.type(sluice.adminKey);
    await page.keyboard.press('Enter');
    const why = page.getByRole('button', { name: 'Why?' }).first();
    await why.waitFor();
    await why.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('region', { name: 'Verdict' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Why?');
    await page.context().close();
  });
});

describe('a dialog that creates', () => {
  it.each(['affiliate', 'advertiser'])('names what it makes on its button: %s', async (noun) => {
    const { page } = await openPage(browser);
    await signInPage(page, sluice.apiUrl, 'admin', sluice.adminKey);
    await page.goto(`${sluice.apiUrl}/${noun}s`);
    await page.getByRole('button', { name: `New ${noun}` }).click();
    await page
      .getByRole('dialog')
      .getByRole('button', { name: `Create ${noun}`, exact: true })
      .waitFor();
    await page.context().close();
  });
});

describe('the first load', () => {
  it('is at most 200 KB of compressed script, all from here, and cached for good', async () => {
    const { page, faults } = await openPage(browser);
    let bytes = 0;
    const headers: string[] = [];
    const sizes: Promise<void>[] = [];
    page.on('response', (response) => {
      if (!response.url().endsWith('.js')) return;
      headers.push(
        `${response.headers()['content-encoding']} ${response.headers()['cache-control']}`,
      );
      sizes.push(
        response
          .request()
          .sizes()
          .then(({ responseBodySize }) => {
            bytes += responseBodySize;
          }),
      );
    });
    await signInPage(page, sluice.apiUrl, 'admin', sluice.adminKey);
    await page.waitForLoadState('networkidle');
    await Promise.all(sizes);
    expect(headers.length).toBeGreaterThan(0);
    for (const header of headers)
      expect(header).toMatch(/^(br|gzip) public, max-age=31536000, immutable$/);
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThanOrEqual(SCRIPT_BYTES_MAX);
    expect(faults).toEqual([]);
    const document = readFileSync(projectPath('dist/web/index.html'), 'utf8');
    expect(document).not.toMatch(/https?:\/\//);
    await page.context().close();
  });
});

describe('one tenant on another’s addresses', () => {
  const SECRETS = /Secret deal|FOREIGN|SECRET-1|Other brand/;

  it.each(['blogger', 'acme'])(
    '%s finds nothing there, in the page or behind it',
    async (login) => {
      const { page } = await openPage(browser);
      await signInPage(page, sluice.apiUrl, login, PASSWORD);
      const paths = [
        `/offers/${network.otherOffer}`,
        `/offers/${network.otherOffer}/goals`,
        `/offers/${network.otherOffer}/promo-codes`,
        `/advertisers/${network.other}`,
        `/affiliates/${network.rival}`,
        `/why/hit_id/${foreignHit}`,
        '/reports/transactions?promo_code=FOREIGN',
        '/reports/transactions?adv_order_id=SECRET-1',
        `/reports/statistics?breakdown=offer&offer_id=${network.otherOffer}`,
        '/users',
        '/api-keys',
        '/debugger/live',
      ];
      const bodies: string[] = [];
      page.on('response', (response) => {
        if (response.url().includes('/api/v1/') && !response.url().includes('/tail'))
          response.text().then(
            (text) => bodies.push(text),
            () => undefined,
          );
      });
      for (const path of paths) {
        await page.goto(`${sluice.apiUrl}${path}`);
        await page.getByRole('main').waitFor();
        await page.waitForLoadState('domcontentloaded');
        await waitFor(async () => (await page.locator('.spinner').count()) === 0, {
          timeoutMs: 15_000,
          what: `${path} to have loaded`,
        });
        const shown = (await page.getByRole('main').textContent()) ?? '';
        // What was typed into the address may be repeated as a filter's chip.
        const rows = path.includes('?') ? await page.locator('tbody').allTextContents() : [shown];
        expect(rows.join(' '), path).not.toMatch(SECRETS);
      }
      // An affiliate may see that a by-request offer exists, to ask for it; nothing else of it.
      const allowed =
        login === 'blogger' ? bodies.filter((body) => !body.includes('"request":')) : bodies;
      expect(allowed.join('\n')).not.toMatch(SECRETS);
      await page.context().close();
    },
  );

  it.each(['blogger', 'acme'])(
    '%s is refused by the API itself, from its own page',
    async (login) => {
      const { page } = await openPage(browser);
      await signInPage(page, sluice.apiUrl, login, PASSWORD);
      const status = async (method: string, path: string): Promise<number> =>
        Number(
          await page.evaluate(
            `fetch('/api/v1/session').then((r) => r.json()).then(({ csrf_token }) => fetch('/api/v1${path}', {
             method: '${method}', headers: { 'x-csrf-token': csrf_token, 'content-type': 'application/json' },
             ...('${method}' === 'GET' ? {} : { body: '{}' }) })).then(({ status }) => status)`,
          ),
        );
      expect(await status('GET', `/offers/${network.otherOffer}`)).toBe(404);
      expect(await status('GET', `/explain?hit_id=${foreignHit}`)).toBe(
        login === 'blogger' ? 403 : 404,
      );
      expect(await status('GET', '/users')).toBe(403);
      expect(await status('GET', '/status')).toBe(403);
      expect(await status('POST', '/users')).toBe(403);
      expect(await status('PATCH', `/offers/${network.offer}`)).toBe(403);
      expect(await status('POST', '/promo-codes')).toBe(403);
      await page.context().close();
    },
  );
});
