/**
 * Takes the screenshots of the README from a demo instance: `npx tsx scripts/make-screenshots.ts`. Starts and stops
 * everything itself; the pictures go to docs/screenshots and are kept small enough for the repository.
 */
import { mkdirSync, statSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { projectPath } from '../src/project-root.ts';
import { launchChromium, openPage, signInPage } from '../test/support/chromium.ts';
import { signIn } from '../test/support/browser-session.ts';
import { startSluice, type RunningSluice } from '../test/support/start-sluice.ts';
import { waitFor } from '../test/support/wait-for.ts';

const FOLDER = projectPath('docs', 'screenshots');
const BYTES_MAX = 900_000;
/** Demo calls to wait for: enough that every page has something to show. */
const CALLS_MIN = 150;

async function waitForTraffic(sluice: RunningSluice): Promise<void> {
  const session = await signIn(sluice.apiUrl, 'admin', sluice.adminKey);
  await waitFor(
    async () => {
      const { body } = await session.send('GET', '/reports/postbacks/totals');
      return Number(body['rows']) >= CALLS_MIN;
    },
    { timeoutMs: 300_000, what: `${CALLS_MIN} demo calls`, intervalMs: 1_000 },
  );
}

async function loaded(page: Page): Promise<void> {
  await page.locator('h1').first().waitFor();
  await waitFor(async () => (await page.locator('.spinner').count()) === 0, {
    timeoutMs: 20_000,
    what: `${page.url()} to have loaded`,
  });
}

interface Shot {
  readonly name: string;
  readonly path: string;
  readonly colorScheme?: 'light' | 'dark';
  readonly width?: number;
  readonly prepare?: (page: Page) => Promise<void>;
}

const SHOTS: readonly Shot[] = [
  { name: 'dashboard', path: '/' },
  {
    name: 'why',
    path: '/reports/invalid-traffic?verdict=multiple_conversions',
    prepare: async (page) => {
      await page.getByRole('button', { name: 'Why?' }).first().click();
      await page.getByRole('dialog').getByRole('region', { name: 'Verdict' }).waitFor();
    },
  },
  { name: 'promo-codes', path: '/offers/901/promo-codes' },
  {
    name: 'debugger',
    path: '/debugger/test',
    colorScheme: 'dark',
    prepare: async (page) => {
      await page.getByRole('button', { name: 'Send a test click' }).click();
      await page.locator('[data-state=done]').first().waitFor();
      await page.getByRole('button', { name: 'Send the postback' }).click();
      await page.locator('[data-state=done]').filter({ hasText: 'Verdict' }).waitFor();
    },
  },
  { name: 'phone', path: '/reports/transactions', width: 390 },
];

const sluice = await startSluice({}, ['--demo']);
const browser = await launchChromium();
try {
  await waitForTraffic(sluice);
  mkdirSync(FOLDER, { recursive: true });
  let bytes = 0;
  for (const { name, path, colorScheme = 'light', width = 1_280, prepare } of SHOTS) {
    const { page } = await openPage(browser, { colorScheme, width });
    await page.setViewportSize({ width, height: 800 });
    await signInPage(page, sluice.apiUrl, 'admin', sluice.adminKey);
    await page.goto(`${sluice.apiUrl}${path}`);
    await loaded(page);
    await prepare?.(page);
    await loaded(page);
    const file = `${FOLDER}/${name}.png`;
    await page.screenshot({ path: file });
    bytes += statSync(file).size;
    await page.context().close();
  }
  console.log(`${SHOTS.length} screenshots, ${Math.round(bytes / 1_000)} kB`);
  if (bytes > BYTES_MAX) throw new Error(`the screenshots are larger than ${BYTES_MAX} bytes`);
} finally {
  await browser.close();
  await sluice.stop();
}
