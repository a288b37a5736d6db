/**
 * The console as its reader feels it: Display pressed in a real Chromium until 50 rows are on the page, and the next 50
 * when one scrolls, on 10 million clicks.
 */
import type { Page } from 'playwright-core';
import { findChromium, launchChromium, openPage, signInPage } from '../../test/support/chromium.ts';
import { count, ms } from '../paper/numbers.ts';
import type { Finding, Measurement, Result, Settings } from '../paper/result.ts';
import { median, percentile } from '../paper/statistics.ts';
import { addRows, settle } from '../stage/big-data.ts';
import { TWO_CORES } from '../stage/cores.ts';
import { startStack } from '../stage/stack.ts';
import { requireProgram } from '../stage/system-packages.ts';

const ROWS = 10_000_000;
const TRANSACTIONS = 1_000_000;
const PAGE_ROWS = 50;
const TARGET_MS = 300;
const DAY_MS = 86_400_000;

/** Runs in the page. Display shows other rows; Load more keeps the first. */
const PRESS_AND_TIME = `async ([name, wanted]) => {
  const pressed = [...document.querySelectorAll('button')].find(({ textContent }) => textContent === name);
  if (pressed === undefined) throw new Error('no button ' + name);
  const before = document.querySelector('tbody tr');
  const started = performance.now();
  pressed.click();
  for (;;) {
    await new Promise(requestAnimationFrame);
    const isNew = name !== 'Display' || document.querySelector('tbody tr') !== before;
    if (isNew && document.querySelectorAll('tbody tr').length >= wanted) return performance.now() - started;
    if (performance.now() - started > 30000) throw new Error('no rows for 30 s');
  }
}`;

/** ms from pressing the button until so many rows are drawn. */
function timeToRows(page: Page, button: string, rows: number): Promise<number> {
  return page.evaluate(`(${PRESS_AND_TIME})(${JSON.stringify([button, rows])})`);
}

interface Asked {
  readonly what: string;
  readonly displayMs: readonly number[];
  readonly moreMs: readonly number[];
}

async function askReport(
  page: Page,
  apiUrl: string,
  report: { readonly path: string; readonly title: string },
  days: number,
  settings: Settings,
  nowMs: number,
): Promise<Asked> {
  await page.goto(`${apiUrl}/reports/${report.path}`);
  const dateOf = (ago: number): string => new Date(nowMs - ago * DAY_MS).toISOString().slice(0, 10);
  const displayMs: number[] = [];
  const moreMs: number[] = [];
  for (let round = -1; round < (settings.quick ? 2 : 20); round++) {
    const last = 3 + ((round + 1) % 50);
    await page.getByLabel('From', { exact: true }).fill(dateOf(last + days - 1));
    await page.getByLabel('To', { exact: true }).fill(dateOf(last));
    const display = await timeToRows(page, 'Display', PAGE_ROWS);
    // Who reads on has seen how many there are.
    await page
      .getByRole('status')
      .filter({ hasText: /^[\d,.]+ rows/ })
      .waitFor();
    const more = await timeToRows(page, 'Load more', 2 * PAGE_ROWS);
    // The first one only warms up.
    if (round < 0) continue;
    displayMs.push(display);
    moreMs.push(more);
  }
  return { what: `${report.title}, ${days === 1 ? 'a day' : `${days} days`}`, displayMs, moreMs };
}

function finding(what: string, times: readonly number[], rows: number): Finding {
  const p95 = percentile(times, 0.95);
  return {
    what: `${what}, ${count(rows)} clicks`,
    measured: `p50 ${ms(median(times))}, p95 ${ms(p95)}`,
    peer: '–',
    ratio: '–',
    target: `≤ ${TARGET_MS} ms`,
    moonshot: '–',
    met: p95 <= TARGET_MS,
  };
}

async function run(settings: Settings): Promise<Result> {
  const rows = settings.quick ? ROWS / 10 : ROWS;
  if (findChromium() === undefined) requireProgram('chromium', 'chromium');
  const stack = await startStack(TWO_CORES);
  const browser = await launchChromium();
  try {
    const nowMs = Date.now() - 60_000;
    await addRows(stack.clickhouse, 'clicks', 0, rows, nowMs);
    await addRows(stack.clickhouse, 'conversions', 0, Math.min(TRANSACTIONS, rows), nowMs);
    await settle(stack.clickhouse);
    await stack.start('api', TWO_CORES);
    const apiUrl = `http://127.0.0.1:${stack.apiPort}`;
    const { page } = await openPage(browser);
    await signInPage(page, apiUrl, 'admin', stack.adminKey);
    const asked: Asked[] = [];
    for (const report of [
      { path: 'clicks', title: 'Clicks' },
      { path: 'transactions', title: 'Transactions' },
    ])
      for (const days of [1, 30])
        asked.push(await askReport(page, apiUrl, report, days, settings, nowMs));
    return {
      title: 'Console: a page of 50 rows',
      method: `${count(rows)} clicks and ${count(Math.min(TRANSACTIONS, rows))} transactions over 90 days. Chromium, the API, Redis and ClickHouse share the cores. From the press of the button to 50 rows on the page, drawn. The next 50 are asked for when the totals above the rows are there.`,
      findings: asked.flatMap(({ what, displayMs, moreMs }) => [
        finding(`Display: ${what}`, displayMs, rows),
        finding(`the next 50: ${what}`, moreMs, rows),
      ]),
      tables: [],
      charts: [],
    };
  } finally {
    await browser.close();
    await stack.close();
  }
}

export const consolePages: Measurement = { name: 'console', run };
