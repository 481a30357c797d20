// What AWS IoT Core takes (https://docs.aws.amazon.com/general/latest/gr/iot-core.html), held against what a recorder has seen.

const KIB = 1_024;
const fits = (topic) => Buffer.byteLength(topic) <= 256 && topic.split('/').length <= 8 && !topic.startsWith('$');

/** All that AWS would refuse of these packets. */
export function brokenAwsRules(packets) {
  const broken = [];
  const hold = (isKept, what) => isKept || broken.push(what);
  const connects = new Map();
  const subscriptions = new Map();
  for (const { at, connection, fromClient, packet } of packets) {
    if (packet.cmd === 'connect') {
      const { clientId } = packet;
      hold(clientId.length >= 1 && clientId.length <= 128, `client id ${clientId}`);
      hold(packet.clean, `${clientId}: a session that stays`);
      hold(packet.keepalive >= 30 && packet.keepalive <= 1_200, `${clientId}: keep-alive ${packet.keepalive}`);
      hold(packet.will === undefined, `${clientId}: a viewer with a will`);
      const apart = at - (connects.get(clientId) ?? -Infinity);
      hold(apart >= 1_000, `${clientId}: CONNECT after ${apart} ms`);
      connects.set(clientId, at);
    } else if (packet.cmd === 'publish' && fromClient) {
      hold(packet.qos <= 1 && fits(packet.topic), `PUBLISH to ${packet.topic}`);
      hold(packet.payload.length <= 128 * KIB, `${packet.payload.length} bytes to ${packet.topic}`);
      hold(!packet.retain, `retained on ${packet.topic}`);
    } else if (packet.cmd === 'subscribe') {
      const { length } = packet.subscriptions;
      const all = (subscriptions.get(connection) ?? 0) + length;
      subscriptions.set(connection, all);
      hold(length <= 8, `${length} filters at once`);
      hold(all <= 50, `${all} subscriptions`);
      for (const { topic, qos } of packet.subscriptions) hold(qos <= 1 && fits(topic), `SUBSCRIBE ${topic}`);
    } else {
      hold(!['pubrec', 'pubrel', 'pubcomp'].includes(packet.cmd) && !packet.cmd.startsWith('not MQTT'), packet.cmd);
    }
  }
  for (const [connection, times] of publishes(packets)) {
    const most = (counts) => Math.max(...times.map(({ at }) => times.filter((each) => each.at >= at && each.at < at + 1_000).reduce((sum, each) => sum + counts(each), 0)));
    hold(most(() => 1) <= 100, `${most(() => 1)} messages within a second on connection ${connection}`);
    hold(most(({ bytes }) => bytes) <= 512_000, `${most(({ bytes }) => bytes)} bytes within a second on connection ${connection}`);
  }
  return broken;
}

/** When PUBLISH packets of both directions have passed, and how large they were, by connection. */
function publishes(packets) {
  const times = new Map();
  for (const { at, connection, packet } of packets) {
    if (packet.cmd !== 'publish') continue;
    const bytes = Buffer.byteLength(packet.topic) + packet.payload.length;
    times.set(connection, [...(times.get(connection) ?? []), { at, bytes }]);
  }
  return times;
}
