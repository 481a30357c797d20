// A WebSocket proxy before a broker that writes down every MQTT packet that passes, with ws and mqtt-packet, which mqtt.js brings.
import { once } from 'node:events';

import mqtt from '../../src/viewer/node_modules/mqtt-packet/mqtt.js';
import { WebSocket, WebSocketServer } from '../../src/viewer/node_modules/ws/wrapper.mjs';

/**
 * The proxy before the broker at `broker`, gone with the test `t`. `packets` are all that have passed, in order: when (ms), on which
 * connection, whose, and the packet as mqtt-packet reads it. `cut()` ends every connection there is.
 */
export async function startRecorder(t, broker) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'mqtt' });
  await once(server, 'listening');
  const packets = [];
  let connections = 0;
  const cut = () => server.clients.forEach((client) => client.terminate());
  server.on('connection', (client) => {
    const connection = (connections += 1);
    const upstream = new WebSocket(broker, 'mqtt');
    const opened = once(upstream, 'open').catch(() => client.terminate());
    const pass = (from, to, fromClient, ready) => {
      const parser = mqtt.parser({ protocolVersion: 4 });
      parser.on('packet', (packet) => packets.push({ at: performance.now(), connection, fromClient, packet }));
      parser.on('error', (error) => packets.push({ at: performance.now(), connection, fromClient, packet: { cmd: `not MQTT: ${error.message}` } }));
      from.on('message', async (bytes) => {
        parser.parse(bytes);
        await ready;
        if (to.readyState === WebSocket.OPEN) to.send(bytes);
      });
      from.on('close', () => to.terminate());
      from.on('error', () => to.terminate());
    };
    pass(client, upstream, true, opened);
    pass(upstream, client, false, Promise.resolve());
  });
  t.after(() => {
    cut();
    server.close();
  });
  return { url: `ws://127.0.0.1:${server.address().port}/mqtt`, packets, cut };
}
