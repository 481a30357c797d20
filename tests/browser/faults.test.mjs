// The faults of deploy/faults.md that can be had without hardware, as whoever watches is told of them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, ftruncateSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';

import { launchBrowser, openPage } from './browser.mjs';
import { isTold, says } from './everywhere.mjs';
import { changes, look, watchPicture } from './observe.mjs';
import { waitForPicture } from './page.mjs';
import { Child, binary, freePort, startDemo, startMosquitto, temporaryFolder, until } from './processes.mjs';
import { writeTone } from './wav.mjs';

const [WIDTH, HEIGHT] = [320, 180];

/** A film that is light and dark by turns, three times a second; whole or not at all. */
function film(file) {
  const picture = (luma) => Buffer.concat([Buffer.from('FRAME\n'), Buffer.alloc(WIDTH * HEIGHT, luma), Buffer.alloc((WIDTH * HEIGHT) / 2, 128)]);
  const lumas = Array.from({ length: 30 }, (_, i) => (i % 10 < 5 ? 70 : 190));
  writeFileSync(`${file}.new`, Buffer.concat([Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F15:1\n`), ...lumas.map(picture)]));
  renameSync(`${file}.new`, file);
}

/** A film of one picture that no encoder takes. */
function tinyFilm(file) {
  writeFileSync(`${file}.new`, Buffer.concat([Buffer.from('YUV4MPEG2 W2 H2 F15:1\nFRAME\n'), Buffer.alloc(6, 128)]));
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
  await isTold(page, demo.page, 'microphone:main', 'away', 'Live, microphone main away');
  assert.match(await page.getByTestId('state').getAttribute('title'), /plughw:CARD=NotThere: not there/);
  assert.ok(changes(await watchPicture(page, 2)) >= 3, 'the picture moves');

  unplug(camera);
  await isTold(page, demo.page, 'camera:main', 'away', 'Camera unplugged');
  // Neither light nor dark, as the film is, but nearly black with words on it.
  const isCard = ({ thumbnail }) => Math.min(...thumbnail) < 40 && Math.max(...thumbnail) > 60;
  await until('a card in place of the last picture', async () => isCard(await look(page)), 20_000);
  const cards = await watchPicture(page, 2);
  assert.ok(cards.length >= 3 && cards.every(isCard), `cards come on and on: ${cards.length} in 2 s`);
  // What is there is no camera.
  writeFileSync(camera, 'not a film');
  await isTold(page, demo.page, 'camera:main', 'unsupported', 'Camera not usable');

  film(camera);
  await says(page, 'Live, microphone main away');
  await until('the picture moves again', async () => changes(await watchPicture(page, 2)) >= 3, 20_000);
  const joins = await page.evaluate(() => window.cameraNode.events.filter(({ name }) => name === 'join').length);
  assert.equal(joins, 1, 'one session for all of it');
  assert.deepEqual(page.complaints, []);
});

/** Fills the disk that `file` is on. */
function fillDisk(file) {
  const filler = openSync(file, 'w');
  try {
    for (let written = 0; written < 1024; written += 1) writeSync(filler, Buffer.alloc(1024, 1));
    assert.fail('a disk of 512 kB has taken more');
  } catch (error) {
    assert.equal(error.code, 'ENOSPC');
  } finally {
    closeSync(filler);
  }
}

test('what is wrong with the node is told everywhere, on the page too, and forgotten when it is over', { timeout: 240_000 }, async (t) => {
  const folder = temporaryFolder(t);
  const [camera, disk, config] = ['camera.y4m', 'disk', 'node.toml'].map((name) => path.join(folder, name));
  if (spawnSync('unshare', ['--mount', 'true']).status !== 0) {
    t.skip('this user may not mount');
    return;
  }
  film(camera);
  const broker = await startMosquitto(t, 'mosquitto-faults');
  const base = `http://127.0.0.1:${await freePort()}/`;
  const text = `
[node]
id = "porch"
state_folder = "${disk}"
[broker]
url = "${broker.url}"
websocket_url = "${broker.wsUrl}"
[http]
bind = "${new URL(base).host}"
[http.tls]
bind = "127.0.0.1:0"
self_signed = true
[[camera]]
on_demand = false
[camera.video]
source = "file"
file = "${camera}"
width = ${WIDTH}
height = ${HEIGHT}
[camera.audio]
source = "tone"
[ice]
include_loopback = true
`;
  writeFileSync(config, text);
  // A disk of its own, which only the node's namespace has.
  const script = 'mkdir "$0" && mount -t tmpfs -o size=512k tmpfs "$0" && exec "$@"';
  const node = new Child(t, 'node-faults', 'unshare', ['--mount', 'sh', '-c', script, disk, binary, 'run', '--config', config]);
  const isThere = () => fetch(base).then(() => true, () => false);
  await node.before(until('the page is served', isThere, 20_000));
  const browser = await launchBrowser(t);
  const page = await openPage(browser);
  await page.goto(base);
  await waitForPicture(page);
  await says(page, 'Live');

  unplug(camera);
  tinyFilm(camera);
  await isTold(page, base, 'encoder:main', 'failed', 'Live, encoder main failed');
  unplug(camera);
  film(camera);
  await says(page, 'Live');

  // Nobody hears the node's status now, and who watches sees on.
  await broker.child.end();
  await isTold(page, base, 'broker', 'away', 'Live, broker away', { unsaid: true });
  await broker.start();
  await says(page, 'Live');

  const filler = path.join('/proc', String(node.process.pid), 'root', disk, 'filler');
  fillDisk(filler);
  await isTold(page, base, 'storage', 'full', 'Live, storage full');
  rmSync(filler);
  await says(page, 'Live');

  const reload = (more) => {
    writeFileSync(config, `${text}${more}`);
    node.signal('SIGHUP');
  };
  reload('no_such_key = 1\n');
  await isTold(page, base, 'config', 'refused', 'Live, config refused');
  reload('[log]\nformat = "json"\n');
  await isTold(page, base, 'config', 'restart', 'Live, config restart');
  reload('');
  await says(page, 'Live');

  // Somebody else talks at it; once they have gone, it is as far away as before.
  reload('[camera.speaker]\nsink = "alsa"\ndevice = "plughw:CARD=NotThere"\n');
  const tone = path.join(folder, 'tone.wav');
  writeTone(tone, 1_000);
  const talker = new Child(t, 'node-faults-talker', binary, ['watch', '--node', 'porch', '--broker', broker.url, '--talk', tone]);
  await talker.before(isTold(page, base, 'speaker:main', 'away', 'Live, speaker main away'));
  await talker.end();
  reload('');
  await says(page, 'Live');

  const holder = net.createServer().listen(0, '0.0.0.0');
  t.after(() => holder.close());
  await once(holder, 'listening');
  reload(`tcp = true\ntcp_port = ${holder.address().port}\n`);
  await isTold(page, base, 'ice:tcp', 'refused', 'Live, ice tcp refused');
  await new Promise((resolve) => holder.close(resolve));
  // Tried again with the next who comes.
  const other = await openPage(browser);
  await other.goto(base);
  await waitForPicture(other);
  await says(page, 'Live');

  const joins = await page.evaluate(() => window.cameraNode.events.filter(({ name }) => name === 'join').length);
  assert.equal(joins, 1, 'one session for all of it');
});
