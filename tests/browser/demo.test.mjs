// The main job, seen and heard by a browser: fresh pictures, sound, both together, with and without leave to play.
import assert from 'node:assert/strict';
import test from 'node:test';

import { keepScreenshot, launchBrowser, openPage } from './browser.mjs';
import { changes, flashesAndBeeps, listen, watchPicture } from './observe.mjs';
import { soundButton, waitForPicture, waitForState } from './page.mjs';
import {
  Child, SMALL, STAND_INS, answers, binary, freePort, startDemo, startMosquitto, temporaryFile, until,
} from './processes.mjs';
import { lipSyncMs, loudestHertz, median, onsets, prominenceDb } from './sound.mjs';

const HUM_HZ = 440;
const BEEP_HZ = 1000;

const STILL = SMALL.replace('test-pattern', 'still');

/** Fails unless `frames` are a live picture: `least` distinct, rising stamps, none older than half a second when shown. */
function assertFresh(frames, least) {
  const stamps = frames.map(({ stamp }) => stamp).filter((stamp) => stamp !== null);
  assert.ok(stamps.length >= frames.length * 0.98, `${stamps.length} of ${frames.length} frames have a stamp`);
  const rising = stamps.filter((stamp, i) => i === 0 || ((stamp - stamps[i - 1]) | 0) > 0);
  assert.ok(rising.length >= least, `${rising.length} rising stamps in ${frames.length} frames`);
  assert.equal(rising.length, new Set(stamps).size, 'no stamp comes back');
  const ages = frames.filter(({ ageMs }) => ageMs !== null).map(({ ageMs }) => ageMs);
  const [youngest, oldest] = [Math.min(...ages), Math.max(...ages)];
  assert.ok(youngest >= 0 && oldest <= 500, `pictures are ${youngest} to ${oldest} ms old`);
  return `${rising.length} stamps, ${youngest} to ${oldest} ms old, median ${median(ages)} ms`;
}

/** Fails unless the hum stands out, in its own bin. */
async function assertHumHeard(page) {
  const { binHertz, spectrum } = await listen(page, 2);
  const prominence = prominenceDb(spectrum, binHertz, HUM_HZ);
  assert.ok(prominence > 25, `${HUM_HZ} Hz stands out by ${prominence} dB`);
  // Below the beep nothing else is sent.
  const loudest = loudestHertz(spectrum, binHertz, 100, 800);
  assert.ok(Math.abs(loudest - HUM_HZ) <= binHertz, `${loudest} Hz is the loudest`);
  return `${loudest.toFixed(1)} Hz stands out by ${prominence.toFixed(1)} dB`;
}

async function openDemo(t, name, config, browser) {
  const demo = await startDemo(t, name, ['--config', temporaryFile(t, 'camera.toml', config)]);
  // The instruments bring an audio worklet, which the page's own rules keep out.
  const page = await openPage(browser ?? (await launchBrowser(t)), { bypassCSP: true });
  await page.goto(demo.page);
  await waitForPicture(page);
  return { demo, page };
}

test('the demo shows 200 fresh pictures in ten seconds, its tone is heard, flash and beep come together', { timeout: 120_000 }, async (t) => {
  const { page } = await openDemo(t, 'demo', STAND_INS);
  t.diagnostic(assertFresh(await watchPicture(page, 10), 200));
  t.diagnostic(await assertHumHeard(page));

  // A browser brings sound and picture together step by step, in the first half minute.
  const together = await until('flash and beep come within 40 ms of each other', async () => {
    const { picture, sound } = await flashesAndBeeps(page, 6, BEEP_HZ);
    const offsets = lipSyncMs(onsets(picture, 80), onsets(sound, 0.02));
    t.diagnostic(`beep after flash: ${offsets.map(Math.round).join(', ')} ms`);
    return offsets.length >= 4 && Math.abs(median(offsets)) <= 40;
  }, 40_000);
  assert.ok(together);
  assert.deepEqual(page.complaints, []);
});

test('a frozen source fails the same check', { timeout: 120_000 }, async (t) => {
  const { page } = await openDemo(t, 'demo-still', STILL);
  const frames = await watchPicture(page, 3);
  assert.ok(frames.length >= 30, `${frames.length} frames are shown all the same`);
  // For the right reason: its stamp is there to be read, and the same all the time.
  assert.throws(() => assertFresh(frames, 60), /^AssertionError.*: 1 rising stamps in/);
});

test('without leave to play sound the picture plays muted, and one tap brings the sound', { timeout: 120_000 }, async (t) => {
  const { page } = await openDemo(t, 'demo-muted', SMALL, await launchBrowser(t, { autoplay: false }));
  assert.ok(changes(await watchPicture(page, 2)) >= 30, 'the picture plays');
  const muted = () => page.evaluate(() => document.querySelector('video').muted);
  assert.equal(await muted(), true);
  const button = soundButton(page);
  await button.waitFor({ state: 'visible' });
  await keepScreenshot(page, 'demo-muted');
  await button.click();
  await until('the sound is on', async () => !(await muted()));
  assert.ok(changes(await watchPicture(page, 2)) >= 30, 'the picture plays on');
  t.diagnostic(await assertHumHeard(page));
  assert.deepEqual(page.complaints, []);
});

test("Debian's mosquitto serves as well, and may be restarted", { timeout: 120_000 }, async (t) => {
  const broker = await startMosquitto(t, 'mosquitto');
  const http = await freePort();
  const config = `
[node]
id = "mosquitto-test"
[broker]
url = "${broker.url}"
websocket_url = "${broker.wsUrl}"
[http]
bind = "127.0.0.1:${http}"
[ice]
include_loopback = true
${SMALL}`;
  const node = new Child(t, 'run-mosquitto', binary, ['run', '--config', temporaryFile(t, 'node.toml', config)]);
  await node.before(until('the page is served', () => answers(http)));
  const browser = await launchBrowser(t);
  const page = await openPage(browser);
  await page.goto(`http://127.0.0.1:${http}/`);
  await waitForPicture(page);
  t.diagnostic(assertFresh(await watchPicture(page, 5), 100));
  assert.deepEqual(page.complaints, []);

  await broker.child.end();
  assert.ok(changes(await watchPicture(page, 3)) >= 50, 'the picture needs no broker');
  await broker.start();
  // Whoever comes now gets in: the node has found its way back.
  const second = await openPage(browser);
  await second.goto(`http://127.0.0.1:${http}/`);
  await waitForPicture(second, 30_000);
  await waitForState(page, 'live', 30_000);
  t.diagnostic(assertFresh(await watchPicture(page, 3), 60));
});
