// A real V4L2 camera and ALSA card, watched from outside the machine and through its NAT; pulled out and put back in.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';

import { keepScreenshot, launchBrowser, openPage } from '../browser/browser.mjs';
import { changes, differs, listen, look, watchPicture } from '../browser/observe.mjs';
import { waitForPicture } from '../browser/page.mjs';
import { binary, freePort, startMosquitto, until } from '../browser/processes.mjs';
import { loudestHertz, prominenceDb } from '../browser/sound.mjs';
import { TONE_HZ, isCard, listenIn, plugBackIn, plugIn, serveViewer, startGuest } from './machine.mjs';

const run = promisify(execFile);
/** Emulated, and beside whatever else this machine does. */
const SOON_MS = 60_000;

test('a viewer outside sees and hears the guest, also after its camera was pulled and put back', { timeout: 400_000 }, async (t) => {
  const [port, broker] = [await freePort('udp'), await startMosquitto(t, 'vm-mosquitto')];
  const heard = await listenIn(t, broker, 'guest');
  const guest = await startGuest(t, 'vm', { forwards: `,hostfwd=udp:127.0.0.1:${port}-10.0.2.15:${port}` });

  await plugIn(guest);
  // Symbols are of no use there, and the guest reads this through an emulated file system.
  await run('strip', ['-o', path.join(guest.share, 'camera-node'), binary]);
  writeFileSync(
    path.join(guest.share, 'node.toml'),
    `
[node]
id = "guest"
[broker]
url = "mqtt://10.0.2.2:${broker.tcp}"
[access]
i_trust_the_broker = true
[ice]
bind = ["10.0.2.15"]
port_range = "${port}-${port}"
public_address = "127.0.0.1"
[limits]
max_viewers = 1
[[camera]]
[camera.video]
source = "v4l2"
device = "/dev/video0"
width = 320
height = 180
fps = 25
[camera.audio]
source = "alsa"
device = "plughw:CARD=Loopback,DEV=1"
`,
  );
  await guest.run('cp /share/camera-node /tmp/ && (/tmp/camera-node run --config /share/node.toml </dev/null >/share/node.log 2>&1 & echo $! >/tmp/node.pid)');
  await until('the node is online', () => heard.status?.state === 'online', SOON_MS);

  const page = await openPage(await launchBrowser(t));
  await page.goto(`${await serveViewer(t)}#broker=${broker.wsUrl}&node=guest`);
  await waitForPicture(page, SOON_MS);

  const live = await watchPicture(page, 4);
  assert.ok(changes(live) >= 10, `the picture moves: ${changes(live)} changes in ${live.length} frames`);
  const { binHertz, spectrum } = await listen(page, 2);
  const tone = prominenceDb(spectrum, binHertz, TONE_HZ);
  assert.ok(tone > 20, `the guest's tone of ${TONE_HZ} Hz stands out by ${tone} dB`);
  const loudest = loudestHertz(spectrum, binHertz);
  assert.ok(Math.abs(loudest - TONE_HZ) <= binHertz, `${loudest} Hz is the loudest`);
  await keepScreenshot(page, 'vm-live');

  await guest.run('echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind');
  await until('the node says that its camera is away', () => heard.camera()?.state === 'away', SOON_MS);
  await guest.run('kill -0 $(cat /tmp/node.pid)');
  await until('viewers see a still card', async () => {
    const before = await look(page);
    const still = changes(await watchPicture(page, 2)) === 0 && !differs(before, await look(page));
    return still && isCard(before);
  }, SOON_MS);
  await keepScreenshot(page, 'vm-away');

  t.diagnostic(`picture ${await plugBackIn(guest, page)} ms after the camera's bind`);
  await until('the node says that its camera runs', () => heard.camera()?.state === 'running', SOON_MS);
  await until('the picture moves again', async () => changes(await watchPicture(page, 2)) >= 5, SOON_MS);
  await keepScreenshot(page, 'vm-back');
  assert.equal(heard.joins(), 1, 'one session for all of it');
  assert.ok(!heard.types('in').includes('leave'), 'and it goes on');
  assert.deepEqual(page.complaints, []);

  await guest.run('kill $(cat /tmp/node.pid)');
  await until('the node takes its leave', () => heard.status?.state === 'offline' && heard.types('out').includes('leave'), SOON_MS);
  assert.match(readFileSync(path.join(guest.share, 'node.log'), 'utf8'), /camera:main/);
});
