// What a session's beginning costs at the broker.
import { setTimeout as sleep } from 'node:timers/promises';

/** Acknowledgements and late candidates come within this time of the first picture. */
const SETTLED_MS = 2_000;

/** Counts the messages of sessions that go through a page's WebSocket, both ways; call it before the page is opened. */
export function countMessages(tab) {
  let count = 0;
  const look = ({ payload }) => (count += sessionMessages(payload));
  tab.on('websocket', (socket) => socket.on('framesent', look).on('framereceived', look));
  return async () => {
    await sleep(SETTLED_MS);
    return count;
  };
}

/** PUBLISH packets (type 3, MQTT 3.1.1 section 3.3) on the topics of a peer in one WebSocket frame. */
export function sessionMessages(frame) {
  let found = 0;
  for (let at = 0; at < frame.length; ) {
    let [length, shift, next] = [0, 0, at + 1];
    for (let more = true; more; shift += 7) {
      length |= (frame[next] & 0x7f) << shift;
      more = (frame[next++] & 0x80) !== 0;
    }
    const topic = frame.subarray(next + 2, next + 2 + frame.readUInt16BE(next)).toString();
    if (frame[at] >> 4 === 3 && /\/(in|out)\/[^/]+$/.test(topic)) found += 1;
    at = next + length;
  }
  return found;
}
