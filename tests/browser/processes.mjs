// Child processes of the tests: started, awaited by what they say or answer, ended by their id.
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync, openSync, closeSync } from 'node:fs';
import net from 'node:net';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import readline from 'node:readline';

export const cache =
  process.env.CAMERA_NODE_CACHE ?? path.join(process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache'), 'camera-node');
export const artefacts = path.join(cache, 'artefacts');
export const binary =
  process.env.CAMERA_NODE_BIN ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(cache, 'target'), 'debug', 'camera-node');
export const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..', '..');

/** What the demo takes where nothing is plugged in; said, so that a test runs the same on a desk with a camera. */
export const STAND_INS = `
[[camera]]
[camera.video]
source = "test-pattern"
[camera.audio]
source = "tone"
`;
/** The same in half the size: where the size says nothing, it spares the machine that has to decode as well. */
export const SMALL = STAND_INS.replace('"test-pattern"', '"test-pattern"\nwidth = 640\nheight = 360');

/** A new empty folder, removed at the end of the test `t`. */
export function temporaryFolder(t) {
  const folder = mkdtempSync(path.join(tmpdir(), 'camera-node-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes `text` to a new file that lives as long as the test `t`. */
export function temporaryFile(t, name, text) {
  const file = path.join(temporaryFolder(t), name);
  writeFileSync(file, text);
  return file;
}

/** Asks `condition` until it gives something true, and gives that back. */
export async function until(what, condition, limitMs = 10_000) {
  const end = Date.now() + limitMs;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Ports below those that the kernel gives away by itself: there, a connection may take one before the server does. */
const PORTS = { first: 10_240, count: 20_480, next: process.pid * 97 };

/** A port that nobody listens on and nobody else here is given, for servers that cannot be told to take any. */
export async function freePort(kind = 'tcp') {
  for (;;) {
    const port = PORTS.first + (PORTS.next++ % PORTS.count);
    const server = kind === 'udp' ? createSocket('udp4').bind(port, '127.0.0.1') : net.createServer().listen(port, '127.0.0.1');
    const free = await once(server, 'listening').then(() => true, () => false);
    await new Promise((resolve) => (free ? server.close(resolve) : resolve()));
    if (free) return port;
  }
}

/** Whether somebody listens there. */
export function answers(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

/** A child whose standard error is kept in `artefacts/<name>.log`; ended with the test `t` at the latest. */
export class Child {
  constructor(t, name, command, args, options = {}) {
    mkdirSync(artefacts, { recursive: true });
    this.name = name;
    this.log = path.join(artefacts, `${name}.log`);
    const log = openSync(this.log, 'a');
    this.process = spawn(command, args, { stdio: ['ignore', options.stdout ?? log, log], env: { ...process.env, ...options.env } });
    closeSync(log);
    this.ended = new Promise((resolve) => {
      this.process.on('exit', (code, signal) => resolve({ code, signal }));
      this.process.on('error', (error) => resolve({ error }));
    });
    t?.after(() => this.end());
  }

  get running() {
    return this.process.pid !== undefined && this.process.exitCode === null && this.process.signalCode === null;
  }

  signal(name) {
    this.process.kill(name);
  }

  /** Ends it in good order, and after 5 s without. */
  async end(signal = 'SIGTERM') {
    if (!this.running) return this.ended;
    this.process.kill(signal);
    const patience = setTimeout(() => this.process.kill('SIGKILL'), 5000);
    const result = await this.ended;
    clearTimeout(patience);
    return result;
  }

  /** Fails when it ends before `what` is there. */
  async before(what) {
    const early = this.ended.then(({ code, signal, error }) => {
      throw new Error(`${this.name} ended early (${error ?? signal ?? code}); see ${this.log}`);
    });
    return Promise.race([what, early]);
  }
}

/** `camera-node demo --json` on free ports; its line of JSON beside the child. */
export async function startDemo(t, name, args = [], env = {}, program = binary) {
  const ports = ['--http-port', '0', '--mqtt-port', '0', '--ws-port', '0'];
  const given = ports.filter((_, i) => i % 2 === 0).filter((flag) => !args.includes(flag));
  const child = new Child(t, name, program, ['demo', '--json', ...given.flatMap((flag) => [flag, '0']), ...args], {
    stdout: 'pipe',
    env,
  });
  const lines = readline.createInterface({ input: child.process.stdout });
  const first = await child.before(once(lines, 'line'));
  return { child, ...JSON.parse(first[0]) };
}

/** Debian's mosquitto on loopback: MQTT over TCP and over WebSocket. `restart()` ends it and starts it on the same ports. */
export async function startMosquitto(t, name) {
  const [tcp, ws] = [await freePort(), await freePort()];
  const config = temporaryFile(
    t,
    'mosquitto.conf',
    [
      `listener ${tcp} 127.0.0.1`,
      `listener ${ws} 127.0.0.1`,
      'protocol websockets',
      'allow_anonymous true',
      'persistence false',
      'log_type all',
      // Started as root it would give up its rights, and with them this file.
      ...(process.getuid() === 0 ? ['user root'] : []),
      '',
    ].join('\n'),
  );
  const broker = { tcp, ws, url: `mqtt://127.0.0.1:${tcp}`, wsUrl: `ws://127.0.0.1:${ws}`, child: null };
  broker.start = async () => {
    broker.child = new Child(t, name, '/usr/sbin/mosquitto', ['-c', config]);
    await broker.child.before(until('mosquitto listens', async () => (await answers(tcp)) && (await answers(ws))));
  };
  await broker.start();
  return broker;
}
