// Two network namespaces and a hub between them that lets TCP through and no UDP: a node's, a browser's, and Debian's coturn on
// the hub; needs root.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';

import { Child, binary, root, temporaryFile, temporaryFolder, until } from './processes.mjs';

/** Where coturn is; the node and the browser have 10.79.1.2 and 10.79.2.2. */
/** A public address: the shipped file of coturn's lets nobody relay to a private one. */
export const SERVER = '11.79.0.1';
export const NODE = '10.79.1.2';

const ip = (words) => execFileSync('ip', words.split(' '), { stdio: ['ignore', 'ignore', 'pipe'] });

/** Why not here; false if none of `programs` is missing. */
export function cannotRaise(programs) {
  if (process.getuid() !== 0) return 'network namespaces need root';
  const missing = programs.filter((file) => spawnSync('test', ['-x', file]).status !== 0);
  return missing.length > 0 && `${missing.join(' and ')}: not installed`;
}

/** The names of the three namespaces, all gone with the test `t`; `atViewers` makes of a program one that runs at the browser's. */
export function raiseIsland(t) {
  const [hub, node, browser] = ['bhub', 'bnode', 'bview'].map((name) => `cn-${name}-${process.pid}`);
  t.after(() => [hub, node, browser].forEach((name) => spawnSync('ip', ['netns', 'del', name])));
  ip(`netns add ${hub}`);
  ip(`-n ${hub} link set lo up`);
  ip(`-n ${hub} addr add ${SERVER}/32 dev lo`);
  for (const [number, end] of [[1, node], [2, browser]]) {
    ip(`netns add ${end}`);
    ip(`-n ${hub} link add to${number} type veth peer name out netns ${end}`);
    ip(`-n ${hub} addr add 10.79.${number}.1/24 dev to${number}`);
    ip(`-n ${hub} link set to${number} up`);
    ip(`-n ${end} link set lo up`);
    ip(`-n ${end} addr add 10.79.${number}.2/24 dev out`);
    ip(`-n ${end} link set out up`);
    ip(`-n ${end} route add default via 10.79.${number}.1`);
  }
  ip(`netns exec ${hub} sysctl -q -w net.ipv4.ip_forward=1`);
  const chain = (hook) => `chain ${hook} { type filter hook ${hook} priority 0; iif lo accept; meta l4proto udp drop; };`;
  const rules = `table inet island { ${chain('input')} ${chain('forward').replace('iif lo accept; ', '')} }`;
  execFileSync('ip', ['netns', 'exec', hub, 'nft', rules]);
  const atViewers = (program) => {
    const wrapper = temporaryFile(t, 'there', `#!/bin/sh\nexec ip netns exec ${browser} ${program} "$@"\n`);
    chmodSync(wrapper, 0o755);
    return wrapper;
  };
  return { hub, node, browser, atViewers };
}

/** A node with its own broker and its page; `ice` stands in its section of that name. */
export async function startNode(t, name, island, ice) {
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
${ice}`);
  const child = new Child(t, name, 'ip', ['netns', 'exec', island.node, binary, 'run', '--config', config]);
  const there = ['netns', 'exec', island.browser, 'bash', '-c', `: </dev/tcp/${NODE}/8080`];
  await child.before(until('the page is there', () => spawnSync('ip', there).status === 0));
  return child;
}

/** The shipped coturn config on the hub; `ca` is the PEM file of its authority. */
export async function startCoturn(t, hub, secret) {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  const at = (name) => path.join(folder, name);
  const openssl = (...words) => execFileSync('openssl', words, { stdio: 'ignore' });
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...ec, '-days', '30', '-subj', '/CN=island CA', '-keyout', at('ca.key'), '-out', at('ca.pem'));
  openssl('req', ...ec, '-subj', '/CN=turn', '-keyout', at('turn.key'), '-out', at('turn.csr'));
  writeFileSync(at('names'), `subjectAltName=IP:${SERVER}\n`);
  openssl('x509', '-req', '-in', at('turn.csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '30',
    '-out', at('turn.pem'), '-extfile', at('names'));
  chmodSync(at('turn.key'), 0o644);
  const shipped = readFileSync(path.join(root, 'deploy/coturn/turnserver.conf'), 'utf8');
  const config = shipped
    .replace('/etc/coturn/fullchain.pem', at('turn.pem'))
    .replace('/etc/coturn/privkey.pem', at('turn.key'))
    .replace('=CHANGE-THIS', `=${secret}`);
  const ours = [`listening-ip=${SERVER}`, `relay-ip=${SERVER}`, `pidfile=${at('pid')}`, `userdb=${at('db')}`];
  writeFileSync(at('turnserver.conf'), `${config}\n${ours.join('\n')}\n`);
  const child = new Child(t, 'coturn', 'ip', ['netns', 'exec', hub, 'turnserver', '-c', at('turnserver.conf')], { stdout: 'pipe' });
  const lines = readline.createInterface({ input: child.process.stdout });
  // Said when all its listeners are open. What it says later is read too, or it would wait for a reader.
  const listens = new Promise((resolve) => lines.on('line', (line) => line.includes('Total General servers') && resolve()));
  await child.before(listens);
  return { ca: at('ca.pem') };
}
