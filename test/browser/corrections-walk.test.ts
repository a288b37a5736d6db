/** Corrections in the console: one transaction changed and released, many by file, a conversion entered by hand. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launchChromium, openPage, signInPage } from '../support/chromium.ts';
import { createNetwork, PASSWORD, type Network } from '../support/network.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

let sluice: RunningSluice;
let browser: Browser;
let network: Network;
let manager: Page;
const faults: string[][] = [];
let transaction = '';

async function openAs(login: string, password: string): Promise<Page> {
  const opened = await openPage(browser);
  faults.push(opened.faults);
  await signInPage(opened.page, sluice.apiUrl, login, password);
  return opened.page;
}

beforeAll(async () => {
  [sluice, browser] = await Promise.all([startSluice(), launchChromium()]);
  network = await createNetwork(sluice, 'https://shop.example/');
  manager = await openAs('admin', sluice.adminKey);
  const click = await waitFor(
    async () => {
      const response = await fetch(
        `${sluice.edgeUrl}/click?o=${network.offer}&a=${network.blogger}&return=click_id`,
      );
      return response.ok && ((await response.json()) as { click_id: string }).click_id;
    },
    { timeoutMs: 15_000, what: 'the offer to be in force' },
  );
  const call = await fetch(`${sluice.edgeUrl}/track/conv?click_id=${click}&adv_order_id=walk-1`);
  transaction = ((await call.json()) as { hit_id: string }).hit_id;
  await waitFor(
    async () => (await network.admin.send('GET', `/transactions/${transaction}`)).status === 200,
    { timeoutMs: 20_000, what: 'the conversion to be stored', intervalMs: 200 },
  );
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await sluice?.stop();
});

async function openTransactions(page: Page): Promise<void> {
  await page.goto(`${sluice.apiUrl}/reports/transactions?adv_order_id=walk-1`);
  await page.getByRole('heading', { name: 'Transactions' }).waitFor();
}

it('a row is changed: a wrong amount stands at its field, a release is asked for twice', async () => {
  await openTransactions(manager);
  await manager.getByRole('button', { name: 'Change' }).click();
  const form = manager.getByRole('dialog', { name: 'Change transaction' });
  const save = form.getByRole('button', { name: 'Save change' });
  await save.waitFor();
  expect(await save.isDisabled()).toBe(true);
  expect(await form.getByLabel('Release what it holds').isDisabled()).toBe(true);
  await form.getByLabel('Payout').fill('much');
  await save.click();
  await form.getByText('must be a plain decimal of 0 or more').waitFor();
  expect(await form.getByLabel('Payout').getAttribute('aria-invalid')).toBe('true');
  await form.getByLabel('Payout').fill('1.5');
  await form.getByLabel('Status').selectOption('rejected');
  await form.getByLabel('Notes').fill('sent back');
  await form.getByLabel('Release what it holds').check();
  await save.click();
  const question = manager.getByRole('dialog', { name: 'Release what this transaction holds?' });
  await question.getByRole('button', { name: 'Cancel' }).click();
  await form.waitFor();
  expect((await network.admin.send('GET', `/transactions/${transaction}`)).body).toMatchObject({
    conv_status: 'approved',
  });
  await save.click();
  await question.getByRole('button', { name: 'Release' }).click();
  await manager.getByText('Transaction changed').waitFor();
  await manager
    .getByRole('row')
    .filter({ hasText: 'rejected' })
    .filter({ hasText: '€1.50' })
    .waitFor();
});

it('Why? tells who changed what from what', async () => {
  await manager.goto(`${sluice.apiUrl}/why/transaction_id/${transaction}`);
  const timeline = manager.getByRole('list', { name: 'Timeline' }).last();
  await timeline
    .getByText(
      'status approved → rejected, payout 5 → 1.5, notes nothing → sent back, released what it held, by admin',
    )
    .waitFor();
});

it('a file corrects many, and says which lines can’t count', async () => {
  await manager.getByRole('link', { name: 'Corrections' }).click();
  const form = manager.getByRole('form', { name: 'Correct by file' });
  await form.getByLabel('File').setInputFiles({
    name: 'fixes.csv',
    mimeType: 'text/csv',
    buffer: Buffer.from(`transaction_id,payout,notes\n${transaction},2,by file\n,3,none\n`),
  });
  await form.getByRole('button', { name: 'Upload' }).click();
  await manager.getByText('Line 3, transaction_id: transaction_id is missing').waitFor();
  await manager.getByText('2 of 2 lines judged').waitFor();
  expect((await network.admin.send('GET', `/transactions/${transaction}`)).body).toMatchObject({
    payout: 2,
    notes: 'by file',
    released: 1,
  });
});

it('a conversion is entered by hand, once a form, and its refusal stands at the field', async () => {
  const form = manager.getByRole('form', { name: 'Conversion by hand' });
  await form.getByLabel('Affiliate').selectOption({ label: `Blogger #${network.blogger}` });
  await form.getByLabel('Goal').selectOption({ label: `Acme Shop: Sale #${network.goal}` });
  await form.getByLabel('Payout').fill('7');
  await form.getByLabel('Notes').fill('goodwill');
  await form.getByRole('button', { name: 'Enter conversion' }).click();
  await form.getByRole('link', { name: 'Show the transaction' }).click();
  await manager.getByText('entered by hand, without a click').first().waitFor();
  const rows = (await network.admin.send('GET', '/reports/transactions?channel=manual')).body;
  expect(rows['rows']).toMatchObject([{ payout: 7, notes: 'goodwill', author: 'admin' }]);
});

it('an advertiser corrects what is theirs and enters nothing; an affiliate does neither', async () => {
  const brand = await openAs('acme', PASSWORD);
  await openTransactions(brand);
  await brand.getByRole('button', { name: 'Change' }).waitFor();
  await brand.goto(`${sluice.apiUrl}/corrections`);
  await brand.getByRole('form', { name: 'Correct by file' }).waitFor();
  expect(await brand.getByRole('form', { name: 'Conversion by hand' }).count()).toBe(0);
  await brand.context().close();
  const affiliate = await openAs('blogger', PASSWORD);
  await openTransactions(affiliate);
  await affiliate.getByRole('cell', { name: 'walk-1' }).waitFor();
  expect(await affiliate.getByRole('button', { name: 'Change' }).count()).toBe(0);
  await affiliate.context().close();
  expect(faults.flat()).toEqual([]);
});
