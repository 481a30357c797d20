/** The viewer's core against a scripted node, in virtual time. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Message } from "../lib/core/envelope.ts";
import { wordsFor } from "../lib/words.ts";
import { Bench, BOOT } from "./node.ts";

test("from start to moving pictures, in the protocol's order and nothing more", () => {
  const bench = new Bench();
  bench.goLive();
  assert.deepEqual(bench.steps, ["join", "peer", "opening", "offer", "answer", "connected"]);
  assert.deepEqual(bench.said, ["join", "answer"]);
  assert.deepEqual(bench.commands.map((command) => command.do), ["open", "answer"]);
  assert.deepEqual(bench.states, ["connecting broker", "connecting node", "connecting join", "live live"]);
  const answer = bench.last("answer");
  assert.deepEqual([answer.seq, answer.ack, answer.re], [1, 1, 1]);
});

test("nothing is published before the subscriptions stand, and nothing joined before the node is known to be there", () => {
  const bench = new Bench();
  bench.handle({ type: "start" });
  bench.advance(60_000);
  assert.deepEqual(bench.said, []);
  bench.handle({ type: "linkUp", peer: "tab-1" });
  bench.advance(999);
  assert.deepEqual(bench.said, []);
  bench.advance(1);
  assert.deepEqual(bench.said, ["probe"]);
});

test("a node that does not answer the probe in 5 s is offline, is asked again, and joined when it answers", () => {
  const bench = new Bench();
  bench.connect();
  bench.advance(5_999);
  assert.equal(bench.state.state, "connecting");
  bench.advance(1);
  assert.deepEqual([bench.state.state, bench.state.reason], ["waiting", "nodeOffline"]);
  bench.advance(30_000);
  assert.deepEqual(bench.said, ["probe", "probe"]);
  bench.deliver({ body: { type: "status", versions: [1], state: "online", boot: BOOT, conn: 1, cameras: [], access: "open" } });
  assert.deepEqual(bench.said, ["probe", "probe", "join"]);
});

test("a node that is offline is joined when it comes online", () => {
  const bench = new Bench();
  bench.connect();
  bench.status("offline");
  bench.advance(600_000);
  assert.deepEqual([bench.state.state, bench.state.reason], ["waiting", "nodeOffline"]);
  assert.deepEqual(bench.said, []);
  bench.status("online", { conn: 2 });
  assert.deepEqual(bench.said, ["join"]);
});

test("an old will does not take an online node away", () => {
  const bench = new Bench();
  bench.connect();
  bench.status("online", { conn: 2 });
  bench.status("offline", { conn: 1 });
  bench.status("offline", { boot: "0123456789abcdef", conn: 9 });
  assert.deepEqual([bench.state.state, bench.state.reason], ["connecting", "join"]);
});

test("a join is repeated after half a second, one, two, four and four, and tried anew when none is acknowledged", () => {
  const bench = new Bench();
  bench.connect();
  bench.status("online");
  const start = bench.now;
  bench.advance(15_400);
  assert.deepEqual(bench.published.map(({ at }) => at - start), [0, 500, 1_500, 3_500, 7_500, 11_500]);
  assert.equal(new Set(bench.published.map(({ message }) => message.session)).size, 1);
  bench.advance(100);
  assert.deepEqual([bench.state.state, bench.state.reason], ["lost", "signallingLost"]);
  bench.advance(1_000);
  assert.equal(bench.joins().length, 2);
});

test("repeated and reordered messages are acted on once, in order, and acknowledged again", () => {
  const bench = new Bench();
  bench.connect();
  bench.status("online");
  const session = bench.session;
  const peer: Message = { session, seq: 0, ack: 0, re: 0, body: { type: "peer", iceServers: [], node: { name: "x", boot: BOOT, version: "1" }, nonce: "n" } };
  const offer: Message = { session, seq: 1, ack: 0, re: 0, body: { type: "offer", sdp: "v=0\r\na=ice-ufrag:one", mids: {} } };
  const ice: Message = { session, seq: 2, body: { type: "ice", candidates: [{ candidate: "c", usernameFragment: "one" }], complete: false } };
  bench.deliver(ice);
  bench.deliver(offer);
  assert.equal(bench.commands.length, 0);
  bench.deliver(peer);
  bench.deliver(offer);
  assert.deepEqual(bench.commands.map((command) => command.do), ["open", "answer", "addCandidates"]);
  // The repeated offer is acknowledged at once, and for all three.
  assert.deepEqual(bench.said, ["join", "ack"]);
  assert.equal(bench.last("ack").ack, 2);
});

test("what needs no reply is acknowledged after a tenth of a second", () => {
  const bench = new Bench();
  bench.goLive();
  bench.says({ type: "ice", candidates: [], complete: true });
  bench.advance(99);
  assert.ok(!bench.said.includes("ack"));
  bench.advance(1);
  assert.equal(bench.last("ack").ack, 2);
});

test("a retained message on our own topic is none", () => {
  const bench = new Bench();
  bench.connect();
  bench.status("online");
  bench.deliver({ session: bench.session, seq: 0, body: { type: "leave", reason: "closed" } }, true);
  assert.equal(bench.state.reason, "join");
});

test("candidates of ours go out at once and then in batches, those of an older generation are not used", () => {
  const bench = new Bench();
  bench.goLive();
  const candidate = (text: string) => [{ candidate: text, usernameFragment: "mine" }];
  bench.peer({ type: "candidates", candidates: candidate("a"), complete: false });
  bench.peer({ type: "candidates", candidates: candidate("b"), complete: false });
  bench.peer({ type: "candidates", candidates: candidate("c"), complete: true });
  bench.advance(100);
  const sent = bench.published.flatMap(({ message }) => (message.body.type === "ice" ? [message.body.candidates.length] : []));
  assert.deepEqual(sent, [1, 2]);
  bench.says({ type: "ice", candidates: [{ candidate: "x", usernameFragment: "old" }], complete: false });
  assert.ok(!bench.commands.some((command) => command.do === "addCandidates"));
});

test("a new offer is answered in its session, also one that comes before the first is answered", () => {
  const bench = new Bench();
  bench.goLive();
  bench.says({ type: "offer", sdp: "v=0\r\na=ice-ufrag:two\r\n", mids: {} });
  bench.says({ type: "offer", sdp: "v=0\r\na=ice-ufrag:three\r\n", mids: {} });
  bench.peer({ type: "answered", sdp: "v=0 two" });
  bench.peer({ type: "answered", sdp: "v=0 three" });
  const answers = bench.published.flatMap(({ message }) => (message.body.type === "answer" ? [message.re] : []));
  assert.deepEqual(answers, [1, 2, 3]);
  assert.equal(bench.state.state, "live");
});

test("pictures do not stop while the broker is away, and afterwards the session goes on", () => {
  const bench = new Bench();
  bench.goLive();
  bench.handle({ type: "linkDown", problem: "lost" });
  assert.deepEqual([bench.state.state, bench.state.brokerAway], ["live", true]);
  bench.watch(120);
  assert.ok(bench.connects >= 2, "it tries to reach the broker again");
  assert.ok(!bench.commands.some((command) => command.do === "close"));
  bench.handle({ type: "linkUp", peer: "tab-1" });
  assert.deepEqual([bench.state.state, bench.state.brokerAway], ["live", undefined]);
  bench.says({ type: "offer", sdp: "v=0\r\na=ice-ufrag:two\r\n", mids: {} });
  bench.peer({ type: "answered", sdp: "v=0" });
  assert.equal(bench.last("answer").session, bench.session);
  assert.equal(bench.joins().length, 1);
});

test("tries to reach the broker come later and later, but never later than half a minute", () => {
  const bench = new Bench();
  bench.handle({ type: "start" });
  const times: number[] = [];
  for (let index = 0; index < 12; index += 1) {
    const before = bench.now;
    bench.handle({ type: "linkDown", problem: "unreachable" });
    const connects = bench.connects;
    while (bench.connects === connects) bench.advance(10);
    times.push(bench.now - before);
  }
  assert.equal(times[0], 1_100);
  assert.ok(times.every((each) => each <= 30_010), String(times));
  assert.ok((times[11] ?? 0) >= 15_000, String(times));
  assert.deepEqual([bench.state.state, bench.state.reason], ["waiting", "unreachable"]);
});

test("what another try would not mend is not tried again, unless somebody comes back to the page", () => {
  for (const problem of ["badAddress", "insecure", "noWebRtc"] as const) {
    const bench = new Bench();
    bench.handle({ type: "start" });
    bench.handle({ type: "linkDown", problem });
    assert.deepEqual([bench.state.state, bench.state.reason, bench.state.retryAt, bench.viewer.pollTimeout()], ["refused", problem, undefined, undefined]);
    bench.advance(3_600_000);
    assert.equal(bench.connects, 1);
    bench.handle({ type: "wake" });
    assert.equal(bench.connects, 2);
  }
});

test("a broker that knows no such user is a refusal, not an absence", () => {
  const bench = new Bench();
  bench.handle({ type: "start" });
  bench.handle({ type: "linkDown", problem: "unauthorized" });
  assert.deepEqual([bench.state.state, bench.state.reason], ["refused", "unauthorized"]);
});

test("a path that is lost for good is replaced by a new session at once", () => {
  const bench = new Bench();
  bench.goLive();
  bench.watch(20);
  const old = bench.session;
  bench.peer({ type: "failed", step: "internal", message: "gone" });
  assert.notEqual(bench.session, old);
  assert.equal(bench.joins().at(-1), bench.now);
  assert.ok(bench.said.includes("error") && bench.said.includes("leave"), "the node hears why");
});

test("a session that fails as soon as it is live does not come back at once, over and over", () => {
  const bench = new Bench();
  bench.goLive();
  for (let index = 0; index < 5; index += 1) {
    bench.peer({ type: "failed", step: "internal", message: "gone" });
    const joins = bench.joins().length;
    while (bench.joins().length === joins) bench.advance(10);
    bench.joinThrough();
  }
  const joins = bench.joins();
  assert.ok((joins[5] ?? 0) - (joins[4] ?? 0) >= 8_000, String(joins));
});

test("a connection to the broker that died in the sleep is made anew when the page wakes up", () => {
  const bench = new Bench();
  bench.goLive();
  bench.advance(3_600_000);
  const connects = bench.connects;
  bench.handle({ type: "wake" });
  bench.handle({ type: "wake" });
  assert.equal(bench.said.filter((type) => type === "probe").length, 1);
  bench.advance(2_999);
  assert.equal(bench.connects, connects);
  bench.advance(1);
  assert.equal(bench.connects, connects + 1);
});

test("a connection to the broker that still answers after waking up is left alone", () => {
  const bench = new Bench();
  bench.goLive();
  bench.handle({ type: "wake" });
  bench.status("online");
  bench.advance(60_000);
  assert.equal(bench.connects, 1);
});

test("a node that restarts is joined again within five seconds, not at once", () => {
  const bench = new Bench();
  bench.goLive();
  const before = bench.now;
  bench.status("online", { boot: "fedcba9876543210" });
  assert.deepEqual(bench.commands.at(-1), { do: "close" });
  assert.equal(bench.steps.at(-1), "rebooted");
  assert.deepEqual([bench.state.state, bench.state.reason], ["waiting", "nodeRestarted"]);
  bench.advance(5_000);
  const joined = (bench.joins().at(-1) ?? 0) - before;
  assert.ok(joined > 0 && joined <= 5_000, String(joined));
  bench.joinThrough("fedcba9876543210");
  assert.equal(bench.state.state, "live");
  bench.status("online");
  assert.equal(bench.state.state, "live", "a late message of the old run counts for nothing");
});

test("a node that has restarted before our first session is joined at once", () => {
  const bench = new Bench();
  bench.connect();
  bench.status("offline");
  bench.status("online", { boot: "fedcba9876543210" });
  assert.deepEqual(bench.said, ["join"]);
});

test("a node that says shutdown is waited for", () => {
  const bench = new Bench();
  bench.goLive();
  bench.says({ type: "leave", reason: "shutdown" });
  bench.status("online");
  bench.status("offline");
  bench.advance(60_000);
  assert.deepEqual([bench.state.state, bench.state.reason], ["waiting", "nodeOffline"]);
  assert.equal(bench.joins().length, 1);
  bench.status("online", { boot: "fedcba9876543210" });
  bench.advance(5_000);
  assert.equal(bench.joins().length, 2);
});

test("a viewer that has been replaced tries once more, and then gives way until a person starts it again", () => {
  const bench = new Bench();
  bench.goLive();
  bench.says({ type: "leave", reason: "replaced" });
  assert.deepEqual([bench.state.state, bench.state.reason], ["lost", "replaced"]);
  bench.advance(1_000);
  assert.equal(bench.joins().length, 2);
  bench.joinThrough();
  bench.says({ type: "leave", reason: "replaced" });
  bench.advance(600_000);
  bench.handle({ type: "wake" });
  bench.status("online", { boot: "fedcba9876543210" });
  bench.advance(600_000);
  assert.deepEqual([bench.state.state, bench.state.reason, bench.state.retryAt], ["lost", "replaced", undefined]);
  assert.equal(bench.joins().length, 2);
  bench.handle({ type: "stop" });
  bench.handle({ type: "start" });
  bench.handle({ type: "linkUp", peer: "tab-1" });
  assert.equal(bench.joins().length, 3);
});

test("a connection that the node closes waits for the reason before it is tried again", () => {
  const bench = new Bench();
  bench.goLive();
  bench.watch(20);
  bench.peer({ type: "closed" });
  bench.advance(100);
  bench.says({ type: "leave", reason: "limit" });
  bench.advance(60_000);
  assert.equal(bench.state.reason, "limit");
  const other = new Bench();
  other.goLive();
  other.watch(20);
  other.peer({ type: "closed" });
  other.advance(500);
  assert.equal(other.joins().length, 2);
});

test("a busy node is tried again when it says so, one that forbids is not", () => {
  const bench = new Bench();
  bench.connect();
  bench.status("online");
  bench.says({ type: "error", code: 25, name: "QuotaExceededError", message: "All places are taken.", retryAfter: 10 }, { re: 0 });
  assert.deepEqual([bench.state.state, bench.state.reason], ["refused", "busy"]);
  assert.equal(bench.state.retryAt, bench.now + 10_000);
  assert.equal(bench.steps.at(-1), "refused");
  bench.advance(9_999);
  assert.equal(bench.joins().length, 1);
  bench.advance(1);
  assert.equal(bench.joins().length, 2);
  bench.says({ type: "error", code: 20, name: "NotAllowedError", message: "no" }, { re: 0 });
  bench.advance(600_000);
  assert.deepEqual([bench.state.state, bench.state.reason, bench.state.retryAt], ["refused", "notAllowed", undefined]);
  assert.equal(bench.joins().length, 2);
});

test("a camera that is unplugged is told, and the session goes on", () => {
  const bench = new Bench();
  bench.goLive();
  bench.says({ type: "error", code: 31, name: "NotReadableError", message: "unplugged" });
  assert.equal(bench.state.state, "live");
  assert.ok(bench.done.some(({ output }) => output.type === "error" && output.failure.code === 31));
});

test("an error of a later version ends the session, and only one that says when is tried again", () => {
  const bench = new Bench();
  bench.goLive();
  bench.says({ type: "error", code: 777, name: "SomeError", message: "?", retryAfter: 5 });
  bench.advance(5_000);
  assert.equal(bench.joins().length, 2);
  bench.joinThrough();
  bench.says({ type: "error", code: 777, name: "SomeError", message: "?" });
  bench.advance(600_000);
  assert.equal(bench.joins().length, 2);
  assert.equal(bench.state.state, "refused");
});

test("a join that has been overtaken is not taken for a lost session", () => {
  const bench = new Bench();
  bench.connect();
  bench.status("online");
  bench.says({ type: "error", code: 13, name: "InvalidStateError", message: "" }, { re: 1 });
  assert.deepEqual([bench.state.state, bench.state.reason], ["connecting", "join"]);
  bench.joinThrough();
  assert.equal(bench.state.state, "live");
});

test("a flood of nonsense gets no flood of errors back", () => {
  const bench = new Bench();
  bench.goLive();
  for (let index = 0; index < 1_000; index += 1) bench.raw("nonsense");
  assert.equal(bench.said.filter((type) => type === "error").length, 20);
  bench.advance(1_000);
  for (let index = 0; index < 1_000; index += 1) bench.raw("nonsense");
  assert.equal(bench.said.filter((type) => type === "error").length, 22);
});

test("a node that has missed our leave hears it again when it says something", () => {
  const bench = new Bench();
  bench.goLive();
  bench.watch(20);
  const { session } = bench;
  bench.peer({ type: "failed", step: "iceFailed", message: "gone" });
  bench.advance(60_000);
  const before = bench.published.length;
  bench.deliver({ session, seq: 2, body: { type: "ice", candidates: [], complete: true } });
  const again = bench.published.slice(before).map(({ message }) => [message.session === session, message.body.type, message.ack]);
  assert.deepEqual(again, [[true, "leave", 2]]);
});

test("an unknown type gets an error, and what comes after it is not held up", () => {
  const bench = new Bench();
  bench.goLive();
  bench.raw(`{"v":1,"type":"dance","session":"${bench.session}","seq":2}`);
  const error = bench.last("error");
  assert.ok(error.body.type === "error" && error.body.code === 12);
  assert.equal(error.re, 2);
  bench.raw(`{"v":1,"type":"leave","session":"${bench.session}","seq":3,"reason":"closed"}`);
  assert.equal(bench.state.reason, "closed");
});

test("an error is never answered by an error", () => {
  const bench = new Bench();
  bench.goLive();
  const before = bench.said.length;
  bench.raw(`{"v":1,"type":"error","session":"${bench.session}"}`);
  bench.raw(`{"v":1,"type":"error","session":"${"0".repeat(32)}","code":13,"name":"x","message":""}`);
  assert.equal(bench.said.length, before);
});

test("a message of an unknown session is answered, one of an ended session only acknowledged", () => {
  const bench = new Bench();
  bench.goLive();
  const { session } = bench;
  bench.says({ type: "leave", reason: "replaced" });
  const before = bench.said.length;
  bench.deliver({ session, seq: 2, body: { type: "leave", reason: "replaced" } });
  assert.deepEqual(bench.said.slice(before), ["ack"]);
  bench.deliver({ session: "0".repeat(32), seq: 4, body: { type: "leave", reason: "closed" } });
  assert.deepEqual([bench.last("ack").session, bench.last("ack").ack], ["0".repeat(32), 4]);
  bench.deliver({ session: "0".repeat(32), seq: 5, body: { type: "ice", candidates: [], complete: true } });
  assert.deepEqual([bench.last("ack").session, bench.last("ack").ack], ["0".repeat(32), 5], "it has ended, as we have heard");
  bench.deliver({ session: "1".repeat(32), seq: 5, body: { type: "ice", candidates: [], complete: true } });
  const error = bench.last("error");
  assert.ok(error.body.type === "error" && error.body.code === 13 && error.re === 5);
});

test("more than the window holds ends the session with an error", () => {
  const bench = new Bench();
  bench.goLive();
  bench.deliver({ session: bench.session, seq: 60, body: { type: "ice", candidates: [], complete: true } });
  const error = bench.last("error");
  assert.ok(error.body.type === "error" && error.body.code === 14);
  assert.deepEqual([bench.state.state, bench.state.reason], ["lost", "windowOverflow"]);
});

test("no offer, no answer and no path each have their time", () => {
  const offer = new Bench();
  offer.connect();
  offer.status("online");
  offer.says({ type: "ack" });
  offer.advance(20_000);
  assert.deepEqual([offer.state.state, offer.state.reason], ["lost", "timedOut"]);
  const path = new Bench();
  path.connect();
  path.status("online");
  path.says({ type: "peer", iceServers: [], node: { name: "x", boot: BOOT, version: "1" }, nonce: "n" }, { re: 0 });
  path.says({ type: "offer", sdp: "v=0", mids: {} }, { re: 0 });
  path.peer({ type: "answered", sdp: "v=0" });
  path.says({ type: "ack" });
  path.advance(30_000);
  assert.deepEqual([path.state.state, path.state.reason], ["lost", "iceFailed"]);
});

test("stopping says leave, waits a moment for it to be heard, and closes the connection to the broker", () => {
  const bench = new Bench();
  bench.goLive();
  bench.handle({ type: "stop" });
  assert.deepEqual(bench.state, { state: "idle", reason: "stopped" });
  const leave = bench.last("leave").body;
  assert.ok(leave.type === "leave" && leave.reason === "closed");
  assert.ok(!bench.done.some(({ output }) => output.type === "disconnect"));
  bench.says({ type: "ack" });
  assert.ok(bench.done.some(({ output }) => output.type === "disconnect"));
  const deaf = new Bench();
  deaf.goLive();
  deaf.handle({ type: "stop" });
  deaf.advance(1_000);
  assert.ok(deaf.done.some(({ output }) => output.type === "disconnect"));
  deaf.advance(600_000);
  assert.equal(deaf.viewer.pollTimeout(), undefined);
});

test("a node that goes offline before it has offered is waited for, not tried for a quarter of a minute", () => {
  const bench = new Bench();
  bench.connect();
  bench.status("online");
  bench.status("offline");
  assert.deepEqual([bench.state.state, bench.state.reason], ["waiting", "nodeOffline"]);
  bench.status("online", { conn: 2 });
  assert.equal(bench.joins().length, 2);
});

test("over a broker that loses a third, repeats a third and reorders, a session still comes about", () => {
  for (let seed = 1; seed <= 50; seed += 1) {
    let random = seed;
    const chance = (): number => (random = (random * 48_271) % 2_147_483_647) / 2_147_483_647;
    const bench = new Bench();
    bench.connect();
    bench.status("online");
    const { session } = bench;
    const script: (Message & { seq: number })[] = [
      { seq: 0, re: 0, body: { type: "peer", iceServers: [], node: { name: "x", boot: BOOT, version: "1" }, nonce: "n" } },
      { seq: 1, re: 0, body: { type: "offer", sdp: "v=0\r\na=ice-ufrag:one", mids: {} } },
      { seq: 2, body: { type: "ice", candidates: [{ candidate: "c", usernameFragment: "one" }], complete: true } },
    ];
    let acknowledged = -1;
    for (let turn = 0; turn < 200 && acknowledged < 2; turn += 1) {
      for (const each of script) {
        if (each.seq > acknowledged && chance() > 0.33) bench.deliver({ session, ack: 0, ...each });
        if (chance() > 0.66) bench.deliver({ session, ack: 0, ...each });
      }
      bench.advance(100);
      for (const { message } of bench.published) if (chance() > 0.33) acknowledged = Math.max(acknowledged, message.ack ?? -1);
    }
    assert.deepEqual(bench.commands.map((command) => command.do), ["open", "answer", "addCandidates"], `seed ${seed}`);
    assert.equal(acknowledged, 2, `seed ${seed}`);
  }
});

test("a way to the broker that cannot be had is said, with the reason, and asked for again", () => {
  const bench = new Bench();
  bench.handle({ type: "start" });
  bench.handle({ type: "linkDown", problem: "noAddress", said: "signed out" });
  const { state, reason, said, retryAt } = bench.state;
  assert.deepEqual([state, reason, said], ["refused", "noAddress", "signed out"]);
  assert.equal(retryAt, bench.now + 1_100);
  bench.advance(1_100);
  assert.equal(bench.connects, 2);
});

test("a connection to the broker that neither comes nor fails is given up after half a minute, and made anew", () => {
  const bench = new Bench();
  bench.handle({ type: "start" });
  bench.advance(29_999);
  assert.deepEqual([bench.connects, bench.state.reason], [1, "broker"]);
  bench.advance(1);
  assert.deepEqual([bench.state.state, bench.state.reason], ["waiting", "unreachable"]);
  bench.advance(1_100);
  assert.equal(bench.connects, 2);
  bench.handle({ type: "linkUp", peer: "tab-1" });
  bench.advance(25_000);
  assert.equal(bench.connects, 2, "one that has come is left alone");
});

test("a node whose will has come while pictures flow is watched on, and offline once they have stopped", () => {
  const bench = new Bench();
  bench.goLive();
  bench.watch(5);
  bench.status("offline");
  bench.watch(60);
  assert.equal(bench.state.reason, "live", "a session outlives its node's broker connection");
  bench.stall(2);
  assert.deepEqual([bench.state.state, bench.state.reason], ["lost", "nodeAway"]);
  bench.watch(1);
  assert.equal(bench.state.reason, "live");
  bench.stall(2);
  bench.advance(20_000);
  assert.deepEqual([bench.state.state, bench.state.reason], ["waiting", "nodeOffline"]);
  bench.status("online", { boot: "fedcba9876543210" });
  bench.advance(5_000);
  assert.deepEqual([bench.state.state, bench.state.reason], ["connecting", "join"]);
});

test("a path that falls silent while the node is at its broker is looked for, and the will that comes later is told", () => {
  const bench = new Bench();
  bench.goLive();
  bench.watch(5);
  bench.stall(2);
  assert.equal(bench.state.reason, "live");
  bench.peer({ type: "silent" });
  assert.deepEqual([bench.state.state, bench.state.reason], ["lost", "silent"]);
  bench.status("offline");
  assert.deepEqual([bench.state.state, bench.state.reason], ["lost", "nodeAway"]);
});

test("what the last try has come to is said while the next is under way, and forgotten when a person begins anew", () => {
  const bench = new Bench();
  bench.connect();
  bench.status("online");
  assert.deepEqual([bench.state.reason, bench.state.tried], ["join", undefined]);
  const states: string[] = [];
  for (let tries = 0; tries < 3; tries += 1) {
    bench.peer({ type: "failed", step: "iceFailed", message: "no network path" });
    const joins = bench.joins().length;
    while (bench.joins().length === joins) bench.advance(10);
    states.push(`${bench.state.state} ${bench.state.reason} ${String(bench.state.tried)}`);
  }
  assert.deepEqual(states, Array(3).fill("connecting join iceFailed"));
  const { title, text } = wordsFor(bench.state);
  assert.deepEqual([title, text], ["No way through", "No network path between this device and the camera was found, or it was lost. Trying again now."]);
  bench.handle({ type: "stop" });
  bench.handle({ type: "start" });
  assert.deepEqual([bench.state.reason, bench.state.tried], ["join", undefined]);
});
