// A camera that goes and comes back, and a microphone that is not there, as whoever watches is told of them.
import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { launchBrowser, openPage } from './browser.mjs';
import { changes, look, watchPicture } from './observe.mjs';
import { waitForPicture } from './page.mjs';
import { startDemo, temporaryFolder, until } from './processes.mjs';

const [WIDTH, HEIGHT] = [320, 180];

/** A film that is light and dark by turns, three times a second; whole or not at all. */
function film(file) {
  const picture = (luma) => Buffer.concat([Buffer.from('FRAME\n'), Buffer.alloc(WIDTH * HEIGHT, luma), Buffer.alloc((WIDTH * HEIGHT) / 2, 128)]);
  const lumas = Array.from({ length: 30 }, (_, i) => (i % 10 < 5 ? 70 : 190));
  writeFileSync(`${file}.new`, Buffer.concat([Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F15:1\n`), ...lumas.map(picture)]));
  renameSync(`${file}.new`, file);
}

/** What was open has ended, and there is no other. */
function unplug(file) {
  const open = openSync(file, 'r+');
  rmSync(file);
  ftruncateSync(open, 0);
  closeSync(open);
}

test('a viewer is told that the camera is away by a card, and of a microphone that is not there', { timeout: 90_000 }, async (t) => {
  const folder = temporaryFolder(t);
  const [config, camera] = [path.join(folder, 'demo.toml'), path.join(folder, 'camera.y4m')];
  film(camera);
  writeFileSync(
    config,
    `[[camera]]
on_demand = false
[camera.video]
source = "file"
file = "${camera}"
width = ${WIDTH}
height = ${HEIGHT}
[camera.audio]
source = "alsa"
device = "plughw:CARD=NotThere"
`,
  );
  const demo = await startDemo(t, 'demo-faults', ['--config', config]);
  const page = await openPage(await launchBrowser(t));
  await page.goto(demo.page);
  await waitForPicture(page);
  const state = page.getByTestId('state');
  const says = (words) => until(words, async () => (await state.textContent()) === words, 20_000);
  await says('Live, microphone main away');
  assert.match(await state.getAttribute('title'), /plughw:CARD=NotThere: not there/);
  assert.ok(changes(await watchPicture(page, 2)) >= 3, 'the picture moves');

  unplug(camera);
  await says('Camera unplugged');
  // Neither light nor dark, as the film is, but nearly black with words on it.
  const isCard = ({ thumbnail }) => Math.min(...thumbnail) < 40 && Math.max(...thumbnail) > 60;
  await until('a card in place of the last picture', async () => isCard(await look(page)), 20_000);
  const cards = await watchPicture(page, 2);
  assert.ok(cards.length >= 3 && cards.every(isCard), `cards come on and on: ${cards.length} in 2 s`);
  const health = async () => (await (await fetch(new URL('healthz', demo.page))).json()).parts['camera:main'];
  assert.match((await health()).detail, /^away: /);

  film(camera);
  await says('Live, microphone main away');
  await until('the picture moves again', async () => changes(await watchPicture(page, 2)) >= 3, 20_000);
  assert.match((await health()).detail, /^live/);
  const joins = await page.evaluate(() => window.cameraNode.events.filter(({ name }) => name === 'join').length);
  assert.equal(joins, 1, 'one session for all of it');
  assert.deepEqual(page.complaints, []);
});
