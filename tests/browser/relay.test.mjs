// A browser and a node that no UDP gets through to: by a TURN server, over TCP and over TLS.
import assert from 'node:assert/strict';
import test from 'node:test';

import { launchBrowser, openPage } from './browser.mjs';
import { NODE, SERVER, cannotRaise, raiseIsland, startCoturn, startNode } from './island.mjs';
import { waitForPicture } from './page.mjs';
import { keepConnections, pairInUse } from './pair.mjs';
import { temporaryFile, until } from './processes.mjs';

const SECRET = 'north';

async function plays(t, url, over) {
  const island = raiseIsland(t);
  const turn = await startCoturn(t, island.hub, SECRET);
  await startNode(t, 'node-relay', island, `
ca_file = "${turn.ca}"
[[ice.servers]]
urls = ["${url}"]
secret_file = "${temporaryFile(t, 'secret', SECRET)}"
lifetime_s = 60
`);
  // The authority is the test's own.
  const browser = await launchBrowser(t, { more: ['--ignore-certificate-errors'], wrapped: island.atViewers });
  const page = await openPage(browser);
  await keepConnections(page);
  await page.goto(`http://${NODE}:8080/`);
  await waitForPicture(page, 30_000);
  const { ours, theirs } = await until('a pair is in use', () => pairInUse(page));
  assert.deepEqual([ours.candidateType, ours.relayProtocol, theirs.candidateType], ['relay', over, 'relay']);
}

const skip = cannotRaise(['/usr/sbin/nft', '/usr/bin/turnserver']);

test('no UDP gets through: it plays by a relay over TCP', { timeout: 90_000, skip }, (t) => plays(t, `turn:${SERVER}:3478?transport=tcp`, 'tcp'));

test('no UDP gets through: it plays by a relay over TLS', { timeout: 90_000, skip }, (t) => plays(t, `turns:${SERVER}:5349?transport=tcp`, 'tls'));
