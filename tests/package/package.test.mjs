// What the package brings, and what installing, upgrading, removing and purging it leave behind.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { promisify } from 'node:util';

import { binary, root } from '../browser/processes.mjs';
import { Board, pack } from './board.mjs';

const run = promisify(execFile);
const CONFIG = '/etc/camera-node/camera-node.toml';
const STATE = '/var/lib/camera-node';
const UNIT = '/usr/lib/systemd/system/camera-node.service';
const ENABLED = '/etc/systemd/system/multi-user.target.wants/camera-node.service';

/** Made once, as each takes some seconds: an older and a newer one, and the newer one again. */
const packages = { folder: mkdtempSync(path.join(tmpdir(), 'camera-node-packages-')) };
after(() => rmSync(packages.folder, { recursive: true }));
before(async () => {
  const stripped = path.join(packages.folder, 'camera-node');
  await run('strip', ['-o', stripped, binary]);
  packages.older = await pack(stripped, '0.0.1', packages.folder);
  packages.newer = await pack(stripped, '0.0.2', packages.folder);
  const again = path.join(packages.folder, 'again');
  mkdirSync(again);
  packages.again = await pack(stripped, '0.0.2', again, { TZ: 'Asia/Tokyo', LC_ALL: 'C', TMPDIR: again });
});

/** The tests below lead one board through the package's life, in their order. */
let board;
before(() => (board = new Board()));
after(() => board?.remove());

test('the same inputs make the same bytes', () => {
  assert.ok(readFileSync(packages.newer).equals(readFileSync(packages.again)));
});

test('cross/check refuses a binary for another machine, one with symbols, and one that is too large', async () => {
  const here = /^host: (.*)$/m.exec((await run('rustc', ['-vV'])).stdout)[1];
  /** What it says of this. */
  const check = async (target, file, ...megabytes) => {
    const { code = 0, stdout } = await run(path.join(root, 'cross/check'), [target, file, ...megabytes]).catch((failed) => failed);
    const of = (what) => stdout.split('\n').find((line) => line.startsWith(`${what} `)) ?? stdout;
    return { code, of };
  };
  const stripped = path.join(packages.folder, 'camera-node');
  const good = await check(here, stripped, '900');
  for (const what of ['machine', 'libraries', 'glibc', 'symbols', 'size']) assert.doesNotMatch(good.of(what), /WRONG/);
  const other = here.startsWith('x86_64') ? 'aarch64-unknown-linux-gnu' : 'x86_64-unknown-linux-gnu';
  for (const [what, words, ...args] of [
    ['machine', 'is wanted', other, stripped],
    ['symbols', 'it should be stripped', here, binary],
    ['size', 'too large', here, stripped, '1'],
  ]) {
    const bad = await check(...args);
    assert.match(bad.of(what), new RegExp(`WRONG: .*${words}`));
    assert.equal(bad.code, 1, what);
  }
});

test('the guides name the config where the package has it', () => {
  const guides = readdirSync(path.join(root, 'deploy')).filter((name) => name.endsWith('.md'));
  const named = guides.flatMap((name) => {
    const text = readFileSync(path.join(root, 'deploy', name), 'utf8');
    return [...text.matchAll(/--config (\/etc\/[^\s'"`)]+)/g)].map(([, config]) => [name, config]);
  });
  assert.ok(named.length >= 5, `only ${named.length} found`);
  assert.deepEqual(named.filter(([, config]) => config !== CONFIG), []);
});

test('lintian finds no error', async () => {
  const { stdout } = await run('lintian', ['--allow-root', '--fail-on', 'error', '--tag-display-limit', '0', packages.newer], {
    maxBuffer: 1 << 24,
  }).catch((failed) => failed);
  assert.doesNotMatch(stdout, /^E: /m, stdout);
});

test('installing asks nothing and puts everything where Debian has it', async () => {
  const said = await board.dpkg('-i', board.bring(packages.older));
  assert.match(said, /sudo camera-node link --config \/etc\/camera-node\/camera-node\.toml/);
  const files = {
    '/usr/bin/camera-node': '755 root:root',
    [CONFIG]: '644 root:root',
    [STATE]: '700 camera-node:camera-node',
    [UNIT]: '644 root:root',
    '/usr/lib/udev/rules.d/60-camera-node.rules': '644 root:root',
    '/usr/share/man/man1/camera-node.1.gz': '644 root:root',
    '/usr/share/man/man1/camera-node-run.1.gz': '644 root:root',
    '/usr/share/bash-completion/completions/camera-node': '644 root:root',
    '/usr/share/zsh/vendor-completions/_camera-node': '644 root:root',
    '/usr/share/fish/vendor_completions.d/camera-node.fish': '644 root:root',
    '/usr/share/doc/camera-node/copyright': '644 root:root',
    '/usr/share/doc/camera-node/camera-node.toml': '644 root:root',
    '/usr/share/doc/camera-node/third-party.txt.gz': '644 root:root',
    '/usr/share/doc/camera-node/examples/apps/README.md': '644 root:root',
    '/usr/share/doc/camera-node/examples/apps/wheels.py': '755 root:root',
  };
  for (const [file, expected] of Object.entries(files)) assert.equal(await board.about(file), expected, file);
  assert.match(await board.run('getent', 'passwd', 'camera-node'), /:\/var\/lib\/camera-node:\/usr\/sbin\/nologin$/m);
  assert.match(await board.run('getent', 'group', 'gpio'), /^gpio:/);
  assert.equal((await board.run('realpath', ENABLED)).trim(), UNIT);
  assert.equal((await board.run('dpkg', '--verify', 'camera-node')).trim(), '');
  const man = await board.run('sh', '-c', 'zcat /usr/share/man/man1/camera-node-run.1.gz');
  assert.match(man, /\\-\\-config/);
  const help = await board.run('camera-node', '--help');
  const commands = [...help.split('Commands:')[1].split('Options:')[0].matchAll(/^ {2}(\w+)/gm)].map(([, name]) => name).filter((name) => name !== 'help');
  assert.ok(commands.includes('run') && commands.includes('provision'), help);
  const completions = ['/usr/share/bash-completion/completions/camera-node', '/usr/share/zsh/vendor-completions/_camera-node', '/usr/share/fish/vendor_completions.d/camera-node.fish'];
  await board.run('bash', '-n', completions[0]);
  for (const command of commands) {
    assert.match(await board.run('sh', '-c', `zcat /usr/share/man/man1/camera-node-${command}.1.gz`), new RegExp(`^camera\\\\-node\\\\-${command} \\\\- .+`, 'm'));
    for (const file of completions) assert.match(board.text(file), new RegExp(`\\b${command}\\b`), `${command} in ${file}`);
  }
  const owners = (await board.run('dpkg', '-L', 'camera-node')).trim().split('\n');
  for (const file of owners.filter((name) => name !== '/.')) assert.match(await board.about(file), / root:root$/, file);
});

test('the unit is what systemd understands, and is shut in', async () => {
  const complaints = await board.run('systemd-analyze', 'verify', '--man=no', UNIT).catch(({ stdout, stderr }) => stdout + stderr);
  assert.deepEqual(complaints.split('\n').filter((line) => line.includes('camera-node')), []);
  const { stdout } = await board.output('systemd-analyze', 'security', '--offline=true', '--no-pager', '--threshold=25', UNIT);
  assert.match(stdout, /Overall exposure level for camera-node\.service: [012]\.\d/);
});

test('what the unit starts is a node that shows its page, and link shows the way in', async () => {
  const lines = (await board.run('cat', UNIT)).split('\n');
  const command = (key) => lines.find((line) => line.startsWith(`${key}=`)).slice(key.length + 1);
  await board.asService(`${command('ExecStartPre')} && ${command('ExecStartPre')}`);
  assert.equal(await board.about(`${STATE}/lan.secret`), '600 camera-node:camera-node');

  // Both in one network, where nobody else is. The page's own certificate is known by what link says of it.
  const story = `
    setpriv --reuid=camera-node --regid=camera-node --init-groups ${command('ExecStart')} 2>/tmp/node.log & node=$!
    for _ in $(seq 600); do curl -sf http://127.0.0.1:8080/ >/tmp/page.html && break; kill -0 $node || exit 1; sleep 0.1; done
    curl -sfk https://127.0.0.1:8443/ | cmp - /tmp/page.html || exit 1
    camera-node link --json --config ${CONFIG}
    camera-node check --config ${CONFIG} >/tmp/check.txt || { cat /tmp/check.txt; exit 1; }
    kill $node; wait $node`;
  const { stdout } = await board.output('sh', '-c', story).catch((failed) => {
    throw new Error(`${failed.stdout}${failed.stderr}${board.text('tmp/node.log')}`);
  });
  const told = JSON.parse(stdout.trim().split('\n')[0]);
  assert.match(told.links[0], /^https:\/\/camera-[\w-]+\.local:8443\/#password=[\w-]{22}&token=[\w.-]+$/);
  assert.match(told.certificate_sha256, /^[0-9A-F:]{95}$/i);
  assert.match(board.text('tmp/page.html'), /<meta name="generator" content="camera-node">/);
  const log = board.text('tmp/node.log');
  for (const secret of [told.password, told.token]) assert.ok(!log.includes(secret), log);
});

test('an upgrade keeps what its owner has changed, and what the node has made', async () => {
  await board.append(CONFIG, '\n[limits]\nmax_viewers = 3\n');
  const [config, key] = [board.text(CONFIG), await board.run('sha256sum', `${STATE}/lan.secret`)];
  await board.run('systemctl', 'disable', 'camera-node.service');
  await board.dpkg('-i', board.bring(packages.newer));
  assert.match(await board.run('dpkg-query', '-W', 'camera-node'), /\t0\.0\.2$/m);
  assert.equal(board.text(CONFIG), config);
  assert.equal(await board.run('sha256sum', `${STATE}/lan.secret`), key);
  assert.equal(await board.has(ENABLED), false, 'disabled it stays');
  await board.run('systemctl', 'enable', 'camera-node.service');
});

test('removing leaves config and state, and nothing else', async () => {
  await board.dpkg('-r', 'camera-node');
  assert.deepEqual(
    await Promise.all(['/usr/bin/camera-node', UNIT, '/usr/share/doc/camera-node', CONFIG, `${STATE}/lan.secret`].map((file) => board.has(file))),
    [false, false, false, true, true],
  );
  await board.dpkg('-i', board.bring(packages.newer));
  assert.match(board.text(CONFIG), /max_viewers = 3/);
  assert.equal((await board.run('realpath', ENABLED)).trim(), UNIT, 'it is on again');
});

test('purging leaves nothing but what its owner has put beside the config', async () => {
  await board.run('sh', '-c', 'echo secret >/etc/camera-node/turn-secret');
  await board.dpkg('-P', 'camera-node');
  assert.equal((await board.run('find', '/etc', '/usr', '/var/lib', '-name', '*camera-node*', '!', '-path', '/var/lib/dpkg/*')).trim(), '/etc/camera-node');
  assert.equal(board.text('etc/camera-node/turn-secret'), 'secret\n');
  await board.run('rm', '/etc/camera-node/turn-secret');
  await board.dpkg('-i', board.bring(packages.newer));
  await board.dpkg('-P', 'camera-node');
  assert.equal(await board.has('/etc/camera-node'), false);
});
