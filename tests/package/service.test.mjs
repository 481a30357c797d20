// The package in a Debian that has started: systemd runs the service, shut in as its unit says.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { promisify } from 'node:util';

import { Child, binary, root, until } from '../browser/processes.mjs';
import { Board, asRoot, pack } from './board.mjs';

const run = promisify(execFile);
const CONFIG = '/etc/camera-node/camera-node.toml';

let board, packed;
const folder = mkdtempSync(path.join(tmpdir(), 'camera-node-packages-'));
before(async () => {
  const stripped = path.join(folder, 'camera-node');
  await run('strip', ['-o', stripped, binary]);
  packed = await pack(stripped, '0.0.1', folder);
  board = new Board();
  await board.boot('porch');
});
after(async () => {
  await board?.halt();
  board?.remove();
  rmSync(folder, { recursive: true });
});

const property = async (name) => (await board.run('systemctl', 'show', '--value', `--property=${name}`, 'camera-node')).trim();

/** The state of the service, when it is `wanted`; its log if it is not in time. */
const isNow = (wanted) =>
  until(`the service is ${wanted}`, async () => (await property('ActiveState')) === wanted, 60_000).catch(async (late) => {
    throw new Error(`${late.message}\n${await board.run('journalctl', '--no-pager', '-u', 'camera-node')}`);
  });

test('installing starts it, and systemctl status says what it does and where its page is', async () => {
  await board.dpkg('-i', board.bring(packed));
  await isNow('active');
  assert.equal(await property('UnitFileState'), 'enabled');
  const status = await board.run('systemctl', 'status', '--no-pager', '--full', 'camera-node');
  assert.match(status, /Status: ".*https:\/\/camera-porch-[0-9a-f]{6}\.local:8443\//, status);
  assert.doesNotMatch(status, /password=|token=/);
});

test('whoever has the link watches; the service has no right beyond its devices', async () => {
  const link = ['camera-node', 'link', '--json', '--config', CONFIG, '--peer', 'watch-*'];
  const { node, password, token } = JSON.parse((await board.output(...link)).stdout);
  await board.run('sh', '-c', 'umask 077; printf %s "$1" >/root/password; printf %s "$2" >/root/token', 'sh', password, token);
  const watch = `camera-node watch --json --seconds 2 --node ${node} --broker ws://127.0.0.1:8080/mqtt --password-file /root/password`;
  const seen = JSON.parse((await board.output('sh', '-c', `${watch} --token-file /root/token`)).stdout);
  assert.ok(seen.frames > 0 && seen.audio_packets > 0, JSON.stringify(seen));
  const refused = await board.run('sh', '-c', `${watch} --patience 5`).catch((error) => error);
  assert.notEqual(refused.code ?? 0, 0, 'nobody watches without a token');

  const limits = { MemoryHigh: `${256 << 20}`, MemoryMax: `${384 << 20}`, TasksMax: '256', LimitNOFILE: '8192' };
  const rights = { ProtectSystem: 'strict', ProtectHome: 'yes', PrivateTmp: 'yes', DevicePolicy: 'closed' };
  for (const [name, value] of Object.entries({ ...limits, ...rights })) assert.equal(await property(name), value, name);
  // The last comes with ProtectClock=.
  const devices = ['char-alsa rw', 'char-gpiochip rw', 'char-video4linux rw', 'char-rtc r'];
  assert.deepEqual((await property('DeviceAllow')).split('\n').sort(), devices.sort());
  const process = await board.run('sh', '-c', `cat /proc/${await property('MainPID')}/status`);
  for (const expected of [/^CapEff:\s*0+$/m, /^CapBnd:\s*0+$/m, /^NoNewPrivs:\s*1$/m, /^Seccomp:\s*2$/m]) assert.match(process, expected);
  assert.doesNotMatch(process, /^Uid:\s*0/m);
});

test('a config that is wrong is refused on reload; on a start it is not tried again and again', async () => {
  const pid = await property('MainPID');
  await board.append(CONFIG, '\n[limits]\nmax_viewerz = 3\n');
  await board.run('systemctl', 'reload', 'camera-node').catch(() => {});
  await until('the log names the key', async () => (await board.run('journalctl', '-u', 'camera-node')).includes('max_viewerz'), 30_000);
  assert.equal(await property('MainPID'), pid, 'it goes on with the config before');
  await board.run('systemctl', 'restart', 'camera-node').catch(() => {});
  await isNow('failed');
  assert.deepEqual([await property('ExecMainStatus'), await property('NRestarts')], ['2', '0']);
  await board.run('sed', '-i', 's/max_viewerz/max_viewers/', CONFIG);
  await board.run('systemctl', 'start', 'camera-node');
  await isNow('active');
});

/** Kills it; how long the next one has waited before it began, by what it says, and until it was ready, in seconds. */
async function killed() {
  const before = await property('MainPID');
  await board.run('systemctl', 'kill', '--signal=SIGKILL', 'camera-node');
  await until('another process', async () => !['0', before].includes(await property('MainPID')) && (await property('ActiveState')) === 'active', 60_000);
  const log = await board.run('journalctl', '--no-pager', '-o', 'cat', `_PID=${await property('MainPID')}`);
  const [started, ready] = [await property('ExecMainStartTimestampMonotonic'), await property('ActiveEnterTimestampMonotonic')];
  return { said: Number(/waits for (\d+) s: \d+ starts in a row have ended badly/.exec(log)?.[1] ?? 0), took: (ready - started) / 1e6 };
}

test('killed, it comes back by itself, and each time later; started by hand, at once', async (t) => {
  const waits = [await killed(), await killed(), await killed()];
  t.diagnostic(JSON.stringify(waits));
  assert.deepEqual(waits.map(({ said }) => said), [0, 2, 4]);
  for (const { said, took } of waits) assert.ok(took >= said, `${took} s for ${said} s`);
  await board.run('systemctl', 'restart', 'camera-node');
  await isNow('active');
  assert.match(await board.run('cat', '/run/camera-node/starts'), /^0 /, 'a restart by hand ends the row');
});

test('one whose thread hangs ends itself, and another is started', async (t) => {
  const before = await property('MainPID');
  const [node] = board.processes('camera-node');
  const program = path.join(root, 'tests/stop-thread.py');
  const [command, ...args] = [...asRoot, 'python3', program, String(node), 'capture-main'];
  // It ends with the thread.
  const stopper = new Child(t, 'package-stopper', command, args);
  assert.deepEqual(await stopper.ended, { code: 0, signal: null }, stopper.log);
  await until('another process', async () => !['0', before].includes(await property('MainPID')) && (await property('ActiveState')) === 'active', 60_000);
  const log = await board.run('journalctl', '--no-pager', '--lines=40', '-u', 'camera-node');
  assert.match(log, /no sign of life for \d+ s.* part="capture-main"/);
});

test('an upgrade starts the new one, removing stops it, purging forgets it', async () => {
  const before = await property('MainPID');
  await board.dpkg('-i', board.bring(packed));
  await isNow('active');
  assert.notEqual(await property('MainPID'), before);
  await board.dpkg('-r', 'camera-node');
  await isNow('inactive');
  await board.dpkg('-P', 'camera-node');
  assert.equal(await property('LoadState'), 'not-found');
});
