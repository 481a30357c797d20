// node ask-mdns.mjs NAME TYPE [ADDRESS]: asks the LAN by multicast DNS (RFC 6762) until someone answers (with ADDRESS, if
// that is given), and prints the answers as a line of JSON. Its own few lines of DNS, so that it shares no mistake with the node.
import { createSocket } from 'node:dgram';

const [name, type, wanted] = process.argv.slice(2);
const TYPES = { A: 1, PTR: 12 };
const GROUP = '224.0.0.251';

function question() {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
  return Buffer.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, TYPES[type], 0, 1]);
}

/** A name at `at`, and where it ends. */
function readName(packet, at) {
  const labels = [];
  for (let length = packet[at]; length !== 0; length = packet[at]) {
    if (length >= 0xc0) {
      labels.push(readName(packet, ((length & 0x3f) << 8) | packet[at + 1])[0]);
      return [labels.join('.'), at + 2];
    }
    labels.push(packet.toString('utf8', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return [labels.join('.'), at + 1];
}

function answers(packet) {
  const [questions, records] = [packet.readUInt16BE(4), packet.readUInt16BE(6)];
  let at = 12;
  for (let n = 0; n < questions; n += 1) at = readName(packet, at)[1] + 4;
  const found = [];
  for (let n = 0; n < records; n += 1) {
    const [owner, after] = readName(packet, at);
    const [kind, length] = [packet.readUInt16BE(after), packet.readUInt16BE(after + 8)];
    const data = after + 10;
    if (kind === TYPES.A && type === 'A') found.push({ name: owner, value: [...packet.subarray(data, data + 4)].join('.') });
    if (kind === TYPES.PTR && type === 'PTR') found.push({ name: owner, value: readName(packet, data)[0] });
    at = data + length;
  }
  return found.filter((one) => one.name.toLowerCase() === name.toLowerCase());
}

const socket = createSocket({ type: 'udp4', reuseAddr: true });
socket.on('message', (packet) => {
  const isAnswer = (packet[2] & 0x80) !== 0;
  const found = isAnswer ? answers(packet) : [];
  if (found.length === 0 || (wanted !== undefined && !found.some(({ value }) => value === wanted))) return;
  console.log(JSON.stringify(found.map(({ value }) => value)));
  process.exit(0);
});
socket.bind(5353, () => {
  socket.addMembership(GROUP);
  const ask = () => socket.send(question(), 5353, GROUP);
  ask();
  setInterval(ask, 1_000);
});
setTimeout(() => process.exit(1), 20_000);
