/**
 * A wrong goal id, found in Logs → Invalid Traffic: the goal is added, the calls are previewed and replayed from the
 * console, the transactions appear, and each rejected call leads to its replay. As a manager does it; real pages.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launchChromium, openPage, signInPage } from '../support/chromium.ts';
import { createNetwork, PASSWORD, type Network } from '../support/network.ts';
import { startShop, type Shop } from '../support/shop.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

let sluice: RunningSluice;
let shop: Shop;
let browser: Browser;
let network: Network;
let page: Page;
let faults: string[];

beforeAll(async () => {
  [sluice, shop, browser] = await Promise.all([startSluice(), startShop(), launchChromium()]);
  network = await createNetwork(sluice, shop.url('/landing'));
  ({ page, faults } = await openPage(browser));
  await signInPage(page, sluice.apiUrl, 'admin', sluice.adminKey);
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await Promise.all([shop?.close(), sluice?.stop()]);
});

/** Presses Display until so many rows hold the text. */
async function displayUntil(report: string, text: string, count: number): Promise<void> {
  await page.getByRole('link', { name: report, exact: true }).click();
  await page.getByRole('heading', { name: report, level: 1 }).waitFor();
  await page.getByLabel('Dates').selectOption({ label: 'Today' });
  await waitFor(
    async () => {
      await page.getByRole('button', { name: 'Display' }).click();
      await page.locator('tbody tr, .state.empty').first().waitFor();
      return (await page.getByRole('row').filter({ hasText: text }).count()) === count;
    },
    { timeoutMs: 20_000, what: `${text} in ${report}`, intervalMs: 300 },
  );
}

it('a manager previews, replays and follows the calls that a report shows', async () => {
  const calls = 3;
  for (let n = 0; n < calls; n++) {
    const response = await fetch(
      `${sluice.edgeUrl}/click?o=${network.offer}&a=${network.blogger}&return=click_id`,
    );
    const { click_id } = (await response.json()) as { click_id: string };
    await fetch(
      `${sluice.edgeUrl}/track/goal-by-click-id?click_id=${click_id}&goal_alias=upsell&amount=20`,
    );
  }
  await displayUntil('Invalid Traffic', 'Goal Not Found', calls);

  const dialog = page.getByRole('dialog', { name: 'Replay rejected calls' });
  const outcome = dialog.getByRole('list', { name: 'What would become of them' });
  await page.getByRole('button', { name: 'Replay…' }).click();
  await outcome.waitFor();
  expect(await outcome.textContent()).toBe('Goal Not Found → Goal Not Found: 3');
  await dialog.getByRole('button', { name: 'Close' }).click();

  const goal = { offer_id: network.offer, alias: 'upsell', title: 'Upsell', payout: '2' };
  expect((await network.admin.send('POST', '/goals', goal)).status).toBe(201);
  await page.getByRole('button', { name: 'Replay…' }).click();
  await outcome.waitFor();
  expect(await outcome.textContent()).toBe('Goal Not Found → Accepted: 3');
  expect(await dialog.getByRole('region', { name: 'The first calls' }).textContent()).toContain(
    'Accepted',
  );
  await dialog.getByRole('checkbox', { name: 'Do not tell affiliates' }).check();
  await dialog.getByRole('button', { name: 'Replay 3 calls' }).click();
  await dialog.getByText('3 of 3 lines judged').waitFor();
  expect(await dialog.getByRole('listitem').allTextContents()).toContain('Accepted: 3');
  await dialog.getByRole('link', { name: /Transactions made by replays/ }).click();
  await page.getByRole('heading', { name: 'Transactions', level: 1 }).waitFor();
  await page.getByRole('cell', { name: 'replay', exact: true }).first().waitFor();
  expect(await page.getByRole('cell', { name: 'replay', exact: true }).count()).toBe(calls);

  await displayUntil('Invalid Traffic', 'Goal Not Found', calls);
  const row = page.getByRole('row').filter({ hasText: 'Goal Not Found' }).first();
  await row.getByRole('link', { name: /^[0-9a-f-]{36}$/ }).click();
  await page.waitForURL(/\/why\/hit_id\//);
  await page.getByText('Replays the call').waitFor();
  expect(await page.getByRole('region', { name: 'Verdict' }).textContent()).toContain('Accepted');
  expect(faults).toEqual([]);
}, 120_000);

it('an advertiser sees the rejected calls and no replay', async () => {
  const { page: theirs } = await openPage(browser);
  await signInPage(theirs, sluice.apiUrl, 'acme', PASSWORD);
  await theirs.getByRole('link', { name: 'Invalid Traffic', exact: true }).click();
  await theirs.getByText('Goal Not Found').first().waitFor();
  expect(await theirs.getByRole('button', { name: 'Replay…' }).count()).toBe(0);
}, 60_000);
