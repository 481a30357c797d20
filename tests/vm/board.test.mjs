// The package's whole life on a 64-bit ARM board under systemd, at a broker that wants certificates: installed, watched,
// unplugged, reloaded, wedged, purged. One boot, as it is an emulated one.
import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { keepScreenshot, launchBrowser, openPage } from '../browser/browser.mjs';
import { changes, listen, watchPicture } from '../browser/observe.mjs';
import { waitForPicture } from '../browser/page.mjs';
import { freePort, until } from '../browser/processes.mjs';
import { prominenceDb } from '../browser/sound.mjs';
import { MOVE, TONE_HZ, listenIn, plugIn, serveViewer, startGuest } from './machine.mjs';
import { startMutualMosquitto } from './mutual.mjs';

const NODE = 'board';
const JOINS = 20;
const deb = process.env.CAMERA_NODE_ARM64_DEB;
const CONFIG = '/etc/camera-node/camera-node.toml';
const DROP_IN = '/run/systemd/system/camera-node.service.d';
// Emulated, and beside whatever else this machine does.
const SOON_MS = 120_000;

/** As an owner writes it: the camera of the board, the broker of somebody else. */
const config = ({ broker, ports, name, microphone = 'plughw:CARD=Loopback,DEV=1', more = '' }) => `
[node]
id = "${NODE}"
name = "${name}"
[broker]
url = "mqtts://10.0.2.2:${broker.tls}"
ca_file = "/etc/camera-node/ca.pem"
client_cert_file = "/etc/camera-node/${NODE}.pem"
client_key_file = "/etc/camera-node/${NODE}.key"
[access]
i_trust_the_broker = true
[ice]
bind = ["10.0.2.15"]
port_range = "${ports[0]}-${ports.at(-1)}"
public_address = "127.0.0.1"
[limits]
max_viewers = ${ports.length}
joins_per_minute = 600
[[camera]]
[camera.video]
source = "v4l2"
device = "/dev/video0"
width = 320
height = 180
fps = 25
[camera.audio]
source = "alsa"
device = "${microphone}"
${more}`;

/** Ports that follow each other. */
async function freePorts(count) {
  for (;;) {
    const first = await freePort('udp');
    const ports = [first];
    while (ports.length < count && (await freePort('udp')) === first + ports.length) ports.push(first + ports.length);
    if (ports.length === count) return ports;
  }
}

/** What systemd knows of the service, by its own names. */
async function show(guest, ...properties) {
  const lines = await guest.run(`systemctl show camera-node ${properties.map((name) => `-p ${name}`).join(' ')}`);
  return Object.fromEntries(lines.trim().split('\n').map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)]));
}

test('the package lives on an ARM board', { timeout: 900_000, skip: deb ? false : 'no package for arm64 (CAMERA_NODE_ARM64_DEB)' }, async (t) => {
  const started = Date.now();
  const lap = (what) => t.diagnostic(`${((Date.now() - started) / 1000).toFixed(1)} s: ${what}`);
  const [ports, broker] = [await freePorts(2), await startMutualMosquitto(t, 'board-mosquitto', NODE)];
  const heard = await listenIn(t, broker, NODE);
  const forwards = ports.map((port) => `,hostfwd=udp:127.0.0.1:${port}-10.0.2.15:${port}`).join('');
  const lastWords = 'journalctl -u camera-node --no-pager >/share/node.log';
  const guest = await startGuest(t, 'board', { arch: 'arm64', forwards, bootS: 240, commandS: 240, lastWords });
  lap('the board is up');
  await plugIn(guest);

  // Installed, and nothing asked: it runs, on the LAN alone.
  copyFileSync(deb, path.join(guest.share, 'camera-node.deb'));
  await guest.run('dpkg -i /share/camera-node.deb </dev/null');
  const fresh = await show(guest, 'ActiveState', 'SubState', 'Result', 'StatusText', 'NRestarts', 'User');
  assert.deepEqual([fresh.ActiveState, fresh.SubState, fresh.NRestarts, fresh.User], ['active', 'running', '0', 'camera-node']);
  assert.match(fresh.StatusText, /0 viewers/);
  assert.equal((await guest.run('systemctl is-enabled camera-node')).trim(), 'enabled');
  lap(`installed and active: ${fresh.StatusText}`);
  assert.match(await guest.run('systemd-analyze security --no-pager --threshold=25 camera-node'), /Overall exposure level.*: [012]\.\d/);
  lap('as shut in as it should be');

  // At the owner's broker, with a certificate.
  const write = (settings) => {
    writeFileSync(path.join(guest.share, 'node.toml'), config({ broker, ports, name: 'Porch', ...settings }));
    return `install -m 644 /share/node.toml ${CONFIG}`;
  };
  for (const leaf of ['ca.pem', `${NODE}.pem`, `${NODE}.key`]) writeFileSync(path.join(guest.share, leaf), broker.file(leaf));
  await guest.run(`cd /share && install -m 640 -g camera-node ca.pem ${NODE}.pem ${NODE}.key /etc/camera-node/`);
  await guest.run(`${write()} && systemctl restart camera-node`);
  await until('the node is online', () => heard.status?.state === 'online', SOON_MS);
  const times = await show(guest, 'ExecMainStartTimestampMonotonic', 'ActiveEnterTimestampMonotonic');
  lap(`online; ready ${(times.ActiveEnterTimestampMonotonic - times.ExecMainStartTimestampMonotonic) / 1000} ms after its start`);

  // Seen and heard.
  const page = await openPage(await launchBrowser(t));
  await page.goto(`${await serveViewer(t)}#broker=${broker.wsUrl}&node=${NODE}`);
  await waitForPicture(page, SOON_MS);
  lap('first picture');
  const live = await watchPicture(page, 4);
  assert.ok(changes(live) >= 10, `the picture moves: ${changes(live)} changes in ${live.length} frames`);
  const { binHertz, spectrum } = await listen(page, 2);
  const tone = prominenceDb(spectrum, binHertz, TONE_HZ);
  assert.ok(tone > 20, `the board's tone of ${TONE_HZ} Hz stands out by ${tone} dB`);
  await keepScreenshot(page, 'board-live');
  for (let join = 1; join < JOINS; join += 1) {
    await page.reload();
    await waitForPicture(page, SOON_MS);
  }
  // A viewer that has to wait for its answer asks again.
  const joins = () => heard.types('in').filter((type) => type === 'join').length;
  assert.ok(joins() >= JOINS, `${joins()} joins`);
  lap(`${JOINS} joins`);

  // Unplugged, and plugged in again.
  await guest.run('echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind');
  await until('its camera is away', () => heard.camera()?.state === 'away', SOON_MS);
  assert.match((await show(guest, 'StatusText')).StatusText, /camera away/);
  await guest.run(`echo vivid.0 >/sys/bus/platform/drivers/vivid/bind && ${MOVE}`);
  await until('its camera runs', () => heard.camera()?.state === 'running', SOON_MS);
  await until('the picture moves again', async () => changes(await watchPicture(page, 2)) >= 5, SOON_MS);
  lap('camera back');

  const before = joins();
  // Read again: first what is wrong, then what is right; nobody who watches is sent away.
  const { MainPID } = await show(guest, 'MainPID');
  await guest.run(`${write({ more: 'no_such_key = 1' })} && systemctl reload camera-node`);
  await until('the config is refused', async () => (await show(guest, 'StatusText')).StatusText.includes('config refused'), SOON_MS);
  await guest.run(`${write({ name: 'Garden' })} && systemctl reload camera-node`);
  await until('the new name is told', () => heard.status?.name === 'Garden', SOON_MS);
  assert.ok(changes(await watchPicture(page, 2)) >= 5, 'the picture goes on');
  assert.equal((await show(guest, 'MainPID')).MainPID, MainPID);
  assert.equal(joins(), before, 'nobody had to come again');
  lap('reloaded');

  // A capture thread that hangs: a sound card that opens for ever, which is a pipe without a writer. It ends by itself and is
  // started again, as often as it takes; then the card is healed.
  const card = 'pcm.wedged { type file; slave.pcm { type null }; file "/dev/null"; infile "/run/wedge/pipe"; format "raw" }';
  writeFileSync(path.join(guest.share, 'asound.conf'), `${card.replaceAll('; ', '\n ')}\n`);
  await guest.run(
    `mkdir -p /run/wedge ${DROP_IN} && mkfifo -m 666 /run/wedge/pipe && cp /share/asound.conf /run/wedge/ && ` +
      `printf '[Service]\\nEnvironment=ALSA_CONFIG_PATH=/run/wedge/asound.conf\\n' >${DROP_IN}/wedge.conf && ` +
      `${write({ microphone: 'wedged' })} && systemctl daemon-reload && systemctl restart camera-node`,
  );
  await until('systemd has started it again', async () => Number((await show(guest, 'NRestarts')).NRestarts) >= 1, 2 * SOON_MS);
  assert.match(await guest.run('journalctl -u camera-node --no-pager -o cat'), /no sign of life.*part="sound-main"/);
  await guest.run(`rm -r ${DROP_IN} && systemctl daemon-reload && ${write({ name: 'Healed' })} && systemctl restart camera-node`);
  await until('it is whole again', () => heard.status?.name === 'Healed' && heard.status.state === 'online', SOON_MS);
  await waitForPicture(page, SOON_MS);
  lap('wedged, started again, healed');

  // A process that hangs as a whole can say nothing: systemd misses its sign of life, ends it and starts it again.
  await guest.run('systemctl reset-failed camera-node; kill -STOP $(systemctl show -p MainPID --value camera-node)');
  await until('the watchdog has bitten', async () => Number((await show(guest, 'NRestarts')).NRestarts) >= 1, 2 * SOON_MS);
  assert.match(await guest.run('journalctl -u camera-node --no-pager -o cat'), /Watchdog timeout/);
  await until('it is online again', async () => (await show(guest, 'SubState')).SubState === 'running' && heard.status?.state === 'online', SOON_MS);
  lap('stopped, ended by the watchdog, started again');

  // Purged: it takes its leave, and leaves nothing.
  await guest.run('rm -r /etc/camera-node/*.pem /etc/camera-node/*.key && dpkg -P camera-node </dev/null');
  await until('the node is offline', () => heard.status?.state === 'offline', SOON_MS);
  assert.equal((await show(guest, 'LoadState')).LoadState, 'not-found');
  assert.equal((await guest.run("find /etc /usr /var/lib /run -name '*camera-node*' ! -path '/var/lib/dpkg/*' ! -path '/var/lib/systemd/*' ! -path '/run/*/units/*' ! -path '/sys/*'")).trim(), '');
  assert.equal((await guest.run('pgrep -x camera-node || echo none')).trim(), 'none');
  lap('purged');
});
