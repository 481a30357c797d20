// Links with tokens, and pages that did not come over https://.
import assert from 'node:assert/strict';
import test from 'node:test';

import { keepScreenshot, launchBrowser, openPage } from './browser.mjs';
import { waitForPicture } from './page.mjs';
import { startDemo } from './processes.mjs';

/** `{"peer":"guest-*"}`; the demo's node is open and does not look at it. */
const TOKEN = `e30.${Buffer.from('{"peer":"guest-*"}').toString('base64url')}.c2ln`;

/** Keeps what the page says to its broker, all of it as text, for later. */
function overhear(page) {
  const said = [];
  page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => said.push(payload.toString('latin1'))));
  return () => said.splice(0).join('');
}

/** The peer in the topic of what was said. Its length is given: the packet's number that follows may look like more of it. */
function peerIn(said) {
  return /\/in\/(guest-[0-9a-f]{20})/.exec(said)?.[1];
}

test('a link with a token: sent in each join, gone from the address, kept for a reload', { timeout: 60_000 }, async (t) => {
  const demo = await startDemo(t, 'demo-links');
  const page = await openPage(await launchBrowser(t));
  const said = overhear(page);
  await page.goto(`${demo.page}#token=${TOKEN}`);
  await waitForPicture(page);
  assert.equal(page.url(), demo.page);
  assert.equal(await page.evaluate(() => history.length), 2, 'about:blank and this page, no third with the token');
  const first = said();
  assert.ok(first.includes(`"token":"${TOKEN}"`), 'the join has no token');
  const peer = peerIn(first);
  assert.ok(peer, 'the peer is not the one the token is for');

  await page.reload();
  await waitForPicture(page);
  assert.equal(page.url(), demo.page);
  const again = said();
  assert.ok(again.includes(`"token":"${TOKEN}"`), 'the join after a reload has no token');
  assert.equal(peerIn(again), peer, 'a reload makes another peer');

  // Another tab has nothing of it.
  const other = await openPage(page.context().browser());
  const saidThere = overhear(other);
  await other.goto(demo.page);
  await waitForPicture(other);
  assert.ok(!saidThere().includes('"token"'));
  assert.deepEqual([...page.complaints, ...other.complaints], []);
});

test('on plain http the picture comes, and a full screen says that it may go dark', { timeout: 60_000 }, async (t) => {
  const demo = await startDemo(t, 'demo-insecure');
  // Browsers trust loopback addresses as they trust https; as seen from this one, the page comes from elsewhere.
  const browser = await launchBrowser(t, { more: ['--host-resolver-rules=MAP 192.168.77.1 127.0.0.1'] });
  const page = await openPage(browser);
  await page.setViewportSize({ width: 360, height: 640 });
  await page.goto(demo.page.replace(/127\.0\.0\.1|localhost/, '192.168.77.1'));
  assert.equal(await page.evaluate(() => isSecureContext), false);
  await waitForPicture(page);
  const toast = page.getByTestId('toast');
  assert.equal(await toast.getAttribute('data-shown'), null, 'nothing is said before it matters');
  await page.mouse.move(100, 100);
  await page.getByTestId('fullscreen').click();
  await toast.and(page.locator('[data-shown="true"]')).waitFor();
  assert.match(await toast.textContent(), /cannot keep the screen on: it did not come over https:\/\/\. Open the page at/);
  await keepScreenshot(page, 'insecure-360');
  const fills = (is) => page.locator(`[data-testid="fullscreen"][aria-pressed="${is}"]`).waitFor({ state: 'attached' });
  await fills(true);
  assert.equal(await page.evaluate(() => document.fullscreenElement !== null), true);
  await page.keyboard.press('f');
  await fills(false);
  await page.keyboard.press('s');
  await toast.filter({ hasText: 'Saved' }).waitFor();
  assert.deepEqual(page.complaints, []);
});
