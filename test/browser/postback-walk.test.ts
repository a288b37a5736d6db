/** An affiliate enters its postback URL, is told of a conversion, and sees it; the network's manager has it sent again. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startAffiliateEndpoint, type AffiliateEndpoint } from '../support/affiliate-endpoint.ts';
import { launchChromium, openPage, signInPage } from '../support/chromium.ts';
import { createNetwork, PASSWORD, type Network } from '../support/network.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

let sluice: RunningSluice;
let endpoint: AffiliateEndpoint;
let browser: Browser;
let network: Network;
const faults: string[][] = [];

beforeAll(async () => {
  [sluice, endpoint, browser] = await Promise.all([
    startSluice({ SLUICE_OUTGOING_ALLOW: '127.0.0.1/32' }),
    startAffiliateEndpoint(),
    launchChromium(),
  ]);
  network = await createNetwork(sluice, 'https://shop.example/');
}, 180_000);
afterAll(async () => {
  await browser?.close();
  await Promise.all([endpoint?.close(), sluice?.stop()]);
});

async function openAs(login: string, password: string): Promise<Page> {
  const opened = await openPage(browser);
  faults.push(opened.faults);
  await signInPage(opened.page, sluice.apiUrl, login, password);
  return opened.page;
}

/** Clicks and converts until the affiliate's server hears of it: an entry is in force within a second. */
async function convertUntilCalled(): Promise<void> {
  const { offer, blogger } = network;
  await waitFor(
    async () => {
      const click = await fetch(
        `${sluice.edgeUrl}/click?o=${offer}&a=${blogger}&aff_click_id=visit-7&return=click_id`,
      );
      const { click_id } = (await click.json()) as { click_id: string };
      await fetch(`${sluice.edgeUrl}/track/goal-by-click-id?click_id=${click_id}`);
      return endpoint.calls.length > 0;
    },
    { timeoutMs: 30_000, what: 'the affiliate to be told', intervalMs: 1_500 },
  );
}

async function reportedRows(page: Page, outcome: string, count: number): Promise<void> {
  await page.goto(`${sluice.apiUrl}/reports/affiliate-postbacks?outcome=${outcome}`);
  await page.getByRole('heading', { name: 'Affiliate Postbacks' }).waitFor();
  await waitFor(
    async () => {
      await page.getByRole('button', { name: 'Display' }).click();
      await page.locator('tbody tr, .state.empty').first().waitFor();
      return (await page.locator('tbody tr').count()) >= count;
    },
    { timeoutMs: 20_000, what: `${count} ${outcome} postbacks in the report`, intervalMs: 300 },
  );
}

it('an affiliate’s URL is checked by its field, called, seen in its log, and sent again by a manager', async () => {
  const affiliate = await openAs('blogger', PASSWORD);
  await affiliate.getByRole('link', { name: 'Postback URLs' }).click();
  await affiliate.getByText('No postbacks').waitFor();
  await affiliate.getByRole('button', { name: 'Add a postback' }).click();
  const form = affiliate.getByRole('dialog', { name: 'New postback' });
  await form.getByLabel('URL').fill(`${endpoint.url}/walk?money={revenue}`);
  await form.getByRole('button', { name: 'Save postback' }).click();
  await form.getByText('{revenue} is no macro').waitFor();
  expect(await form.getByLabel('URL').getAttribute('aria-invalid')).toBe('true');
  await form.getByLabel('URL').fill(`${endpoint.url}/walk?visit=`);
  await form.getByRole('button', { name: '{aff_click_id}', exact: true }).click();
  await form.getByLabel('pending').check();
  await form.getByRole('button', { name: 'Save postback' }).click();
  const saved = affiliate.getByRole('row').filter({ hasText: '/walk?visit={aff_click_id}' });
  await saved.getByText('approved, pending').waitFor();

  await convertUntilCalled();
  expect(endpoint.calls[0]?.query.get('visit')).toBe('visit-7');
  await reportedRows(affiliate, 'sent', 1);
  expect(await affiliate.locator('tbody tr').first().textContent()).toContain(
    '/walk?visit=visit-7',
  );

  const manager = await openAs('admin', sluice.adminKey);
  await manager.goto(`${sluice.apiUrl}/affiliates/${network.blogger}`);
  await manager.getByRole('row').filter({ hasText: '/walk?visit={aff_click_id}' }).waitFor();
  await reportedRows(manager, 'sent', 1);
  const before = endpoint.calls.length;
  await manager.getByRole('button', { name: 'Resend' }).first().click();
  await manager.getByText('It will be sent again').waitFor();
  await waitFor(() => endpoint.calls.length > before, {
    timeoutMs: 20_000,
    what: 'the postback to be sent again',
  });
  await reportedRows(manager, 'requested', 1);

  await affiliate.getByRole('link', { name: 'Postback URLs' }).click();
  await saved.getByRole('button', { name: 'Delete' }).click();
  await affiliate.getByRole('button', { name: 'Delete postback', exact: true }).click();
  await affiliate.getByText('No postbacks').waitFor();
  expect(faults.flat()).toEqual([]);
}, 120_000);
