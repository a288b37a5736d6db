/**
 * The testing-and-debugging walk of the trade's manuals, as a manager with a new advertiser walks it: click, Reports →
 * Clicks, a wrong call, Logs → Invalid Traffic, Why?, and the debugger's three tools. Real pages, real tags.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchChromium, openPage, signInPage } from '../support/chromium.ts';
import { signIn } from '../support/browser-session.ts';
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
  shop.setPage('/landing', 'Welcome');
  const opened = await openPage(browser);
  ({ page, faults } = opened);
  await signInPage(page, sluice.apiUrl, 'admin', sluice.adminKey);
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await Promise.all([shop?.close(), sluice?.stop()]);
});

/** Presses Display until the report has a row with the text: rows appear within a second or two. */
async function displayUntil(report: string, text: string): Promise<void> {
  await page.getByRole('link', { name: report, exact: true }).click();
  await page.getByRole('heading', { name: report, level: 1 }).waitFor();
  await page.getByLabel('Dates').selectOption({ label: 'Today' });
  await waitFor(
    async () => {
      await page.getByRole('button', { name: 'Display' }).click();
      await page.locator('tbody tr, .state.empty').first().waitFor();
      return (await page.getByRole('row').filter({ hasText: text }).count()) > 0;
    },
    { timeoutMs: 20_000, what: `${text} in ${report}`, intervalMs: 300 },
  );
}

/** A visitor's browser of its own follows the tracking link. */
async function visit(): Promise<{ clickId: string; visitor: Page }> {
  const { page: visitor } = await openPage(browser);
  await visitor.goto(
    `${sluice.edgeUrl}/click?o=${network.offer}&a=${network.blogger}&sub_id1=walk`,
  );
  const clickId = new URL(visitor.url()).searchParams.get('cid') ?? '';
  expect(clickId).toMatch(/^[0-9a-f]{32}$/);
  return { clickId, visitor };
}

describe('the testing walk', () => {
  it('shows the click of a tracking link in Reports → Clicks', async () => {
    const { clickId, visitor } = await visit();
    expect(visitor.url()).toContain(shop.url('/landing'));
    await displayUntil('Clicks', clickId);
    const row = page.getByRole('row').filter({ hasText: clickId });
    expect(await row.textContent()).toContain(`Acme Shop #${network.offer}`);
    expect(await row.textContent()).toContain('Blogger');
  });

  it('shows a call whose macro was not replaced in Logs → Invalid Traffic, with what to change', async () => {
    await fetch(`${sluice.edgeUrl}/track/goal-by-click-id?click_id={click_id}&amount=10`);
    await displayUntil('Invalid Traffic', '{click_id}');
    const row = page.getByRole('row').filter({ hasText: '{click_id}' });
    expect(await row.textContent()).toContain('Invalid Click ID');
    await row.getByRole('button', { name: 'Why?' }).click();
    const drawer = page.getByRole('dialog', { name: 'Why?' });
    const verdict = drawer.getByRole('region', { name: 'Verdict' });
    await verdict.waitFor();
    expect(await verdict.textContent()).toContain('was not replaced');
    expect(await verdict.textContent()).toContain('What to change');
    expect(await drawer.getByRole('list', { name: 'Checks in order' }).textContent()).toContain(
      'failed',
    );
    expect(await drawer.getByLabel('Request as received').textContent()).toContain('amount=10');
    await drawer.getByRole('button', { name: 'Close' }).click();
    await drawer.waitFor({ state: 'detached' });
  });

  it('counts a conversion once, and leads from the second call to the transaction that holds the slot', async () => {
    const { clickId } = await visit();
    const postback = `${sluice.edgeUrl}/track/goal-by-click-id?click_id=${clickId}&amount=49.90`;
    await fetch(postback);
    await displayUntil('Transactions', clickId);
    await fetch(postback);
    await displayUntil('Invalid Traffic', clickId);
    await page
      .getByRole('row')
      .filter({ hasText: clickId })
      .getByRole('button', { name: 'Why?' })
      .click();
    const verdict = page.getByRole('dialog').getByRole('region', { name: 'Verdict' });
    expect(await verdict.textContent()).toContain('Multiple Conversions are not Allowed');
    expect(await verdict.getByRole('link', { name: /goals/ }).getAttribute('href')).toBe(
      `/offers/${network.offer}/goals`,
    );
    await verdict.getByRole('link', { name: /[0-9a-f-]{36}/ }).click();
    await page.waitForURL(/\/why\/transaction_id\//);
    await page.getByRole('region', { name: 'Verdict' }).first().waitFor();
    expect(await page.getByRole('region', { name: 'Verdict' }).first().textContent()).toContain(
      'Accepted',
    );
  });

  it('shares a report by its URL: dates, zone, filters, sort and columns', async () => {
    await displayUntil('Transactions', 'Acme Shop');
    await page.getByLabel('Filter by').selectOption({ label: 'Status' });
    await page.getByRole('button', { name: 'Add filter' }).click();
    await page.getByRole('list', { name: 'Filters' }).waitFor();
    await page.getByRole('button', { name: 'Payout' }).click();
    await page.getByRole('button', { name: 'Columns' }).click();
    await page.getByRole('checkbox', { name: 'Country' }).check();
    await page.getByRole('button', { name: 'Done' }).click();
    await page.getByRole('columnheader', { name: 'Country' }).waitFor();
    const shared = page.url();
    const search = new URL(shared).searchParams;
    expect(search.get('conv_status')).toBe('approved');
    expect(search.get('sort')).toBe('-payout');
    const { page: colleague } = await openPage(browser);
    await signInPage(colleague, sluice.apiUrl, 'admin', sluice.adminKey);
    await colleague.goto(shared);
    await colleague.getByRole('columnheader', { name: 'Country' }).waitFor();
    const payout = colleague.getByRole('columnheader', { name: 'Payout' });
    expect(await payout.getAttribute('aria-sort')).toBe('descending');
    expect(await colleague.getByRole('list', { name: 'Filters' }).textContent()).toContain(
      'approved',
    );
    await colleague.context().close();
  });

  it('exports everything that matches', async () => {
    await displayUntil('Transactions', 'Acme Shop');
    const downloading = page.waitForEvent('download');
    await page.getByRole('button', { name: 'CSV export' }).click();
    const download = await downloading;
    expect(download.suggestedFilename()).toMatch(/^transactions_.*\.csv$/);
    const stream = await download.createReadStream();
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    expect(text.split('\n')[0]).toContain('promo_code');
    expect(text).toContain('49.9');
  });
});

describe('pixels of a conversion', () => {
  it.each(['img', 'js', 'iframe'])(
    'as %s tag on a real page find the click by the cookie',
    async (form) => {
      const { clickId, visitor } = await visit();
      const url = `${sluice.edgeUrl}/track/goal?offer_id=${network.offer}&amount=20&adv_order_id=px-${form}&return=${form}`;
      const tags: Record<string, string> = {
        img: `<img src="${url}" width="1" height="1" alt="">`,
        js: `<script src="${url}" async></script>`,
        iframe: `<iframe src="${url}" width="1" height="1"></iframe>`,
      };
      shop.setPage(`/thanks-${form}`, tags[form] ?? '');
      await visitor.goto(shop.url(`/thanks-${form}`));
      await displayUntil('Transactions', clickId);
      expect(await page.getByRole('row').filter({ hasText: clickId }).textContent()).toContain(
        `px-${form}`,
      );
    },
  );

  it('fail where the cookie is third-party, and the first-party script does not', async () => {
    // `localhost` is another site than the tracker's 127.0.0.1.
    await network.admin.send('PATCH', `/offers/${network.offer}`, {
      url: `${shop.url('/landing', 'localhost')}?cid={click_id}`,
    });
    const script = `<script src="/sluice.js" data-tracker="${sluice.edgeUrl}" data-parameter="cid"></script>`;
    shop.setPage('/landing', `Welcome${script}`);
    const pixel = `${sluice.edgeUrl}/track/goal?offer_id=${network.offer}&adv_order_id=third-party&return=img`;
    const convert = `sluice.convert({ offer_id: ${network.offer}, amount: '33.30', adv_order_id: 'first-party' });`;
    shop.setPage('/thanks-both', `<img src="${pixel}" alt="">${script}<script>${convert}</script>`);
    const { clickId, visitor } = await waitFor(
      async () => {
        const visited = await visit();
        return visited.visitor.url().includes('localhost') && visited;
      },
      { timeoutMs: 10_000, what: 'the new landing page to be in force' },
    );
    await visitor.goto(shop.url('/thanks-both', 'localhost'));
    await displayUntil('Transactions', 'first-party');
    expect(await page.getByRole('row').filter({ hasText: 'first-party' }).textContent()).toContain(
      clickId,
    );
    await displayUntil('Invalid Traffic', 'Invalid COOKIE');
  });
});

describe('the debugger', () => {
  it('walks through a test click and postback and ticks the steps off', async () => {
    await page.getByRole('link', { name: 'Debugger' }).click();
    await page.getByRole('link', { name: 'Test click and postback' }).click();
    await page.getByLabel('Offer').selectOption({ label: `Acme Shop #${network.offer}` });
    await page.getByRole('button', { name: 'Send a test click' }).click();
    const steps = page.getByRole('list', { name: 'Testing steps' });
    await steps.locator('[data-state=done]').filter({ hasText: 'Click recorded' }).waitFor();
    expect(await steps.locator('[data-state=waiting]').count()).toBe(3);
    await page.getByRole('button', { name: 'Send the postback' }).click();
    await steps.locator('[data-state=done]').filter({ hasText: 'Verdict: Accepted' }).waitFor();
    expect(await steps.locator('[data-state=waiting]').count()).toBe(0);
  });

  it('judges a pasted URL and records nothing', async () => {
    const count = async (): Promise<string> =>
      (await network.admin.send('GET', '/reports/postbacks/totals')).body['rows'] as string;
    const before = await count();
    await page.getByRole('link', { name: 'Judge a URL' }).click();
    const field = page.getByLabel('Postback or pixel URL');
    await field.fill(`${sluice.edgeUrl}/track/goal-by-click-id?click_id=%%click_id%%&amount=1`);
    await page.getByRole('button', { name: 'Judge' }).click();
    const verdict = page.getByRole('region', { name: 'Verdict' });
    await verdict.waitFor();
    expect(await verdict.textContent()).toContain('Invalid Click ID');
    expect(await count()).toBe(before);
  });

  it('shows verdicts as they happen', async () => {
    await page.getByRole('link', { name: 'Live', exact: true }).click();
    await page.getByText('Listening').waitFor();
    await fetch(`${sluice.edgeUrl}/track/promo?code=NOSUCHCODE&offer_id=${network.offer}`);
    const row = page.getByRole('row').filter({ hasText: 'Promo Code Not Found' });
    await row.waitFor();
    await row.getByRole('button', { name: 'Why?' }).click();
    await page.getByRole('dialog').getByText('NOSUCHCODE').first().waitFor();
  });
});

describe('a batch of an advertiser', () => {
  it('is uploaded in the portal and gets a result for every line; the same file again is the same batch', async () => {
    const { clickId } = await visit();
    const lines = [
      'click_id;amount;adv_order_id',
      `${clickId};12.50;batch-1`,
      '{click_id};12.50;batch-2',
      `${clickId};amount;batch-3`,
    ];
    const file = {
      name: 'orders.csv',
      mimeType: 'text/csv',
      buffer: Buffer.from(lines.join('\n')),
    };
    const { page: brand, faults: brandFaults } = await openPage(browser);
    await signInPage(brand, sluice.apiUrl, 'acme', PASSWORD);
    await brand.getByRole('link', { name: 'Batch upload' }).click();
    await brand.getByLabel('File').setInputFiles(file);
    await brand.getByLabel('Only check').check();
    await brand.getByRole('button', { name: 'Check' }).click();
    await brand.getByText('Only checked: nothing was stored').waitFor();
    await brand.getByText('Line 4').waitFor();
    await brand.getByLabel('Only check').uncheck();
    await brand.getByRole('button', { name: 'Upload' }).click();
    await brand.getByText('3 of 3 lines judged').waitFor();
    const batch = await brand
      .getByRole('heading', { name: /^Batch / })
      .last()
      .textContent();
    const refused = brand.getByRole('region', { name: 'Lines that did not count' });
    await refused.waitFor();
    expect(
      await refused.getByRole('row').filter({ hasText: 'Invalid Click ID' }).textContent(),
    ).toContain('was not replaced');
    expect(
      await refused.getByRole('row').filter({ hasText: 'Malformed Request' }).textContent(),
    ).toContain('4');
    await brand.getByRole('button', { name: 'Upload' }).click();
    await brand.getByText('3 of 3 lines judged').waitFor();
    expect(
      await brand
        .getByRole('heading', { name: /^Batch / })
        .last()
        .textContent(),
    ).toBe(batch);
    expect(brandFaults).toEqual([]);
    const batchId = (batch ?? '').replace('Batch ', '');
    expect((await network.admin.send('GET', `/batches/${batchId}`)).status).toBe(200);
    const stranger = await signIn(sluice.apiUrl, 'other', PASSWORD);
    expect((await stranger.send('GET', `/batches/${batchId}`)).status).toBe(404);
    const affiliate = await signIn(sluice.apiUrl, 'blogger', PASSWORD);
    const upload = await affiliate.send('POST', '/batches', undefined, {
      'content-type': 'application/octet-stream',
    });
    expect(upload.status).toBe(403);
    await brand.context().close();
  });

  it('was done without an error in the manager’s page, which asked no one but this machine', () => {
    expect(faults).toEqual([]);
  });
});
