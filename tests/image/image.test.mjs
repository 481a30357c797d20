// The SD-card image: what is on it, and a board that starts from it, is set up by files on its FAT partition, serves a viewer, and
// comes back however often its power is cut.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { keepScreenshot, launchBrowser, openPage } from '../browser/browser.mjs';
import { changes, watchPicture } from '../browser/observe.mjs';
import { waitForPicture } from '../browser/page.mjs';
import { temporaryFolder, until } from '../browser/processes.mjs';
import { listenIn, serveViewer } from '../vm/machine.mjs';
import { startMutualMosquitto } from '../vm/mutual.mjs';
import { Board, Card, boardPorts, makeKey, onFat, partitions, rootOf } from './card.mjs';

const image = process.env.CAMERA_NODE_IMAGE;
const skip = image ? false : 'no image (CAMERA_NODE_IMAGE)';
const CUTS = Number(process.env.IMAGE_POWER_CUTS ?? 10);
const NODE = 'porch';
// Emulated, and beside whatever else this machine does.
const BOOT_MS = 300_000;
const SOON_MS = 90_000;

const config = (broker, media) => `
[node]
id = "${NODE}"
[broker]
url = "mqtts://10.0.2.2:${broker.tls}"
ca_file = "/etc/camera-node/ca.pem"
client_cert_file = "/etc/camera-node/${NODE}.pem"
client_key_file = "/etc/camera-node/${NODE}.key"
[access]
i_trust_the_broker = true
[ice]
bind = ["10.0.2.15"]
port_range = "${media}-${media}"
public_address = "127.0.0.1"
[limits]
max_viewers = 1
[[camera]]
[camera.video]
source = "test-pattern"
width = 320
height = 180
fps = 15
[camera.audio]
source = "tone"
`;

test('a card has what a board looks for, and nothing that is one board\'s own', { skip }, (t) => {
  const { label, id, partitions: [boot, root, data] } = partitions(image);
  assert.deepEqual([label, id], ['dos', '0x63616d31']);
  assert.deepEqual([boot.type, root.type, data.type], ['c', '83', '83']);
  assert.ok(boot.size * 512 >= 256 << 20 && data.start + data.size === statSync(image).size / 512);
  const names = onFat(image).map((name) => name.toLowerCase());
  const boards = ['bcm2837-rpi-3-b.dtb', 'bcm2837-rpi-3-b-plus.dtb', 'bcm2837-rpi-zero-2-w.dtb', 'bcm2711-rpi-4-b.dtb'];
  const firmware = ['bootcode.bin', 'start.elf', 'fixup.dat', 'start4.elf', 'fixup4.dat', 'start_x.elf', 'fixup_x.dat'];
  for (const name of [...boards, ...firmware, 'config.txt', 'cmdline.txt', 'vmlinuz', 'initrd.img', 'read-me.txt']) {
    assert.ok(names.includes(name), `${name} in ${names}`);
  }

  const squashfs = path.join(temporaryFolder(t), 'root');
  rootOf(image, squashfs);
  const lines = execFileSync('unsquashfs', ['-lln', squashfs], { encoding: 'utf8', maxBuffer: 1 << 26 }).split('\n');
  const files = new Map(lines.filter((line) => line.includes('squashfs-root/')).map((line) => [line.split('squashfs-root')[1].split(' -> ')[0], line]));
  for (const file of ['/usr/bin/camera-node', '/usr/lib/camera-board/setup', '/etc/camera-node/camera-node.toml', '/data', '/etc/systemd/system/multi-user.target.wants/camera-node.service']) {
    assert.ok(files.has(file), file);
  }
  assert.match(files.get('/etc/machine-id'), / 0 \d{4}-\d\d-\d\d/, 'the machine\'s id is made on the board');
  assert.deepEqual([...files.keys()].filter((file) => /ssh_host_|random-seed|authorized_keys|lan\.secret|multi-user.*\/ssh\.service/.test(file)), []);
  for (const [file, line] of files) assert.ok(line.startsWith('l') || line.startsWith('c') || !/^.{8}w/.test(line) || /^.{9}t/.test(line), `${file} can be written by all`);
});

test('a board starts from it, is set up by files, serves a viewer, and survives power cuts', { skip, timeout: 1_500_000 }, async (t) => {
  const started = Date.now();
  const lap = (what) => t.diagnostic(`${((Date.now() - started) / 1000).toFixed(1)} s: ${what}`);
  const [folder, ports, broker] = [temporaryFolder(t), await boardPorts(), await startMutualMosquitto(t, 'image-mosquitto', NODE)];
  const heard = await listenIn(t, broker, NODE);
  const { key, line } = makeKey(folder);
  const card = new Card(folder, image, 2048);
  // As Windows writes them.
  card.put('camera-node.toml', config(broker, ports.media).replaceAll('\n', '\r\n'));
  card.put('hostname.txt', 'garden\r\n');
  card.put('authorized_keys', line);
  card.put('wifi.txt', 'ssid = My net\r\npassword = long enough\r\ncountry = DE\r\n');
  for (const leaf of ['ca.pem', `${NODE}.pem`, `${NODE}.key`]) card.put(`camera-node/${leaf}`, broker.file(leaf));

  const page = await openPage(await launchBrowser(t));
  const address = `${await serveViewer(t)}#broker=${broker.wsUrl}&node=${NODE}`;
  const start = (name) => new Board(t, name, card, { ...ports, key });
  const online = (board) => board.machine.before(until('the node is online', () => heard.status?.state === 'online', BOOT_MS));

  let board = start('image');
  await online(board);
  lap('online from a card that was never used');
  await page.goto(address);
  await waitForPicture(page, SOON_MS);
  assert.ok(changes(await watchPicture(page, 3)) >= 5, 'the picture moves');
  lap('first picture');
  await keepScreenshot(page, 'image-live');

  await until('ssh lets its owner in', () => board.run('true').then(() => true, () => false), SOON_MS);
  const tell = (command) => board.run(command).then((text) => text.trim());
  assert.equal(await tell('hostname'), 'garden');
  const machine = await tell('cat /etc/machine-id');
  assert.match(machine, /^[0-9a-f]{32}$/);
  assert.equal(await tell('findmnt -no FSTYPE /'), 'squashfs');
  assert.equal(await tell('touch /usr/lib/x 2>&1 || true'), "touch: cannot touch '/usr/lib/x': Read-only file system");
  const bytes = Number(await tell('df --output=size -B1 /data | tail -n 1'));
  assert.ok(bytes > 1000 << 20, `the third partition took the rest of the card: ${bytes} bytes`);
  assert.equal(await tell('stat -c "%a %U:%G" /etc/camera-node/porch.key'), '640 root:camera-node');
  assert.match(await tell('cat /etc/wpa_supplicant/wpa_supplicant-wlan0.conf'), /country=DE[^]*ssid=4d79206e6574\n\s*psk="long enough"/);
  assert.equal(await tell('stat -c %a /etc/wpa_supplicant/wpa_supplicant-wlan0.conf'), '600');
  assert.equal(await tell('sshd -T | grep -i -c -E "^(passwordauthentication|kbdinteractiveauthentication) no"'), '2');
  assert.equal(await tell('journalctl --header | grep -c /var/log || true'), '0', 'the journal is in memory');
  assert.equal(await tell('systemctl show -p RuntimeWatchdogUSec --value'), '14s');
  assert.equal(await tell('systemctl is-enabled systemd-timesyncd'), 'enabled');
  assert.equal(await tell('systemctl --failed --plain --no-legend | grep -v -E "wlan0|watchdog" || true'), '');
  lap('set up as its files say');

  // Pulled at any moment of a start, and of what follows it. The moments differ from run to run, and are said.
  for (let cut = 1; cut <= CUTS; cut += 1) {
    await board.cut();
    board = start('image');
    const afterMs = Math.round(Math.random() * 30_000);
    t.diagnostic(`power cut ${cut} after ${afterMs} ms`);
    // It is the moment that is tested.
    await board.machine.before(new Promise((resolve) => setTimeout(resolve, afterMs)));
  }
  await board.cut();
  heard.status = null;
  board = start('image');
  await online(board);
  await page.reload();
  await waitForPicture(page, SOON_MS);
  await until('ssh lets its owner in', () => board.run('true').then(() => true, () => false), SOON_MS);
  assert.equal(await tell('cat /etc/machine-id'), machine, 'it is the same board');
  assert.equal(await tell('hostname'), 'garden');
  assert.equal(await tell('findmnt -no FSTYPE /data'), 'ext4', 'the card is still used');
  lap(`up again after ${CUTS} power cuts`);
});
