// What a viewer of a machine sees and hears: of a camera and a microphone of the kernel's own.
import assert from 'node:assert/strict';

import { keepScreenshot, launchBrowser, openPage } from '../browser/browser.mjs';
import { changes, differs, listen, look, watchPicture } from '../browser/observe.mjs';
import { waitForPicture } from '../browser/page.mjs';
import { until } from '../browser/processes.mjs';
import { loudestHertz, prominenceDb } from '../browser/sound.mjs';
import { PLATFORM, TONE_HZ, isCard, plugBackIn, serveViewer } from './machine.mjs';

/** Emulated, and beside whatever else this machine does. */
export const SOON_MS = 120_000;

/** Where a browser finds the page, for the node `node` at `broker`. */
export const viewerAddress = async (t, broker, node) => `${await serveViewer(t)}#broker=${broker.wsUrl}&node=${node}`;

/** A browser there. `prepare(page)` is called before the page is loaded. */
export async function openViewer(t, broker, node, { browser, prepare = async () => {} } = {}) {
  const page = await openPage(browser ?? (await launchBrowser(t)));
  await prepare(page);
  await page.goto(await viewerAddress(t, broker, node));
  return page;
}

/** Until pictures come that differ from each other. */
export const moves = (page) => until('the picture moves', async () => changes(await watchPicture(page, 2)) >= 5, SOON_MS);

/** Until a card is shown that stays as it is. */
export const showsCard = (page) =>
  until('a card is shown', async () => {
    const before = await look(page);
    return isCard(before) && changes(await watchPicture(page, 2)) === 0 && !differs(before, await look(page));
  }, SOON_MS);

/** The first picture comes, and more; the microphone's tone stands out of all else. */
export async function seesAndHears(page, name) {
  await waitForPicture(page, SOON_MS);
  const live = await watchPicture(page, 4);
  assert.ok(changes(live) >= 10, `the picture moves: ${changes(live)} changes in ${live.length} frames`);
  const { binHertz, spectrum } = await listen(page, 2);
  const tone = prominenceDb(spectrum, binHertz, TONE_HZ);
  assert.ok(tone > 20, `the tone of ${TONE_HZ} Hz stands out by ${tone} dB`);
  const loudest = loudestHertz(spectrum, binHertz);
  assert.ok(Math.abs(loudest - TONE_HZ) <= binHertz, `${loudest} Hz is the loudest`);
  await keepScreenshot(page, `${name}-live`);
}

/** The camera is pulled out and put back, in one session; `whileAway` is what else is to be seen in between. */
export async function seesItsCameraReplugged(t, { guest, heard, page, name, whileAway = async () => {} }) {
  const before = heard.joins();
  await guest.run(`echo vivid.0 >${PLATFORM}/vivid/unbind`);
  await until('the node says that its camera is away', () => heard.camera()?.state === 'away', SOON_MS);
  await whileAway();
  await showsCard(page);
  await keepScreenshot(page, `${name}-away`);
  t.diagnostic(`picture ${await plugBackIn(guest, page)} ms after the camera's bind`);
  await until('the node says that its camera runs', () => heard.camera()?.state === 'running', SOON_MS);
  await moves(page);
  assert.equal(heard.joins(), before, 'one session for all of it');
}
