// A program behind a data channel, driven by the client library: it does what it is told, stops what moves when nobody says anything,
// goes, and is there again.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { launchBrowser } from './browser.mjs';
import { openLibrary } from './library.mjs';
import { Child, root, STAND_INS, startDemo, temporaryFile, temporaryFolder, until } from './processes.mjs';

/** The example of deploy/apps, listening. */
async function startWheels(t, socket) {
  const child = new Child(t, 'wheels', 'python3', [path.join(root, 'deploy', 'apps', 'wheels.py'), socket]);
  // One that was killed leaves the name, and nobody who listens.
  const listens = () => readFileSync('/proc/net/unix', 'utf8').split('\n').some((line) => line.endsWith(socket) && line.split(/\s+/)[3] === '00010000');
  await child.before(until('the program listens', listens, 30_000));
  return child;
}

/** In the page: a session of channels alone, as `window.camera`, and what drives the wheels. */
async function join(node) {
  const { Camera } = window.library;
  const broker = new URL('mqtt', location.href).href.replace('http', 'ws');
  const camera = new Camera({ broker, node, wants: { channels: ['control', 'app:wheels'] } });
  window.camera = camera;
  const ended = [];
  let wake = () => {};
  camera.on('channelClosed', ({ label, error }) => {
    ended.push(`${label} ${error.slug}`);
    wake();
  });
  /** Why the node closed the next one. */
  window.nextEnd = async () => {
    while (ended.length === 0) {
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
    return ended.shift();
  };
  /** Opens the channel, and gives a way to say something and to await what comes. */
  window.open = async () => {
    const channel = await camera.openChannel('app:wheels');
    channel.binaryType = 'arraybuffer';
    const heard = [];
    let arrived = () => {};
    channel.addEventListener('message', ({ data }) => {
      heard.push(data);
      arrived();
    });
    const next = async () => {
      while (heard.length === 0) {
        await new Promise((resolve) => {
          arrived = resolve;
        });
      }
      return heard.shift();
    };
    /** Says it, until it is done: who has said nothing for 300 ms is told of that first. */
    const drive = async (word) => {
      channel.send(word);
      for (;;) if ((await next()) === `moving ${word}`) return;
    };
    return { channel, next, drive };
  };
  camera.start();
  await new Promise((resolve) => camera.on('control', (control) => control && resolve()));
}

test('a program is driven from a browser, stops what moves, goes, and is there again', { timeout: 120_000 }, async (t) => {
  const folder = temporaryFolder(t);
  const socket = path.join(folder, 'wheels.sock');
  const text = `[node]\nstate_folder = "${folder}"\n[[app]]\nname = "wheels"\nsocket = "${socket}"\n${STAND_INS}`;
  const demo = await startDemo(t, 'demo-apps', ['--config', temporaryFile(t, 'camera.toml', text)]);
  const page = await openLibrary(await launchBrowser(t), demo.page);
  await page.evaluate(join, demo.node);
  // Again and again at once: a stream's number is used anew as soon as both sides have let go of it.
  const refusals = () => page.evaluate(async () => {
    const ends = [];
    for (let n = 0; n < 10; n++) {
      const opening = window.camera.openChannel('app:wheels').catch(() => undefined);
      ends.push(await window.nextEnd());
      await opening;
    }
    return ends;
  });
  assert.deepEqual(await refusals(), Array(10).fill('app:wheels appAway'), 'nobody listens yet');

  const first = await startWheels(t, socket);
  const driven = await page.evaluate(async () => {
    const { channel, next, drive } = await window.open();
    const isShown = window.camera.channel('app:wheels') === channel;
    const begun = performance.now();
    await drive('left');
    return { isShown, word: await next(), afterMs: performance.now() - begun };
  });
  const { afterMs, ...said } = driven;
  assert.deepEqual(said, { isShown: true, word: 'stopped' });
  assert.ok(afterMs >= 290 && afterMs < 3_000, `stopped after ${afterMs} ms of silence`);

  const carried = await page.evaluate(async () => {
    const { camera, library } = window;
    const { channel, next } = await window.open();
    let most = 0;
    const pieces = Array.from({ length: 64 }, (_, n) => new Uint8Array(16_384).fill(n));
    const sending = (async () => {
      for (const piece of pieces) {
        await library.sendInTurn(channel, piece);
        most = Math.max(most, channel.bufferedAmount);
      }
    })();
    const back = [];
    while (back.length < pieces.length) {
      const data = await next();
      if (typeof data !== 'string') back.push(new Uint8Array(data));
    }
    await sending;
    channel.close();
    return { most, isSame: back.every((piece, n) => piece.length === 16_384 && piece.every((byte) => byte === n)) };
  });
  assert.deepEqual([carried.isSame, carried.most <= 262_144 + 16_384], [true, true], `${carried.most} bytes waited`);

  first.signal('SIGKILL');
  assert.equal(await page.evaluate(() => window.nextEnd()), 'app:wheels appAway');
  await page.waitForFunction(() => window.camera.channel('app:wheels') === undefined);
  assert.deepEqual(await refusals(), Array(10).fill('app:wheels appAway'), 'it is not there now');
  await startWheels(t, socket);
  await page.evaluate(async () => (await window.open()).drive('on'));
  assert.deepEqual(page.complaints, []);
});
