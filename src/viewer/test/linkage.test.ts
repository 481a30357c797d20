/** When the broker is connected to: at once where that may be, and never twice in a second, which AWS IoT Core does not take. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Input } from "../lib/core/io.ts";
import { Viewer } from "../lib/core/viewer.ts";
import { Bench, PEER } from "./node.ts";

const APART_MS = 1_100;

test("the first connection is made at once, and so is one after a pause", () => {
  const bench = new Bench();
  bench.handle({ type: "start" });
  assert.deepEqual([bench.connects, bench.state.reason], [1, "broker"]);
  bench.handle({ type: "linkUp", peer: PEER });
  bench.advance(10_000);
  bench.handle({ type: "stop" });
  bench.advance(1_000);
  bench.handle({ type: "start" });
  assert.equal(bench.connects, 2);
});

test("who stops and starts in one second waits for the rest of it", () => {
  const bench = new Bench();
  bench.handle({ type: "start" });
  bench.advance(200);
  bench.handle({ type: "stop" });
  bench.handle({ type: "start" });
  bench.advance(APART_MS - 1);
  assert.deepEqual([bench.connects, bench.state.reason], [1, "broker"]);
  bench.advance(1);
  assert.equal(bench.connects, 2);
});

test("a connection that is lost as soon as it has come is made anew 1.1 s after it came", () => {
  const bench = new Bench();
  bench.connect();
  bench.handle({ type: "linkDown", problem: "lost" });
  assert.equal(bench.state.retryAt, bench.now + APART_MS);
  bench.advance(400);
  bench.handle({ type: "wake" });
  bench.advance(APART_MS - 401);
  assert.equal(bench.connects, 1, "nor does whoever comes back to the page hurry it");
  bench.advance(1);
  assert.equal(bench.connects, 2);
});

test("who comes back to the page does not wait for a try that is far off", () => {
  const bench = new Bench();
  bench.handle({ type: "start" });
  for (let tries = 1; tries <= 6; tries += 1) {
    bench.handle({ type: "linkDown", problem: "unreachable" });
    while (bench.connects === tries) bench.advance(10);
  }
  bench.handle({ type: "linkDown", problem: "unreachable" });
  bench.advance(2_000);
  const { connects } = bench;
  bench.handle({ type: "wake" });
  assert.equal(bench.connects, connects + 1);
});

test("a connection that has just been begun is left alone when the page wakes up, an older one is given up for another", () => {
  const bench = new Bench();
  const closed = (): boolean[] => bench.done.flatMap(({ output }) => (output.type === "disconnect" ? [output.forGood] : []));
  bench.handle({ type: "start" });
  bench.advance(1_000);
  bench.handle({ type: "wake" });
  assert.deepEqual([bench.connects, closed()], [1, []]);
  bench.advance(1_500);
  bench.handle({ type: "wake" });
  assert.deepEqual([bench.connects, closed(), bench.state.reason], [1, [false], "broker"]);
  bench.advance(APART_MS);
  assert.equal(bench.connects, 2);
});

/** A connection to the broker whose every step takes its time, or never comes; and people in a hurry. */
class Rush {
  /** When CONNECT was sent. */
  readonly connects: number[] = [];
  isUp = false;
  private readonly viewer: Viewer;
  private now = 0;
  private generation = 0;
  private queue: { at: number; what: () => void }[] = [];

  constructor(private seed: number) {
    this.viewer = new Viewer({ prefix: "camera-node/v1", node: "porch", wants: { video: true } }, () => this.chance());
  }

  /** For so long somebody does something every now and then, all the more often right after something has happened. */
  rush(ms: number): void {
    const wishes: Input[] = [{ type: "wake" }, { type: "start" }, { type: "stop" }, { type: "register", name: "Kitchen" }, { type: "unregister" }];
    for (const end = this.now + ms; this.now < end; ) {
      this.runUntil(this.now + Math.ceil(this.chance() ** 3 * 3_000));
      const wish = wishes[Math.floor(this.chance() * wishes.length)];
      if (wish !== undefined) this.tell(wish);
    }
  }

  tell(input: Input): void {
    this.viewer.handle(input, this.now);
    this.perform();
  }

  runUntil(end: number): void {
    for (;;) {
      this.queue.sort((one, other) => one.at - other.at);
      const due = Math.min(this.queue[0]?.at ?? Infinity, this.viewer.pollTimeout() ?? Infinity);
      if (due > end) break;
      this.now = Math.max(this.now, due);
      if ((this.queue[0]?.at ?? Infinity) <= this.now) this.queue.shift()?.what();
      else this.viewer.handleTimeout(this.now);
      this.perform();
    }
    this.now = end;
  }

  private perform(): void {
    for (const output of this.viewer.takeOutputs()) {
      if (output.type === "disconnect" || output.type === "connect") {
        this.generation += 1;
        this.isUp = false;
      }
      if (output.type === "connect") this.dial();
    }
  }

  private dial(): void {
    const { generation } = this;
    const later = (ms: number, what: () => void): void => {
      this.queue.push({
        at: this.now + Math.ceil(ms),
        what: () => {
          if (generation === this.generation) what();
        },
      });
    };
    const lose = (problem: "unreachable" | "lost"): void => {
      this.isUp = false;
      this.tell({ type: "linkDown", problem });
    };
    const fate = this.chance();
    // Nobody is there; at once, or after a while, or it never comes.
    if (fate < 0.2) later(this.chance() * 3_000, () => { lose("unreachable"); });
    if (fate < 0.3) return;
    later(this.chance() ** 2 * 3_000, () => {
      this.connects.push(this.now);
      later(5 + this.chance() * 500, () => {
        if (fate < 0.5) {
          lose("lost");
          return;
        }
        this.isUp = true;
        this.tell({ type: "linkUp", peer: PEER });
        if (fate < 0.8) later(this.chance() ** 2 * 5_000, () => { lose("lost"); });
      });
    });
  }

  /** The same sequence for a seed in every run (Lehmer's). */
  private chance(): number {
    this.seed = (this.seed * 48_271) % 2_147_483_647;
    return this.seed / 2_147_483_647;
  }
}

test("whatever people and networks do, two CONNECTs are 1.1 s apart, and it does connect", () => {
  let all = 0;
  for (let seed = 1; seed <= 100; seed += 1) {
    const rush = new Rush(seed);
    rush.rush(120_000);
    const gaps = rush.connects.slice(1).map((at, index) => at - (rush.connects[index] ?? 0));
    assert.ok(gaps.every((gap) => gap >= APART_MS), `seed ${seed}: ${String(gaps)}`);
    all += gaps.length;
    rush.tell({ type: "start" });
    let comes = rush.isUp;
    for (let second = 121; second <= 400 && !comes; second += 1) {
      rush.runUntil(second * 1_000 + 10_000);
      comes = rush.isUp;
    }
    assert.ok(comes, `seed ${seed}: it is at the broker in the end`);
  }
  assert.ok(all > 1_000, `${all} connections`);
});
