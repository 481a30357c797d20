// A browser and a node that no UDP gets through to: by a TURN server, over TCP and over TLS.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import test from 'node:test';

import { launchBrowser, openPage } from './browser.mjs';
import { NODE, SERVER, cannotRaise, raiseIsland, startCoturn } from './island.mjs';
import { waitForPicture } from './page.mjs';
import { Child, binary, temporaryFile, until } from './processes.mjs';

const SECRET = 'north';

async function startNode(t, island, turn, url) {
  const config = temporaryFile(t, 'node.toml', `
[node]
id = "porch"
[[camera]]
[camera.video]
source = "test-pattern"
width = 640
height = 360
[camera.audio]
source = "tone"
[broker]
embedded = true
embedded_bind = "127.0.0.1:1883"
embedded_websocket_bind = "${NODE}:9001"
embedded_password = false
[http]
bind = "${NODE}:8080"
[access]
i_trust_the_broker = true
[ice]
ca_file = "${turn.ca}"
[[ice.servers]]
urls = ["${url}"]
secret_file = "${temporaryFile(t, 'secret', SECRET)}"
lifetime_s = 60
`);
  const child = new Child(t, 'node-relay', 'ip', ['netns', 'exec', island.node, binary, 'run', '--config', config]);
  const answers = () => {
    try {
      execFileSync('ip', ['netns', 'exec', island.browser, 'bash', '-c', `: </dev/tcp/${NODE}/8080`], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  await child.before(until('the page is there', answers));
}

/** The candidates of the pair in use, ours and theirs. */
async function pairInUse(page) {
  return page.evaluate(async () => {
    for (const pc of window.connections) {
      const stats = await pc.getStats();
      const transport = [...stats.values()].find((one) => one.type === 'transport' && one.selectedCandidatePairId);
      if (!transport) continue;
      const pair = stats.get(transport.selectedCandidatePairId);
      const { candidateType, relayProtocol } = stats.get(pair.localCandidateId);
      return { ours: candidateType, over: relayProtocol, theirs: stats.get(pair.remoteCandidateId).candidateType };
    }
    return undefined;
  });
}

async function plays(t, url, over) {
  const island = raiseIsland(t);
  const turn = await startCoturn(t, island.hub, SECRET);
  await startNode(t, island, turn, url);
  const wrapped = (program) => {
    const wrapper = temporaryFile(t, 'chromium', `#!/bin/sh\nexec ip netns exec ${island.browser} ${program} "$@"\n`);
    chmodSync(wrapper, 0o755);
    return wrapper;
  };
  // The authority is the test's own.
  const browser = await launchBrowser(t, { more: ['--ignore-certificate-errors'], wrapped });
  const page = await openPage(browser);
  await page.addInitScript(() => {
    window.connections = [];
    const Real = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
      constructor(...args) {
        super(...args);
        window.connections.push(this);
      }
    };
  });
  await page.goto(`http://${NODE}:8080/`);
  await waitForPicture(page, 30_000);
  const pair = await until('a pair is in use', () => pairInUse(page));
  assert.deepEqual(pair, { ours: 'relay', over, theirs: 'relay' });
}

const skip = cannotRaise();

test('no UDP gets through: it plays by a relay over TCP', { timeout: 90_000, skip }, (t) => plays(t, `turn:${SERVER}:3478?transport=tcp`, 'tcp'));

test('no UDP gets through: it plays by a relay over TLS', { timeout: 90_000, skip }, (t) => plays(t, `turns:${SERVER}:5349?transport=tcp`, 'tls'));
