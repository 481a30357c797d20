// The ways to a binary that the other rings do not go: `deploy/demo`, the README's first command, and a build without npm.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { test } from 'node:test';

import { binary, cache, Child, root, STAND_INS, startDemo, temporaryFile, temporaryFolder } from '../browser/processes.mjs';

const text = async (url) => (await fetch(url)).text();

test('deploy/demo builds what it runs, says one line, and ends in good order', async (t) => {
  const config = temporaryFile(t, 'stand-ins.toml', STAND_INS);
  const ports = ['--http-port', '0', '--mqtt-port', '0', '--ws-port', '0'];
  const demo = new Child(t, 'deploy-demo', path.join(root, 'deploy/demo'), ['--json', '--config', config, ...ports], { stdout: 'pipe' });
  const lines = [];
  const output = readline.createInterface({ input: demo.process.stdout }).on('line', (line) => lines.push(line));
  await demo.before(once(output, 'line'));
  const { page, broker, node } = JSON.parse(lines[0]);

  const index = await text(page);
  const script = /src="\.?\/?([^"]+\.js)"/.exec(index)?.[1];
  assert.ok(script, `the page that npm has built: ${index}`);
  assert.equal((await fetch(new URL(script, page))).status, 200);
  const watch = spawnSync(binary, ['watch', '--json', '--broker', broker, '--node', node, '--seconds', '2'], { encoding: 'utf8' });
  assert.equal(watch.status, 0, watch.stderr);
  assert.ok(JSON.parse(watch.stdout).frames >= 10, watch.stdout);

  assert.deepEqual(await demo.end(), { code: 0, signal: null });
  assert.equal(lines.length, 1, `JSON and nothing else: ${lines}`);
});

test('a build without npm works, and serves a page that says how to build the viewer', async (t) => {
  // All that git knows, and nothing that npm has made. It stays at one place, so that only what has changed is built again.
  const copy = path.join(cache, 'without-npm');
  rmSync(copy, { recursive: true, force: true });
  const files = execFileSync('git', ['ls-files', '-z', 'Cargo.toml', 'Cargo.lock', 'src', 'deploy', 'tests'], { cwd: root, encoding: 'utf8' });
  for (const file of files.split('\0').filter(Boolean)) {
    mkdirSync(path.dirname(path.join(copy, file)), { recursive: true });
    copyFileSync(path.join(root, file), path.join(copy, file));
  }
  const target = process.env.CARGO_TARGET_DIR ?? path.join(cache, 'target');
  const env = { ...process.env, CARGO_TARGET_DIR: target };
  const build = spawnSync('cargo', ['build', '--locked', '--bin', 'camera-node'], { cwd: copy, env, encoding: 'utf8' });
  assert.equal(build.status, 0, build.stderr);
  const unbuilt = path.join(temporaryFolder(t), 'camera-node');
  copyFileSync(path.join(target, 'debug/camera-node'), unbuilt);

  const exported = spawnSync(unbuilt, ['viewer', '--export', temporaryFolder(t)], { encoding: 'utf8' });
  assert.equal(exported.status, 1);
  assert.match(exported.stderr, /built without the viewer page: run `npm ci && npm run build` in src\/viewer/);

  const demo = await startDemo(t, 'demo-without-page', ['--config', temporaryFile(t, 'stand-ins.toml', STAND_INS)], {}, unbuilt);
  const page = await text(demo.page);
  assert.match(page, /The viewer page is not built in/);
  assert.match(page, /npm run build/);
  assert.equal((await fetch(new URL('style.css', demo.page))).status, 200);
  assert.match(await text(new URL('healthz', demo.page)), /camera/);
  const watch = spawnSync(unbuilt, ['watch', '--json', '--broker', demo.broker, '--node', demo.node, '--seconds', '1'], { encoding: 'utf8' });
  assert.ok(JSON.parse(watch.stdout).frames >= 3, watch.stderr);
});
