// A real V4L2 camera and ALSA card, watched from outside the machine and through its NAT; pulled out and put back in.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';

import { keepScreenshot, launchBrowser, openPage } from '../browser/browser.mjs';
import { changes, differs, listen, look, watchPicture } from '../browser/observe.mjs';
import { waitForPicture } from '../browser/page.mjs';
import { Child, artefacts, binary, freePort, root, startMosquitto, temporaryFolder, until } from '../browser/processes.mjs';
import { loudestHertz, prominenceDb } from '../browser/sound.mjs';

const run = promisify(execFile);
const TONE_HZ = 700;

/** A machine with vivid and snd-aloop: `guest.run(command)` gives what it prints. */
async function startGuest(t, forwards) {
  // What is to be kept is taken out before the folder goes.
  t.after(() => cpSync(path.join(share, 'node.log'), path.join(artefacts, 'vm-node.log'), { force: true }));
  const share = temporaryFolder(t);
  const machine = new Child(t, 'vm-qemu', path.join(root, 'tests/vm/boot'), [share, forwards]);
  const agent = path.join(root, 'tests/vm/guest');
  const command = async (...words) => (await run(agent, [share, ...words], { env: { ...process.env, GUEST_TIMEOUT_S: '60' } })).stdout;
  await machine.before(command('--wait'));
  return { share, run: command };
}

/** The exported page as any web host would serve it. */
async function serveViewer(t) {
  const folder = path.join(temporaryFolder(t), 'page');
  await run(binary, ['viewer', '--export', folder]);
  const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
  const server = createServer(async (request, response) => {
    const name = new URL(request.url, 'http://page').pathname.replace(/\/$/, '/index.html');
    try {
      const body = await readFile(path.join(folder, path.normalize(name)));
      response.setHeader('content-type', types[path.extname(name)] ?? 'application/octet-stream').end(body);
    } catch {
      response.writeHead(404).end();
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close().closeAllConnections());
  return `http://127.0.0.1:${server.address().port}/index.html`;
}

/** Everything that goes over the broker, by somebody who only listens. */
async function listenIn(t, broker, node) {
  const mqtt = createRequire(path.join(root, 'src/viewer/package.json'))('mqtt');
  const client = await mqtt.connectAsync(broker.url);
  t.after(() => client.endAsync(true));
  const heard = { messages: [], status: null };
  client.on('message', (topic, payload) => {
    const message = { topic, ...JSON.parse(payload) };
    heard.messages.push(message);
    if (topic.endsWith('/status')) heard.status = message;
  });
  heard.types = (direction) =>
    heard.messages.filter(({ topic }) => topic.includes(`/${direction}/`)).map(({ type }) => type);
  await client.subscribeAsync(`camera-node/v1/${node}/#`, { qos: 1 });
  return heard;
}

/** One second of 48 kHz mono, 16 bit; of a whole number of cycles, so that it can be repeated. (speaker-test pauses.) */
function oneSecondOf(hertz) {
  return Buffer.from(Int16Array.from({ length: 48000 }, (_, i) => 8000 * Math.sin((2 * Math.PI * hertz * i) / 48000)).buffer);
}

test('a viewer outside sees and hears the guest, also after its camera was pulled and put back', { timeout: 240_000 }, async (t) => {
  const [port, broker] = [await freePort('udp'), await startMosquitto(t, 'vm-mosquitto')];
  const heard = await listenIn(t, broker, 'guest');
  const guest = await startGuest(t, `,hostfwd=udp:127.0.0.1:${port}-10.0.2.15:${port}`);

  await guest.run('modprobe vivid n_devs=1 node_types=0x1 && modprobe snd-aloop');
  // Bars that move; what they show is told apart by change.
  const move = 'v4l2-ctl -d0 -c horizontal_movement=5';
  await guest.run(move);
  writeFileSync(path.join(guest.share, 'second.raw'), oneSecondOf(TONE_HZ));
  const player = 'aplay -q -D plughw:Loopback,0,0 -t raw -f S16_LE -r 48000 -c 1';
  await guest.run(`cp /share/second.raw /tmp; (while cat /tmp/second.raw; do :; done | ${player}) </dev/null >/tmp/player.log 2>&1 &`);
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
  await until('the node is online', () => heard.status?.state === 'online', 30_000);

  const page = await openPage(await launchBrowser(t));
  await page.goto(`${await serveViewer(t)}#broker=${broker.wsUrl}&node=guest`);
  await waitForPicture(page, 30_000);

  const live = await watchPicture(page, 4);
  assert.ok(changes(live) >= 20, `the picture moves: ${changes(live)} changes in ${live.length} frames`);
  const { binHertz, spectrum } = await listen(page, 2);
  const tone = prominenceDb(spectrum, binHertz, TONE_HZ);
  assert.ok(tone > 25, `the guest's tone of ${TONE_HZ} Hz stands out by ${tone} dB`);
  const loudest = loudestHertz(spectrum, binHertz);
  assert.ok(Math.abs(loudest - TONE_HZ) <= binHertz, `${loudest} Hz is the loudest`);
  await keepScreenshot(page, 'vm-live');

  await guest.run('echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind');
  const camera = () => heard.status?.state_detail?.cameras?.main;
  await until('the node says that its camera is away', () => camera()?.state === 'away', 15_000);
  await guest.run('kill -0 $(cat /tmp/node.pid)');
  await until('viewers see a still card', async () => {
    const before = await look(page);
    const still = changes(await watchPicture(page, 2)) === 0 && !differs(before, await look(page));
    return still && differs(before, live.at(-1), 40);
  });
  await keepScreenshot(page, 'vm-away');

  await guest.run(`echo vivid.0 >/sys/bus/platform/drivers/vivid/bind && ${move}`);
  await until('the node says that its camera runs', () => camera()?.state === 'running', 20_000);
  await until('the picture moves again', async () => changes(await watchPicture(page, 2)) >= 10, 20_000);
  await keepScreenshot(page, 'vm-back');
  assert.deepEqual(heard.types('in').filter((type) => type === 'join' || type === 'leave'), ['join'], 'one join for all of it');
  assert.deepEqual(page.complaints, []);

  await guest.run('kill $(cat /tmp/node.pid)');
  await until('the node takes its leave', () => heard.status?.state === 'offline' && heard.types('out').includes('leave'), 10_000);
  assert.match(readFileSync(path.join(guest.share, 'node.log'), 'utf8'), /camera:main/);
});
