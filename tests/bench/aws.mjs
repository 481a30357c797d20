// A node on the profile of AWS IoT Core, at a Mosquitto that stands for it, and a crowd that joins.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { joinTogether } from './joins.mjs';

const MOSQUITTO = '/usr/sbin/mosquitto';
// The profile wants AWS's own port; an address of loopback that nobody else uses keeps it free.
const HOST = '127.0.0.77';
const TLS_PORT = 8883;
const PLAIN_PORT = 18_883;

function certificates(folder) {
  const openssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-days', '2', '-subj', '/CN=Bench CA', '-keyout', 'ca.key', '-out', 'ca.pem');
  for (const name of ['broker', 'bench']) {
    writeFileSync(path.join(folder, 'names'), `subjectAltName=DNS:${name}.local`);
    openssl('req', ...key, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names'];
    openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-out', `${name}.pem`);
  }
}

async function listens(host, port) {
  for (let tries = 0; tries < 200; tries++) {
    const socket = net.connect(port, host);
    const open = await new Promise((resolve) => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)));
    socket.destroy();
    if (open) return;
    await sleep(50);
  }
  throw new Error(`nothing listens at ${host}:${port}`);
}

/** What `count` peers hear who join within a second; nothing where there is no Mosquitto. */
export async function joinOnAws(binary, camera, count) {
  if (!existsSync(MOSQUITTO)) return undefined;
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-aws-'));
  certificates(folder);
  const broker = [
    'per_listener_settings true',
    'user root',
    'persistence false',
    'set_tcp_nodelay true',
    `listener ${PLAIN_PORT} ${HOST}`,
    'allow_anonymous true',
    `listener ${TLS_PORT} ${HOST}`,
    'require_certificate true',
    'use_identity_as_username true',
    ...['cafile ca.pem', 'certfile broker.pem', 'keyfile broker.key'].map((line) => line.replace(' ', ` ${folder}/`)),
  ];
  writeFileSync(path.join(folder, 'mosquitto.conf'), `${broker.join('\n')}\n`);
  const node = [
    '[node]',
    'id = "bench"',
    camera,
    '[broker]',
    'profile = "aws-iot"',
    `url = "mqtts://${HOST}:${TLS_PORT}"`,
    'server_name = "broker.local"',
    `ca_file = "${folder}/ca.pem"`,
    `client_cert_file = "${folder}/bench.pem"`,
    `client_key_file = "${folder}/bench.key"`,
    '[access]',
    'i_trust_the_broker = true',
    '[http]',
    'enabled = false',
    // Whoever has a place keeps it until all have their answer.
    '[limits]',
    'answer_timeout_s = 120',
  ];
  writeFileSync(path.join(folder, 'node.toml'), `${node.join('\n')}\n`);
  const mosquitto = spawn(MOSQUITTO, ['-c', path.join(folder, 'mosquitto.conf')], { stdio: 'ignore' });
  const children = [mosquitto];
  try {
    await listens(HOST, TLS_PORT);
    const run = spawn(binary, ['run', '--config', path.join(folder, 'node.toml')], { stdio: ['ignore', 'ignore', 'pipe'] });
    children.unshift(run);
    let log = '';
    await new Promise((resolve, reject) => {
      run.once('exit', () => reject(new Error(`the node has ended: ${log}`)));
      run.stderr.on('data', (text) => {
        log += text;
        if (log.includes('broker connection up')) resolve();
      });
    });
    return await joinTogether(`mqtt://${HOST}:${PLAIN_PORT}`, 'bench', count);
  } finally {
    for (const child of children) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.kill('SIGINT')) await ended;
    }
  }
}
