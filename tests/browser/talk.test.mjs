// A person talks to the camera: Chromium with a fake microphone, and a node whose speaker is a file.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { keepScreenshot, openPage } from './browser.mjs';
import { waitForPicture } from './page.mjs';
import { SMALL, startDemo, temporaryFile, temporaryFolder, until } from './processes.mjs';
import { takeSoundAsItIs, talkingBrowser } from './talking.mjs';
import { heardIn } from './wav.mjs';

const HERTZ = 1_000;
const SIZES = [[360, 640], [820, 1180], [1440, 900]];

/** A node with a speaker that writes `heard`; without one when `sink` is "none". */
async function startNode(t, name, sink = 'file') {
  const heard = path.join(temporaryFolder(t), 'heard.wav');
  const config = temporaryFile(t, 'node.toml', `${SMALL}[camera.speaker]\nsink = "${sink}"\nfile = "${heard}"\n`);
  const { page } = await startDemo(t, name, ['--config', config]);
  return { page, heard };
}

/** Opens the node's page with its picture. */
async function watch(browser, node, options = {}) {
  const page = await openPage(browser, options);
  await takeSoundAsItIs(page);
  await page.goto(node.page);
  await waitForPicture(page);
  return page;
}

const talkButton = (page) => page.getByTestId('talk');
const isPressed = (page, pressed) => page.locator(`[data-testid="talk"][aria-pressed="${pressed}"]`).waitFor();
const heard = (node) => (existsSync(node.heard) ? heardIn(node.heard) : { loudMs: 0, stretchMs: 0, hertz: 0 });

test('who holds the button is heard at the camera, at the right pitch and without gaps, and not a moment longer', async (t) => {
  const [browser, node] = await Promise.all([talkingBrowser(t, HERTZ), startNode(t, 'talk-held')]);
  const page = await watch(browser, node);
  const button = talkButton(page);
  await button.hover();
  await page.mouse.down();
  await isPressed(page, true);
  const level = () => button.evaluate((element) => Number(element.style.getPropertyValue('--level')));
  await until('the meter shows the voice', async () => (await level()) > 0.3);
  await until('three seconds are heard in one piece', () => heard(node).stretchMs >= 3_000, 30_000);
  await page.mouse.up();
  await isPressed(page, false);
  const { hertz } = heard(node);
  assert.ok(Math.abs(hertz - HERTZ) < HERTZ / 100, `${hertz} Hz`);

  // What was on its way is played; then there is silence.
  let last = -1;
  const isSilent = () => {
    const now = heard(node).loudMs;
    const isSame = now === last;
    last = now;
    return isSame;
  };
  await until('silence', async () => {
    await new Promise((resolve) => setTimeout(resolve, 700));
    return isSilent();
  });

  await page.keyboard.down('t');
  await isPressed(page, true);
  // A second of sound takes a second: a key let go sooner than 350 ms is a tap, and leaves the microphone open.
  await until('the key does it too', () => heard(node).loudMs > last + 1_000);
  await page.keyboard.up('t');
  await isPressed(page, false);
  assert.deepEqual(page.complaints, []);
});

test('a tap leaves the microphone open until the next, and the button looks right in all sizes, dark and light', async (t) => {
  const [browser, node] = await Promise.all([talkingBrowser(t, HERTZ), startNode(t, 'talk-open')]);
  for (const colorScheme of ['dark', 'light']) {
    const page = await watch(browser, node, { colorScheme, viewport: { width: 360, height: 640 } });
    await talkButton(page).click();
    await isPressed(page, true);
    await talkButton(page).and(page.locator('[aria-label="Close the microphone"]')).waitFor();
    for (const [width, height] of SIZES) {
      await page.setViewportSize({ width, height });
      await page.mouse.move(width / 2, height / 2);
      const box = await talkButton(page).boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= width && box.y + box.height <= height, `${width}: ${JSON.stringify(box)}`);
      assert.ok(box.width >= 44 && box.height >= 44, `${width}: large enough for a thumb`);
      const room = await page.evaluate(() => innerWidth - document.querySelector('.controls').getBoundingClientRect().right);
      assert.ok(room >= 15.5, `${width}: ${room} px are left beside the buttons`);
      await keepScreenshot(page, `talk-${width}-${colorScheme}`);
    }
    await talkButton(page).click();
    await isPressed(page, false);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  }
});

test('it is said why nobody is heard: no leave for the microphone, and no speaker', async (t) => {
  const browser = await talkingBrowser(t, HERTZ, { granted: false });
  const [node, deaf] = await Promise.all([startNode(t, 'talk-refused'), startNode(t, 'talk-deaf', 'none')]);
  const said = (page, text) => page.getByTestId('toast').filter({ hasText: text }).waitFor();

  const page = await watch(browser, node);
  await talkButton(page).click();
  await said(page, 'does not let this page use the microphone');
  assert.equal(await talkButton(page).getAttribute('aria-pressed'), 'false');

  const other = await watch(browser, deaf);
  assert.ok(await talkButton(other).isHidden());
  await other.keyboard.press('t');
  await said(other, 'This camera has no speaker');
});
