// Debian's Chromium, headless, driven by playwright-core.
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { artefacts } from './processes.mjs';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

const ARGUMENTS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // A page nobody looks at is drawn as one that is looked at.
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
];

/**
 * A browser that ends with the test `t`. `autoplay: true` lets sound start without a tap; `more` is for its command line;
 * `wrapped` makes of its program another that runs it elsewhere.
 */
export async function launchBrowser(t, { autoplay = true, more = [], wrapped = (program) => program } = {}) {
  const args = [...ARGUMENTS, ...more, ...(autoplay ? ['--autoplay-policy=no-user-gesture-required'] : [])];
  // Playwright's own defaults mute the sound and hide scroll bars.
  const browser = await chromium.launch({ executablePath: wrapped(executablePath), args, ignoreDefaultArgs: ['--mute-audio'] });
  t.after(() => browser.close());
  return browser;
}

/** A page that keeps what went wrong in it: `page.complaints` (console errors, exceptions, failed requests). */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (message) => {
    if (message.type() === 'error') page.complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => page.complaints.push(`exception: ${error.message}`));
  page.on('requestfailed', (request) => {
    const why = request.failure()?.errorText;
    // Whoever goes to another address takes back what was still being asked for at the last one.
    if (why !== 'net::ERR_ABORTED') page.complaints.push(`request: ${request.url()}: ${why}`);
  });
  return page;
}

/** Keeps a picture of the page among the artefacts, once whatever fades has faded. */
export async function keepScreenshot(page, name) {
  const folder = path.join(artefacts, 'screenshots');
  mkdirSync(folder, { recursive: true });
  await page.evaluate(async () => {
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    const fading = document.getAnimations().filter((animation) => animation instanceof CSSTransition);
    await Promise.allSettled(fading.map((animation) => animation.finished));
  });
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
}
