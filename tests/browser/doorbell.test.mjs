// The doorbell, at a real node over a real broker, in two browsers: answered in one of them, by none, too late, and in a
// page of one's own that calls the node itself.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import test from 'node:test';

import { keepScreenshot, launchBrowser, openPage } from './browser.mjs';
import { waitForPicture, waitForState } from './page.mjs';
import { startPorch } from './porch.mjs';
import { binary, Child, temporaryFolder, until } from './processes.mjs';

const skip = spawnSync(binary, ['ring', '--help']).status === 0 ? false : 'this camera-node cannot ring';
const SIZES = [[360, 640], [844, 390], [1280, 800]];

/** A node that can be rung; it gives up after `ringS` seconds. Single steps of sessions are in its log. */
async function startBell(t, name, ringS = 120) {
  const socket = path.join(temporaryFolder(t), 'ring.sock');
  const more = `
[limits]
ring_timeout_s = ${ringS}
[ring]
socket = "${socket}"
`;
  const porch = await startPorch(t, name, { more, options: { env: { CAMERA_NODE_LOG: 'debug' } } });
  return { ...porch, socket, log: porch.child.log };
}

/** Rings; `rung` are the names of those who are, `over` is what has become of it. */
async function ring(t, node) {
  const child = new Child(t, `${node.name}-ring`, binary, ['ring', '--socket', node.socket, '--wait', '--json'], { stdout: 'pipe' });
  const lines = readline.createInterface({ input: child.process.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await child.before(lines.next())).value);
  const { rung } = await next();
  return { rung, over: () => lines.next().then(({ value }) => JSON.parse(value)) };
}

/** What is watched in each page: connections made, strokes of the bell, notifications. */
function instruments() {
  window.seen = { connections: 0, strokes: 0, asked: 0, notifications: [], isHidden: false };
  window.RTCPeerConnection = class extends window.RTCPeerConnection {
    constructor(...given) {
      super(...given);
      window.seen.connections += 1;
    }
  };
  const { start } = OscillatorNode.prototype;
  OscillatorNode.prototype.start = function counted(...given) {
    window.seen.strokes += 1;
    return start.apply(this, given);
  };
  window.Notification = class extends EventTarget {
    static permission = 'default';
    static async requestPermission() {
      window.seen.asked += 1;
      window.Notification.permission = 'granted';
      return 'granted';
    }
    constructor(title, { body, tag }) {
      super();
      const shown = { title, body, tag, isOpen: true };
      window.seen.notifications.push(shown);
      this.close = () => {
        shown.isOpen = false;
      };
    }
  };
  Object.defineProperty(document, 'hidden', { get: () => window.seen.isHidden });
}

/** A page in a browser of its own that does not watch, and rings. */
async function openBell(t, node, prepare = async () => {}) {
  const page = await openPage(await launchBrowser(t));
  page.heard = [];
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => page.heard.push(payload.toString('latin1'))));
  await page.addInitScript(instruments);
  await prepare(page);
  await page.goto(node.page);
  await page.getByTestId('state').filter({ hasText: 'Live' }).waitFor();
  await page.keyboard.press('c');
  await waitForState(page, 'idle');
  assert.equal((await seen(page)).asked, 0, 'nobody is asked before the bell is turned on');
  await page.getByTestId('bell').click();
  await page.locator('html[data-bell="on"]').waitFor();
  assert.equal((await seen(page)).asked, 1);
  page.bellName = await page.evaluate(() => window.cameraNode.camera.registration.name);
  return page;
}

const seen = (page) => page.evaluate(() => window.seen);
const sheet = (page) => page.getByTestId('sheet');
const note = (page) => page.getByTestId('note');
/** The steps of a page's latest call, without what comes along at any time. */
const steps = (page) =>
  page.evaluate(() => {
    const { events } = window.cameraNode;
    const session = events.findLast(({ name }) => name === 'call').session;
    return events.filter((event) => event.session === session && event.name !== 'ice').map(({ name }) => name);
  });
/** The same steps by the node's log, once it has come as far. */
const stepsAtNode = async (node, page, last) => {
  const session = await page.evaluate(() => window.cameraNode.events.findLast(({ name }) => name === 'call').session);
  const written = () => [...readFileSync(node.log, 'utf8').matchAll(/ session=\S+\/([0-9a-f]{8}) step="(\w+)"/g)].flatMap(([, id, step]) => (session.startsWith(id) ? [step] : []));
  await until(`the node writes ${last}`, () => written().includes(last));
  return written();
};
const byName = (pairs) => [...pairs].sort(([one], [other]) => one.localeCompare(other));

test('accepted in one browser: pictures there, and the other says that somebody else has answered', { timeout: 180_000, skip }, async (t) => {
  const node = await startBell(t, 'bell-accept');
  const [kitchen, study] = await Promise.all([openBell(t, node), openBell(t, node)]);
  await study.evaluate(() => {
    window.seen.isHidden = true;
  });
  const before = await Promise.all([kitchen, study].map(async (page) => (await seen(page)).connections));
  const call = await ring(t, node);
  assert.deepEqual([...call.rung].sort(), [kitchen.bellName, study.bellName].sort());
  for (const page of [kitchen, study]) await sheet(page).waitFor();
  for (const [width, height] of SIZES) {
    await kitchen.setViewportSize({ width, height });
    await keepScreenshot(kitchen, `ring-${width}`);
    for (const button of ['accept', 'decline']) {
      const box = await kitchen.getByTestId(button).boundingBox();
      assert.ok(Math.min(box.width, box.height) >= 76 && box.x >= 0 && box.x + box.width <= width && box.y >= 0 && box.y + box.height <= height, `${button} at ${width}: ${JSON.stringify(box)}`);
    }
  }
  assert.match(await sheet(kitchen).innerText(), /Somebody is ringing\s+Front door\s+Accept to see/);
  assert.match(await kitchen.title(), /^Somebody is ringing/);
  const rung = await Promise.all([kitchen, study].map(seen));
  assert.ok(rung.every(({ strokes }) => strokes > 0), 'it is heard in both');
  assert.deepEqual(rung.map(({ connections }) => connections), before, 'nothing is opened before somebody answers');
  assert.deepEqual(rung.map(({ notifications }) => notifications.length), [0, 1], 'where nobody looks there is a notification');
  assert.equal(rung[1].notifications[0].title, 'Front door');

  // What is typed into the void answers nothing.
  await kitchen.keyboard.press('Enter');
  await kitchen.keyboard.press('Space');
  await kitchen.getByTestId('accept').click();
  assert.deepEqual(await call.over(), { answered: kitchen.bellName });
  await waitForPicture(kitchen, 30_000);
  assert.equal(await kitchen.evaluate(() => document.querySelector('video').muted), false, 'whoever answers hears');
  await sheet(kitchen).waitFor({ state: 'hidden' });
  const accepted = ['call', 'ringing', 'accepted', 'peer', 'opening', 'offer', 'answer', 'connected'];
  assert.deepEqual(await steps(kitchen), accepted);
  assert.deepEqual(await stepsAtNode(node, kitchen, 'connected'), accepted);

  await note(study).filter({ hasText: 'Answered elsewhere' }).waitFor();
  await sheet(study).waitFor({ state: 'hidden' });
  assert.deepEqual(await steps(study), ['call', 'ringing', 'cancelled']);
  assert.deepEqual(await stepsAtNode(node, study, 'cancelled'), ['call', 'ringing', 'cancelled']);
  const other = await seen(study);
  assert.deepEqual([other.connections, other.notifications[0].isOpen], [before[1], false]);
  assert.equal(await study.locator('html').getAttribute('data-state'), 'idle');
  for (const [width, height] of SIZES) {
    await study.setViewportSize({ width, height });
    await keepScreenshot(study, `answered-elsewhere-${width}`);
  }
  // A ring in the middle of a call is answered with busy, unseen; the other browser can say no.
  const again = await ring(t, node);
  await sheet(study).waitFor();
  await study.getByTestId('decline').click();
  assert.deepEqual(byName((await again.over()).unanswered), byName([[kitchen.bellName, 'busy'], [study.bellName, 'declined']]));
  assert.equal(await sheet(kitchen).isVisible(), false);
  await waitForPicture(kitchen, 30_000);
  for (const page of [kitchen, study]) assert.deepEqual(page.complaints, []);
});

test('declined by both, by a button and by Escape: the node knows, and nothing is left on the screen', { timeout: 180_000, skip }, async (t) => {
  const node = await startBell(t, 'bell-decline');
  const [kitchen, study] = await Promise.all([openBell(t, node), openBell(t, node)]);
  const call = await ring(t, node);
  for (const page of [kitchen, study]) await sheet(page).waitFor();
  await kitchen.getByTestId('decline').click();
  await sheet(kitchen).waitFor({ state: 'hidden' });
  await study.keyboard.press('Escape');
  await sheet(study).waitFor({ state: 'hidden' });
  assert.deepEqual(byName((await call.over()).unanswered), byName([[kitchen.bellName, 'declined'], [study.bellName, 'declined']]));
  for (const page of [kitchen, study]) {
    assert.deepEqual(await steps(page), ['call', 'ringing', 'rejected']);
    assert.equal(await note(page).isVisible(), false);
    assert.deepEqual(page.complaints, []);
  }
  // Turned off, it is not rung any more.
  await study.getByTestId('bell').click();
  await study.locator('html[data-bell="off"]').waitFor();
  await until('the node has heard it', () => study.heard.some((frame) => frame.includes('"unregistered"')));
  const only = await ring(t, node);
  assert.deepEqual(only.rung, [kitchen.bellName]);
  // What is on stays on for a reload, by the same name.
  await sheet(kitchen).waitFor();
  await kitchen.keyboard.press('Escape');
  await only.over();
  await kitchen.reload();
  await kitchen.locator('html[data-bell="on"]').waitFor();
  assert.equal(await kitchen.evaluate(() => window.cameraNode.camera.registration.name), kitchen.bellName);
});

test('nobody answers: both have missed a call, and say so until somebody has seen it', { timeout: 180_000, skip }, async (t) => {
  const node = await startBell(t, 'bell-timeout', 3);
  const [kitchen, study] = await Promise.all([openBell(t, node), openBell(t, node)]);
  await study.evaluate(() => {
    window.seen.isHidden = true;
  });
  const call = await ring(t, node);
  assert.deepEqual(byName((await call.over()).unanswered), byName([[kitchen.bellName, 'timeout'], [study.bellName, 'timeout']]));
  for (const page of [kitchen, study]) {
    await note(page).filter({ hasText: 'Missed call' }).waitFor();
    await sheet(page).waitFor({ state: 'hidden' });
    assert.deepEqual(await steps(page), ['call', 'ringing', 'cancelled']);
  }
  const { notifications } = await seen(study);
  assert.deepEqual(notifications.map(({ body, isOpen }) => [body, isOpen]), [['Somebody is ringing.', false], ['Missed call', true]]);
  for (const [width, height] of SIZES) {
    await kitchen.setViewportSize({ width, height });
    await keepScreenshot(kitchen, `missed-${width}`);
  }
  await kitchen.getByTestId('note-watch').click();
  await waitForPicture(kitchen, 30_000);
  assert.equal(await note(kitchen).isVisible(), false);
  await study.getByTestId('note-close').click();
  assert.equal(await note(study).isVisible(), false);
  for (const page of [kitchen, study]) assert.deepEqual(page.complaints, []);
});

test('an acceptance that comes too late, crossing the cancel: one watches, the other does not', { timeout: 180_000, skip }, async (t) => {
  const node = await startBell(t, 'bell-crossing');
  const late = { held: undefined, release: () => {} };
  // Between the kitchen's page and the broker, what the page says can be held up.
  const between = (page) =>
    page.routeWebSocket(/./, (socket) => {
      const server = socket.connectToServer();
      server.onMessage((message) => socket.send(message));
      socket.onMessage((message) => {
        if (late.held === undefined) server.send(message);
        else late.held.push(message);
      });
      late.release = () => {
        for (const message of late.held) server.send(message);
        late.held = undefined;
      };
    });
  const [kitchen, study] = await Promise.all([openBell(t, node, between), openBell(t, node)]);
  const call = await ring(t, node);
  for (const page of [kitchen, study]) await sheet(page).waitFor();
  late.held = [];
  await kitchen.getByTestId('accept').click();
  await kitchen.locator('[data-stage="answering"]').waitFor();
  await until('the acceptance is on its way', () => late.held.length > 0);
  await study.getByTestId('accept').click();
  assert.deepEqual(await call.over(), { answered: study.bellName });
  await note(kitchen).filter({ hasText: 'Answered elsewhere' }).waitFor();
  assert.deepEqual(await steps(kitchen), ['call', 'ringing', 'accepted', 'cancelled']);
  const { connections } = await seen(kitchen);
  late.release();
  await waitForPicture(study, 30_000);
  // Its late acceptance has come to nothing: it rings at the next call like the first time.
  const again = await ring(t, node);
  await sheet(kitchen).waitFor();
  assert.equal(await kitchen.locator('html').getAttribute('data-state'), 'idle');
  // One is made in advance while the acceptance is on its way.
  assert.ok((await seen(kitchen)).connections <= connections);
  await waitForState(study, 'live');
  await kitchen.getByTestId('accept').click();
  assert.deepEqual(await again.over(), { answered: kitchen.bellName });
  await waitForPicture(kitchen, 30_000);
  await waitForPicture(study, 30_000);
});

test('a page calls the node, which answers by itself', { timeout: 180_000, skip }, async (t) => {
  const node = await startBell(t, 'bell-call');
  const page = await openPage(await launchBrowser(t));
  await page.goto(node.page);
  await waitForPicture(page, 30_000);
  await page.keyboard.press('c');
  await waitForState(page, 'idle');
  await page.evaluate(() => {
    window.calls = [];
    window.cameraNode.camera.on('call', ({ direction, state }) => window.calls.push(`${direction} ${state}`));
    window.cameraNode.camera.call();
  });
  await waitForPicture(page, 30_000);
  const calls = await page.evaluate(() => window.calls);
  assert.deepEqual([calls[0], calls.at(-1)], ['outgoing calling', 'outgoing joined']);
  assert.deepEqual((await steps(page)).filter((step) => step !== 'ringing'), ['call', 'accepted', 'peer', 'opening', 'offer', 'answer', 'connected']);
  assert.deepEqual(page.complaints, []);
});
