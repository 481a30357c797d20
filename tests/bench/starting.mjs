// How long a node takes from its start to `online` at a broker: by MQTT alone.
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { spawn } from 'node:child_process';

import { binary, startMosquitto, temporaryFile } from '../browser/processes.mjs';

const mqtt = createRequire(new URL('../../src/viewer/package.json', import.meta.url))('mqtt');

/** Milliseconds from the start of `camera-node run` with the test pattern to its `online`, each a process of its own. */
export async function startToOnlineMs(scope, times) {
  const broker = await startMosquitto(scope, 'bench-mosquitto');
  const text = `[node]\nid = "bench"\n[[camera]]\n[camera.video]\nsource = "test-pattern"\n[camera.audio]\nsource = "tone"\n[broker]\nurl = "${broker.url}"\n[http]\nbind = "127.0.0.1:0"\n`;
  const config = temporaryFile(scope, 'bench.toml', text);
  const client = await mqtt.connectAsync(broker.url);
  let isOnline = () => {};
  client.on('message', (_topic, payload, { retain }) => {
    if (!retain && JSON.parse(payload).state === 'online') isOnline(performance.now());
  });
  await client.subscribeAsync('camera-node/v1/bench/status', { qos: 1 });
  const taken = [];
  for (let n = 0; n < times; n++) {
    const online = new Promise((resolve) => (isOnline = resolve));
    const begun = performance.now();
    const node = spawn(binary, ['run', '--config', config], { stdio: 'ignore' });
    const ended = once(node, 'exit');
    const early = ended.then(([code]) => Promise.reject(new Error(`the node ended with ${code}`)));
    taken.push((await Promise.race([online, early])) - begun);
    // It is to end now.
    early.catch(() => {});
    node.kill('SIGTERM');
    await ended;
  }
  await client.endAsync();
  await broker.child.end();
  return taken;
}
