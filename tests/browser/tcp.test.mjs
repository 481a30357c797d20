// A browser that no UDP gets out of, and a node that it reaches by TCP without a TURN server (ICE over TCP).
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import test from 'node:test';

import { launchBrowser, openPage } from './browser.mjs';
import { NODE, cannotRaise, raiseIsland, startNode } from './island.mjs';
import { changes, watchPicture } from './observe.mjs';
import { waitForPicture } from './page.mjs';
import { keepConnections, pairInUse } from './pair.mjs';
import { binary, until } from './processes.mjs';

const PORT = 8189;

const skip = cannotRaise(['/usr/sbin/nft']);

/** Connects to the node's port from the browser's machine and never says a word; `count` times. */
function standInTheDoor(t, island, count) {
  const script = `
const net = require('node:net');
let open = 0;
const stand = () => net.connect(${PORT}, '${NODE}', () => (open += 1) === ${count} && console.log('all'))
  .on('error', () => {}).on('close', (failed) => failed && open < ${count} && setTimeout(stand, 50));
for (let n = 0; n < ${count}; n += 1) stand();
setInterval(() => {}, 1000);`;
  const child = spawn('ip', ['netns', 'exec', island.browser, process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => child.kill());
  return new Promise((resolve) => child.stdout.once('data', resolve));
}

test('no UDP gets through: it plays over TCP, also while others stand in the door', { timeout: 90_000, skip }, async (t) => {
  const island = raiseIsland(t);
  await startNode(t, 'node-tcp', island, `tcp = true\ntcp_port = ${PORT}\n`);
  await standInTheDoor(t, island, 200);
  const browser = await launchBrowser(t, { wrapped: island.atViewers });
  const page = await openPage(browser);
  await keepConnections(page);
  await page.goto(`http://${NODE}:8080/`);
  await waitForPicture(page, 30_000);
  const { ours, theirs } = await until('a pair is in use', () => pairInUse(page));
  assert.deepEqual([ours.protocol, ours.tcpType], ['tcp', 'active']);
  assert.deepEqual([theirs.protocol, theirs.tcpType, theirs.port], ['tcp', 'passive', PORT]);
  assert.ok(changes(await watchPicture(page, 3)) >= 10, 'the picture moves');
});

test('no UDP gets through: the viewer without a window plays over TCP too', { timeout: 90_000, skip }, async (t) => {
  const island = raiseIsland(t);
  await startNode(t, 'node-tcp-watch', island, 'tcp = true\n');
  const there = ['netns', 'exec', island.browser, binary, 'watch', '--broker', `ws://${NODE}:9001/mqtt`, '--node', 'porch', '--seconds', '3', '--json'];
  const watched = spawnSync('ip', there, { encoding: 'utf8', timeout: 60_000 });
  assert.equal(watched.status, 0, `${watched.stdout}${watched.stderr}`);
  assert.ok(JSON.parse(watched.stdout).frames >= 10, watched.stdout);
});
