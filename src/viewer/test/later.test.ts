/** Later in a session: restarts from either side, and offers that cross. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Body } from "../lib/core/message.ts";
import { Bench } from "./node.ts";

const offer = (ufrag: string): Body => ({ type: "offer", sdp: `v=0\r\na=ice-ufrag:${ufrag}\r\n`, mids: { "0": { camera: "front", kind: "video" } } });
const answer = (ufrag: string): Body => ({ type: "answer", sdp: `v=0\r\na=ice-ufrag:${ufrag}\r\n` });
const OURS = "v=0\r\na=ice-ufrag:viewer2\r\n";

function live(): Bench {
  const bench = new Bench();
  bench.goLive();
  bench.watch(20);
  bench.done.splice(0, bench.done.length - 1, ...bench.done.filter(({ output }) => output.type === "publish"));
  return bench;
}

/** What a message that answers our latest offer carries. */
function ourOffer(bench: Bench): { re: number } {
  return { re: bench.last("offer").seq ?? -1 };
}

const commands = (bench: Bench): string[] => bench.commands.map((command) => command.do);

test("a silent path may mend by itself, then is mended by an offer of ours, and in the end by another session", () => {
  const bench = live();
  bench.peer({ type: "silent" });
  assert.deepEqual([bench.state.state, bench.state.reason], ["lost", "silent"]);
  bench.advance(3_900);
  assert.deepEqual(commands(bench), [], "the node restarts before us");
  bench.peer({ type: "connected" });
  assert.equal(bench.state.state, "live");
  bench.advance(60_000);
  bench.peer({ type: "silent" });
  bench.advance(4_000);
  assert.deepEqual(commands(bench), ["restart"]);
  bench.peer({ type: "offered", sdp: OURS });
  assert.deepEqual(bench.last("offer").body, { type: "offer", sdp: OURS, mids: {} });
  bench.says(answer("two"), ourOffer(bench));
  assert.deepEqual(commands(bench), ["restart", "accept"]);
  bench.peer({ type: "recovered" });
  assert.equal(bench.state.state, "live");
  bench.peer({ type: "silent" });
  bench.advance(19_900);
  assert.equal(bench.joins().length, 1);
  bench.advance(100);
  assert.equal(bench.joins().length, 2);
});

test("a path that the browser has given up is restarted at once, and the session with it saved", () => {
  const bench = live();
  bench.peer({ type: "failed", step: "iceFailed", message: "gone" });
  assert.deepEqual([bench.state.state, bench.state.reason], ["lost", "silent"]);
  bench.advance(250);
  assert.deepEqual(commands(bench), ["restart"]);
  bench.peer({ type: "offered", sdp: OURS });
  bench.says(answer("two"), ourOffer(bench));
  bench.peer({ type: "connected" });
  assert.deepEqual([bench.state.state, bench.joins().length], ["live", 1]);
});

test("a change of network, and whoever asks for it, restart a path that still seems whole", () => {
  for (const type of ["networkChanged", "restart"] as const) {
    const bench = live();
    bench.handle({ type });
    assert.deepEqual([commands(bench), bench.state.state], [["restart"], "live"]);
    bench.handle({ type });
    assert.deepEqual(commands(bench), ["restart"], "one is under way");
    bench.peer({ type: "offered", sdp: OURS });
    bench.says(answer("two"), ourOffer(bench));
    assert.deepEqual(commands(bench), ["restart", "accept"]);
    bench.advance(60_000);
    assert.deepEqual(commands(bench), ["restart", "accept"]);
  }
  const early = new Bench();
  early.connect();
  early.handle({ type: "restart" });
  assert.deepEqual(early.commands, []);
});

test("silence just after a change of network is restarted at once, but not without the broker", () => {
  const bench = live();
  bench.handle({ type: "linkDown", problem: "lost" });
  bench.peer({ type: "silent" });
  bench.handle({ type: "networkChanged" });
  assert.deepEqual([bench.state.state, bench.state.reason], ["lost", "network"]);
  bench.advance(25_000);
  assert.deepEqual(commands(bench), [], "nobody would hear of it");
  bench.handle({ type: "linkUp", peer: "tab-1" });
  bench.advance(10);
  assert.deepEqual([commands(bench), bench.joins().length], [["restart"], 1]);
});

test("when offers cross, ours counts and theirs is not answered", () => {
  const bench = live();
  bench.handle({ type: "restart" });
  bench.says(offer("crossing"));
  bench.peer({ type: "offered", sdp: OURS });
  bench.says(offer("again"));
  assert.deepEqual(commands(bench), ["restart"]);
  bench.says(answer("two"), ourOffer(bench));
  assert.deepEqual(commands(bench), ["restart", "accept"]);
  bench.says({ type: "ice", candidates: [{ candidate: "c", usernameFragment: "crossing" }], complete: false });
  bench.says({ type: "ice", candidates: [{ candidate: "c", usernameFragment: "two" }], complete: false });
  assert.equal(bench.commands.filter((command) => command.do === "addCandidates").length, 1, "of the latest description");
  bench.says(offer("three"));
  assert.equal(commands(bench).at(-1), "answer", "nothing of ours is under way any more");
});

test("the node's restart is answered, and an offer of ours that was wanted meanwhile is not needed any more", () => {
  const bench = live();
  bench.says(offer("one"));
  bench.handle({ type: "restart" });
  assert.deepEqual(commands(bench), ["answer"]);
  bench.says(offer("two"));
  bench.peer({ type: "answered", sdp: OURS });
  assert.deepEqual(commands(bench), ["answer", "answer"]);
  bench.peer({ type: "answered", sdp: OURS });
  assert.deepEqual([commands(bench), bench.said.filter((type) => type === "answer").length], [["answer", "answer"], 3]);

  const waiting = live();
  waiting.says(offer("one"));
  waiting.handle({ type: "restart" });
  waiting.peer({ type: "answered", sdp: OURS });
  assert.deepEqual(commands(waiting), ["answer", "restart"], "theirs was no restart");
});

test("an offer that the node does not take is rolled back, and costs no session", () => {
  const bench = live();
  bench.handle({ type: "restart" });
  bench.peer({ type: "offered", sdp: OURS });
  bench.says({ type: "error", code: 12, name: "NotSupportedError", message: "" }, ourOffer(bench));
  assert.deepEqual(commands(bench), ["restart", "rollback"]);
  bench.says(answer("late"), ourOffer(bench));
  assert.deepEqual([commands(bench), bench.state.state], [["restart", "rollback"], "live"]);
});

test("an answer to nothing is an error and changes nothing", () => {
  const bench = live();
  bench.says(answer("x"), { re: 99 });
  assert.equal(bench.last("error").body.type, "error");
  assert.deepEqual([commands(bench), bench.state.state], [[], "live"]);
});

test("media that stop coming over a path that stands are noticed in eight reports, in two after waking up, and restarted", () => {
  for (const [wakes, reports] of [[false, 8], [true, 2]] as const) {
    const bench = live();
    if (wakes) bench.handle({ type: "wake" });
    bench.status("online");
    const { session, bytes } = bench;
    for (let index = 1; index < reports; index += 1) bench.handle({ type: "media", session, bytes: bytes - 1 });
    assert.equal(bench.state.state, "live");
    bench.handle({ type: "media", session, bytes: bytes - 1 });
    assert.deepEqual([bench.state.state, bench.state.reason], ["lost", "silent"]);
    for (let second = 0; second < 19; second += 1) {
      bench.advance(1_000);
      bench.handle({ type: "media", session, bytes: bytes - 1 });
    }
    assert.deepEqual([commands(bench), bench.joins().length], [["restart"], 1], "unanswered, one is enough");
    bench.handle({ type: "media", session, bytes });
    assert.equal(bench.state.state, "live", "whatever the connection says, media come");
    bench.handle({ type: "restart" });
  }
});
