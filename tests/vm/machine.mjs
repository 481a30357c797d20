// A machine with a camera and a sound card of the kernel's own, the page that its viewers load, and who listens in.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';

import { watchPicture } from '../browser/observe.mjs';
import { Child, artefacts, binary, root, temporaryFolder } from '../browser/processes.mjs';
import { tellMachine } from './qmp.mjs';

const run = promisify(execFile);
const agent = path.join(root, 'tests/vm/guest');
export const TONE_HZ = 700;
/** Where a driver's `unbind` and `bind` are: the nearest thing to a plug. */
export const PLATFORM = '/sys/bus/platform/drivers';

/**
 * A guest of `arch` (amd64, arm64 or amd64-board): `guest.run(command)` gives what it prints; what goes wrong there has `code`,
 * `stdout`. With the `clock` 'own' nothing of the host's holds it up (tests/vm/README.md). At its end `lastWords` is run in it, and
 * `node.log` and `heard.wav` in its share kept among the artefacts.
 *
 * `guest.tell(command…)` is for the machine around it (QMP). `guest.cutPower()` ends it, and starts it anew with what is on its
 * disk: `began` is when, `up` when it takes commands again.
 */
export async function startGuest(
  t,
  name,
  { forwards = '', arch = 'amd64', clock = 'host', bootS = 120, commandS = 120, lastWords } = {},
) {
  let up = false;
  // Before the folder goes, and the machine: what was registered first is called first.
  t.after(async () => {
    if (up && lastWords) await command(20, lastWords).catch(() => {});
    for (const file of ['node.log', 'console.log', 'heard.wav']) {
      const from = path.join(share, file);
      if (existsSync(from)) cpSync(from, path.join(artefacts, `${name}-${file}`), { force: true });
    }
  });
  const share = temporaryFolder(t);
  const command = async (limitS, ...words) =>
    (await run(agent, [share, ...words], { env: { ...process.env, GUEST_TIMEOUT_S: String(limitS) }, maxBuffer: 1 << 24 })).stdout;
  const guest = { share, run: (words, limitS = commandS) => command(limitS, words) };
  const boot = () => {
    guest.machine = new Child(t, `${name}-qemu`, path.join(root, 'tests/vm/boot'), [share, forwards, arch], { env: { GUEST_CLOCK: clock } });
    return guest.machine.before(command(bootS, '--wait'));
  };
  guest.tell = (...commands) => tellMachine(path.join(share, 'qmp'), ...commands);
  guest.cutPower = async () => {
    await command(commandS, 'sync');
    await guest.machine.end('SIGKILL');
    // Before the new one can be asked whether it is.
    rmSync(path.join(share, 'ready'));
    return { began: Date.now(), up: boot() };
  };
  await boot();
  up = true;
  return guest;
}

/** The exported page as any web host would serve it. */
export async function serveViewer(t) {
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
export async function listenIn(t, broker, node) {
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
  /** How many sessions viewers have begun. One that waits for its answer asks again, and that is the same session. */
  heard.joins = () => new Set(heard.messages.filter(({ type }) => type === 'join').map(({ session }) => session)).size;
  heard.camera = () => heard.status?.state_detail?.cameras?.main;
  await client.subscribeAsync(`camera-node/v1/${node}/#`, { qos: 1 });
  return heard;
}

/** One second of 48 kHz mono, 16 bit; of a whole number of cycles, so that it can be repeated. (speaker-test pauses.) */
function oneSecondOf(hertz) {
  return Buffer.from(Int16Array.from({ length: 48000 }, (_, i) => 8000 * Math.sin((2 * Math.PI * hertz * i) / 48000)).buffer);
}

/** Bars that move; what they show is told apart by change. */
export const MOVE = 'v4l2-ctl -d0 -c horizontal_movement=5';

/** How bright a frame is: 98 with vivid's bars. */
export const lumaOf = ({ thumbnail }) => thumbnail.reduce((sum, luma) => sum + luma, 0) / thumbnail.length;

/** Whether a frame is a card, which is dark but for its letters. */
export const isCard = (frame) => lumaOf(frame) < 65;

/** Puts the camera back while a card is shown on `page`; how long it took until a picture was, in ms. */
export async function plugBackIn(guest, page) {
  const mark = path.join(guest.share, 'plugged');
  // The mark is a file of the host's: it has the host's time.
  const done = guest.run(`rm -f /share/plugged; touch /share/plugged && echo vivid.0 >${PLATFORM}/vivid/bind && ${MOVE}`);
  let shown;
  for (const end = Date.now() + 60_000; !shown && Date.now() < end; ) {
    shown = (await watchPicture(page, 1)).find((frame) => !isCard(frame));
  }
  await done;
  if (!shown) throw new Error('no picture since the camera was put back');
  return Math.round(shown.wallMs - statSync(mark).mtimeMs);
}

/** Gives the guest its camera, and its microphone, which hears TONE_HZ from then on. */
export async function plugIn(guest) {
  await guest.run(`modprobe vivid n_devs=1 node_types=0x1 && modprobe snd-aloop && ${MOVE}`);
  await play(guest);
}

/** Lets the guest's microphone hear TONE_HZ, until somebody ends /tmp/player.pid. */
export async function play(guest) {
  writeFileSync(path.join(guest.share, 'second.raw'), oneSecondOf(TONE_HZ));
  const player = 'aplay -q -D plughw:Loopback,0,0 -t raw -f S16_LE -r 48000 -c 1';
  await guest.run(
    `cp /share/second.raw /tmp; (while cat /tmp/second.raw; do :; done | ${player} & echo $! >/tmp/player.pid; wait) </dev/null >/tmp/player.log 2>&1 &`,
  );
}
