/** Delivery of one session's messages, in virtual time. The node's twin has the same tests. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Delivery, Overflow } from "../lib/core/delivery.ts";
import type { Message } from "../lib/core/envelope.ts";
import type { Body } from "../lib/core/message.ts";

const SESSION = "4bf92f3577b34da6a3ce929d0e0e4736";
const ICE: Body = { type: "ice", candidates: [], complete: true };

const stream = (): Delivery => new Delivery(SESSION, true);
const said = (seq: number, more: Partial<Message> = {}): Message => ({ session: SESSION, seq, body: ICE, ...more });
const seqs = (messages: Message[]): (number | undefined)[] => messages.map((message) => message.seq);

function drain(from: Delivery, now: number): Message[] {
  const all: Message[] = [];
  for (let next = from.pollTransmit(now); next !== undefined; next = from.pollTransmit(now)) all.push(next);
  return all;
}

test("a message is sent again after half a second, one, two, four and four, and then has failed", () => {
  const own = stream();
  own.send(ICE, undefined, 0);
  const times: number[] = [];
  for (let now = own.pollTimeout(); now !== undefined; now = own.pollTimeout()) {
    if (own.hasFailed(now)) {
      assert.equal(now, 15_500);
      break;
    }
    times.push(...drain(own, now).map(() => now));
  }
  assert.deepEqual(times, [0, 500, 1_500, 3_500, 7_500, 11_500]);
});

test("while media flow, a message is repeated on and on", () => {
  const own = stream();
  own.setPersistent(true, 0);
  own.send(ICE, undefined, 0);
  let sent = 0;
  for (let now = own.pollTimeout(); now !== undefined && now < 60_000; now = own.pollTimeout()) {
    assert.ok(!own.hasFailed(now));
    sent += drain(own, now).length;
  }
  assert.equal(sent, 18);
});

test("an acknowledgement rides on a message, stops its repetition, and counts only for what was said", () => {
  const own = stream();
  own.receive(said(0), 10, 1);
  own.send(ICE, 0, 2);
  const [reply] = drain(own, 2);
  assert.deepEqual([reply?.seq, reply?.ack, reply?.re], [0, 0, 0]);
  own.receive(said(1, { ack: 7 }), 10, 3);
  assert.ok(!own.isSettled());
  own.receive(said(2, { ack: 0 }), 10, 4);
  assert.ok(own.isSettled());
});

test("a repeated request gets its reply again, be it a message or an error", () => {
  const own = stream();
  own.receive(said(0), 10, 1);
  own.send(ICE, 0, 1);
  drain(own, 1);
  own.receive(said(0), 10, 300);
  assert.equal(drain(own, 300)[0]?.re, 0);
  own.receive(said(1), 10, 301);
  own.sendError({ type: "error", code: 12, name: "NotSupportedError", message: "" }, 1);
  const [error] = drain(own, 301);
  own.receive(said(1), 10, 400);
  assert.deepEqual(drain(own, 400), [error]);
});

test("what is beyond the window is an overflow, what is missing always has room", () => {
  const many = stream();
  many.receive(said(31), 10, 1);
  assert.throws(() => many.receive(said(32), 10, 1), Overflow);
  assert.throws(() => many.receive(said(0xffff_ffff), 10, 1), Overflow);
  const large = stream();
  large.receive(said(1), 40_000, 1);
  assert.throws(() => large.receive(said(2), 40_000, 1), Overflow);
  assert.deepEqual(seqs(large.receive(said(0), 60_000, 1)), [0, 1]);
});

test("no more than the window is on its way, the rest follows acknowledgements", () => {
  const own = stream();
  for (let index = 0; index < 40; index += 1) own.send(ICE, undefined, 1);
  assert.equal(drain(own, 1).length, 32);
  own.receive(said(0, { ack: 3 }), 10, 2);
  assert.equal(drain(own, 2).length, 4);
  assert.throws(() => {
    for (;;) own.send(ICE, undefined, 2);
  }, Overflow);
});

test("a leave waits for nothing before it", () => {
  const own = stream();
  own.send(ICE, undefined, 1);
  assert.equal(own.sendLast({ type: "leave", reason: "closed" }, 1), 1);
  assert.deepEqual(seqs(drain(own, 1)), [1]);
  assert.deepEqual(seqs(own.receive(said(5, { body: { type: "leave", reason: "closed" } }), 10, 1)), [5]);
  assert.deepEqual(drain(own, 1).map((message) => message.ack), [5]);
});

test("while the broker is away no time counts, and then all goes out anew", () => {
  const own = stream();
  own.send(ICE, undefined, 1);
  drain(own, 1);
  own.setLink(false, 2);
  assert.equal(own.pollTimeout(), undefined);
  assert.ok(!own.hasFailed(100_000));
  own.setLink(true, 100_000);
  assert.equal(drain(own, 100_000).length, 1);
  assert.equal(own.pollTimeout(), 100_500);
});
