// The package on a board under systemd, and a viewer of it: its config, at a broker that wants certificates, and what systemd says.
import { copyFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { freePort, until } from '../browser/processes.mjs';
import { listenIn, plugIn, startGuest } from './machine.mjs';
import { startMutualMosquitto } from './mutual.mjs';
import { forward, mutualBroker, nodeConfig } from './settings.mjs';
import { laps } from './stages.mjs';
import { SOON_MS, openViewer } from './viewing.mjs';

export const NODE = 'board';
export const CONFIG = '/etc/camera-node/camera-node.toml';
/** The page, and one more. */
const VIEWERS = 2;

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
 * A board of `kind` with camera and microphone, unless those are to be `unplugged` yet; a broker, and who listens in there. The
 * package is not there yet. `camera` is what its owner's config says of camera and microphone. Its steps are diagnostics of `t`,
 * with the time they took.
 */
export async function startBoard(t, name, kind, { unplugged = false, camera } = {}) {
  const [ports, broker] = [await freePorts(VIEWERS), await startMutualMosquitto(t, `${name}-mosquitto`, NODE)];
  const heard = await listenIn(t, broker, NODE);
  const lastWords = 'journalctl -u camera-node --no-pager >/share/node.log';
  const lap = laps(t);
  const guest = await startGuest(t, name, { arch: kind, forwards: ports.map((port) => forward(port)).join(''), bootS: 240, commandS: 240, lastWords });
  lap('the board is up');
  if (!unplugged) {
    await plugIn(guest);
    lap('it has a camera and a microphone');
  }

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
    write({ name = 'Porch', more } = {}) {
      writeFileSync(path.join(guest.share, 'node.toml'), nodeConfig({ id: NODE, name, broker: mutualBroker(broker, NODE), ports, camera, more }));
      return `install -m 644 /share/node.toml ${CONFIG}`;
    },
    /** Its certificate, and its owner's config; until the broker knows it. */
    async bringOnline(own) {
      const files = ['ca.pem', `${NODE}.pem`, `${NODE}.key`];
      for (const leaf of files) writeFileSync(path.join(guest.share, leaf), broker.file(leaf));
      await guest.run(
        `(cd /share && install -m 640 -g camera-node ${files.join(' ')} /etc/camera-node/) && ${this.write(own)} && systemctl restart camera-node`,
      );
      await until('the node is online', isOnline, SOON_MS);
    },
    isOnline,
    /** What its broker is for a viewer that is no page: `camera-node watch` and so on. */
    broker: broker.url,
    /** A browser at the page. */
    openPage: () => openViewer(t, broker, NODE),
    camera: () => heard.camera()?.state,
    says: (what, words) => until(what, async () => (await show('StatusText')).StatusText.includes(words), SOON_MS),
  };
}
