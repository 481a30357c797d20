// Thousands of viewers come, see a picture and go, or are gone, while the camera is unplugged and plugged in again: nothing of them stays.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { artefacts, binary, startDemo, temporaryFile, until } from '../browser/processes.mjs';
import { Film } from './film.mjs';
import { counted, held, stateOf } from './footprint.mjs';

/** Whole hundreds. */
const JOINS = Math.ceil(Number(process.env.SOAK_JOINS ?? 2_000) / 100) * 100;
/** How many come at once. */
const TOGETHER = 8;
/** How many joins from one unplugging of the camera to the next. */
const REPLUG_EVERY = 100;
/** One of so many does not leave, as one whose machine has lost its power. */
const ONE_IS_KILLED_OF = 20;
/** What the second half of the joins may add to the memory. */
const GROWTH_KB = 2 * 1024;
/** For the last session's timers, and for threads that end when nobody has needed them for 10 s. */
const SETTLES_MS = 60_000;
const SOON_MS = 60_000;
/** What must be as before, and how often it is looked at before. */
const COUNTED = ['descriptors', 'threads', 'tasks'];
const LOOKS = 40;

function watch(broker, node, options) {
  const args = ['watch', '--json', '--no-decode', '--patience', '60', '--node', node, '--broker', broker, ...options];
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { report: '', log: '' };
  child.stdout.on('data', (text) => (said.report += text));
  child.stderr.on('data', (text) => (said.log += text));
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  return { child, said, ended };
}

/** A viewer that leaves at its first picture; how long after its `join` that came, in milliseconds. */
async function comeAndLeave(broker, node) {
  const { said, ended } = watch(broker, node, ['--seconds', '0']);
  const { code } = await ended;
  if (code !== 0) throw new Error(`a viewer ended with ${code}: ${said.log}`);
  return JSON.parse(said.report).first_frame_ms;
}

/** A viewer that is killed once it is connected. */
async function comeAndDie(broker, node) {
  const { child, said, ended } = watch(broker, node, []);
  child.stderr.on('data', () => {
    if (said.log.includes('state="live"')) child.kill('SIGKILL');
  });
  const { signal } = await ended;
  if (signal !== 'SIGKILL') throw new Error(`a viewer ended by itself: ${said.log}`);
}

class Soak {
  #node;
  #film;
  #begun = performance.now();
  joined = 0;
  firstFramesMs = [];
  replugs = 0;

  constructor(node, film) {
    this.#node = node;
    this.#film = film;
  }

  /** So many viewers, some at a time; halfway through each hundred of them the camera goes, and comes back. */
  async join(count) {
    const end = this.joined + count;
    let begun = this.joined;
    const replugs = [];
    const one = async () => {
      while (begun < end) {
        begun += 1;
        const { broker, node } = this.#node;
        if (begun % ONE_IS_KILLED_OF === 0) await comeAndDie(broker, node);
        else this.firstFramesMs.push(await comeAndLeave(broker, node));
        this.joined += 1;
        if (this.joined % REPLUG_EVERY === REPLUG_EVERY / 2) replugs.push(this.#replug());
        if (this.joined % (REPLUG_EVERY / 4) === 0) this.#tell();
      }
    };
    await Promise.all(Array.from({ length: TOGETHER }, one));
    await Promise.all(replugs);
  }

  async #replug() {
    const camera = (state) => async () => (await stateOf(this.#node.page, 'camera:main')) === state;
    this.#film.unplug();
    await until('the camera is away', camera('away'), SOON_MS);
    this.#film.plug();
    await until('the camera is back', async () => !(await camera('away')()), SOON_MS);
    this.replugs += 1;
  }

  /** What the node holds when nobody is there: the least of some looks, as a look itself costs a connection. */
  async atFirst() {
    await until('the node is at its broker', async () => (await stateOf(this.#node.page, 'broker')) === 'live', SOON_MS);
    const looks = [];
    const isSeen = async () => {
      const look = await this.#look();
      if (look.isIdle) looks.push(look);
      return looks.length >= LOOKS;
    };
    await until('the camera rests', isSeen, SETTLES_MS);
    const least = (what) => Math.min(...looks.map((look) => look[what]));
    return { ...looks.at(-1), ...Object.fromEntries(COUNTED.map((what) => [what, least(what)])) };
  }

  /** What it holds when all have gone; no more than `before`, or the test has failed. */
  async settled(before) {
    let look;
    const isSettled = async () => {
      look = await this.#look();
      return look.isIdle && COUNTED.every((what) => look[what] <= before[what]);
    };
    await until('all that the viewers took is given back', isSettled, SETTLES_MS).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(look)} after ${JSON.stringify(before)}`);
    });
    return look;
  }

  async #look() {
    const look = { ...held(this.#node.child.process.pid), ...(await counted(this.#node.page)) };
    const camera = await stateOf(this.#node.page, 'camera:main');
    return { ...look, isIdle: look.viewers === 0 && camera === 'idle' };
  }

  #tell() {
    const { descriptors, threads, rssKb } = held(this.#node.child.process.pid);
    const seconds = Math.round((performance.now() - this.#begun) / 1000);
    console.error(`${this.joined} of ${JOINS} joins, ${seconds} s, ${rssKb} kB, ${threads} threads, ${descriptors} descriptors`);
  }
}

test(`${JOINS} joins leave nothing behind`, async (t) => {
  const file = temporaryFile(t, 'camera.y4m', '');
  const film = new Film(file);
  const config = `
[node]
id = "soak"
[[camera]]
linger_s = 1
[camera.video]
source = "file"
file = "${file}"
[camera.audio]
source = "tone"
[limits]
max_viewers = 64
silence_timeout_s = 2
`;
  const node = await startDemo(t, 'soak-node', ['--config', temporaryFile(t, 'soak.toml', config)]);
  const soak = new Soak(node, film);
  const atFirst = await soak.atFirst();
  await soak.join(JOINS / 2);
  const halfway = await soak.settled(atFirst);
  await soak.join(JOINS / 2);
  const atLast = await soak.settled(atFirst);

  const times = soak.firstFramesMs.sort((one, other) => one - other);
  const result = {
    joins: soak.joined,
    killed: soak.joined - times.length,
    replugs: soak.replugs,
    firstFrameMs: { median: times[Math.floor(times.length / 2)], slowest: times.at(-1) },
    grownKb: atLast.rssKb - halfway.rssKb,
    atFirst,
    halfway,
    atLast,
  };
  mkdirSync(artefacts, { recursive: true });
  writeFileSync(path.join(artefacts, 'soak.json'), `${JSON.stringify(result, null, 2)}\n`);
  for (const [when, found] of Object.entries({ atFirst, halfway, atLast })) t.diagnostic(`${when} ${JSON.stringify(found)}`);
  t.diagnostic(`${result.joins} joins, ${result.killed} of them killed, ${result.replugs} re-plugs; the second half added ${result.grownKb} kB`);
  assert.equal(result.joins, JOINS);
  assert.equal(result.replugs, JOINS / REPLUG_EVERY);
  assert.ok(result.grownKb <= GROWTH_KB, `${result.grownKb} kB more after the second half than after the first`);
  assert.deepEqual(await node.child.end(), { code: 0, signal: null }, 'it ends in order');
});
