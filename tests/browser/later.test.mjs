// Later in a session: the page gets another network path, in the same session.
import assert from 'node:assert/strict';
import test from 'node:test';

import { launchBrowser, openPage } from './browser.mjs';
import { watchPicture } from './observe.mjs';
import { waitForPicture } from './page.mjs';
import { SMALL, binary, startDemo, temporaryFile, until } from './processes.mjs';
import { NODE, buildStreet } from './street.mjs';

/** Steps of the protocol so far, those of candidates left out. */
function steps(page) {
  return page.evaluate(() =>
    window.cameraNode.events.filter(({ name }) => name !== 'ice').map(({ name, direction }) => [name, direction].filter(Boolean).join(' ')),
  );
}

/** Runs in the page. */
function picturesShown() {
  return document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames;
}

/** The longest time between two pictures, in ms. */
function longestGap(frames) {
  return Math.max(...frames.slice(1).map((frame, i) => frame.wallMs - frames[i].wallMs));
}

test('a restart of ICE by the page goes on in the same session, and the picture with it', { timeout: 120_000 }, async (t) => {
  const demo = await startDemo(t, 'demo-restart', ['--config', temporaryFile(t, 'camera.toml', SMALL)]);
  const page = await openPage(await launchBrowser(t));
  await page.goto(demo.page);
  await waitForPicture(page);
  await page.evaluate(() => {
    window.seenStates = [];
    window.cameraNode.camera.on('state', ({ state }) => window.seenStates.push(state));
  });
  const before = await steps(page);

  const watching = watchPicture(page, 10);
  for (let restart = 1; restart <= 3; restart += 1) {
    await page.evaluate(() => window.cameraNode.camera.restartIce());
    await until('the node has answered', async () => (await steps(page)).length >= before.length + 2 * restart);
    // Each of them with a path that has carried pictures.
    const shown = await page.evaluate(picturesShown);
    await until('pictures come', async () => (await page.evaluate(picturesShown)) > shown + 10);
  }
  const frames = await watching;
  const after = await steps(page);
  assert.deepEqual(after.slice(before.length), Array(3).fill(['offer out', 'answer in']).flat());
  assert.deepEqual(await page.evaluate(() => window.seenStates), [], 'live all the time');
  const gap = longestGap(frames);
  t.diagnostic(`${frames.length} pictures, ${gap} ms at most between two of them`);
  assert.ok(gap < 2_500, `${gap} ms without a picture`);
  assert.deepEqual(page.complaints, []);
});

test('a browser whose address changes sees on in the same session', { timeout: 120_000 }, async (t) => {
  const street = buildStreet(t);
  if (street === undefined) {
    t.skip('no network namespaces for this user');
    return;
  }
  const listeners = `listener 1883 ${NODE}\nlistener 9001 ${NODE}\nprotocol websockets\nallow_anonymous true\nuser root\n`;
  street.start('mosquitto-later', '/usr/sbin/mosquitto', ['-c', temporaryFile(t, 'mosquitto.conf', listeners)]);
  const config = `
[node]
id = "porch"
${SMALL}
[broker]
url = "mqtt://${NODE}"
websocket_url = "ws://${NODE}:9001"
[access]
i_trust_the_broker = true
[http]
bind = "${NODE}:8080"
`;
  street.start('node-later', binary, ['run', '--config', temporaryFile(t, 'camera.toml', config)]);
  const page = await openPage(await launchBrowser(t, { wrapped: street.atViewers }));
  await until('the page is there', () => page.goto(`http://${NODE}:8080/`).then(() => true, () => false), 30_000);
  await waitForPicture(page, 30_000);
  const shown = await page.evaluate(picturesShown);
  await until('pictures come', async () => (await page.evaluate(picturesShown)) > shown + 30);

  street.replug();
  const from = Date.now();
  const atChange = await page.evaluate(picturesShown);
  // By an offer of either side.
  const answers = (all) => all.filter((step) => step.startsWith('answer')).length;
  await until('another offer is answered', async () => answers(await steps(page)) > 1, 30_000);
  // What was on its way when the plug was pulled may still be shown after it.
  await until('pictures come again', async () => (await page.evaluate(picturesShown)) > atChange + 60, 20_000);
  const all = await steps(page);
  t.diagnostic(`again after ${Date.now() - from} ms, with two seconds of pictures; ${all.join(', ')}`);
  assert.equal(all.filter((step) => step === 'join out').length, 1, all.join());
  assert.equal(await page.evaluate(() => window.cameraNode.state.state), 'live');
});
