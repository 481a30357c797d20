// The library as others get it: packed, installed by npm, and its two examples opened at a real node over a real broker.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';

import { openPage } from './browser.mjs';
import { buildReact, makeProject, serve } from './consumer.mjs';
import { listen, watchPicture } from './observe.mjs';
import { startPorch } from './porch.mjs';
import { temporaryFolder, until } from './processes.mjs';
import { prominenceDb } from './sound.mjs';
import { takeSoundAsItIs, talkingBrowser } from './talking.mjs';
import { heardIn } from './wav.mjs';

const HUM_HZ = 440;
const VOICE_HZ = 1_000;

let project;
before(() => {
  project = makeProject();
});
after(() => project?.remove());

/** A node that lets one viewer in, with a speaker that writes a file. */
async function startNode(t, name) {
  const heard = path.join(temporaryFolder(t), 'heard.wav');
  const more = `
[camera.speaker]
sink = "file"
file = "${heard}"
[limits]
max_viewers = 1
`;
  return { ...(await startPorch(t, name, { more })), heard };
}

async function openExample(browser, address, node) {
  const page = await openPage(browser);
  await takeSoundAsItIs(page);
  await page.goto(`${address}?${new URLSearchParams({ broker: node.broker.wsUrl, node: 'porch' })}`);
  return page;
}

const says = (page, words) => page.getByRole('status').filter({ hasText: words }).waitFor({ timeout: 30_000 });
const button = (page, name) => page.getByRole('button', { name, exact: true });

/** Live pictures, the node's sound, and a voice the other way. */
async function seesHearsAndTalks(page, node) {
  await says(page, 'Live. You see the camera as it is now.');
  await page.waitForFunction(() => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames >= 10);
  const stamps = new Set((await watchPicture(page, 2)).map(({ stamp }) => stamp).filter((stamp) => stamp !== null));
  assert.ok(stamps.size >= 2, `${stamps.size} different pictures in 2 s`);
  await page.getByText(/^640 × 360, \d+ pictures a second/).waitFor();

  assert.equal(await page.evaluate(() => document.querySelector('video').muted), true);
  await button(page, 'Sound').click();
  await button(page, 'Sound').and(page.locator('[aria-pressed="true"]')).waitFor();
  assert.equal(await page.evaluate(() => document.querySelector('video').muted), false);
  const { binHertz, spectrum } = await listen(page, 2);
  assert.ok(prominenceDb(spectrum, binHertz, HUM_HZ) > 25, `${HUM_HZ} Hz is heard`);

  await button(page, 'Hold to talk').hover();
  await page.mouse.down();
  await button(page, 'Hold to talk').and(page.locator('[aria-pressed="true"]')).waitFor();
  await until('a second of the voice is heard at the camera', () => existsSync(node.heard) && heardIn(node.heard).loudMs >= 1_000, 30_000);
  await page.mouse.up();
  await button(page, 'Hold to talk').and(page.locator('[aria-pressed="false"]')).waitFor();
  const { hertz } = heardIn(node.heard);
  assert.ok(Math.abs(hertz - VOICE_HZ) < VOICE_HZ / 100, `${hertz} Hz`);
}

/** The words for hanging up, coming back, and a node that goes. */
async function followsWhatIsSaid(page, node) {
  await button(page, 'Hang up').click();
  await says(page, 'Not connected. The camera is not being watched from here.');
  await button(page, 'Hold to talk').waitFor({ state: 'hidden' });
  assert.equal(await page.evaluate(() => document.querySelector('video').srcObject), null);
  await button(page, 'Connect').click();
  await says(page, 'Live.');
  await node.child.end();
  await says(page, 'Camera offline. The camera is not connected to its broker.');
}

test('the example in plain HTML runs from the package: picture, sound, talking, and the words for what happens', { timeout: 180_000 }, async (t) => {
  const [node, address, browser] = await Promise.all([startNode(t, 'package-html'), serve(t, project.folder), talkingBrowser(t, VOICE_HZ)]);
  const page = await openExample(browser, `${address}/index.html`, node);
  await seesHearsAndTalks(page, node);

  // The only place is taken: who comes too is told so, and comes in when it is free.
  const other = await openExample(browser, `${address}/index.html`, node);
  await says(other, 'All places taken. As many people as the camera allows are watching already.');
  await button(page, 'Hang up').click();
  await button(other, 'Connect').click();
  await says(other, 'Live.');
  await button(other, 'Hang up').click();
  await says(other, 'Not connected.');
  await button(page, 'Connect').click();
  await says(page, 'Live.');

  await followsWhatIsSaid(page, node);
  for (const each of [page, other]) assert.deepEqual(each.complaints, []);
});

test('the example in React compiles against the package, and does the same', { timeout: 180_000 }, async (t) => {
  buildReact(project.folder);
  const [node, address, browser] = await Promise.all([startNode(t, 'package-react'), serve(t, project.folder), talkingBrowser(t, VOICE_HZ)]);
  const page = await openExample(browser, `${address}/react/index.html`, node);
  await seesHearsAndTalks(page, node);
  await followsWhatIsSaid(page, node);
  assert.deepEqual(page.complaints, []);
});
