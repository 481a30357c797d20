// The plate above the picture: the camera's name, and in a word how it is.
import assert from 'node:assert/strict';
import test from 'node:test';

import { keepScreenshot, launchBrowser, openPage } from './browser.mjs';
import { says } from './everywhere.mjs';
import { waitForPicture } from './page.mjs';
import { startPorch } from './porch.mjs';

const NAME = 'Front door';
const LONG_WORDS = ['Live, broker away', 'Switched off for privacy', 'Live, microphone garden-house-behind-the-trees away'];

/** A node with a name for people behind a broker of its own, and a page that shows it. */
async function openPorch(t, name) {
  const { page: address, broker, child: node } = await startPorch(t, name);
  const page = await openPage(await launchBrowser(t));
  await page.goto(address);
  await waitForPicture(page, 60_000);
  await page.getByTestId('name').filter({ hasText: NAME }).waitFor();
  return { broker, node, page };
}

/** Runs in the page: what of the plate cannot be read, were this the word; the word of now without one. */
function unreadable(word) {
  const find = (id) => document.querySelector(`[data-testid="${id}"]`);
  const [plate, name, state] = ['plate', 'name', 'state'].map(find);
  if (word !== undefined) state.textContent = word;
  const [outer, inner] = [plate, state].map((element) => element.getBoundingClientRect());
  const lacks = [];
  if (state.scrollWidth > state.clientWidth || state.scrollHeight > state.clientHeight) lacks.push('the state is cut');
  if (inner.left < outer.left || inner.right > outer.right || inner.top < outer.top || inner.bottom > outer.bottom) lacks.push('the state stands beside its plate');
  if (outer.right > innerWidth) lacks.push('the plate is wider than the screen');
  if (name.clientWidth < 24) lacks.push('nothing is left of the name');
  return lacks;
}

test('on a phone the state can be read to its end, and the name gives way first', { timeout: 180_000 }, async (t) => {
  const { broker, page } = await openPorch(t, 'plate-phone');
  await broker.child.end();
  await says(page, 'Live, broker away');
  for (const width of [360, 320]) {
    await page.setViewportSize({ width, height: 640 });
    assert.deepEqual(await page.evaluate(unreadable), [], `${width} px`);
    await keepScreenshot(page, `plate-${width}`);
    for (const word of LONG_WORDS) assert.deepEqual(await page.evaluate(unreadable, word), [], `${width} px: ${word}`);
  }
});

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`a camera is called as before when its node has gone by ${signal}`, { timeout: 180_000 }, async (t) => {
    const { node, page } = await openPorch(t, `plate-${signal.toLowerCase()}`);
    await node.end(signal);
    // Its last word, or that of the broker, has no name in it.
    await page.waitForFunction(() => window.cameraNode.status?.state === 'offline', null, { timeout: 30_000 });
    assert.equal(await page.evaluate(() => window.cameraNode.status.name), undefined);
    assert.equal(await page.getByTestId('name').textContent(), NAME);
    assert.match(await page.title(), new RegExp(`^${NAME} · `));
  });
}
