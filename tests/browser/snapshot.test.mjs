// What the page's button and key save: a file with the picture of that moment, at its full size; the camera's own, or the screen's
// where the camera gives none.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { launchBrowser, openPage } from './browser.mjs';
import { waitForPicture } from './page.mjs';
import { STAND_INS, startDemo, temporaryFile, temporaryFolder } from './processes.mjs';
import { BLOCKS, ageMs, blockSide, readStamp } from './stamp.mjs';

const [WIDTH, HEIGHT] = [640, 360];
const SMALL = STAND_INS.replace('"test-pattern"', `"test-pattern"\nwidth = ${WIDTH}\nheight = ${HEIGHT}`);

/** The size that a JPEG's frame header (ITU-T T.81, B.2.2) has; fails on what is no JPEG from its first byte to its last. */
function sizeOfJpeg(bytes) {
  assert.deepEqual([bytes.readUInt16BE(0), bytes.readUInt16BE(bytes.length - 2)], [0xffd8, 0xffd9]);
  for (let at = 2; at + 9 <= bytes.length; at += 2 + bytes.readUInt16BE(at + 2)) {
    const marker = bytes.readUInt16BE(at);
    assert.equal(marker >> 8, 0xff, `no marker at ${at}`);
    if (marker >= 0xffc0 && marker <= 0xffc2) return [bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5)];
  }
  throw new assert.AssertionError({ message: 'a JPEG without a frame' });
}

/** Runs in the page: the mean luma of each block of the stamp in this picture. */
async function lumasOf({ base64, side, blocks }) {
  const blob = new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))]);
  const picture = await createImageBitmap(blob);
  const context = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
  context.drawImage(picture, 0, 0);
  return Array.from({ length: blocks }, (_, block) => {
    const { data } = context.getImageData(block * side + side / 4, side / 4, side / 2, side / 2);
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) sum += 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
    return sum / (data.length / 4);
  });
}

/** In the page, before its own script: `fromScreen` counts what is saved of the screen; `older` and `silent` are how the node is. */
function instruments() {
  window.seen = { fromScreen: 0, older: false, silent: false };
  const { toBlob } = HTMLCanvasElement.prototype;
  HTMLCanvasElement.prototype.toBlob = function counted(...given) {
    window.seen.fromScreen += 1;
    return toBlob.apply(this, given);
  };
  const { createDataChannel } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.createDataChannel = function renamed(label, ...given) {
    return createDataChannel.call(this, label === 'snapshot' && window.seen.older ? 'of-a-later-node' : label, ...given);
  };
  const { send } = RTCDataChannel.prototype;
  RTCDataChannel.prototype.send = function lost(...given) {
    if (this.label !== 'snapshot' || !window.seen.silent) send.apply(this, given);
  };
}

/** The page of a demo, smaller than its picture, which is not to be seen in the files. */
async function open(t, name) {
  const text = SMALL.replace('[[camera]]', `[node]\nstate_folder = "${temporaryFolder(t)}"\n[[camera]]`);
  const demo = await startDemo(t, name, ['--config', temporaryFile(t, 'camera.toml', text)]);
  const page = await openPage(await launchBrowser(t), { viewport: { width: 400, height: 300 } });
  await page.addInitScript(instruments);
  await page.goto(demo.page);
  await waitForPicture(page, 60_000);
  await page.getByTestId('resolution').filter({ hasText: `${WIDTH} × ${HEIGHT}` }).waitFor();
  return page;
}

/** What `take` has saved, and whether it is of the screen. */
async function saved(page, take) {
  const count = () => page.evaluate(() => window.seen.fromScreen);
  const before = await count();
  const [download] = await Promise.all([page.waitForEvent('download'), take()]);
  const bytes = readFileSync(await download.path());
  assert.deepEqual(sizeOfJpeg(bytes), [WIDTH, HEIGHT]);
  assert.match(download.suggestedFilename(), /^[A-Za-z0-9_-]+-main-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.jpg$/);
  return { bytes, download, ofScreen: (await count()) > before };
}

test('button and key save the picture of that moment, the camera\'s own, at its own size', { timeout: 120_000 }, async (t) => {
  const page = await open(t, 'demo-snapshot');
  const stamps = [];
  for (const take of [() => page.getByTestId('snapshot').click(), () => page.keyboard.press('s')]) {
    let before;
    let bytes;
    let download;
    // A machine that does other things too may take more than the three seconds that a person waits.
    for (let ofScreen = true, tries = 0; ofScreen; tries += 1) {
      assert.ok(tries < 10, 'it is never the camera\'s own');
      before = Date.now();
      ({ bytes, download, ofScreen } = await saved(page, take));
    }
    const lumas = await page.evaluate(lumasOf, { base64: bytes.toString('base64'), side: blockSide(WIDTH), blocks: BLOCKS });
    const stamp = readStamp(lumas);
    assert.notEqual(stamp, null, 'the stamp of the test pattern can be read in it');
    // What is shown is a little behind; what is saved is not from long before the button, nor from after it was there.
    assert.ok(ageMs(before, stamp) < 5_000 && ageMs(Date.now(), stamp) > 0, `taken ${ageMs(before, stamp)} ms before the button`);
    stamps.push(stamp);
    await page.getByTestId('toast').filter({ hasText: download.suggestedFilename() }).waitFor();
  }
  assert.notEqual(stamps[0], stamps[1], 'each is a picture of its own');
  assert.deepEqual(page.complaints, []);
});

test('where the camera gives no picture of its own, or not in time, the one on the screen is saved', { timeout: 120_000 }, async (t) => {
  const page = await open(t, 'demo-snapshot-screen');
  const is = (how) => page.evaluate((how) => Object.assign(window.seen, how), how);
  const key = () => page.keyboard.press('s');
  await is({ older: true });
  assert.equal((await saved(page, key)).ofScreen, true, 'an older node knows no such channel');
  await is({ older: false, silent: true });
  assert.equal((await saved(page, key)).ofScreen, true, 'a node that does not answer');
  await is({ silent: false });
  // Shut by a person, it gives no picture to anybody; a card is seen that says so.
  await page.evaluate(() => window.cameraNode.camera.control.request('camera.privacy', { camera: 'main', on: true }));
  await page.getByTestId('state').filter({ hasText: 'Switched off for privacy' }).waitFor();
  assert.equal((await saved(page, key)).ofScreen, true, 'a camera that is shut');
  assert.deepEqual(page.complaints, []);
});
