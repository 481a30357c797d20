// The package on a board under systemd, and a viewer of it: its config, at a broker that wants certificates, and what systemd says.
import { copyFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { launchBrowser, openPage } from '../browser/browser.mjs';
import { changes, watchPicture } from '../browser/observe.mjs';
import { freePort, until } from '../browser/processes.mjs';
import { listenIn, plugIn, serveViewer, startGuest } from './machine.mjs';
import { startMutualMosquitto } from './mutual.mjs';

export const NODE = 'board';
export const CONFIG = '/etc/camera-node/camera-node.toml';
/** Emulated, and beside whatever else this machine does. */
export const SOON_MS = 120_000;
/** The page, and one more. */
const VIEWERS = 2;

/** As an owner writes it: the camera of the board, the broker of somebody else. */
const config = ({ broker, ports, name, more = '' }) => `
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
fps = 15
[camera.audio]
source = "alsa"
device = "plughw:CARD=Loopback,DEV=1"
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

/**
 * A board of `kind` with camera and microphone, a broker, and who listens in there; the package is not there yet. Its steps are
 * diagnostics of `t`, with the time they took.
 */
export async function startBoard(t, name, kind) {
  const [ports, broker] = [await freePorts(VIEWERS), await startMutualMosquitto(t, `${name}-mosquitto`, NODE)];
  const heard = await listenIn(t, broker, NODE);
  const forwards = ports.map((port) => `,hostfwd=udp:127.0.0.1:${port}-10.0.2.15:${port}`).join('');
  const lastWords = 'journalctl -u camera-node --no-pager >/share/node.log';
  let since = Date.now();
  const lap = (what) => {
    t.diagnostic(`${((Date.now() - since) / 1000).toFixed(1)} s: ${what}`);
    since = Date.now();
  };
  const guest = await startGuest(t, name, { arch: kind, forwards, bootS: 240, commandS: 240, lastWords });
  lap('the board is up');
  await plugIn(guest);
  lap('it has a camera and a microphone');

  /** What systemd knows of the service, by its own names. */
  const show = async (...properties) => {
    const lines = await guest.run(`systemctl show camera-node ${properties.map((property) => `-p ${property}`).join(' ')}`);
    return Object.fromEntries(lines.trim().split('\n').map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)]));
  };
  const log = () => guest.run('journalctl -u camera-node --no-pager -o cat');
  const isOnline = () => heard.status?.state === 'online';

  return {
    guest,
    heard,
    lap,
    show,
    log,
    /** `dpkg -i`. */
    async install(deb) {
      copyFileSync(deb, path.join(guest.share, 'camera-node.deb'));
      // A power cut is no part of it.
      return guest.run('dpkg --force-unsafe-io -i /share/camera-node.deb </dev/null');
    },
    /** The command that puts this config into its place. */
    write(settings) {
      writeFileSync(path.join(guest.share, 'node.toml'), config({ broker, ports, name: 'Porch', ...settings }));
      return `install -m 644 /share/node.toml ${CONFIG}`;
    },
    /** Its certificate, and its owner's config; until the broker knows it. */
    async bringOnline(settings) {
      const files = ['ca.pem', `${NODE}.pem`, `${NODE}.key`];
      for (const leaf of files) writeFileSync(path.join(guest.share, leaf), broker.file(leaf));
      await guest.run(
        `(cd /share && install -m 640 -g camera-node ${files.join(' ')} /etc/camera-node/) && ${this.write(settings)} && systemctl restart camera-node`,
      );
      await until('the node is online', isOnline, SOON_MS);
    },
    isOnline,
    /** What its broker is for a viewer that is no page: `camera-node watch` and so on. */
    broker: broker.url,
    /** A browser at the page. */
    async openPage() {
      const page = await openPage(await launchBrowser(t));
      await page.goto(`${await serveViewer(t)}#broker=${broker.wsUrl}&node=${NODE}`);
      return page;
    },
    camera: () => heard.camera()?.state,
    says: (what, words) => until(what, async () => (await show('StatusText')).StatusText.includes(words), SOON_MS),
  };
}

/** Until pictures come that differ from each other. */
export const moves = (page) => until('the picture moves', async () => changes(await watchPicture(page, 2)) >= 5, SOON_MS);

/**
 * Stages of one story as tests of their own: after one that fails the others are not tried, as they would wait in vain.
 */
export function stagesOf(t, lap) {
  let failed;
  return (title, act) =>
    t.test(title, async (stage) => {
      if (failed) return stage.skip(`after "${failed}"`);
      try {
        await act(stage);
      } catch (error) {
        failed = title;
        throw error;
      }
      lap(title);
    });
}
