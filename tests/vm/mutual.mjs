// A Mosquitto as deploy/mosquitto has it: nodes come in by their certificates, and each sees its own topics only.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { Child, answers, freePort, root, temporaryFolder, until } from '../browser/processes.mjs';

/** An authority in `folder`, and what it signs: as deploy/README.md makes them. */
function sign(folder, ...leaves) {
  const openssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-days', '365', '-subj', '/CN=My cameras', '-keyout', 'ca.key', '-out', 'ca.pem');
  for (const [name, other] of leaves) {
    writeFileSync(path.join(folder, 'names'), `subjectAltName=${other}`);
    openssl('req', ...key, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '365', '-out', `${name}.pem`, '-extfile', 'names');
  }
}

/**
 * On loopback, which a guest sees as 10.0.2.2: `tls` for the node `node`, `wsUrl` for its viewers, `url` for who listens in.
 * `folder` has `ca.pem`, and `NODE.pem` and `NODE.key`.
 */
export async function startMutualMosquitto(t, name, node) {
  const [folder, tls, ws, tcp] = [temporaryFolder(t), await freePort(), await freePort(), await freePort()];
  sign(folder, ['broker', 'IP:10.0.2.2'], [node, `DNS:${node}`]);
  const rules = (file) => `acl_file ${path.join(root, 'deploy/mosquitto', file)}`;
  const config = [
    ...['per_listener_settings true', 'persistence false', 'set_tcp_nodelay true'],
    ...[`listener ${tls} 127.0.0.1`, `cafile ${folder}/ca.pem`, `certfile ${folder}/broker.pem`, `keyfile ${folder}/broker.key`],
    ...['require_certificate true', 'use_identity_as_username true', 'allow_anonymous false', rules('nodes.acl')],
    ...[`listener ${ws} 127.0.0.1`, 'protocol websockets', 'allow_anonymous true', rules('viewers.acl')],
    ...[`listener ${tcp} 127.0.0.1`, 'allow_anonymous true'],
    // Started as root it would give up its rights, and with them these files.
    ...(process.getuid() === 0 ? ['user root'] : []),
  ];
  const file = path.join(folder, 'mosquitto.conf');
  writeFileSync(file, `${config.join('\n')}\n`);
  const child = new Child(t, name, '/usr/sbin/mosquitto', ['-c', file]);
  await child.before(until('mosquitto listens', async () => (await answers(tls)) && (await answers(ws)) && answers(tcp)));
  return { folder, tls, url: `mqtt://127.0.0.1:${tcp}`, wsUrl: `ws://127.0.0.1:${ws}`, file: (leaf) => readFileSync(path.join(folder, leaf)) };
}
