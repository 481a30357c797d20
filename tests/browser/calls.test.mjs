// One-on-one: the node rings a page and a page calls the node, with a still picture before the answer, pictures and sound both
// ways after it, and the right words however it ends. The node's speaker is a file.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'node:test';

import { keepScreenshot, openPage } from './browser.mjs';
import { listen } from './observe.mjs';
import { crowded, waitForPicture, waitForState } from './page.mjs';
import { startPorch } from './porch.mjs';
import { binary, Child, temporaryFolder, until } from './processes.mjs';
import { prominenceDb } from './sound.mjs';
import { talkingBrowser } from './talking.mjs';
import { heardIn } from './wav.mjs';

const HERTZ = 1_000;
/** What the camera's microphone hears. */
const HUM_HERTZ = 440;
const SIZES = [[360, 640], [844, 390], [820, 1180], [1440, 900]];
/** For a picture where two pages decode at once, on a machine that has more to do. */
const PATIENCE = 60_000;

/** A node that can be rung, with a speaker. */
async function startNode(t, name, { limits = '', speaker = 'file' } = {}) {
  const folder = temporaryFolder(t);
  const [socket, heard] = [path.join(folder, 'ring.sock'), path.join(folder, 'heard.wav')];
  const more = `
[camera.speaker]
sink = "${speaker}"
file = "${heard}"
[limits]
ring_timeout_s = 120
${limits}
[ring]
socket = "${socket}"
`;
  return { ...(await startPorch(t, name, { more })), socket, heard };
}

/** Rings, until somebody answers. */
const ring = (t, node) => new Child(t, `${node.name}-ring`, binary, ['ring', '--socket', node.socket, '--wait', '--json']);

/** Hangs up at the camera; whom that was said to concern. */
async function hangUpThere(t, node) {
  const child = new Child(t, `${node.name}-hang-up`, binary, ['ring', '--socket', node.socket, '--hang-up', '--json'], { stdout: 'pipe' });
  const said = text(child.process.stdout);
  assert.equal((await child.ended).code, 0);
  return JSON.parse(await said).hungUp;
}

/** Names of the steps that the page has logged since the last call. */
const stepsOfCall = (page) =>
  page.evaluate(() => {
    const { events } = window.cameraNode;
    return events.slice(events.findLastIndex(({ name }) => name === 'call')).map(({ name }) => name);
  });

/** So many more seconds of pictures have been seen here. */
const watchOn = async (page, seconds) => {
  const before = await page.evaluate(() => document.querySelector('video').currentTime);
  await page.waitForFunction((until) => document.querySelector('video').currentTime > until, before + seconds, { timeout: 60_000 });
};

/** Opens the node's page; `window.microphones` are the tracks that it was given. */
async function open(browser, node, { fragment = '', ...options } = {}) {
  const page = await openPage(browser, options);
  // A tone without end is noise to a browser, which takes it away.
  await page.addInitScript(() => {
    const media = navigator.mediaDevices;
    const ask = media.getUserMedia.bind(media);
    window.microphones = [];
    media.getUserMedia = async () => {
      const stream = await ask({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
      window.microphones.push(...stream.getTracks());
      return stream;
    };
  });
  await page.goto(`${node.page}${fragment}`);
  return page;
}

/** Watches no more, and waits for calls. */
async function waitForCalls(page) {
  await waitForPicture(page, 30_000);
  await page.keyboard.press('c');
  await waitForState(page, 'idle');
  await page.getByTestId('bell').click();
  await page.locator('html[data-bell="on"]').waitFor();
}

const sheet = (page) => page.getByTestId('sheet');
const note = (page, words) => page.getByTestId('note').filter({ hasText: words }).waitFor();
const toast = (page, words) => page.locator('.toast[data-shown="true"]').filter({ hasText: words }).waitFor();
const inCall = (page, direction) => page.locator(`html[data-call="${direction}"]`).waitFor();
const hangUp = (page) => page.getByRole('button', { name: 'Hang up', exact: true });
const openMicrophones = (page) => page.evaluate(() => window.microphones.filter(({ readyState }) => readyState === 'live').length);
const isHeard = (node, ms = 1_000) => until('the voice is heard at the camera', () => existsSync(node.heard) && heardIn(node.heard).loudMs >= ms, 30_000);

/** Pictures of all sizes, dark and light; what `looked` is given has to stand within each of them, and `more` has to hold. */
async function keepAll(page, name, looked = [], more = async () => {}) {
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    for (const [width, height] of SIZES) {
      await page.setViewportSize({ width, height });
      await page.mouse.move(width / 2, 100 + Math.random());
      for (const testId of looked) {
        const box = await page.getByTestId(testId).boundingBox();
        const fits = box !== null && box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height;
        assert.ok(fits, `${testId} at ${width}: ${JSON.stringify(box)}`);
      }
      await more(`${name} at ${width} x ${height}`);
      await keepScreenshot(page, `${name}-${width}-${colorScheme}`);
    }
  }
}

/** These stand beside and below each other. */
const apart = (page, testIds) => async (where) => assert.deepEqual(await crowded(page, testIds), [], where);

/** Words that come and go leave the card alone too. */
async function toastLeavesTheCard(page, where) {
  const covered = await page.evaluate(() => {
    const box = (testId) => document.querySelector(`[data-testid="${testId}"]`).getBoundingClientRect();
    const toast = document.querySelector('.toast');
    toast.textContent = 'This browser rings when somebody calls, as long as this page is open.';
    const words = box('toast');
    return ['card-title', 'card-text', 'connect', 'call'].filter((testId) => {
      const { left, right, top, bottom } = box(testId);
      return left < words.right && right > words.left && top < words.bottom && bottom > words.top;
    });
  });
  assert.deepEqual(covered, [], where);
}

test('the camera rings: who stands there is seen, the answer brings picture and sound both ways, hanging up ends it all', { timeout: 300_000 }, async (t) => {
  const [browser, node] = await Promise.all([talkingBrowser(t, HERTZ), startNode(t, 'call-in')]);
  const page = await open(browser, node);
  await waitForCalls(page);
  const call = ring(t, node);
  await sheet(page).waitFor();
  await page.waitForFunction(() => document.querySelector('[data-testid="sheet-picture"]').naturalWidth > 0);
  assert.equal(await page.evaluate(() => window.microphones.length), 0, 'nothing is asked for before the answer');
  await keepAll(page, 'call-rings', ['sheet-picture', 'sheet-title', 'accept', 'decline'], async (where) => {
    await apart(page, ['sheet-picture', 'sheet-eyebrow', 'sheet-title', 'sheet-text', 'accept', 'decline'])(where);
    const [eyebrow, title] = await Promise.all(['sheet-eyebrow', 'sheet-title'].map((testId) => page.getByTestId(testId).boundingBox()));
    assert.ok(title.y > eyebrow.y && title.y - eyebrow.y - eyebrow.height < 20, `${where}: who rings stands below that somebody rings`);
  });

  await page.getByTestId('accept').click();
  assert.equal((await call.ended).code, 0);
  await inCall(page, 'incoming');
  await waitForPicture(page, 30_000);
  await page.locator('[data-testid="talk"][aria-pressed="true"]').waitFor();
  await isHeard(node);
  const { hertz } = heardIn(node.heard);
  assert.ok(Math.abs(hertz - HERTZ) < HERTZ / 100, `${hertz} Hz`);
  // Both at once: while the voice is heard there, the camera's sound is heard here.
  assert.equal(await page.evaluate(() => document.querySelector('video').muted), false);
  const { binHertz, spectrum } = await listen(page, 2);
  const prominence = prominenceDb(spectrum, binHertz, HUM_HERTZ);
  assert.ok(prominence > 25, `${HUM_HERTZ} Hz stands out by ${prominence} dB`);
  await keepAll(page, 'call-going', ['disconnect', 'talk', 'sound']);
  // The microphone is open, and one tap closes it.
  await page.getByTestId('talk').click();
  await page.locator('[data-testid="talk"][aria-pressed="false"]').waitFor();

  await hangUp(page).click();
  await note(page, /Call ended\s*Front door, .*\. It lasted \d+/);
  await waitForState(page, 'idle');
  await page.locator('html[data-call="none"]').waitFor();
  assert.equal(await openMicrophones(page), 0, 'the microphone is let go');
  await keepAll(page, 'call-ended', ['note', 'card-title', 'connect', 'call'], async (where) => {
    await apart(page, ['plate', 'card-title', 'card-text', 'connect', 'call', 'note'])(where);
    await toastLeavesTheCard(page, where);
  });
  assert.deepEqual(page.complaints, []);
});

test('without leave for the microphone, or a speaker at the camera, one sees and listens, and is told so', { timeout: 300_000 }, async (t) => {
  const [closed, opened] = await Promise.all([talkingBrowser(t, HERTZ, { granted: false }), talkingBrowser(t, HERTZ)]);
  const [node, deaf] = await Promise.all([startNode(t, 'call-refused'), startNode(t, 'call-deaf', { speaker: 'none' })]);
  for (const [browser, at, words] of [
    [closed, node, 'You see and hear, and are not heard. Your browser does not let this page use the microphone.'],
    [opened, deaf, 'You see and hear, and are not heard. This camera has no speaker.'],
  ]) {
    const page = await open(browser, at);
    await waitForCalls(page);
    ring(t, at);
    await page.getByTestId('accept').click();
    await inCall(page, 'incoming');
    await toast(page, words);
    await waitForPicture(page, 30_000);
    await until('no microphone is open', async () => (await openMicrophones(page)) === 0);
    assert.deepEqual(page.complaints, []);
  }
});

test('a page calls the camera, is heard at once, and hangs up; when all places are taken it is busy', { timeout: 300_000 }, async (t) => {
  const [browser, node] = await Promise.all([talkingBrowser(t, HERTZ), startNode(t, 'call-out', { limits: 'max_viewers = 1' })]);
  const page = await open(browser, node);
  await waitForPicture(page, 30_000);
  await page.keyboard.press('c');
  await waitForState(page, 'idle');
  await page.getByTestId('call').click();
  await inCall(page, 'outgoing');
  await waitForPicture(page, 30_000);
  await isHeard(node);
  await hangUp(page).click();
  await note(page, 'Call ended');
  assert.equal(await openMicrophones(page), 0);

  const other = await open(browser, node);
  await waitForPicture(other, 30_000);
  await page.getByTestId('call').click();
  await note(page, 'Busy');
  await sheet(page).waitFor({ state: 'hidden' });
  assert.equal(await openMicrophones(page), 0, 'nobody is at the other end');
  await waitForState(page, 'idle');
  for (const each of [page, other]) assert.deepEqual(each.complaints, []);
});

test('the camera hangs up, on whom it has rung and on a caller: it is said, nobody comes back, who merely watches goes on', { timeout: 300_000 }, async (t) => {
  const [browser, node] = await Promise.all([talkingBrowser(t, HERTZ), startNode(t, 'call-hung-up')]);
  const page = await open(browser, node);
  await waitForCalls(page);
  const watcher = await open(browser, node);
  await waitForPicture(watcher, PATIENCE);

  const answer = async () => {
    const call = ring(t, node);
    await page.getByTestId('accept').click({ timeout: PATIENCE });
    assert.equal((await call.ended).code, 0);
  };
  for (const [direction, begin] of [['incoming', answer], ['outgoing', () => page.getByTestId('call').click()]]) {
    await begin();
    await inCall(page, direction);
    await waitForPicture(page, PATIENCE);
    const name = await page.evaluate(() => window.cameraNode.camera.registration.name);
    assert.deepEqual(await hangUpThere(t, node), { rung: [], calls: [name] });
    await note(page, /Call ended\s*Front door, .*\. The camera has hung up\. It lasted \d+/);
    await waitForState(page, 'idle');
    await page.locator('html[data-call="none"][data-reason="hungUp"]').waitFor();
    await page.getByTestId('card').filter({ hasText: 'The camera has hung up.' }).waitFor();
    assert.equal(await openMicrophones(page), 0, 'the microphone is let go');
    // Whoever joins again does so within two seconds.
    await watchOn(watcher, 3);
    const steps = await stepsOfCall(page);
    assert.deepEqual([steps.includes('connected'), steps.includes('join'), steps.at(-1)], [true, false, 'cancelled'], String(steps));
    await waitForState(page, 'idle');
    await waitForState(watcher, 'live');
  }
  await keepAll(page, 'call-hung-up', ['card-title', 'connect', 'call']);

  // While it rings, too.
  const again = ring(t, node);
  await sheet(page).waitFor();
  assert.equal((await hangUpThere(t, node)).rung.length, 1);
  assert.equal((await again.ended).code, 1);
  await note(page, 'Missed call');
  await sheet(page).waitFor({ state: 'hidden' });
  assert.deepEqual(await hangUpThere(t, node), { rung: [], calls: [] });
  for (const each of [page, watcher]) assert.deepEqual(each.complaints, []);
});

test('a camera that takes no calls declines, one that is off does not answer, and one calls until one gives it up', { timeout: 300_000 }, async (t) => {
  const [browser, node] = await Promise.all([talkingBrowser(t, HERTZ), startNode(t, 'call-declined', { limits: 'auto_answer = false' })]);
  const page = await open(browser, node);
  await waitForPicture(page, 30_000);
  await page.keyboard.press('c');
  await waitForState(page, 'idle');
  await page.getByTestId('call').click();
  await note(page, 'Call declined');
  await node.child.end();
  await page.getByTestId('call').click();
  await note(page, 'No answer');
  assert.deepEqual(page.complaints, []);
  await node.broker.child.end();
  await page.getByTestId('call').click();
  await sheet(page).filter({ hasText: /Calling\s+Front door/ }).waitFor();
  await keepAll(page, 'call-calling', ['sheet-title', 'decline']);
  await hangUp(page).click();
  await note(page, 'Call cancelled');
  await sheet(page).waitFor({ state: 'hidden' });
  assert.equal(await openMicrophones(page), 0);
});

test('a wall tablet waits, answers by itself with picture and sound both ways, and waits again', { timeout: 300_000 }, async (t) => {
  const [browser, node] = await Promise.all([talkingBrowser(t, HERTZ), startNode(t, 'call-tablet')]);
  const page = await open(browser, node, { fragment: '#wall-tablet', permissions: ['microphone'] });
  await page.locator('html[data-bell="on"]').waitFor();
  const card = page.getByTestId('card');
  await card.filter({ hasText: 'Waiting for calls' }).filter({ hasText: 'Touch the screen once' }).waitFor();
  await waitForState(page, 'idle');
  await keepAll(page, 'tablet-waits', ['card-title', 'card-hint']);
  await page.mouse.click(10, 300);
  await card.filter({ hasNotText: 'Touch the screen once' }).waitFor();

  const call = ring(t, node);
  await sheet(page).filter({ hasText: 'This tablet answers by itself' }).waitFor();
  assert.equal((await call.ended).code, 0);
  await inCall(page, 'incoming');
  await waitForPicture(page, 30_000);
  await isHeard(node);
  assert.equal(await page.evaluate(() => document.querySelector('video').muted), false);
  await hangUp(page).click();
  await card.filter({ hasText: 'Waiting for calls' }).waitFor();
  assert.equal(await openMicrophones(page), 0);

  // When the camera hangs up it waits again too.
  assert.equal((await ring(t, node).ended).code, 0);
  await inCall(page, 'incoming');
  await waitForPicture(page, 30_000);
  assert.equal((await hangUpThere(t, node)).calls.length, 1);
  await note(page, 'The camera has hung up');
  await card.filter({ hasText: 'Waiting for calls' }).waitFor();
  await waitForState(page, 'idle');
  assert.equal(await openMicrophones(page), 0);
  assert.deepEqual(page.complaints, []);
});

test('the settings of this browser: devices by their names once they may be known, and a wall tablet that stays one', { timeout: 300_000 }, async (t) => {
  const [browser, node] = await Promise.all([talkingBrowser(t, HERTZ), startNode(t, 'call-devices')]);
  const page = await open(browser, node);
  await waitForPicture(page, 30_000);
  await page.getByTestId('device').click();
  const names = (testId) => page.getByTestId(testId).locator('option').allTextContents();
  if (await page.getByTestId('devices-allow').isVisible()) await page.getByTestId('devices-allow').click();
  await until('the microphones have names', async () => (await names('microphones')).some((name) => /^Fake Audio Input/.test(name)));
  assert.equal((await names('microphones'))[0], "The system's choice");
  assert.ok((await names('speakers')).some((name) => /^Fake Audio Output/.test(name)), String(await names('speakers')));
  assert.equal(await openMicrophones(page), 0);
  // As where the browser has yet to be asked: that is the most there is room needed for.
  await page.evaluate(() => {
    document.querySelector('[data-testid="devices-allow"]').hidden = false;
    document.querySelector('[data-testid="devices-hint"]').textContent = 'Their names are known once you have allowed the microphone.';
  });
  await keepAll(page, 'this-browser', ['devices-allow', 'this-browser', 'microphones', 'speakers', 'wall-tablet', 'this-browser-done']);

  const chosen = (testId) => page.getByTestId(testId).evaluate((menu) => menu.selectedOptions[0]?.text);
  const pick = async (testId, pattern) => {
    const name = (await names(testId)).find((each) => pattern.test(each));
    await page.getByTestId(testId).selectOption({ label: name });
    return name;
  };
  const microphone = await pick('microphones', /^Fake Audio Input/);
  const speaker = await pick('speakers', /^Fake Audio Output/);
  await until('it plays there', () => page.evaluate(() => document.querySelector('video').sinkId !== ''));
  await page.getByTestId('wall-tablet').check();
  await page.locator('html[data-tablet="true"]').waitFor();
  await page.getByTestId('this-browser-done').click();
  await page.locator('html[data-bell="on"]').waitFor();

  // What was chosen holds for a reload.
  await page.reload();
  await page.getByTestId('card').filter({ hasText: 'Waiting for calls' }).waitFor();
  await page.keyboard.press('d');
  await until('the choices are back', async () => (await chosen('microphones')) === microphone && (await chosen('speakers')) === speaker);
  await page.getByTestId('wall-tablet').uncheck();
  await page.getByTestId('this-browser-done').click();
  await page.reload();
  await waitForPicture(page, 30_000);
  assert.deepEqual(page.complaints, []);
});
