// An SD card of the test's own: a copy of the image, larger than it, with an owner's files on its FAT partition; and the board that
// starts from it: QEMU's, which has no GPU to do the first steps, and takes kernel and initramfs from the card by itself.
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

import { Child, artefacts, freePort } from '../browser/processes.mjs';

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

/** The second partition in a file of its own, for who reads squashfs. */
export function rootOf(image, file) {
  const { start, size } = partitions(image).partitions[1];
  execFileSync('dd', [`if=${image}`, `of=${file}`, 'bs=1M', `skip=${(start * 512) / MIB}`, `count=${(size * 512) / MIB}`, 'status=none']);
}

export class Card {
  constructor(folder, image, megabytes) {
    this.folder = folder;
    this.file = path.join(folder, 'card.img');
    execFileSync('cp', ['--sparse=always', image, this.file]);
    execFileSync('truncate', ['-s', `${megabytes}M`, this.file]);
    for (const name of ['vmlinuz', 'initrd.img', 'cmdline.txt']) execFileSync('mcopy', ['-n', '-i', fat(this.file), `::${name}`, folder]);
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

/** A board with a card in it, on QEMU's own network; `media` is the UDP port that is let through. Its power is cut by `cut()`. */
export class Board {
  constructor(t, name, card, { media, ssh, key }) {
    this.console = path.join(artefacts, `${name}-console.log`);
    mkdirSync(artefacts, { recursive: true });
    this.ssh = { port: ssh, key };
    const forwards = `hostfwd=udp:127.0.0.1:${media}-10.0.2.15:${media},hostfwd=tcp:127.0.0.1:${ssh}-10.0.2.15:22`;
    const line = readFileSync(path.join(card.folder, 'cmdline.txt'), 'utf8').trim().replace('console=tty1', 'console=ttyAMA0');
    this.machine = new Child(t, `${name}-qemu`, 'qemu-system-aarch64', [
      ...['-accel', 'tcg,thread=multi', '-M', 'virt', '-cpu', 'cortex-a72', '-smp', '2', '-m', '1024', '-no-reboot'],
      ...['-kernel', path.join(card.folder, 'vmlinuz'), '-initrd', path.join(card.folder, 'initrd.img'), '-append', `${line} mitigations=off random.trust_cpu=on`],
      ...['-drive', `if=none,id=card,file=${card.file},format=raw`, '-device', 'virtio-blk-pci,drive=card'],
      ...['-netdev', `user,id=net,${forwards}`, '-device', 'virtio-net-pci,netdev=net,romfile='],
      ...['-device', 'virtio-rng-pci', '-nodefaults', '-display', 'none', '-monitor', 'none', '-serial', `file:${this.console}`],
    ]);
  }

  /** A shell command on it, as root; what it prints. */
  async run(command) {
    const { port, key } = this.ssh;
    const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'BatchMode=yes', 'ConnectTimeout=60'];
    const args = ['-i', key, '-p', String(port), ...options.flatMap((option) => ['-o', option]), 'root@127.0.0.1', command];
    return (await run('ssh', args, { timeout: 120_000 })).stdout;
  }

  /** The plug is pulled. */
  async cut() {
    await this.machine.end('SIGKILL');
  }

  said(pattern) {
    return existsSync(this.console) && pattern.test(readFileSync(this.console, 'utf8'));
  }
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
