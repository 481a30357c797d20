// A browser that no UDP gets out of, and a node that it reaches by TCP without a TURN server (ICE over TCP).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import test from 'node:test';

import { launchBrowser, openPage } from './browser.mjs';
import { NODE, cannotRaise, raiseIsland, startNode } from './island.mjs';
import { changes, watchPicture } from './observe.mjs';
import { waitForPicture } from './page.mjs';
import { keepConnections, pairInUse } from './pair.mjs';
import { until } from './processes.mjs';

const PORT = 8189;

/** Connects to the node's port from the browser's machine and never says a word; `count` times. */
function standInTheDoor(t, island, count) {
  const script = `
const net = require('node:net');
let open = 0;
for (let n = 0; n < ${count}; n += 1) {
  net.connect(${PORT}, '${NODE}', () => (open += 1) === ${count} && console.log('all')).on('error', () => {});
}
setInterval(() => {}, 1000);`;
  const child = spawn('ip', ['netns', 'exec', island.browser, process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => child.kill());
  return new Promise((resolve) => child.stdout.once('data', resolve));
}

test('no UDP gets through: it plays over TCP, also while others stand in the door', { timeout: 90_000, skip: cannotRaise(['/usr/sbin/nft']) }, async (t) => {
  const island = raiseIsland(t);
  await startNode(t, 'node-tcp', island, `tcp = true\ntcp_port = ${PORT}\n`);
  const browser = await launchBrowser(t, { wrapped: island.atViewers });
  const page = await openPage(browser);
  await keepConnections(page);
  const plays = async () => {
    await waitForPicture(page, 30_000);
    const { ours, theirs } = await until('a pair is in use', () => pairInUse(page));
    assert.deepEqual([ours.protocol, ours.tcpType], ['tcp', 'active']);
    assert.deepEqual([theirs.protocol, theirs.tcpType, theirs.port], ['tcp', 'passive', PORT]);
    assert.ok(changes(await watchPicture(page, 3)) >= 10, 'the picture moves');
  };
  await page.goto(`http://${NODE}:8080/`);
  await plays();
  await standInTheDoor(t, island, 200);
  await page.reload();
  await plays();
});
