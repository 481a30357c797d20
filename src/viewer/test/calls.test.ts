/** Calls in both directions and registration: the viewer's core against a scripted node, in virtual time. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Message } from "../lib/core/envelope.ts";
import type { CallState } from "../lib/core/doorbell.ts";
import type { Body } from "../lib/core/message.ts";
import { Bench, BOOT } from "./node.ts";

const RING = "4bf92f3577b34da6a3ce929d0e0e4736";
const INTRODUCTION: Body = { type: "peer", iceServers: [], node: { name: "Front door", boot: BOOT, version: "0.1.0" }, nonce: "n" };
const OFFER: Body = { type: "offer", sdp: "v=0\r\na=ice-ufrag:one\r\n", mids: { "0": { camera: "front", kind: "video" } } };

/** A bench on which the node can call. */
class Doorstep extends Bench {
  override get session(): string {
    return this.viewer.sessionId ?? super.session;
  }

  /** From the first connection on, registered under this name. */
  registered(name = "Kitchen"): this {
    this.handle({ type: "register", name });
    this.handle({ type: "linkUp", peer: "tab-1" });
    this.status("online");
    this.admit();
    return this;
  }

  /** The node takes the latest registration. */
  admit(ttl = 80): void {
    this.deliver({ re: this.last("register").seq ?? -1, body: { type: "registered", name: "Kitchen", ttl } });
  }

  ring(session = RING): void {
    this.deliver({ session, seq: 0, body: { type: "call", from: "porch", nonce: "n" } });
    this.deliver({ session, ack: 0, body: { type: "ack" } });
  }

  /** How often it has been asked to be registered, repetitions apart. */
  get registers(): number {
    return new Set(this.published.flatMap(({ message }) => (message.body.type === "register" ? [message.seq] : []))).size;
  }

  /** The node says something about the call, acknowledging all that it has heard of us. */
  tells(session: string, seq: number, body: Body, more: Partial<Message> = {}): void {
    const heard = this.published.filter(({ message }) => message.session === session && message.seq !== undefined);
    this.deliver({ session, ...(body.type !== "error" && { seq }), ack: heard.at(-1)?.message.seq ?? 0, body, ...more });
  }

  accept(session = RING): void {
    this.handle({ type: "accept", session });
  }

  /** From our acceptance, or the node's, to moving pictures. */
  letIn(session: string, seq = 1): void {
    this.tells(session, seq, INTRODUCTION);
    this.tells(session, seq + 1, OFFER);
    this.handle({ type: "peer", session, event: { type: "answered", sdp: "v=0" } });
    this.tells(session, seq + 2, { type: "ice", candidates: [], complete: true });
    this.handle({ type: "peer", session, event: { type: "connected" } });
  }

  get calls(): string[] {
    return this.done.flatMap(({ output }) => (output.type === "call" ? [said(output.call)] : []));
  }

  get registrations(): string[] {
    return this.done.flatMap(({ output }) => {
      if (output.type !== "registration") return [];
      const { state, name, reason } = output.registration;
      return [[state, name, reason].filter((each) => each !== undefined).join(" ")];
    });
  }

  /** What we have said in a session, answers and all, without what is only an acknowledgement. */
  saidIn(session: string): string[] {
    return this.published.flatMap(({ message }) => (message.session === session && message.body.type !== "ack" ? [wordOf(message.body)] : []));
  }
}

const said = ({ direction, state, end }: CallState): string => [direction, state, ...(end === undefined ? [] : [end])].join(" ");
const wordOf = (body: Body): string => ("reason" in body ? `${body.type} ${body.reason}` : "response" in body ? body.response : body.type);

test("from a ring to moving pictures, in the protocol's order, and nothing is opened before the node lets us in", () => {
  const bench = new Doorstep().registered();
  bench.ring();
  assert.deepEqual(bench.calls, ["incoming ringing"]);
  bench.advance(20_000);
  assert.deepEqual([bench.commands, bench.state], [[], { state: "idle", reason: "stopped" }]);
  bench.accept();
  assert.deepEqual([bench.commands, bench.state.state, bench.state.reason], [[], "connecting", "call"]);
  const accepted = bench.last("callResponse");
  assert.deepEqual([accepted.seq, accepted.re], [1, 0]);
  assert.ok(accepted.body.type === "callResponse" && accepted.body.response === "accepted");
  assert.deepEqual(accepted.body.wants, { video: true, audio: true });
  bench.letIn(RING);
  assert.deepEqual(bench.steps, ["call", "ringing", "accepted", "peer", "opening", "offer", "answer", "ice", "connected"]);
  assert.deepEqual(bench.calls, ["incoming ringing", "incoming accepted", "incoming joined"]);
  assert.deepEqual(bench.saidIn(RING), ["ringing", "accepted", "answer"]);
  assert.equal(bench.state.state, "live");
  // A session like any other: when it is lost, it is joined again, and not called.
  bench.watch(20);
  bench.handle({ type: "peer", session: RING, event: { type: "failed", step: "iceFailed", message: "gone" } });
  bench.advance(25_000);
  assert.equal(bench.last("join").seq, 0);
});

test("a call is declined, and a late repetition of it gets the same answer and rings nobody", () => {
  const bench = new Doorstep().registered();
  bench.ring();
  bench.handle({ type: "decline", session: RING, reason: "declined" });
  assert.deepEqual(bench.saidIn(RING), ["ringing", "callResponse declined"]);
  assert.equal(bench.last("callResponse").re, 0);
  bench.deliver({ session: RING, ack: 1, body: { type: "ack" } });
  bench.advance(60_000);
  bench.ring();
  assert.deepEqual(bench.saidIn(RING), ["ringing", "callResponse declined", "callResponse declined"]);
  assert.deepEqual(bench.calls, ["incoming ringing", "incoming ended declined"]);
  bench.accept();
  assert.deepEqual(bench.calls.length, 2, "what has been declined cannot be accepted");
});

test("why a caller has given up is told", () => {
  const ends = { answered: "answered", timeout: "timeout", closed: "cancelled", failed: "cancelled" } as const;
  for (const [reason, end] of Object.entries(ends)) {
    const bench = new Doorstep().registered();
    bench.ring();
    bench.tells(RING, 1, { type: "cancel", reason: reason as keyof typeof ends });
    assert.deepEqual(bench.calls, ["incoming ringing", `incoming ended ${end}`]);
    assert.deepEqual(bench.steps, ["call", "ringing", "cancelled"]);
    bench.advance(200);
    assert.deepEqual([bench.last("ack").session, bench.last("ack").ack], [RING, 1]);
  }
});

test("a cancel that crosses our acceptance counts, and what went on before goes on", () => {
  const bench = new Doorstep().registered();
  bench.ring();
  bench.accept();
  bench.tells(RING, 1, { type: "cancel", reason: "answered" }, { ack: 0 });
  assert.deepEqual(bench.calls, ["incoming ringing", "incoming accepted", "incoming ended answered"]);
  assert.deepEqual([bench.state.state, bench.commands], ["idle", []]);
  bench.advance(60_000);
  assert.deepEqual(bench.saidIn(RING), ["ringing", "accepted"], "nothing is repeated that nobody waits for");
});

const HANG_UP: Body = { type: "cancel", reason: "closed" };

/** In a call that we have taken, with moving pictures. */
function inCall(): Doorstep {
  const bench = new Doorstep().registered();
  bench.ring();
  bench.accept();
  bench.letIn(RING);
  bench.watch(20);
  return bench;
}

/** Nothing goes on by itself, and it rings as before. */
function assertOver(bench: Doorstep, joins = 0): void {
  assert.deepEqual([bench.state, bench.viewer.sessionId], [{ state: "idle", reason: "hungUp" }, undefined]);
  bench.advance(30_000);
  bench.admit();
  bench.advance(30_000);
  assert.equal(bench.joins().length, joins, "nobody joins again");
  bench.ring("8".repeat(32));
  assert.equal(bench.calls.at(-1), "incoming ringing");
}

test("the node hangs up: it is over for good, and the next ring rings", () => {
  const bench = inCall();
  bench.tells(RING, 9, HANG_UP);
  assert.equal(bench.steps.at(-1), "cancelled");
  assert.deepEqual([bench.last("ack").session, bench.last("ack").ack], [RING, 9]);
  assert.equal(bench.commands.at(-1)?.do, "close");
  // It was not heard.
  bench.advance(500);
  bench.tells(RING, 9, HANG_UP);
  assert.deepEqual([bench.last("ack").session, bench.last("ack").ack], [RING, 9]);
  assertOver(bench);
});

test("the node hangs up before anything is seen, on a call of its own and on one of ours", () => {
  const accepted = new Doorstep().registered();
  accepted.ring();
  accepted.accept();
  accepted.tells(RING, 1, HANG_UP);
  assert.equal(accepted.calls.at(-1), "incoming ended hungUp");
  const opening = new Doorstep().registered();
  opening.ring();
  opening.accept();
  opening.tells(RING, 1, INTRODUCTION);
  opening.tells(RING, 2, HANG_UP);
  assertOver(opening);
  const calling = new Doorstep();
  calling.handle({ type: "call" });
  calling.handle({ type: "linkUp", peer: "tab-1" });
  const session = calling.last("call").session ?? "";
  calling.tells(session, 0, { type: "ringing" }, { re: 0 });
  calling.tells(session, 1, HANG_UP);
  assert.deepEqual([calling.calls.at(-1), calling.state.reason], ["outgoing ended hungUp", "stopped"]);
});

test("the node hangs up on a call of ours: the broker is left, and who starts again joins", () => {
  const bench = new Doorstep();
  bench.handle({ type: "call" });
  bench.handle({ type: "linkUp", peer: "tab-1" });
  bench.status("online");
  const session = bench.last("call").session ?? "";
  bench.tells(session, 0, { type: "callResponse", response: "accepted", nonce: "n" }, { re: 0 });
  bench.letIn(session);
  bench.tells(session, 9, HANG_UP);
  assert.deepEqual([bench.last("ack").session, bench.state], [session, { state: "idle", reason: "hungUp" }]);
  bench.advance(60_000);
  assert.ok(bench.done.some(({ output }) => output.type === "disconnect"));
  assert.equal(bench.joins().length, 0);
  bench.handle({ type: "start" });
  bench.handle({ type: "linkUp", peer: "tab-1" });
  bench.status("online");
  assert.equal(bench.joins().length, 1);
});

test("a hang-up that is heard after the connection's end counts: in its time, before the next join, and after it", () => {
  const early = inCall();
  early.peer({ type: "closed" });
  early.advance(400);
  early.tells(RING, 9, HANG_UP);
  assert.equal(early.steps.at(-1), "cancelled");
  assertOver(early);

  const late = new Doorstep().registered();
  late.ring();
  late.accept();
  late.letIn(RING);
  late.peer({ type: "closed" });
  late.advance(600);
  assert.deepEqual([late.state.state, late.joins().length], ["lost", 0]);
  late.tells(RING, 9, HANG_UP);
  assertOver(late);

  const later = inCall();
  later.peer({ type: "closed" });
  later.advance(600);
  assert.equal(later.joins().length, 1, "it had been good for long");
  const { session } = later.last("join");
  later.tells(RING, 9, HANG_UP);
  assert.deepEqual(later.saidIn(session ?? ""), ["join", "leave closed"]);
  later.deliver({ session: session ?? "", ack: 1, body: { type: "ack" } });
  assertOver(later, 1);
});

test("a hang-up of before does not end what somebody has begun since", () => {
  const bench = inCall();
  bench.peer({ type: "closed" });
  bench.advance(600);
  bench.handle({ type: "stop" });
  bench.handle({ type: "start" });
  assert.equal(bench.joins().length, 2);
  bench.tells(RING, 9, HANG_UP);
  assert.equal(bench.state.state, "connecting");
});

test("a call that is joined again after a loss, and hung up meanwhile, is over", () => {
  const bench = inCall();
  bench.peer({ type: "closed" });
  bench.advance(600);
  bench.says(HANG_UP);
  assertOver(bench, 1);
});

test("a cancel that overtakes its call keeps it from ringing", () => {
  const bench = new Doorstep().registered();
  bench.deliver({ session: RING, seq: 1, body: { type: "cancel", reason: "timeout" } });
  assert.deepEqual([bench.last("ack").session, bench.last("ack").ack], [RING, 1]);
  bench.ring();
  assert.deepEqual([bench.calls, bench.last("ack").ack], [[], 0]);
});

test("a call that nobody answers and nobody cancels is over after two minutes", () => {
  const bench = new Doorstep().registered();
  bench.ring();
  bench.advance(119_000);
  assert.deepEqual(bench.calls, ["incoming ringing"]);
  bench.advance(1_000);
  assert.deepEqual(bench.calls, ["incoming ringing", "incoming ended timeout"]);
  assert.deepEqual(bench.saidIn(RING).at(-1), "callResponse timeout");
});

test("a node that does not let us in says why, or runs out of time", () => {
  const refused = new Doorstep().registered();
  refused.ring();
  refused.accept();
  refused.tells(RING, 1, { type: "error", code: 22, name: "NotAllowedError", message: "The token has expired." }, { re: 1 });
  assert.deepEqual(refused.calls.at(-1), "incoming ended tokenExpired");
  refused.tells(RING, 1, { type: "leave", reason: "failed" });
  assert.equal(refused.state.state, "idle");
  const silent = new Doorstep().registered();
  silent.ring();
  silent.accept();
  silent.tells(RING, 0, { type: "ack" });
  silent.advance(20_000);
  assert.deepEqual(silent.calls.at(-1), "incoming ended timedOut");
  assert.deepEqual(silent.saidIn(RING).slice(-2), ["error", "leave failed"]);
});

test("whoever does not take calls says so", () => {
  const bench = new Doorstep();
  bench.goLive();
  bench.ring();
  assert.deepEqual([bench.saidIn(RING), bench.calls, bench.state.state], [["callResponse unsupported"], [], "live"]);
});

test("a call that does not come from the node is a mistake", () => {
  const bench = new Doorstep().registered();
  bench.deliver({ session: RING, seq: 0, body: { type: "call", from: "tab-2", nonce: "n" } });
  const error = bench.last("error");
  assert.ok(error.body.type === "error" && error.body.code === 10 && error.re === 0);
  assert.deepEqual(bench.calls, []);
});

test("somebody who watches is rung, and goes on watching until the node has let the call in", () => {
  const bench = new Doorstep().registered();
  bench.handle({ type: "start" });
  bench.joinThrough();
  const watched = bench.session;
  bench.ring();
  assert.deepEqual([bench.state.state, bench.calls], ["live", ["incoming ringing"]]);
  bench.accept();
  assert.equal(bench.state.state, "live");
  assert.ok(!bench.commands.some((command) => command.do === "close"));
  bench.letIn(RING);
  const commands = bench.commands.map((command) => command.do).filter((each) => each !== "addCandidates");
  assert.deepEqual(commands, ["open", "answer", "close", "open", "answer"]);
  assert.deepEqual([bench.viewer.sessionId, bench.state.state], [RING, "live"]);
  bench.deliver({ session: watched, seq: 9, body: { type: "leave", reason: "replaced" } });
  bench.advance(60_000);
  assert.deepEqual([bench.joins().length, bench.state.state], [1, "live"], "it does not join again");
});

test("a second ring takes the first one's place, one in the middle of a call is answered with busy", () => {
  const second = "5".repeat(32);
  const bench = new Doorstep().registered();
  bench.ring();
  bench.ring(second);
  assert.deepEqual([bench.saidIn(RING), bench.saidIn(second)], [["ringing", "callResponse busy"], ["ringing"]]);
  assert.deepEqual(bench.calls, ["incoming ringing", "incoming ended cancelled", "incoming ringing"]);
  bench.accept(second);
  const third = "6".repeat(32);
  bench.ring(third);
  assert.deepEqual(bench.saidIn(third), ["callResponse busy"]);
  bench.letIn(second);
  const fourth = "7".repeat(32);
  bench.ring(fourth);
  assert.deepEqual([bench.saidIn(fourth), bench.state.state], [["callResponse busy"], "live"]);
});

test("we call the node: from the call to moving pictures", () => {
  const bench = new Doorstep();
  bench.handle({ type: "call" });
  assert.deepEqual([bench.connects, bench.calls, bench.state.reason], [1, ["outgoing calling"], "broker"]);
  bench.handle({ type: "linkUp", peer: "tab-1" });
  const call = bench.last("call");
  assert.ok(call.body.type === "call" && call.body.from === "tab-1" && call.seq === 0);
  assert.deepEqual(call.body.wants, { video: true, audio: true });
  const session = call.session ?? "";
  bench.tells(session, 0, { type: "ringing" }, { re: 0 });
  bench.advance(30_000);
  assert.deepEqual([bench.saidIn(session), bench.state.reason], [["call"], "call"]);
  bench.tells(session, 1, { type: "callResponse", response: "accepted", nonce: "n" }, { re: 0 });
  bench.letIn(session, 2);
  assert.deepEqual(bench.steps, ["call", "ringing", "accepted", "peer", "opening", "offer", "answer", "ice", "connected"]);
  assert.deepEqual(bench.calls, ["outgoing calling", "outgoing ringing", "outgoing accepted", "outgoing joined"]);
  assert.deepEqual([bench.state.state, bench.joins()], ["live", []]);
});

test("a call of ours ends with the node's no, our own, or nobody's answer", () => {
  const calling = (): [Doorstep, string] => {
    const bench = new Doorstep();
    bench.handle({ type: "call", ringMs: 10_000 });
    bench.handle({ type: "linkUp", peer: "tab-1" });
    bench.status("online");
    const session = bench.last("call").session ?? "";
    return [bench, session];
  };
  for (const reason of ["busy", "declined", "notAllowed", "unsupported"] as const) {
    const [bench, session] = calling();
    // A last word is acted on at once, whatever is missing before it.
    bench.tells(session, 1, { type: "callResponse", response: "rejected", reason, message: "No." }, { re: 0 });
    assert.deepEqual([bench.calls, bench.state.state], [["outgoing calling", `outgoing ended ${reason}`], "idle"]);
    bench.advance(1_000);
    assert.equal(bench.done.at(-1)?.output.type, "state");
    assert.ok(bench.done.some(({ output }) => output.type === "disconnect"), "the broker is not needed any more");
  }
  const [given, first] = calling();
  given.tells(first, 0, { type: "ringing" }, { re: 0 });
  given.handle({ type: "hangUp" });
  assert.deepEqual([given.saidIn(first), given.calls.at(-1)], [["call", "cancel closed"], "outgoing ended cancelled"]);
  // Their acceptance has crossed our cancel, which they get again.
  given.advance(300);
  given.tells(first, 1, { type: "callResponse", response: "accepted", nonce: "n" }, { re: 0, ack: 0 });
  assert.deepEqual(given.saidIn(first), ["call", "cancel closed", "cancel closed"]);
  const [unanswered, second] = calling();
  unanswered.tells(second, 0, { type: "ringing" }, { re: 0 });
  unanswered.advance(10_000);
  assert.deepEqual([unanswered.saidIn(second), unanswered.calls.at(-1)], [["call", "cancel timeout"], "outgoing ended timeout"]);
  const [unheard, third] = calling();
  unheard.handle({ type: "hangUp" });
  unheard.handle({ type: "call", ringMs: 60_000 });
  const fourth = unheard.last("call").session ?? "";
  assert.notEqual(third, fourth);
  unheard.advance(15_500);
  assert.deepEqual(unheard.calls.at(-1), "outgoing ended signallingLost");
});

test("both sides call at once: the node's call yields", () => {
  const bench = new Doorstep().registered();
  bench.handle({ type: "call" });
  bench.ring();
  assert.deepEqual([bench.saidIn(RING), bench.calls], [["callResponse busy"], ["outgoing calling"]]);
  bench.tells(RING, 1, { type: "cancel", reason: "answered" });
  bench.advance(200);
  const rung = new Doorstep().registered();
  rung.ring();
  rung.handle({ type: "call" });
  assert.deepEqual([rung.saidIn(RING), rung.calls], [["ringing", "callResponse busy"], ["incoming ringing", "incoming ended cancelled", "outgoing calling"]]);
});

test("a node that restarts or goes has nobody at the door any more", () => {
  for (const gone of [(bench: Doorstep) => { bench.status("offline"); }, (bench: Doorstep) => { bench.status("online", { boot: "0123456789abcdef" }); }]) {
    const bench = new Doorstep().registered();
    bench.ring();
    gone(bench);
    assert.deepEqual(bench.calls, ["incoming ringing", "incoming ended cancelled"]);
  }
});

test("a call rings on while the broker is away, and its answer goes out when it is back", () => {
  const bench = new Doorstep().registered();
  bench.ring();
  bench.handle({ type: "linkDown", problem: "lost" });
  bench.advance(10_000);
  bench.accept();
  assert.deepEqual(bench.saidIn(RING), ["ringing"]);
  bench.handle({ type: "linkUp", peer: "tab-1" });
  assert.deepEqual(bench.saidIn(RING), ["ringing", "accepted"]);
});

test("registered before anything else is done, renewed at half its time, and not for ever when nobody answers", () => {
  const bench = new Doorstep().registered();
  assert.deepEqual([bench.said, bench.registrations], [["register"], ["pending Kitchen", "on Kitchen"]]);
  assert.deepEqual(bench.last("register").body, { type: "register", name: "Kitchen", ttl: 80 });
  const first = bench.last("register").seq ?? 0;
  bench.advance(39_999);
  assert.equal(bench.said.length, 1);
  bench.advance(1);
  assert.notEqual(bench.last("register").seq, first);
  // An answer to the one before is none.
  bench.deliver({ re: first, body: { type: "registered", name: "Kitchen", ttl: 80 } });
  const start = bench.now;
  bench.advance(15_499);
  const times = bench.published.flatMap(({ at, message }) => (message.body.type === "register" && at >= start ? [at - start] : []));
  assert.deepEqual(times, [0, 500, 1_500, 3_500, 7_500, 11_500]);
  const last = bench.last("register").seq;
  bench.advance(2_000);
  assert.notEqual(bench.last("register").seq, last, "tried anew");
  bench.advance(30_000);
  assert.deepEqual(bench.registrations.at(-1), "pending Kitchen", "its time is over");
});

test("registered again when broker or node have been away", () => {
  const bench = new Doorstep().registered();
  bench.handle({ type: "linkDown", problem: "lost" });
  assert.equal(bench.registrations.at(-1), "pending Kitchen");
  bench.handle({ type: "linkUp", peer: "tab-1" });
  assert.deepEqual(bench.said, ["register", "register"]);
  bench.admit();
  bench.status("online", { boot: "0123456789abcdef" });
  assert.equal(bench.registrations.at(-1), "pending Kitchen");
  bench.advance(5_000);
  assert.equal(bench.registers, 3);
  bench.admit();
  bench.status("offline", { boot: "0123456789abcdef" });
  bench.advance(600_000);
  assert.equal(bench.registers, 3, "nobody is there to be asked");
  bench.status("online", { boot: "0123456789abcdef", conn: 2 });
  assert.equal(bench.registers, 4);
});

test("a name that is taken is told, and not asked for again by itself; another one is", () => {
  const bench = new Doorstep();
  bench.handle({ type: "register", name: "Kitchen" });
  bench.handle({ type: "linkUp", peer: "tab-1" });
  bench.status("online");
  bench.deliver({ re: bench.last("register").seq ?? -1, body: { type: "error", code: 27, name: "InvalidStateError", message: "Another peer has this name." } });
  assert.equal(bench.registrations.at(-1), "refused Kitchen nameTaken");
  bench.advance(600_000);
  assert.equal(bench.registers, 1);
  bench.handle({ type: "register", name: "Kitchen 2" });
  bench.admit();
  assert.equal(bench.registrations.at(-1), "on Kitchen 2");
});

test("a node with no room for one more is asked again when it says", () => {
  const bench = new Doorstep();
  bench.handle({ type: "register", name: "Kitchen" });
  bench.handle({ type: "linkUp", peer: "tab-1" });
  bench.status("online");
  bench.deliver({ re: bench.last("register").seq ?? -1, body: { type: "error", code: 25, name: "QuotaExceededError", message: "Full.", retryAfter: 60 } });
  bench.advance(59_999);
  assert.equal(bench.registers, 1);
  bench.advance(1);
  assert.equal(bench.registers, 2);
});

test("unregistered in so many words, and the broker is left when nothing else is wanted", () => {
  const bench = new Doorstep().registered();
  bench.ring();
  bench.handle({ type: "unregister" });
  assert.deepEqual([bench.registrations.at(-1), bench.saidIn(RING).at(-1)], ["off", "callResponse declined"]);
  bench.deliver({ re: bench.last("unregister").seq ?? -1, body: { type: "unregistered" } });
  bench.deliver({ session: RING, ack: 1, body: { type: "ack" } });
  assert.equal(bench.done.at(-1)?.output.type, "disconnect");
  assert.equal(bench.viewer.pollTimeout(), undefined);
});

test("whoever stops watching stays registered", () => {
  const bench = new Doorstep().registered();
  bench.handle({ type: "start" });
  bench.joinThrough();
  bench.handle({ type: "stop" });
  bench.advance(60_000);
  assert.ok(!bench.done.some(({ output }) => output.type === "disconnect"));
  bench.admit();
  bench.ring();
  assert.deepEqual([bench.calls, bench.state.state], [["incoming ringing"], "idle"]);
});

test("each step that needs a token asks for one, and a call without one is declined", () => {
  const bench = new Doorstep({ asksForToken: true });
  bench.handle({ type: "register", name: "Kitchen" });
  bench.handle({ type: "linkUp", peer: "tab-1" });
  bench.status("online");
  assert.deepEqual([bench.asks, bench.said], [[-1], []]);
  bench.grant("one");
  assert.deepEqual(bench.last("register").body, { type: "register", name: "Kitchen", ttl: 80, token: "one" });
  bench.admit();
  bench.ring();
  bench.accept();
  bench.accept();
  assert.deepEqual(bench.asks, [-1, -2], "asked once, however often it is pressed");
  bench.grant("two", 100_000);
  const { body } = bench.last("callResponse");
  assert.ok(body.type === "callResponse" && body.response === "accepted" && body.token === "two");
  bench.letIn(RING);
  // The session's own token is renewed a minute before it ends.
  bench.watch(49);
  bench.advance(1_000);
  assert.ok(bench.asks.some((ask) => ask > 0));

  const denied = new Doorstep({ asksForToken: true });
  denied.handle({ type: "register", name: "Kitchen" });
  denied.handle({ type: "linkUp", peer: "tab-1" });
  denied.status("online");
  denied.grant("one");
  denied.admit();
  denied.ring();
  denied.accept();
  denied.deny("signed out");
  assert.deepEqual([denied.calls.at(-1), denied.saidIn(RING).at(-1)], ["incoming ended noToken", "callResponse declined"]);
});
