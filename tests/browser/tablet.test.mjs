// A wall tablet and whoever is beside it, at a node that rings: declined by hand, busy while it is in a call, and hung up at its limit.
import assert from 'node:assert/strict';
import path from 'node:path';
import readline from 'node:readline';
import test from 'node:test';

import { openPage } from './browser.mjs';
import { waitForPicture, waitForState } from './page.mjs';
import { startPorch } from './porch.mjs';
import { binary, Child, temporaryFolder } from './processes.mjs';
import { talkingBrowser } from './talking.mjs';

/** What the tablet's own limit is, in milliseconds (src/viewer/page/attendant.ts). */
const HANGS_UP_AFTER_MS = 180_000;

/** In the page: timers of this length wait for `window.limit()`. */
function holdTimers(held) {
  const { setTimeout, clearTimeout } = window;
  const waiting = new Map();
  window.limit = () => [...waiting.values()].forEach((act) => act());
  window.setTimeout = (act, ms, ...given) => {
    if (ms !== held) return setTimeout(act, ms, ...given);
    const id = -1 - waiting.size;
    waiting.set(id, act);
    return id;
  };
  window.clearTimeout = (id) => {
    if (!waiting.delete(id)) clearTimeout(id);
  };
}

/** A node that can be rung, and a wall tablet that waits for its calls; `prepare` is done before the page's own script. */
async function hang(t, name, prepare, given) {
  const socket = path.join(temporaryFolder(t), 'ring.sock');
  const more = `
[limits]
ring_timeout_s = 120
[ring]
socket = "${socket}"
`;
  const [browser, node] = await Promise.all([talkingBrowser(t, 1_000), startPorch(t, name, { more })]);
  const page = await openPage(browser, { permissions: ['microphone'] });
  await page.addInitScript(prepare, given);
  await page.goto(`${node.page}#wall-tablet`);
  await page.locator('html[data-bell="on"]').waitFor();
  const tablet = await page.evaluate(() => window.cameraNode.camera.registration.name);
  /** Rings; gives what has become of it. */
  const ring = async () => {
    const child = new Child(t, `${name}-ring`, binary, ['ring', '--socket', socket, '--wait', '--json'], { stdout: 'pipe' });
    const lines = readline.createInterface({ input: child.process.stdout })[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await child.before(lines.next())).value);
    assert.deepEqual((await next()).rung, [tablet]);
    return lines.next().then(({ value }) => JSON.parse(value));
  };
  return { page, tablet, ring };
}

const waits = (page) => page.getByTestId('card').filter({ hasText: 'Waiting for calls' }).waitFor();

test('who stands beside a wall tablet declines before it answers', { timeout: 180_000 }, async (t) => {
  const { page, tablet, ring } = await hang(t, 'tablet-declines', () => {
    // Somebody who is quicker than the tablet, on whatever machine.
    addEventListener('DOMContentLoaded', () => {
      const sheet = document.querySelector('[data-testid="sheet"]');
      const press = () => sheet.open && document.querySelector('[data-testid="decline"]').click();
      new MutationObserver(press).observe(sheet, { attributes: true, attributeFilter: ['open'] });
    });
  });
  await waits(page);
  assert.deepEqual(await ring(), { unanswered: [[tablet, 'declined']] });
  await page.getByTestId('sheet').waitFor({ state: 'hidden' });
  await waits(page);
  await waitForState(page, 'idle');
  const steps = await page.evaluate(() => {
    const { events } = window.cameraNode;
    const { session } = events.findLast(({ name }) => name === 'call');
    return events.filter((event) => event.session === session).map(({ name }) => name);
  });
  assert.deepEqual(steps, ['call', 'ringing', 'rejected']);
  assert.deepEqual(page.complaints, []);
});

test('a wall tablet in a call is busy to who rings meanwhile, and hangs up at its limit where nobody does', { timeout: 180_000 }, async (t) => {
  const { page, tablet, ring } = await hang(t, 'tablet-busy', holdTimers, HANGS_UP_AFTER_MS);
  await waits(page);
  assert.deepEqual(await ring(), { answered: tablet });
  await page.locator('html[data-call="incoming"]').waitFor();
  await waitForPicture(page, 30_000);
  assert.deepEqual(await ring(), { unanswered: [[tablet, 'busy']] });
  await waitForPicture(page);
  assert.equal(await page.getByTestId('sheet').isVisible(), false, 'which nobody here sees');

  await page.evaluate(() => window.limit());
  await page.locator('html[data-call="none"]').waitFor();
  await waits(page);
  await waitForState(page, 'idle');
  // It is there for the next one.
  assert.deepEqual(await ring(), { answered: tablet });
  assert.deepEqual(page.complaints, []);
});
