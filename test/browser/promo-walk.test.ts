/**
 * The promo-code walk of the trade's manuals: enable, create, see it in the portals, real pages that carry the tags,
 * the transaction with its code in the report; then each setting is broken in turn, and the right reason stands there.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchChromium, openPage, signInPage } from '../support/chromium.ts';
import { createNetwork, PASSWORD, type Network } from '../support/network.ts';
import { startShop, type Shop } from '../support/shop.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

let sluice: RunningSluice;
let shop: Shop;
let browser: Browser;
let network: Network;
let manager: Page;
let affiliate: Page;
let buyer: Page;
const faults: string[][] = [];

async function openAs(login: string, password: string): Promise<Page> {
  const opened = await openPage(browser);
  faults.push(opened.faults);
  await signInPage(opened.page, sluice.apiUrl, login, password);
  return opened.page;
}

beforeAll(async () => {
  [sluice, shop, browser] = await Promise.all([startSluice(), startShop(), launchChromium()]);
  network = await createNetwork(sluice, shop.url('/'));
  manager = await openAs('admin', sluice.adminKey);
  affiliate = await openAs('blogger', PASSWORD);
  buyer = (await openPage(browser)).page;
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await Promise.all([shop?.close(), sluice?.stop()]);
});

let orders = 0;

/** A buyer loads the shop's thank-you page with the tag; the order id is what the page is later found by. */
async function buy(form: 'img' | 'js' | 'iframe', code: string): Promise<string> {
  const order = `${form}-${String(++orders)}`;
  const url = `${sluice.edgeUrl}/track/promo?code=${code}&offer_id=${network.offer}&amount=80&adv_order_id=${order}&return=${form}`;
  const tags = {
    img: `<img src="${url}" width="1" height="1" alt="">`,
    js: `<script src="${url}" async></script>`,
    iframe: `<iframe src="${url}" width="1" height="1"></iframe>`,
  };
  shop.setPage(`/order/${order}`, tags[form]);
  await buyer.goto(shop.url(`/order/${order}`), { waitUntil: 'networkidle' });
  return order;
}

/** The report's row of an order, once it is there. */
async function reportedRow(
  report: 'Transactions' | 'Invalid Traffic',
  order: string,
): Promise<string> {
  const path = report === 'Transactions' ? 'transactions' : 'invalid-traffic';
  await manager.goto(`${sluice.apiUrl}/reports/${path}?adv_order_id=${order}`);
  await manager.getByRole('heading', { name: report }).waitFor();
  const row = manager.locator('tbody tr');
  return waitFor(
    async () => {
      await manager.getByRole('button', { name: 'Display' }).click();
      await manager.locator('tbody tr, .state.empty').first().waitFor();
      return (await row.count()) > 0 ? ((await row.first().textContent()) ?? '') : false;
    },
    { timeoutMs: 20_000, what: `order ${order} in ${report}`, intervalMs: 300 },
  );
}

/** What a refused order looks like to the manager: the row's title, and the Why? beside it. */
async function refusal(order: string): Promise<{ row: string; why: string; fix: string | null }> {
  const row = await reportedRow('Invalid Traffic', order);
  await manager.getByRole('button', { name: 'Why?' }).click();
  const verdict = manager.getByRole('dialog').getByRole('region', { name: 'Verdict' });
  await verdict.waitFor();
  const link = verdict.getByRole('link').first();
  return {
    row,
    why: (await verdict.textContent()) ?? '',
    fix: (await link.count()) > 0 ? await link.getAttribute('href') : null,
  };
}

async function openOffer(tab: string): Promise<void> {
  await manager.goto(`${sluice.apiUrl}/offers/${network.offer}/${tab}`);
  await manager.getByRole('heading', { level: 1 }).filter({ hasText: 'Acme Shop' }).waitFor();
}

/** Resolves when the goal's caps of single affiliates are these. */
async function untilCaps(caps: object): Promise<void> {
  await waitFor(
    async () => {
      const { body } = await network.admin.send('GET', `/goals/${network.goal}`);
      const held = (body as { affiliate_caps: object }).affiliate_caps;
      return JSON.stringify(held) === JSON.stringify(caps);
    },
    { timeoutMs: 10_000, what: `the caps ${JSON.stringify(caps)}` },
  );
}

/** Saved when there is nothing left to save. */
async function saveForm(): Promise<void> {
  await manager.getByRole('button', { name: 'Save', exact: true }).click();
  await manager.getByRole('button', { name: 'Save', exact: true, disabled: true }).waitFor();
}

/** A change is in force everywhere within a second; a code that is judged says when. */
async function inForce(code: string, verdict: string): Promise<void> {
  const url = `${sluice.edgeUrl}/track/promo?code=${code}&offer_id=${network.offer}`;
  await waitFor(
    async () => {
      const { body } = await network.admin.send('POST', '/explain/test', { url });
      return body['verdict'] === verdict;
    },
    { timeoutMs: 10_000, what: `${code} to be judged ${verdict}` },
  );
}

describe('a promo code', () => {
  it('is enabled on the offer and created with +, validated by the field', async () => {
    await openOffer('promo-codes');
    await manager.getByText('Promo Codes are off for this offer').waitFor();
    await openOffer('tracking');
    await manager.getByLabel('Promo Codes').check();
    await saveForm();
    await openOffer('promo-codes');
    await manager.getByRole('button', { name: 'Add a promo code' }).click();
    const form = manager.getByRole('dialog', { name: 'New promo code' });
    await form.getByLabel('Code').fill('SPRING 10');
    await form.getByLabel('Affiliate').selectOption({ label: `Blogger #${network.blogger}` });
    await form.getByLabel('Description').fill('10 % off everything');
    await form.getByRole('button', { name: 'Save promo code' }).click();
    await form.getByText('must be 1 to 100 Latin letters and digits').waitFor();
    expect(await form.getByLabel('Code').getAttribute('aria-invalid')).toBe('true');
    await form.getByLabel('Code').fill('SPRING10');
    await form.getByRole('button', { name: 'Save promo code' }).click();
    await manager.getByRole('row').filter({ hasText: 'SPRING10' }).getByText('valid').waitFor();
  });

  it('cannot be taken by a second affiliate, and the field says whose it is', async () => {
    await manager.getByRole('button', { name: 'Add a promo code' }).click();
    const form = manager.getByRole('dialog', { name: 'New promo code' });
    await form.getByLabel('Code').fill('spring10');
    await form.getByLabel('Affiliate').selectOption({ label: `Rival #${network.rival}` });
    await form.getByRole('button', { name: 'Save promo code' }).click();
    await form.locator('.error').first().waitFor();
    expect(await form.getByLabel('Code').getAttribute('aria-invalid')).toBe('true');
    await form.getByRole('button', { name: 'Cancel' }).click();
  });

  it('is seen by its affiliate below the Tracking Link, and by no other', async () => {
    await affiliate.getByRole('link', { name: 'Offers', exact: true }).click();
    await affiliate.getByRole('link', { name: 'Acme Shop' }).click();
    await affiliate.getByRole('heading', { name: 'Tracking Link' }).waitFor();
    const row = affiliate.getByRole('row').filter({ hasText: 'SPRING10' });
    await row.waitFor();
    expect(await row.textContent()).toContain('10 % off everything');
    const headings = await affiliate.getByRole('heading', { level: 2 }).allTextContents();
    expect(headings.indexOf('Promo Codes')).toBe(headings.indexOf('Tracking Link') + 1);
    expect(await affiliate.getByRole('button', { name: 'Add a promo code' }).count()).toBe(0);
    const rival = await openAs('rival', PASSWORD);
    await rival.goto(affiliate.url());
    await rival.getByText('No promo codes').waitFor();
    expect(await rival.getByText('SPRING10').count()).toBe(0);
    await rival.context().close();
  });

  it('is seen by the brand under Assets → Tracking Link', async () => {
    const brand = await openAs('acme', PASSWORD);
    await brand.getByRole('link', { name: 'Tracking Link' }).click();
    await brand.getByRole('row').filter({ hasText: 'SPRING10' }).waitFor();
    await brand.context().close();
  });

  it.each(['img', 'js', 'iframe'] as const)(
    'reported by an %s tag becomes a transaction with its code',
    async (form) => {
      await inForce('SPRING10', 'accepted');
      const order = await buy(form, 'spring10');
      const row = await reportedRow('Transactions', order);
      expect(row).toContain('SPRING10');
      expect(row).toContain('Blogger');
      expect(row).toContain('€80.00');
    },
  );

  it('stands in the affiliate’s own transactions, without revenue', async () => {
    await affiliate.getByRole('link', { name: 'Transactions' }).click();
    await affiliate.getByRole('cell', { name: 'SPRING10' }).first().waitFor();
    expect(await affiliate.getByRole('columnheader', { name: 'Promo Code' }).count()).toBe(1);
    expect(await affiliate.getByRole('columnheader', { name: 'Payout' }).count()).toBe(1);
    expect(await affiliate.getByRole('columnheader', { name: 'Revenue' }).count()).toBe(0);
    expect(await affiliate.getByRole('button', { name: 'Why?' }).count()).toBe(0);
  });
});

describe('a setting that is broken shows as the reason', () => {
  it('a wrong code: Promo Code Not Found', async () => {
    const { row, why, fix } = await refusal(await buy('img', 'SPRING1O'));
    expect(row).toContain('Promo Code Not Found');
    expect(why).toContain('SPRING1O');
    expect(fix).toBe(`/offers/${network.offer}/promo-codes`);
  });

  it('dates in the past: Promo Code is not Valid Now', async () => {
    await openOffer('promo-codes');
    await manager.getByRole('button', { name: 'Edit SPRING10' }).click();
    const form = manager.getByRole('dialog', { name: 'Promo code SPRING10' });
    await form.getByLabel('Start date').fill('2020-01-02');
    await form.getByLabel('End date').fill('2020-01-01');
    await form.getByRole('button', { name: 'Save promo code' }).click();
    await form.getByText(/is before the start date/).waitFor();
    await form.getByLabel('End date').fill('2020-01-31');
    await form.getByRole('button', { name: 'Save promo code' }).click();
    await manager.getByRole('row').filter({ hasText: 'SPRING10' }).getByText('ended').waitFor();
    await inForce('SPRING10', 'promo_code_not_valid_now');
    const { row, why, fix } = await refusal(await buy('js', 'SPRING10'));
    expect(row).toContain('Promo Code is not Valid Now');
    expect(why).toContain('2020-01-31');
    expect(fix).toBe(`/offers/${network.offer}/promo-codes`);
    await openOffer('promo-codes');
    await manager.getByRole('button', { name: 'Edit SPRING10' }).click();
    await form.getByLabel('Start date').fill('');
    await form.getByLabel('End date').fill('');
    await form.getByRole('button', { name: 'Save promo code' }).click();
    await inForce('SPRING10', 'accepted');
  });

  it('the toggle off: Promo Codes are Disabled, and Undo brings it back', async () => {
    await openOffer('tracking');
    await manager.getByLabel('Promo Codes').uncheck();
    await saveForm();
    await inForce('SPRING10', 'promo_codes_disabled');
    const order = await buy('iframe', 'SPRING10');
    await waitFor(
      async () => {
        const { body } = await network.admin.send(
          'GET',
          `/reports/invalid-traffic?adv_order_id=${order}`,
        );
        return (body['rows'] as unknown[]).length > 0;
      },
      { timeoutMs: 15_000, what: 'the order to be judged' },
    );
    const { row, fix } = await refusal(order);
    expect(row).toContain('Promo Codes are Disabled');
    expect(fix).toBe(`/offers/${network.offer}/tracking`);
    await openOffer('tracking');
    await manager.getByLabel('Promo Codes').check();
    await saveForm();
    await manager.getByLabel('Promo Codes').uncheck();
    await saveForm();
    await manager.getByRole('button', { name: 'Undo' }).last().click();
    await inForce('SPRING10', 'accepted');
  });

  it('the affiliate disabled: Affiliate is not Active', async () => {
    await manager.goto(`${sluice.apiUrl}/affiliates`);
    const status = manager.getByLabel('Status of Blogger');
    await status.selectOption('disabled');
    await inForce('SPRING10', 'affiliate_not_active');
    const { row, fix } = await refusal(await buy('img', 'SPRING10'));
    expect(row).toContain('Affiliate is not Active');
    expect(fix).toBe(`/affiliates/${network.blogger}`);
    await manager.goto(`${sluice.apiUrl}/affiliates`);
    await status.selectOption('active');
    await inForce('SPRING10', 'accepted');
  });

  it('the offer by request and not approved: Offer is not deployed by affiliate', async () => {
    await openOffer('general');
    await manager.getByLabel('Availability').selectOption('by_request');
    await saveForm();
    await inForce('SPRING10', 'offer_not_deployed');
    const { row, fix } = await refusal(await buy('img', 'SPRING10'));
    expect(row).toContain('Offer is not deployed by affiliate');
    expect(fix).toBe(`/offers/${network.offer}/deployments`);
    // The affiliate asks for it, the manager approves.
    await affiliate.getByRole('link', { name: 'Offers', exact: true }).click();
    await affiliate.reload();
    await affiliate.getByRole('button', { name: 'Request Acme Shop' }).click();
    await affiliate.getByRole('cell', { name: 'pending' }).waitFor();
    await openOffer('deployments');
    await manager
      .getByRole('row')
      .filter({ hasText: 'Blogger' })
      .getByRole('button', { name: 'approved' })
      .click();
    await inForce('SPRING10', 'accepted');
  });

  it('a full cap: Goal cap is reached, with its fill on the goal', async () => {
    await openOffer('goals');
    await manager.getByRole('button', { name: 'Edit goal sale' }).click();
    const form = manager.getByRole('dialog', { name: /Goal/ });
    await form.getByLabel('Daily cap').fill('3');
    await form.getByRole('button', { name: 'Save goal' }).click();
    await manager.getByText('daily: 3 of 3').waitFor();
    await inForce('SPRING10', 'goal_cap_reached');
    const { row, why, fix } = await refusal(await buy('img', 'SPRING10'));
    expect(row).toContain('Goal cap is reached');
    expect(why).toContain('3');
    expect(fix).toBe(`/offers/${network.offer}/goals`);
    await openOffer('goals');
    await manager.getByRole('button', { name: 'Edit goal sale' }).click();
    await form.getByLabel('Daily cap').fill('');
    await form.getByRole('button', { name: 'Save goal' }).click();
    await inForce('SPRING10', 'accepted');
  });

  it("an affiliate's own cap is taken away, and Undo puts it back", async () => {
    const path = `/goals/${network.goal}`;
    const own = { daily: 9, monthly: null, total: null };
    const caps = { [String(network.rival)]: own };
    await network.admin.send('PATCH', path, { affiliate_caps: caps });
    await openOffer('goals');
    await manager.getByRole('button', { name: 'Edit goal sale' }).click();
    const form = manager.getByRole('dialog', { name: /Goal/ });
    await form.getByRole('button', { name: 'Remove' }).click();
    await form.getByRole('button', { name: 'Save goal' }).click();
    await untilCaps({});
    await manager.getByRole('button', { name: 'Undo' }).click();
    await untilCaps(caps);
    await network.admin.send('PATCH', path, { affiliate_caps: { [network.rival]: null } });
  });

  it("an affiliate's cap that was added goes by Undo", async () => {
    await openOffer('goals');
    await manager.getByRole('button', { name: 'Edit goal sale' }).click();
    const form = manager.getByRole('dialog', { name: /Goal/ });
    await form.getByLabel('Add an affiliate').selectOption(String(network.rival));
    await form.getByLabel('Daily cap').last().fill('9');
    await form.getByRole('button', { name: 'Save goal' }).click();
    await untilCaps({ [String(network.rival)]: { daily: 9, monthly: null, total: null } });
    await manager.getByRole('button', { name: 'Undo' }).click();
    await untilCaps({});
  });

  it('Unique IP: the second order of an address is Filtered by Unique IP', async () => {
    await openOffer('limitations');
    await manager.getByLabel('Unique IP').check();
    await saveForm();
    await inForce('SPRING10', 'accepted');
    const { row, fix } = await refusal(await buy('img', 'SPRING10'));
    expect(row).toContain('Filtered by Unique IP');
    expect(fix).toBe(`/offers/${network.offer}/limitations`);
  });

  it('the offer inactive: Offer is not Active', async () => {
    await openOffer('general');
    await manager.getByLabel('Status').selectOption('inactive');
    await saveForm();
    await inForce('SPRING10', 'offer_not_active');
    const { row, fix } = await refusal(await buy('img', 'SPRING10'));
    expect(row).toContain('Offer is not Active');
    expect(fix).toBe(`/offers/${network.offer}/general`);
  });

  it('the code deleted, after a question: Promo Code Not Found', async () => {
    await openOffer('promo-codes');
    await manager.getByRole('button', { name: 'Delete SPRING10' }).click();
    const question = manager.getByRole('dialog', { name: /Delete the promo code/ });
    await question.getByRole('button', { name: 'Cancel' }).click();
    await manager.getByRole('row').filter({ hasText: 'SPRING10' }).waitFor();
    await manager.getByRole('button', { name: 'Delete SPRING10' }).click();
    await question.getByRole('button', { name: 'Delete promo code' }).click();
    await manager.getByText('No promo codes').waitFor();
    await inForce('SPRING10', 'promo_code_not_found');
  });
});

describe('many codes at once', () => {
  it('are pasted, each line with its own result', async () => {
    await openOffer('promo-codes');
    await manager.getByRole('button', { name: 'Paste many' }).click();
    const form = manager.getByRole('dialog', { name: 'Paste promo codes' });
    await form
      .getByLabel('One code a line')
      .fill(
        `SUMMER1, ${network.blogger}\nSUMMER 2, ${network.blogger}\nSUMMER3, ${network.rival}, 2026-06-01, 2026-08-31, Summer`,
      );
    await form.getByRole('button', { name: 'Create 3 codes' }).click();
    await form.getByText('2 created, 1 refused').waitFor();
    expect(await form.getByText(/^Line 2/).textContent()).toContain('code must be');
    await form.getByRole('button', { name: 'Close' }).last().click();
    await manager.getByRole('row').filter({ hasText: 'SUMMER3' }).getByText('2026-08-31').waitFor();
  });

  it('without an error in any page, and without asking anyone but this machine', () => {
    expect(faults.flat()).toEqual([]);
  });
});
