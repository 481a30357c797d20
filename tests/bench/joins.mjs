// How a node answers who joins: by MQTT alone, without a browser and without media.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';

const mqtt = createRequire(new URL('../../src/viewer/package.json', import.meta.url))('mqtt');

const PREFIX = 'camera-node/v1';
// As the protocol repeats a message that is not acknowledged; then it is lost.
const REPEAT_AFTER_MS = [500, 1000, 2000, 4000, 4000, 4000];

/** A peer that joins, hears the node's answer, and leaves. */
class Peer {
  #session = randomBytes(16).toString('hex');
  #seq = 0;
  #client;
  #topic;
  #heard = [];
  #listener = () => {};

  static async connect(broker, node, id) {
    const peer = new Peer();
    peer.#client = mqtt.connect(broker, { clientId: id, reconnectPeriod: 0, protocolVersion: 4 });
    peer.#topic = `${PREFIX}/${node}/in/${id}`;
    await once(peer.#client, 'connect');
    await peer.#client.subscribeAsync(`${PREFIX}/${node}/out/${id}`, { qos: 1 });
    peer.#client.on('message', (_topic, payload) => peer.#hear(JSON.parse(payload)));
    return peer;
  }

  #hear(message) {
    if (message.seq !== undefined && message.session === this.#session) this.#publish({ type: 'ack', ack: message.seq });
    this.#heard.push(message);
    this.#listener();
  }

  #publish(message) {
    this.#client.publish(this.#topic, JSON.stringify({ v: 1, session: this.#session, ...message }), { qos: 1 });
  }

  /** Says it until `answers` finds an answer in what was heard; nothing if there never is one. */
  async #ask(message, answers) {
    const numbered = { ...message, seq: this.#seq++ };
    for (const wait of REPEAT_AFTER_MS) {
      this.#publish(numbered);
      const end = performance.now() + wait;
      for (;;) {
        const answer = this.#heard.find((heard) => answers(heard, numbered));
        if (answer) return answer;
        const left = end - performance.now();
        if (left <= 0) break;
        const timer = new AbortController();
        await Promise.race([
          new Promise((resolve) => (this.#listener = resolve)),
          sleep(left, undefined, { signal: timer.signal }).catch(() => {}),
        ]);
        timer.abort();
      }
    }
    return undefined;
  }

  /** What the node answers to a `join`: its `offer`, an `error`, or nothing. */
  join() {
    const join = { type: 'join', wants: { video: true, audio: true }, nonce: 'bench' };
    return this.#ask(join, ({ type }) => type === 'offer' || type === 'error');
  }

  /** Gives its place back, and ends. */
  async leave() {
    await this.#ask({ type: 'leave', reason: 'closed' }, (heard, { seq }) => heard.ack >= seq);
    await this.#client.endAsync();
  }
}

/** Milliseconds from each of `count` joins, one after the other, to its offer. */
export async function joinToOfferMs(broker, node, count) {
  const times = [];
  for (let n = 0; n < count; n++) {
    // A peer of its own each time: one peer's joins are limited.
    const peer = await Peer.connect(broker, node, `bench-${n}`);
    const begun = performance.now();
    const answer = await peer.join();
    times.push(performance.now() - begun);
    if (answer?.type !== 'offer') throw new Error(`join ${n} was answered by ${JSON.stringify(answer)}`);
    await peer.leave();
  }
  return times;
}

/**
 * What `count` peers hear who join within a second, how long after the first of them the last has heard it, and how long the
 * slowest has waited.
 */
export async function joinTogether(broker, node, count) {
  const peers = await Promise.all(Array.from({ length: count }, (_, n) => Peer.connect(broker, node, `crowd-${n}`)));
  const begun = performance.now();
  let slowestMs = 0;
  const answers = await Promise.all(
    peers.map(async (peer, n) => {
      await sleep((n * 1000) / count);
      const joined = performance.now();
      const answer = await peer.join();
      slowestMs = Math.max(slowestMs, performance.now() - joined);
      return answer;
    }),
  );
  const ms = performance.now() - begun;
  await Promise.all(peers.map((peer) => peer.leave()));
  const served = answers.filter((answer) => answer?.type === 'offer').length;
  const refused = answers.filter((answer) => answer?.retryAfter > 0).length;
  return { served, refused, lost: count - served - refused, ms, slowestMs };
}
