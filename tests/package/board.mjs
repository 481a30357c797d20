// A Debian of the test's own, into which the package is installed: no machine, but all that dpkg and our scripts see of one.
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { Child, root as checkout, until } from '../browser/processes.mjs';

const run = promisify(execFile);
export const asRoot = process.getuid() === 0 ? [] : ['sudo'];
const here = path.join(checkout, 'tests/package');

/** Its own processes and its own network, of which there is nothing but loopback: the package's ports are free there. */
const ENTER = 'mount -t proc proc "$0/proc" && ip link set lo up && root=$0 && exec chroot "$root" "$@"';

export class Board {
  /** Unpacks one. */
  constructor() {
    this.folder = mkdtempSync(path.join(tmpdir(), 'camera-node-board-'));
    this.root = path.join(this.folder, 'root');
    mkdirSync(this.root);
    const tar = execFileSync(path.join(here, 'root'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
    this.#onHost('tar', '-C', this.root, '-xf', tar);
  }

  remove() {
    this.#onHost('rm', '-rf', this.folder);
  }

  /** Starts its systemd, in a container that sees no device and no network; commands are run inside from then on. */
  async boot(hostname) {
    await this.run('sh', '-c', 'echo "$1" >/etc/hostname', 'sh', hostname);
    const options = ['--quiet', '--register=no', '--keep-unit', '--private-network'];
    const [program, ...args] = [...asRoot, 'systemd-nspawn', ...options, `--directory=${this.root}`, '--boot'];
    this.machine = new Child(undefined, `package-${hostname}`, program, args);
    const first = () => descendants(this.machine.process.pid).find((pid) => nameOf(pid) === 'systemd');
    this.first = String(await this.machine.before(until('systemd is there', first, 30_000)));
    // It may be "degraded", by what this container lacks.
    const up = async () => /^(running|degraded)/.test(await this.run('systemctl', 'is-system-running').catch(({ stdout }) => stdout));
    await this.machine.before(until('the board has started', up, 120_000));
  }

  /** Those of this name in it, as the host numbers them. */
  processes(name) {
    return descendants(this.machine.process.pid).filter((pid) => nameOf(pid) === name);
  }

  async halt() {
    if (!this.machine?.running) return;
    await this.run('systemctl', 'poweroff').catch(() => {});
    await until('the board has ended', () => !this.machine.running, 60_000);
  }

  #onHost(...command) {
    const [program, ...rest] = [...asRoot, ...command];
    return execFileSync(program, rest, { encoding: 'utf8', maxBuffer: 1 << 26 });
  }

  /** What a command in it prints, on both of its outputs; an error if it fails. */
  async run(...command) {
    const { stdout, stderr } = await this.output(...command);
    return stdout + stderr;
  }

  /** The same, each for itself. */
  output(...command) {
    const apart = ['unshare', '--mount', '--net', '--pid', '--fork', '--kill-child', 'sh', '-c', ENTER, this.root];
    const inside = ['nsenter', `--target=${this.first}`, '--all', '--'];
    const [program, ...args] = [...asRoot, ...(this.first ? inside : apart), ...command];
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LC_ALL: 'C.UTF-8' };
    return run(program, args, { env, maxBuffer: 1 << 26, timeout: 120_000 });
  }

  /** The same as one shell line, as the service's user. */
  asService(line) {
    return this.run('setpriv', '--reuid=camera-node', '--regid=camera-node', '--init-groups', 'sh', '-c', line);
  }

  /** dpkg, of which nobody can be asked anything. */
  dpkg(...args) {
    return this.run('sh', '-c', 'exec dpkg "$@" </dev/null', 'dpkg', ...args);
  }

  /** Puts a file of the host's into its /root (a started one's /tmp is its own), and says where it is then. */
  bring(file) {
    this.#onHost('cp', file, path.join(this.root, 'root'));
    return path.join('/root', path.basename(file));
  }

  /** `mode owner:group` of a file, as stat says it. */
  async about(file) {
    return (await this.run('stat', '-c', '%a %U:%G', file)).trim();
  }

  async has(file) {
    return this.run('test', '-e', file).then(() => true, () => false);
  }

  text(file) {
    return readFileSync(path.join(this.root, file), 'utf8');
  }

  append(file, text) {
    return this.run('sh', '-c', 'printf %s "$1" >>"$2"', 'sh', text, file);
  }
}

function nameOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return null;
  }
}

/** The processes that a process has started, and theirs, as far as they can be seen. */
function descendants(pid) {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    const children = tasks.flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean));
    return children.flatMap((child) => [Number(child), ...descendants(child)]);
  } catch {
    return [];
  }
}

/** The package of a binary for this machine, made by `deploy/package/build`. */
export async function pack(binary, version, out, env = {}) {
  const target = /^host: (.*)$/m.exec((await run('rustc', ['-vV'])).stdout)[1];
  const args = ['--fast', '--binary', binary, '--version', version, '--out', out, target];
  const { stdout } = await run(path.join(checkout, 'deploy/package/build'), args, { env: { ...process.env, ...env } });
  return stdout.trim().split('\n').at(-1);
}
