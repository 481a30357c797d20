// The SD-card image: what is on it, and a board that starts from it, is set up by files on its FAT partition, serves a viewer, and
// comes back however often its power is cut.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';

import { keepScreenshot, launchBrowser, openPage } from '../browser/browser.mjs';
import { changes, watchPicture } from '../browser/observe.mjs';
import { waitForPicture } from '../browser/page.mjs';
import { cache, temporaryFolder, until } from '../browser/processes.mjs';
import { numbersOf } from '../browser/random.mjs';
import { listenIn } from '../vm/machine.mjs';
import { startMutualMosquitto } from '../vm/mutual.mjs';
import { mutualBroker, nodeConfig } from '../vm/settings.mjs';
import { viewerAddress } from '../vm/viewing.mjs';
import { Board, Card, boardPorts, makeKey, onFat, partitions, readFat, rootOf, startPi3, superblock } from './card.mjs';

/** What deploy/image/build has made, packed; and the same once more, not packed. */
const { CAMERA_NODE_IMAGE: packed, CAMERA_NODE_IMAGE_AGAIN: again } = process.env;
const skip = packed ? false : 'no image (CAMERA_NODE_IMAGE)';
const NODE = 'porch';
const MIB = 2 ** 20;
// Power cuts: while it writes, while it starts, while it starts for the first time.
const [whileWriting, whileStarting, firstStart] = (process.env.IMAGE_CUTS ?? '5 3 2').split(' ').map(Number);
// Emulated, and beside whatever else this machine does.
const BOOT_MS = 600_000;
const SOON_MS = 240_000;

let image;
before(() => {
  if (skip) return;
  image = path.join(mkdtempSync(path.join(cache, 'image-test-')), 'card.img');
  execFileSync('sh', ['-c', `xz -dc "$0" | dd of="$1" bs=1M conv=sparse iflag=fullblock status=none`, packed, image]);
});
after(() => image && rmSync(path.dirname(image), { recursive: true, force: true }));

/** It has neither camera nor microphone. */
const STAND_INS = `
[[camera]]
[camera.video]
source = "test-pattern"
width = 320
height = 180
fps = 15
[camera.audio]
source = "tone"
`;

test('an image is small', { skip }, (t) => {
  const { size } = statSync(packed);
  t.diagnostic(`${(size / 1e6).toFixed(1)} MB packed, ${(statSync(image).size / 1e6).toFixed(0)} MB on the card`);
  assert.ok(size <= 400e6, `${size} bytes`);
});

test('the same inputs give the same bytes', { skip: again ? skip : 'no second image (CAMERA_NODE_IMAGE_AGAIN)' }, () => {
  execFileSync('cmp', [image, again], { stdio: 'pipe' });
});

test('a card has what a board looks for, and nothing that is one board\'s own', { skip }, (t) => {
  const { label, id, partitions: [boot, root, data] } = partitions(image);
  assert.deepEqual([label, id], ['dos', '0x63616d31']);
  assert.deepEqual([boot.type, root.type, data.type], ['c', '83', '83']);
  assert.ok(boot.size * 512 >= 256 << 20 && data.start + data.size === statSync(image).size / 512);
  const names = onFat(image).map((name) => name.toLowerCase());
  const boards = ['bcm2837-rpi-3-b.dtb', 'bcm2837-rpi-3-b-plus.dtb', 'bcm2837-rpi-zero-2-w.dtb', 'bcm2711-rpi-4-b.dtb'];
  const firmware = ['bootcode.bin', 'start.elf', 'fixup.dat', 'start4.elf', 'fixup4.dat', 'start_x.elf', 'fixup_x.dat', 'start4x.elf', 'fixup4x.dat'];
  for (const name of [...boards, ...firmware, 'config.txt', 'cmdline.txt', 'vmlinuz', 'initrd.img', 'read-me.txt', 'camera-node.example.toml']) {
    assert.ok(names.includes(name), `${name} in ${names}`);
  }
  for (const [, name] of readFat(image, 'config.txt').toString().matchAll(/^(?:kernel=|initramfs )([^ \n]+)/gm)) assert.ok(names.includes(name), name);

  const early = execFileSync('sh', ['-c', 'zcat | cpio -t --quiet'], { input: readFat(image, 'initrd.img'), encoding: 'utf8' });
  // The card's controllers of a Pi 3 and Zero 2 W, of a Pi 4, what gives the latter its voltage, and QEMU's.
  for (const driver of ['bcm2835', 'sdhci-iproc', 'gpio-regulator', 'fixed', 'virtio_blk', 'squashfs', 'overlay', 'ext4']) {
    assert.match(early, new RegExp(`/${driver}\\.ko\n`));
  }

  const squashfs = path.join(temporaryFolder(t), 'root');
  rootOf(image, squashfs);
  const lines = execFileSync('unsquashfs', ['-lln', squashfs], { encoding: 'utf8', maxBuffer: 1 << 26 }).split('\n');
  const files = new Map(lines.filter((line) => line.includes('squashfs-root/')).map((line) => [line.split('squashfs-root')[1].split(' -> ')[0], line]));
  const units = '/etc/systemd/system/multi-user.target.wants';
  for (const file of ['/usr/bin/camera-node', '/usr/lib/camera-board/setup', '/etc/camera-node/camera-node.toml', '/data', `${units}/camera-node.service`]) {
    assert.ok(files.has(file), file);
  }
  // For USB cameras and sound, the ribbon cable, the boards' networks, their watchdog, and what a wired one does not need.
  const drivers = ['uvcvideo', 'snd-usb-audio', 'bcm2835-v4l2', 'genet', 'smsc95xx', 'lan78xx', 'brcmfmac', 'bcm2835_wdt', 'dwc2', 'vfat'];
  for (const driver of drivers) assert.ok([...files.keys()].some((file) => file.endsWith(`/${driver}.ko`)), driver);
  assert.match(files.get('/etc/machine-id'), / 0 \d{4}-\d\d-\d\d/, 'the machine\'s id is made on the board');
  assert.deepEqual([...files.keys()].filter((file) => /ssh_host_|\/random-seed$|authorized_keys|lan\.secret/.test(file)), []);
  for (const [file, line] of files) assert.ok(line.startsWith('l') || line.startsWith('c') || !/^.{8}w/.test(line) || /^.{9}t/.test(line), `${file} can be written by all`);
});

test('a Pi 3, as QEMU has it, finds its card, and its third partition follows', { skip, timeout: 900_000 }, async (t) => {
  const card = new Card(temporaryFolder(t), image, 4096);
  const pi = startPi3(t, 'image-pi3', card);
  const grown = () => partitions(card.file).partitions[2].size > (2500 * MIB) / 512;
  await pi.before(until('the third partition ends where the card does', grown, BOOT_MS));
  // By a superblock that the kernel has written, so it is mounted.
  const blocks = () => Number(/^Block count: +(\d+)$/m.exec(superblock(card.file))?.[1]);
  await pi.before(until('its file system does', () => blocks() * 4096 > 2500 * MIB, BOOT_MS));
});

test('a board starts from it, is set up by files, serves a viewer, and survives power cuts', { skip, timeout: 4_500_000 }, async (t) => {
  const started = Date.now();
  // Said at once, as this takes long.
  const lap = (what) => console.log(`${((Date.now() - started) / 1000).toFixed(1)} s: ${what}`);
  const [folder, ports, broker] = [temporaryFolder(t), await boardPorts(), await startMutualMosquitto(t, 'image-mosquitto', NODE)];
  const heard = await listenIn(t, broker, NODE);
  const { key, line } = makeKey(folder);
  const card = new Card(folder, image, 4096);
  const fill = () => {
    // As Windows writes them.
    const written = nodeConfig({ id: NODE, broker: mutualBroker(broker, NODE), ports: [ports.media], camera: STAND_INS });
    card.put('camera-node.toml', `\u{feff}${written.replaceAll('\n', '\r\n')}`);
    card.put('hostname.txt', 'garden\r\n');
    card.put('authorized_keys', line);
    card.put('wifi.txt', 'ssid = My net\r\npassword = long enough\r\ncountry = DE\r\n');
    for (const leaf of ['ca.pem', `${NODE}.pem`, `${NODE}.key`]) card.put(`camera-node/${leaf}`, broker.file(leaf));
  };
  fill();

  const page = await openPage(await launchBrowser(t));
  const address = await viewerAddress(t, broker, NODE);
  let board;
  const start = () => {
    heard.status = null;
    board = new Board(t, 'image', card, { ...ports, key });
  };
  /** From the power to the broker's word of it, in ms. */
  const online = async () => {
    const from = Date.now();
    await board.machine.before(until('the node is online', () => heard.status?.state === 'online', BOOT_MS)).catch((error) => {
      throw new Error(`${error.message}\n${board.lastWords}`);
    });
    return Date.now() - from;
  };
  const tell = (command) => board.run(command);
  const settings = '/etc/hostname /etc/hosts /etc/ssh/authorized_keys /etc/wpa_supplicant/wpa_supplicant-wlan0.conf /etc/camera-node/*';
  const own = '/etc/machine-id /etc/ssh/ssh_host_ed25519_key';
  const sums = (files) => tell(`sha256sum ${files}`);

  start();
  const firstMs = await online();
  lap(`online ${(firstMs / 1000).toFixed(1)} s after the first power, from a card that was never used`);
  await page.goto(address);
  await waitForPicture(page, SOON_MS);
  assert.ok(changes(await watchPicture(page, 3)) >= 5, 'the picture moves');
  lap('first picture');
  await keepScreenshot(page, 'image-live');

  await board.letsIn(SOON_MS);
  assert.equal(await tell('hostname'), 'garden');
  assert.match(await tell('cat /etc/machine-id'), /^[0-9a-f]{32}$/);
  assert.equal(await tell('findmnt -no FSTYPE / && findmnt -no FSTYPE /data && findmnt -no FSTYPE,OPTIONS /boot/firmware | grep -o "^vfat *ro"'), 'squashfs\next4\nvfat   ro');
  assert.match(await tell('touch /usr/lib/x 2>&1 || true'), /Read-only file system/);
  const bytes = Number(await tell('df --output=size -B1 /data | tail -n 1'));
  assert.ok(bytes > 2500 * MIB, `the third partition took the rest of the card: ${bytes} bytes`);
  assert.equal(await tell('stat -c "%a %U:%G" /etc/camera-node/porch.key'), '640 root:camera-node');
  assert.match(await tell('cat /etc/wpa_supplicant/wpa_supplicant-wlan0.conf'), /country=DE[^]*ssid=4d79206e6574\n\s*psk="long enough"/);
  assert.equal(await tell('stat -c %a /etc/wpa_supplicant/wpa_supplicant-wlan0.conf'), '600');
  assert.equal(await tell('sshd -T | grep -i -c -E "^(passwordauthentication|kbdinteractiveauthentication) no"'), '2');
  assert.equal(await tell('ls /var/log/journal 2>/dev/null | wc -l; ls -d /run/log/journal'), '0\n/run/log/journal', 'the journal is in memory');
  assert.equal(await tell('systemctl show -p RuntimeWatchdogUSec --value'), '14s');
  assert.equal(await tell('systemctl is-active systemd-timesyncd systemd-networkd systemd-resolved camera-node ssh'), Array(5).fill('active').join('\n'));
  assert.equal(await tell('systemctl --failed --plain --no-legend'), '');
  assert.match(await tell('resolvectl mdns eth0'), /: yes$/);
  lap('set up as its files say');

  // A radio of the kernel's own comes, with an access point beside it: the Wi-Fi's file opens that.
  const point = 'network={\nmode=2\nfrequency=2412\nssid="My net"\nkey_mgmt=WPA-PSK\npsk="long enough"\n}';
  await tell(`modprobe mac80211_hwsim radios=2 && echo '${point}' >/run/point.conf && wpa_supplicant -B -i wlan1 -c /run/point.conf`);
  await until('it is in the Wi-Fi', async () => /wpa_state=COMPLETED/.test(await tell('wpa_cli -i wlan0 status || true')), SOON_MS);
  lap('in a Wi-Fi');

  let [itsSettings, itsOwn] = [await sums(settings), await sums(own)];
  const seed = Number(process.env.IMAGE_SEED ?? Date.now() % 1_000_000);
  const random = numbersOf(seed);
  lap(`power cuts of the seed ${seed} (IMAGE_SEED)`);
  let cuts = 0;
  const cutAfter = async (ms, what) => {
    cuts += 1;
    lap(`power cut ${cuts}: ${what} ${Math.round(ms)} ms`);
    // It is the moment that is tested.
    await board.machine.before(new Promise((resolve) => setTimeout(resolve, ms)));
    await board.cut();
  };
  /** After a cut it comes up by itself, and has all that it had. */
  const comesBack = async () => {
    start();
    await online();
    await board.letsIn(SOON_MS);
    assert.equal(await tell('findmnt -no FSTYPE /data'), 'ext4', 'the card is still used');
    assert.equal(await sums(settings), itsSettings);
    lap('up again');
  };

  // While it writes, without end. What it said to have written is there afterwards.
  let usualMs = firstMs;
  for (let cut = 0; cut < whileWriting; cut += 1) {
    const count = await board.countOnCard();
    await cutAfter(random() * 8000, 'while it writes, after');
    const before = Date.now();
    await comesBack();
    usualMs = Date.now() - before;
    assert.equal(await sums(own), itsOwn, 'it is the same board');
    const number = await tell('cat /var/lib/number');
    assert.ok(/^\d+$/.test(number) && Number(number) >= count.last, `${number} is there of ${count.last}`);
  }
  // While it starts.
  for (let cut = 0; cut < whileStarting; cut += 1) {
    await board.cut();
    start();
    await cutAfter(random() * usualMs, 'while it starts, after');
    await comesBack();
    assert.equal(await sums(own), itsOwn, 'it is the same board');
  }
  // While it starts for the first time.
  for (let cut = 0; cut < firstStart; cut += 1) {
    await board.cut();
    card.write();
    fill();
    start();
    await cutAfter(random() * firstMs, 'while it starts from a new card, after');
    await comesBack();
    const size = Number(await tell('df --output=size -B1 /data | tail -n 1'));
    assert.ok(size > 2500 * MIB, `the third partition took the rest of the card: ${size} bytes`);
  }
  assert.equal(cuts, whileWriting + whileStarting + firstStart);
  itsOwn = await sums(own);
  await page.reload();
  await waitForPicture(page, SOON_MS);
  assert.ok(changes(await watchPicture(page, 3)) >= 5, 'the picture moves');
  lap(`a picture, after ${cuts} power cuts`);

  // A system that hangs feeds its watchdog no longer, which starts it anew: here, where nobody starts it again, that is its end.
  assert.equal(await tell('cat /sys/class/watchdog/watchdog0/state'), 'active');
  await tell('kill -SEGV 1');
  assert.deepEqual(await Promise.race([board.machine.ended, until('the watchdog bites', () => false, SOON_MS)]), { code: 0, signal: null });
  lap('hung, and ended by its watchdog');

  // A new image over the first two partitions: all that is the board's own stays, though the owner's files are gone. And what comes
  // in place of one of them is nothing that the node would take.
  card.renew();
  assert.ok(!onFat(card.file).includes('hostname.txt'));
  card.put('camera-node.toml', '[node]\nidd = "porch"\n');
  await comesBack();
  assert.match(await tell('journalctl -u camera-board --no-pager -o cat'), /camera-node\.toml: .*node\.idd: no such key.*; not taken/);
  assert.equal(await sums(own), itsOwn, 'it is the same board');
  lap('the same board, with a new image');
});
