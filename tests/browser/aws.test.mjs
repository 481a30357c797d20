// The library at a broker that stands for AWS IoT Core, whose rules are held against what was really sent.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';

import { brokenAwsRules } from './aws-rules.mjs';
import { launchBrowser } from './browser.mjs';
import { openLibrary } from './library.mjs';
import { startPorch } from './porch.mjs';
import { binary, Child, temporaryFolder, until } from './processes.mjs';
import { startRecorder } from './recorder.mjs';

test('a registration, a picture, a ring that is taken and two cuts: the library says what AWS IoT takes', { timeout: 120_000 }, async (t) => {
  const socket = path.join(temporaryFolder(t), 'ring.sock');
  const porch = await startPorch(t, 'library-aws', { more: `[ring]\nsocket = "${socket}"\n` });
  const recorder = await startRecorder(t, porch.broker.wsUrl);
  const page = await openLibrary(await launchBrowser(t), porch.page);
  const pictureBytes = await page.evaluate(async (broker) => {
    const { Camera } = window.library;
    window.camera = new Camera({ broker, node: 'porch', wants: { video: true, audio: true } });
    window.camera.on('stream', (got) => {
      document.querySelector('video').srcObject = got?.stream ?? null;
    });
    window.camera.on('incomingCall', (call) => call.accept());
    window.camera.register('Kitchen');
    return (await window.camera.snapshot()).size;
  }, recorder.url);
  assert.ok(pictureBytes > 5_000, `${pictureBytes} bytes`);
  await page.waitForFunction(() => window.camera.registration.state === 'on');
  const ring = new Child(t, 'library-aws-ring', binary, ['ring', '--socket', socket, '--wait']);
  assert.equal((await ring.ended).code, 0, 'somebody has answered');
  await page.waitForFunction(() => window.camera.state.state === 'live' && document.querySelector('video').currentTime > 0, null, { timeout: 60_000 });

  const subscriptions = () => recorder.packets.filter(({ packet }) => packet.cmd === 'suback').length;
  for (const cut of [1, 2]) {
    recorder.cut();
    // Whoever comes back to the page wants it at once.
    await page.waitForFunction(() => window.camera.state.brokerAway === true);
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await until('it is back at the broker', () => subscriptions() === 1 + cut);
    await page.waitForFunction(() => window.camera.state.state === 'live' && window.camera.state.brokerAway === undefined);
  }
  await page.evaluate(() => {
    window.camera.unregister();
    window.camera.stop();
  });
  await page.waitForFunction(() => window.camera.state.state === 'idle');
  await until('the last word is out', () => said(recorder, true).includes('leave') && said(recorder, true).includes('unregister'));

  assert.deepEqual(brokenAwsRules(recorder.packets), []);
  const ids = new Set(recorder.packets.flatMap(({ packet }) => (packet.cmd === 'connect' ? [packet.clientId] : [])));
  assert.equal(ids.size, 1, 'one viewer');
  const [id] = ids;
  // What the shipped policy lets a viewer do.
  assert.match(id, /^v-/);
  for (const { packet, fromClient } of recorder.packets) {
    if (packet.cmd === 'publish' && fromClient) assert.equal(packet.topic, `camera-node/v1/porch/in/${id}`);
    if (packet.cmd !== 'subscribe') continue;
    assert.deepEqual(packet.subscriptions.map(({ topic }) => topic).sort(), [`camera-node/v1/porch/out/${id}`, 'camera-node/v1/porch/status']);
  }
  for (const type of ['register', 'snapshot', 'ringing', 'callResponse', 'answer']) {
    assert.ok(said(recorder, true).includes(type), `no ${type} among ${said(recorder, true)}`);
  }
  for (const type of ['registered', 'picture', 'call', 'peer', 'offer']) assert.ok(said(recorder, false).includes(type), type);
});

/** The types of the messages that have passed, one way. */
function said({ packets }, byClient) {
  return packets.flatMap(({ packet, fromClient }) => (packet.cmd === 'publish' && fromClient === byClient ? [JSON.parse(packet.payload).type] : []));
}

test('the rules see what breaks them', () => {
  const entry = (at, packet) => ({ at, connection: 1, fromClient: true, packet });
  const publish = (topic, more = {}) => ({ cmd: 'publish', topic, qos: 1, retain: false, payload: Buffer.alloc(1), ...more });
  const connect = { cmd: 'connect', clientId: 'v-1', clean: true, keepalive: 30 };
  const deep = 'a/b/c/d/e/f/g/h/i';
  const filters = (count) => ({ cmd: 'subscribe', subscriptions: Array.from({ length: count }, () => ({ topic: 'a', qos: 1 })) });
  for (const [packets, words] of [
    [[entry(0, connect), entry(1_100, connect), entry(2_200, publish('a/b/c/d/e/f/g/h')), entry(2_200, filters(8))], undefined],
    [[entry(0, connect), entry(999, connect)], 'v-1: CONNECT after 999 ms'],
    [[entry(0, { ...connect, keepalive: 29 })], 'v-1: keep-alive 29'],
    [[entry(0, { ...connect, clean: false })], 'v-1: a session that stays'],
    [[entry(0, publish('a', { qos: 2 }))], 'PUBLISH to a'],
    [[entry(0, publish(deep))], `PUBLISH to ${deep}`],
    [[entry(0, publish('a', { payload: Buffer.alloc(131_073) }))], '131073 bytes to a'],
    [[entry(0, publish('a', { retain: true }))], 'retained on a'],
    [[entry(0, filters(9))], '9 filters at once'],
    [[entry(0, { cmd: 'pubrec' })], 'pubrec'],
    [Array.from({ length: 101 }, (_, index) => entry(index * 9, publish('a'))), '101 messages within a second on connection 1'],
    [Array.from({ length: 4 }, (_, index) => entry(index, publish('a', { payload: Buffer.alloc(131_072) }))), '524292 bytes within a second on connection 1'],
  ]) {
    assert.deepEqual(brokenAwsRules(packets), words === undefined ? [] : [words]);
  }
});
