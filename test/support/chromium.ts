/** The system's Chromium for browser tests: found on the path, headless, one context a user; closed with the file. */
import { existsSync } from 'node:fs';
import { chromium, type Browser, type Page } from 'playwright-core';

const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome'];
const FOLDERS = ['/usr/bin', '/usr/local/bin', '/snap/bin'];
const ACTION_MS = 15_000;

/** Where the system's Chromium is, or undefined. */
export function findChromium(): string | undefined {
  return FOLDERS.flatMap((folder) => PROGRAMS.map((name) => `${folder}/${name}`)).find((file) =>
    existsSync(file),
  );
}

export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined)
    throw new Error('no Chromium was found: ./sluice test installs it');
  return chromium.launch({
    executablePath,
    // Root has no user namespace for Chromium's sandbox; the pages are our own.
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
}

export interface UserPage {
  readonly page: Page;
  /** Errors of the page's own scripts, and refused or foreign requests. */
  readonly faults: string[];
}

/** A page of its own, as if of another person's browser. */
export async function openPage(
  browser: Browser,
  options: { readonly colorScheme?: 'light' | 'dark'; readonly width?: number } = {},
): Promise<UserPage> {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1_400, height: 900 },
    colorScheme: options.colorScheme ?? 'light',
    timezoneId: 'UTC',
    locale: 'en-GB',
  });
  context.setDefaultTimeout(ACTION_MS);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) faults.push(message.text());
  });
  page.on('request', (request) => {
    if (!/^(http:\/\/(127\.0\.0\.1|localhost):|data:|blob:)/.test(request.url()))
      faults.push(`asked for ${request.url()}`);
  });
  return { page, faults };
}

/** Signs in through the page, as a person would, and waits for the console. */
export async function signInPage(
  page: Page,
  apiUrl: string,
  login: string,
  password: string,
): Promise<void> {
  await page.goto(`${apiUrl}/`);
  await page.getByLabel('Name').fill(login);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
}
