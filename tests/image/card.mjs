// An SD card of the test's own: a copy of the image, larger than it, with an owner's files on its FAT partition; and the board that
// starts from it: QEMU's, which has no GPU to do the first steps, and takes kernel and initramfs from the card by itself.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { promisify } from 'node:util';

import { Child, artefacts, freePort, until } from '../browser/processes.mjs';
import { forward } from '../vm/settings.mjs';

const run = promisify(execFile);
const MIB = 1 << 20;

/** The partitions of an image, as sfdisk reads them. */
export function partitions(image) {
  return JSON.parse(execFileSync('sfdisk', ['--json', image], { encoding: 'utf8' })).partitiontable;
}

/** mtools' name for the image's first partition. */
const fat = (image) => `${image}@@${partitions(image).partitions[0].start * 512}`;

/** Names in a folder of the FAT partition. */
export function onFat(image, folder = '/') {
  return execFileSync('mdir', ['-b', '-i', fat(image), `::${folder}`], { encoding: 'utf8' }).trim().split('\n').map((name) => path.posix.basename(name));
}

/** A file of the FAT partition. */
export function readFat(image, name) {
  return execFileSync('mcopy', ['-n', '-i', fat(image), `::${name}`, '-'], { maxBuffer: 1 << 28 });
}

const dd = (from, to, ...more) => execFileSync('dd', [`if=${from}`, `of=${to}`, 'bs=1M', 'conv=notrunc,sparse', 'status=none', ...more]);

/** The second partition in a file of its own, for who reads squashfs. */
export function rootOf(image, file) {
  const { start, size } = partitions(image).partitions[1];
  dd(image, file, `skip=${(start * 512) / MIB}`, `count=${(size * 512) / MIB}`);
}

/** What stands in the superblock of the third partition; nothing while it is being written. */
export function superblock(image) {
  const { start } = partitions(image).partitions[2];
  try {
    return execFileSync('dumpe2fs', ['-h', `${image}?offset=${start * 512}`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return '';
  }
}

export class Card {
  constructor(folder, image, megabytes) {
    Object.assign(this, { folder, image, megabytes, file: path.join(folder, 'card.img') });
    this.write();
  }

  /** What a board's firmware would load: files of the first partition by their names, and the kernel's command line. */
  load(...names) {
    for (const name of names) writeFileSync(path.join(this.folder, name), readFat(this.file, name));
    return readFat(this.file, 'cmdline.txt').toString().trim();
  }

  /** The image, as on the first day. */
  write() {
    execFileSync('cp', ['--sparse=always', this.image, this.file]);
    execFileSync('truncate', ['-s', `${this.megabytes}M`, this.file]);
  }

  /** A new image over the first two partitions, as deploy/image/README.md has it. */
  renew() {
    const { partitions: [boot, , data] } = partitions(this.image);
    const [from, to] = [boot.start, data.start].map((sector) => (sector * 512) / MIB);
    // All of it: where the new one has nothing, nothing is to be left of the old one.
    execFileSync('dd', [`if=${this.image}`, `of=${this.file}`, 'bs=1M', `skip=${from}`, `seek=${from}`, `count=${to - from}`, 'conv=notrunc', 'status=none']);
  }

  /** Puts a file where an owner would. */
  put(name, text) {
    const file = path.join(this.folder, 'put');
    writeFileSync(file, text);
    const below = path.posix.dirname(name);
    if (below !== '.' && !onFat(this.file).includes(below)) execFileSync('mmd', ['-i', fat(this.file), `::${below}`]);
    execFileSync('mcopy', ['-o', '-i', fat(this.file), file, `::${name}`]);
  }
}

let boots = 0;

/**
 * A board with a card in it, on QEMU's own network, as small as a Zero 2 W; `media` is the UDP port that is let through. `cut()` is
 * the plug being pulled: what the card had been given by then, it has.
 */
export class Board {
  constructor(t, name, card, { media, ssh, key }) {
    this.console = path.join(artefacts, `${name}-console.log`);
    mkdirSync(artefacts, { recursive: true });
    this.ssh = { port: ssh, key };
    this.socket = path.join(card.folder, `ssh-${(boots += 1)}`);
    const line = card.load('vmlinuz', 'initrd.img').replace('console=tty1', 'console=ttyAMA0');
    const forwards = forward(media) + forward(ssh, 22, 'tcp');
    this.machine = new Child(t, `${name}-qemu`, 'qemu-system-aarch64', [
      ...['-accel', 'tcg,thread=multi', '-M', 'virt', '-cpu', 'cortex-a72', '-smp', '2', '-m', '512', '-no-reboot'],
      ...['-kernel', path.join(card.folder, 'vmlinuz'), '-initrd', path.join(card.folder, 'initrd.img'), '-append', `${line} mitigations=off random.trust_cpu=on`],
      ...['-drive', `if=none,id=card,file=${card.file},format=raw`, '-device', 'virtio-blk-pci,drive=card'],
      ...['-netdev', `user,id=net${forwards}`, '-device', 'virtio-net-pci,netdev=net,romfile='],
      ...['-device', 'i6300esb', '-action', 'watchdog=reset'],
      ...['-device', 'virtio-rng-pci', '-nodefaults', '-display', 'none', '-monitor', 'none', '-serial', `file:${this.console}`],
    ]);
  }

  /** What ssh is called with; `more` says what for. */
  #ssh(...more) {
    const { port, key } = this.ssh;
    const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'BatchMode=yes', 'ConnectTimeout=60'];
    // One connection for all: each further one would take an emulated board seconds.
    return ['-S', this.socket, '-i', key, '-p', String(port), ...options.flatMap((option) => ['-o', option]), 'root@127.0.0.1', ...more];
  }

  /** Waits until ssh lets its owner in. */
  async letsIn(limitMs) {
    let connection;
    const isIn = async () => {
      if (!connection || connection.exitCode !== null) connection = spawn('ssh', ['-M', '-N', ...this.#ssh()], { stdio: 'ignore' });
      return run('ssh', ['-O', 'check', ...this.#ssh()]).then(() => true, () => false);
    };
    this.machine.ended.then(() => connection?.kill());
    await this.machine.before(until('ssh lets its owner in', isIn, limitMs));
  }

  /** A shell command on it, as root, once it lets in; what it prints. */
  async run(command) {
    return (await run('ssh', this.#ssh(command), { timeout: 240_000 })).stdout.trim();
  }

  /** Has a number on the card grow without end; `count.last` is the last that it says to have written. */
  async countOnCard() {
    const command = 'cd /var/lib; while :; do n=$((n + 1)); echo $n >number.new && mv number.new number && sync && echo $n; done';
    const count = { last: 0 };
    const child = spawn('ssh', this.#ssh(command), { stdio: ['ignore', 'pipe', 'ignore'] });
    readline.createInterface({ input: child.stdout }).on('line', (line) => { count.last = Number(line); });
    this.machine.ended.then(() => child.kill());
    await this.machine.before(until('the first number is written', () => count.last > 0, 240_000));
    return count;
  }

  /** The plug is pulled. */
  async cut() {
    await this.machine.end('SIGKILL');
  }

  /** The end of what it said on its console. */
  get lastWords() {
    return readFileSync(this.console, 'utf8').slice(-2000);
  }
}

/**
 * A Pi 3 with its own controller of the card, its device tree and no network. Its watchdog is QEMU's, which bites at once when it is
 * first fed.
 */
export function startPi3(t, name, card) {
  const tree = 'bcm2837-rpi-3-b.dtb';
  const line = card.load('vmlinuz', 'initrd.img', tree).replace('console=tty1', 'systemd.watchdog_sec=0');
  const file = (leaf) => path.join(card.folder, leaf);
  return new Child(t, `${name}-qemu`, 'qemu-system-aarch64', [
    ...['-accel', 'tcg,thread=multi', '-M', 'raspi3b', '-no-reboot', '-display', 'none', '-monitor', 'none'],
    ...['-kernel', file('vmlinuz'), '-dtb', file(tree), '-initrd', file('initrd.img'), '-append', line],
    ...['-drive', `if=sd,file=${card.file},format=raw`, '-serial', 'null', '-serial', `file:${path.join(artefacts, `${name}-console.log`)}`],
  ]);
}

/** A key to log in with. */
export function makeKey(folder) {
  const key = path.join(folder, 'key');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  return { key, line: readFileSync(`${key}.pub`, 'utf8') };
}

/** Two ports for a board. */
export async function boardPorts() {
  return { media: await freePort('udp'), ssh: await freePort() };
}
