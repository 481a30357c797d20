// The page in each of its states, at the width of a phone, a tablet and a desk, dark and light: kept to be looked at.
import assert from 'node:assert/strict';
import test from 'node:test';

import { keepScreenshot, launchBrowser, openPage } from './browser.mjs';
import { cardText, waitForPicture, waitForState } from './page.mjs';
import { SMALL, STAND_INS, startDemo, temporaryFile } from './processes.mjs';

const CONFIG = `${SMALL}[limits]
max_viewers = 1
`;
const SIZES = [
  { width: 360, height: 640 },
  { width: 820, height: 1180 },
  { width: 1440, height: 900 },
];

/** `enter` brings the page into the state where it does not stay there by itself; a picture that a change of state
 * has crossed is taken again. */
async function keepAllSizes(page, state, enter = async () => {}) {
  const isThere = async () => (await page.locator('html').getAttribute('data-state')) === state;
  for (const size of SIZES) {
    await page.setViewportSize(size);
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      for (let tries = 1; ; tries++) {
        if (!(await isThere())) await enter();
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(wider <= 0, `${state} at ${size.width} px is ${wider} px wider than the screen`);
        const cut = await page.getByTestId('state').evaluate((word) => word.scrollWidth > word.clientWidth || word.scrollHeight > word.clientHeight);
        assert.ok(!cut, `${state} at ${size.width} px cannot be read to its end`);
        // The controls go when nobody moves.
        await page.mouse.move(size.width / 2, size.height / (colorScheme === 'dark' ? 3 : 4));
        await keepScreenshot(page, `${state}-${size.width}-${colorScheme}`);
        if (await isThere()) break;
        assert.ok(tries < 5, `the page does not stay ${state} for the time of a picture`);
      }
    }
  }
}

test('every state of the page fits every screen', { timeout: 180_000 }, async (t) => {
  const demo = await startDemo(t, 'demo-screens', ['--config', temporaryFile(t, 'camera.toml', CONFIG)]);
  const browser = await launchBrowser(t);
  const page = await openPage(browser);
  await page.goto(demo.page);
  await waitForPicture(page);
  const numbers = { fps: /^\d+ fps$/, bitrate: /^[\d.]+ [kM]bit\/s$/, 'round-trip': /^<?\d+ ms round trip$/, latency: /^<?\d+ ms latency$/ };
  for (const [name, words] of Object.entries(numbers)) await page.getByTestId(name).filter({ hasText: words }).waitFor();
  await keepAllSizes(page, 'live');

  const second = await openPage(browser);
  await second.goto(demo.page);
  await waitForState(second, 'refused');
  await keepAllSizes(second, 'refused');
  await second.close();

  await page.setViewportSize(SIZES[2]);
  await page.getByTestId('disconnect').click();
  await waitForState(page, 'idle');
  await keepAllSizes(page, 'idle');

  await page.getByTestId('connect').click();
  await waitForPicture(page);
  assert.deepEqual(page.complaints, []);
  // Frozen, the node says no word of farewell, and no connection breaks: the page has to notice, and to come back.
  await keepAllSizes(page, 'lost', async () => {
    demo.child.signal('SIGCONT');
    await waitForState(page, 'live', 30_000);
    demo.child.signal('SIGSTOP');
    await waitForState(page, 'lost', 30_000);
  });
  demo.child.signal('SIGCONT');
  await waitForState(page, 'live', 30_000);
});

test('on a short screen nothing stands in the way of what the camera writes into its picture', { timeout: 90_000 }, async (t) => {
  const demo = await startDemo(t, 'demo-short', ['--config', temporaryFile(t, 'camera.toml', STAND_INS)]);
  const page = await openPage(await launchBrowser(t));
  await page.goto(demo.page);
  await waitForPicture(page);
  await page.getByTestId('resolution').filter({ hasText: '1280' }).waitFor();
  for (const [width, height] of [[844, 390], [640, 320], [480, 270], [320, 240]]) {
    await page.setViewportSize({ width, height });
    const covered = await page.evaluate(() => {
      const { videoWidth, videoHeight } = document.querySelector('video');
      const scale = Math.min(innerWidth / videoWidth, innerHeight / videoHeight);
      // The test pattern has its time in the lower half, in the middle two thirds of the width.
      const text = { left: innerWidth / 2 - 0.32 * videoWidth * scale, right: innerWidth / 2 + 0.32 * videoWidth * scale, top: innerHeight / 2 + 0.2 * videoHeight * scale };
      return [...document.querySelectorAll('.plate, .numbers, .controls')].flatMap((element) => {
        const box = element.getBoundingClientRect();
        const outside = box.left < 0 || box.top < 0 || box.right > innerWidth || box.bottom > innerHeight;
        const over = box.right > text.left && box.left < text.right && box.bottom > text.top;
        return outside || over ? [`${element.className}: ${JSON.stringify(box)}`] : [];
      });
    });
    assert.deepEqual(covered, [], `${width} x ${height}`);
    await page.mouse.move(width / 2, height / 3);
    await keepScreenshot(page, `short-${width}`);
  }
});

test('a browser without WebRTC says so, and offers nothing that would not help', { timeout: 60_000 }, async (t) => {
  const demo = await startDemo(t, 'demo-no-webrtc', ['--config', temporaryFile(t, 'camera.toml', SMALL)]);
  const page = await openPage(await launchBrowser(t));
  await page.addInitScript(() => {
    delete window.RTCPeerConnection;
  });
  await page.goto(demo.page);
  await page.locator('[data-reason="noWebRtc"]').waitFor();
  assert.match(await cardText(page), /Browser not able\s+This browser has no WebRTC/);
  assert.equal(await page.getByTestId('connect').isVisible(), false);
  assert.equal((await page.evaluate(() => window.cameraNode.state)).retryAt, undefined);
  assert.deepEqual(page.complaints, []);
});
