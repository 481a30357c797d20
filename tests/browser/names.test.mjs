// A browser that hides its address behind a name of multicast DNS, and a node behind a firewall that lets nobody in whom it has
// not addressed itself: so it has to learn the address by the name. Nor has it a way out of the LAN, as many cameras.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import test from 'node:test';

import { launchBrowser, openPage } from './browser.mjs';
import { layCable, noNamespaces } from './network.mjs';
import { waitForPicture } from './page.mjs';
import { keepConnections, pairInUse } from './pair.mjs';
import { binary, temporaryFile, temporaryFolder, until } from './processes.mjs';

const PORT = 8080;

/** Of UDP, only answers come in, and what is said to everybody on the LAN. */
const FIREWALL = `table inet house { chain input { type filter hook input priority 0;
  iif lo accept; ct state established accept; udp dport 5353 accept; meta l4proto udp counter drop; }; }`;

async function startNode(t, cable, mdns) {
  const config = temporaryFile(t, 'node.toml', `
[node]
id = "porch"
state_folder = "${temporaryFolder(t)}"
[[camera]]
[camera.video]
source = "test-pattern"
width = 640
height = 360
[broker]
embedded = true
embedded_password = false
[http]
bind = "10.78.0.1:${PORT}"
[access]
i_trust_the_broker = true
[ice]
mdns = ${mdns}
`);
  const env = { CAMERA_NODE_LOG: 'warn,camera_node=info,camera_node::peer=debug' };
  const child = cable.camera.start(t, `node-names-${mdns}`, binary, ['run', '--config', config], { env });
  const page = `fetch('http://10.78.0.1:${PORT}/healthz').then((r) => console.log(r.status)).catch(() => console.log(''))`;
  await child.before(until('the page is there', () => cable.viewer.run('node', ['-e', page]).includes('200'), 30_000));
  return child;
}

/** Names that the page has told of itself, and addresses. */
function told(page) {
  return page.evaluate(() => {
    const lines = window.connections.flatMap((pc) => pc.localDescription?.sdp.match(/^a=candidate:.* typ host/gm) ?? []);
    return lines.filter((line) => / udp /i.test(line)).map((line) => line.split(' ')[4]);
  });
}

/** A page of the node's behind its firewall. */
async function openPageBehind(t, mdns) {
  const cable = layCable(t);
  cable.camera.run('nft', [FIREWALL]);
  cable.camera.ip('route del default');
  const node = await startNode(t, cable, mdns);
  const page = await openPage(await launchBrowser(t, { wrapped: (program) => cable.viewer.wrapper(t, program) }));
  await keepConnections(page);
  await page.goto(`http://10.78.0.1:${PORT}/`);
  return { cable, node, page };
}

/** The addresses that the node has found behind a name. */
function found(node, name) {
  const lines = readFileSync(node.log, 'utf8').split('\n').filter((line) => line.includes('a .local name is known') && line.includes(name));
  return lines.map((line) => line.match(/address=(\S+)/)?.[1]);
}

const skip = noNamespaces || (!existsSync('/usr/sbin/nft') && 'nft: not installed');

test('a viewer is reached by the name that it hides its address behind', { timeout: 90_000, skip }, async (t) => {
  const { node, page } = await openPageBehind(t, true);
  await waitForPicture(page, 30_000);
  const hosts = await told(page);
  assert.ok(hosts.length > 0 && hosts.every((host) => host.endsWith('.local')), hosts.join());
  assert.deepEqual(hosts.flatMap((host) => found(node, host)), ['10.78.0.2']);
  const { ours, theirs } = await pairInUse(page);
  assert.deepEqual([ours.candidateType, theirs.candidateType, theirs.address], ['host', 'host', '10.78.0.1']);
});

test('the same viewer is not reached where the name is not asked for', { timeout: 90_000, skip }, async (t) => {
  const { cable, page } = await openPageBehind(t, false);
  const dropped = () => Number(cable.camera.run('nft', ['list', 'ruleset']).match(/counter packets (\d+)/)[1]);
  await until('its own checks are turned away', () => dropped() >= 20, 30_000);
  assert.equal(await pairInUse(page), undefined);
});
