/** Still pictures over the broker: the core against a scripted node, in virtual time, and what an application gets of it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Output } from "../lib/core/io.ts";
import { failureOf } from "../lib/core/errors.ts";
import { ControlError } from "../lib/control.ts";
import { Snapshots } from "../lib/snapshots.ts";
import { Bench, PEER } from "./node.ts";

const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xd9]).toString("base64");

class Gallery extends Bench {
  /** Connected to a broker at which the node is. */
  online(): this {
    this.handle({ type: "linkUp", peer: PEER });
    this.status("online");
    return this;
  }

  get asked(): (number | undefined)[] {
    return this.published.flatMap(({ message }) => (message.body.type === "snapshot" ? [message.seq] : []));
  }

  get got(): string[] {
    return this.done.flatMap(({ output }) => (output.type !== "snapshot" ? [] : [`${output.ask} ${"picture" in output ? output.picture.camera : output.failure.message}`]));
  }

  shows(camera = "front"): void {
    this.deliver({ re: this.asked.at(-1) ?? -1, body: { type: "picture", camera, width: 4, height: 2, jpeg: JPEG } });
  }

  refuses(slug: Parameters<typeof failureOf>[0], retryAfter?: number): void {
    this.deliver({ re: this.asked.at(-1) ?? -1, body: { ...failureOf(slug), ...(retryAfter !== undefined && { retryAfter }) } });
  }
}

test("a picture needs no session, connects for itself, and leaves the broker when it has come", () => {
  const bench = new Gallery();
  bench.handle({ type: "snapshot", ask: 1, camera: "front", width: 320 });
  assert.ok(bench.done.some(({ output }) => output.type === "connect"));
  bench.online();
  const { body } = bench.last("snapshot");
  assert.deepEqual(body, { type: "snapshot", camera: "front", width: 320 });
  bench.shows();
  assert.deepEqual(bench.got, ["1 front"]);
  bench.shows();
  bench.advance(2_000);
  assert.deepEqual(bench.got, ["1 front"], "once");
  assert.ok(bench.done.some(({ output }) => output.type === "disconnect"));
  assert.equal(bench.viewer.pollTimeout(), undefined);
});

test("who wants several gets them one after the other", () => {
  const bench = new Gallery();
  for (const ask of [1, 2, 3]) bench.handle({ type: "snapshot", ask });
  bench.online();
  assert.equal(bench.asked.length, 1);
  bench.shows("a");
  bench.shows("b");
  bench.refuses("cameraShut");
  assert.deepEqual(bench.got, ["1 a", "2 b", "3 Somebody has shut the camera."]);
  assert.equal(new Set(bench.asked).size, 3);
});

test("what is lost is asked again under its number, what stays unanswered fails", () => {
  const bench = new Gallery();
  bench.handle({ type: "snapshot", ask: 1 });
  bench.online();
  bench.advance(4_000);
  assert.deepEqual([bench.asked.length, new Set(bench.asked).size], [2, 1]);
  bench.handle({ type: "snapshot", ask: 2 });
  bench.advance(11_000);
  assert.deepEqual(bench.got, ["1 no picture came in time"]);
  bench.shows();
  assert.deepEqual(bench.got.at(-1), "2 front");
});

test("a node that asks to wait is asked again after that, and one that comes back is asked anew", () => {
  const bench = new Gallery();
  bench.handle({ type: "snapshot", ask: 1 });
  bench.online();
  bench.refuses("rateLimited", 3);
  bench.advance(2_900);
  assert.equal(bench.asked.length, 1);
  bench.advance(200);
  assert.equal(new Set(bench.asked).size, 2);
  bench.handle({ type: "linkDown", problem: "lost" });
  bench.advance(100);
  bench.handle({ type: "linkUp", peer: PEER });
  assert.equal(new Set(bench.asked).size, 3);
  bench.shows();
  assert.deepEqual(bench.got, ["1 front"]);
});

test("without a node there is no picture, in time", () => {
  const bench = new Gallery();
  bench.handle({ type: "snapshot", ask: 1 });
  bench.handle({ type: "linkUp", peer: PEER });
  bench.advance(15_000);
  assert.deepEqual([bench.got, bench.asked], [["1 no picture came in time"], []]);
});

test("a token is fetched for each, and is none of a session's", () => {
  const bench = new Gallery({ asksForToken: true });
  bench.handle({ type: "snapshot", ask: 1 });
  bench.handle({ type: "snapshot", ask: 2 });
  bench.online();
  const asks = (): number[] => bench.done.flatMap(({ output }) => (output.type === "askToken" ? [output.ask] : []));
  assert.deepEqual([asks(), bench.asked], [[-1], []]);
  bench.handle({ type: "token", ask: -1, token: "t", lifeMs: undefined });
  assert.deepEqual(bench.last("snapshot").body, { type: "snapshot", token: "t" });
  bench.shows();
  assert.deepEqual(asks(), [-1, -2]);
  bench.handle({ type: "noToken", ask: -2, said: "signed out" });
  assert.deepEqual(bench.got, ["1 front", "2 signed out"]);
});

test("an application gets a blob, or an error that says why", async () => {
  const told: unknown[] = [];
  const snapshots = new Snapshots((input) => told.push(input));
  const [first, second, third] = [snapshots.ask({}), snapshots.ask({ camera: "front", width: 64 }), snapshots.ask({})];
  assert.deepEqual(told[1], { type: "snapshot", ask: 2, camera: "front", width: 64 });
  const picture = (ask: number, jpeg: string): Extract<Output, { type: "snapshot" }> => ({ type: "snapshot", ask, picture: { camera: "front", width: 4, height: 2, jpeg } });
  snapshots.take({ type: "snapshot", ask: 2, failure: failureOf("cameraShut") });
  snapshots.take(picture(1, JPEG));
  snapshots.take(picture(3, "=abc"));
  const blob = await first;
  assert.equal(blob.type, "image/jpeg");
  assert.deepEqual([...new Uint8Array(await blob.arrayBuffer())], [0xff, 0xd8, 0xff, 0xd9]);
  const why = await second.then(() => undefined, (error: unknown) => error);
  assert.ok(why instanceof ControlError && why.slug === "cameraShut" && why.code === 33);
  await assert.rejects(third, ControlError);
});
