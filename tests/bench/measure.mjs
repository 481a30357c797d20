// Takes the README's numbers from a running demo; `tests/bench/run` builds first.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { launchBrowser } from '../browser/browser.mjs';
import { artefacts, binary, root } from '../browser/processes.mjs';
import { requestMs } from './asking.mjs';
import { joinOnAws } from './aws.mjs';
import { countMessages } from './handshake.mjs';
import { joinToOfferMs, joinTogether } from './joins.mjs';
import { startToOnlineMs } from './starting.mjs';
import { writeTexture } from './texture.mjs';

const { values: options } = parseArgs({
  options: { runs: { type: 'string', default: '5' }, 'slim-bytes': { type: 'string' } },
});
const runs = Number(options.runs);
const WINDOW_S = 10;
const VIEWERS = 16;
const JOINS = 200;
const ASKED = 200;
const CROWD = 100;
const STARTS = 5;

const endings = [];
// `launchBrowser` is made for tests: all it wants of one is a place to hang its end.
const scope = { after: (end) => endings.push(end) };

function start(args) {
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  scope.after(() => child.kill('SIGINT'));
  return child;
}

async function firstLine(child) {
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error('it ended without a word');
}

async function metrics(page) {
  const text = await (await fetch(new URL('metrics', page))).text();
  const lines = text.split('\n').filter((line) => line && !line.startsWith('#'));
  return lines.map((line) => {
    const [, name, labels = '', value] = line.match(/^(\w+)(\{.*\})? (.*)$/);
    return { name, labels, value: Number(value) };
  });
}

function bucketsOf(samples, name) {
  return samples
    .filter((sample) => sample.name === `${name}_bucket`)
    .map(({ labels, value }) => ({ le: Number(labels.match(/le="([^"]+)"/)[1].replace('+Inf', 'Infinity')), value }));
}

/** The quantile of what was counted between two scrapes, interpolated within its bucket, in milliseconds. */
function quantileMs(before, after, name, share) {
  const old = bucketsOf(before, name);
  const counts = bucketsOf(after, name).map(({ le, value }, i) => ({ le, value: value - (old[i]?.value ?? 0) }));
  const wanted = counts.at(-1).value * share;
  const i = counts.findIndex(({ value }) => value >= wanted);
  const [low, below] = i > 0 ? [counts[i - 1].le, counts[i - 1].value] : [0, 0];
  return 1000 * (low + ((counts[i].le - low) * (wanted - below)) / Math.max(1, counts[i].value - below));
}

/** Seconds of CPU each of a process's threads has used, summed by the thread's name. */
function cpuByThread(pid) {
  const sums = {};
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8');
    // `net`, `net-media` and its helpers are the network; `encode-main` is the encoder of the camera called main.
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')).replace(/-\w+$/, '');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    sums[name] = (sums[name] ?? 0) + (Number(fields[11]) + Number(fields[12])) / 100;
  }
  return sums;
}

const rssMb = (pid) => Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1000;

async function viewersSettled(page, count) {
  for (let tries = 0; tries < 300; tries++) {
    const now = (await metrics(page)).find(({ name }) => name === 'camera_node_viewers')?.value;
    if (now === count) return;
    await sleep(100);
  }
  throw new Error(`there never were ${count} viewers`);
}

async function firstFrameMs(browser, page) {
  const context = await browser.newContext();
  const tab = await context.newPage();
  await tab.addInitScript(() => {
    const seek = () => {
      const video = document.querySelector('video');
      if (video) video.requestVideoFrameCallback((now) => (window.firstFrameAt = now));
      else requestAnimationFrame(seek);
    };
    seek();
  });
  const messages = countMessages(tab);
  await tab.goto(page);
  await tab.waitForFunction(() => window.firstFrameAt !== undefined, undefined, { timeout: 20_000 });
  const ms = await tab.evaluate(() => {
    const joined = window.cameraNode.events.findLast(({ name, at }) => name === 'join' && at <= window.firstFrameAt);
    return window.firstFrameAt - joined.at;
  });
  record('messages of a handshake, acknowledgements included', await messages());
  await context.close();
  return ms;
}

const folder = path.join(artefacts, 'bench');
mkdirSync(folder, { recursive: true });
const config = path.join(folder, 'camera.toml');

const texture = path.join(folder, 'texture.y4m');
/** The test pattern takes a third of 2 Mbit/s; this takes all of it. */
const camera = ['[[camera]]', '[camera.video]', 'source = "file"', `file = "${texture}"`, '[camera.audio]', 'source = "tone"', ''].join('\n');
/** A speaker that is a file has no buffer: a card's comes on top. */
const speaker = ['[camera.speaker]', 'sink = "file"', `file = "${path.join(folder, 'heard.wav')}"`, ''].join('\n');

const results = {};
function record(figure, value) {
  (results[figure] ??= []).push(value);
}

async function one(run) {
  const starts = (await startToOnlineMs(scope, STARTS)).sort((a, b) => a - b);
  record('start to online, median, ms', starts[Math.floor(STARTS / 2)]);
  const demo = start(['demo', '--json', '--config', config, '--http-port', '0', '--mqtt-port', '0', '--ws-port', '0']);
  const { page, broker, node } = JSON.parse(await firstLine(demo));
  const watch = () => start(['watch', '--no-decode', '--broker', broker, '--node', node]);
  const viewers = [watch()];
  await viewersSettled(page, 1);

  const joins = (await joinToOfferMs(broker, node, JOINS)).sort((a, b) => a - b);
  record('join to offer, median, ms', joins[JOINS / 2]);
  record('join to offer p95, ms', joins[Math.ceil(JOINS * 0.95) - 1]);
  const crowd = await joinTogether(broker, node, CROWD);
  record(`${CROWD} joins in a second: served`, crowd.served);
  record(`${CROWD} joins in a second: refused, as it is full`, crowd.refused);
  record(`${CROWD} joins in a second: lost`, crowd.lost);
  record(`${CROWD} joins in a second: from the first to the last answer, ms`, crowd.ms);

  const browser = await launchBrowser(scope);
  record('first frame in Chromium, first page of a new browser, ms', await firstFrameMs(browser, page));
  record('first frame in Chromium, ms', await firstFrameMs(browser, page));
  const asked = await requestMs(browser, page, ASKED);
  record('round trip of a request, median, ms', asked[ASKED / 2]);
  record('round trip of a request p95, ms', asked[Math.ceil(ASKED * 0.95) - 1]);
  await browser.close();
  await viewersSettled(page, 1);

  let before = await metrics(page);
  let cpu = cpuByThread(demo.pid);
  const used = (later, name) => ((later[name] ?? 0) - (cpu[name] ?? 0)) / WINDOW_S;
  await sleep(WINDOW_S * 1000);
  let after = await metrics(page);
  let later = cpuByThread(demo.pid);
  const sent = (samples) => samples.find(({ name }) => name === 'camera_node_encoded_bytes_total').value;
  record('bit rate of the picture, Mbit/s', ((sent(after) - sent(before)) * 8) / WINDOW_S / 1e6);
  const encode = quantileMs(before, after, 'camera_node_encode_seconds', 0.95);
  const wire = quantileMs(before, after, 'camera_node_capture_to_wire_seconds', 0.95);
  record('encode p95, ms', encode);
  record('capture to wire p95, ms', wire);
  record('capture to wire p95 less encode p95, ms', wire - encode);
  record('encoded to wire p95, ms', quantileMs(before, after, 'camera_node_encoded_to_wire_seconds', 0.95));
  record('CPU of sending to 1 viewer, cores', used(later, 'net'));
  const rssOne = rssMb(demo.pid);
  record('RSS with 1 viewer, MB', rssOne);

  const talker = start(['watch', '--no-decode', '--talk', 'tone', '--broker', broker, '--node', node]);
  await viewersSettled(page, 2);
  before = await metrics(page);
  await sleep(WINDOW_S * 1000);
  record('talk, from packet to speaker p95, ms', quantileMs(before, await metrics(page), 'camera_node_talk_seconds', 0.95));
  talker.kill('SIGINT');
  await viewersSettled(page, 1);

  while (viewers.length < VIEWERS) viewers.push(watch());
  await viewersSettled(page, VIEWERS);
  before = await metrics(page);
  cpu = cpuByThread(demo.pid);
  await sleep(WINDOW_S * 1000);
  later = cpuByThread(demo.pid);
  after = await metrics(page);
  record(`CPU of sending to ${VIEWERS} viewers, cores`, used(later, 'net'));
  record('CPU of encoding, cores', used(later, 'encode'));
  record('CPU of reading the file, cores', used(later, 'capture'));
  const crowded = quantileMs(before, after, 'camera_node_capture_to_wire_seconds', 0.95);
  record(`capture to wire p95 with ${VIEWERS} viewers, ms`, crowded);
  record('RSS for each further viewer, MB', (rssMb(demo.pid) - rssOne) / (VIEWERS - 1));
  const ended = new Promise((resolve) => demo.once('exit', resolve));
  for (const child of [...viewers, demo]) child.kill('SIGINT');
  await ended;
  const onAws = await joinOnAws(binary, camera, CROWD);
  if (onAws) {
    record(`${CROWD} joins in a second, AWS profile: served`, onAws.served);
    record(`${CROWD} joins in a second, AWS profile: told that it is full`, onAws.refused);
    record(`${CROWD} joins in a second, AWS profile: lost`, onAws.lost);
    record(`${CROWD} joins in a second, AWS profile: the slowest answer, ms`, onAws.slowestMs);
  } else {
    process.stderr.write('no mosquitto: nothing is said of the AWS profile\n');
  }
  process.stderr.write(`run ${run + 1} of ${runs} done, load ${loadavg()[0].toFixed(1)}\n`);
}

writeTexture(texture);
writeFileSync(config, camera + speaker);
const loadBefore = loadavg()[0];
try {
  for (let run = 0; run < runs; run++) await one(run);
} finally {
  for (const end of endings) await end();
}
record('binary, MB', statSync(binary).size / 1e6);
if (options['slim-bytes']) record('binary without the embedded broker, MB', Number(options['slim-bytes']) / 1e6);

const commit = execFileSync('git', ['-C', root, 'describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
const machine = `${cpus().length} × ${cpus()[0].model.trim()}`;
const file = path.join(folder, `${new Date().toISOString().replaceAll(':', '-')}.json`);
writeFileSync(file, JSON.stringify({ commit, machine, loadBefore, runs, results }, null, 1));

console.log(`${machine}, commit ${commit}, load before ${loadBefore.toFixed(1)}, ${runs} runs\n`);
console.log('| figure | median | min – max |\n|---|---|---|');
for (const [figure, values] of Object.entries(results)) {
  const sorted = [...values].sort((a, b) => a - b);
  const show = (n) => (Math.abs(n) >= 100 ? n.toFixed(0) : Math.abs(n) >= 1 ? n.toFixed(1) : n.toFixed(3));
  console.log(`| ${figure} | ${show(sorted[Math.floor(sorted.length / 2)])} | ${show(sorted[0])} – ${show(sorted.at(-1))} |`);
}
