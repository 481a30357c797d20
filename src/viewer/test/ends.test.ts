/** What is said of a call that has ended. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { CallEnd } from "../lib/index.ts";
import { wordsForEnd, wordsForHangUp, wordsForLoss } from "../page/ends.ts";

test("each end of a call has its own words, by who called", () => {
  const title = (direction: "incoming" | "outgoing", end: CallEnd) => wordsForEnd({ direction, end })?.title;
  const outgoing = (["busy", "declined", "timeout", "cancelled", "notAllowed", "signallingLost", "noToken"] as const).map((end) => title("outgoing", end));
  assert.deepEqual(outgoing, ["Busy", "Call declined", "No answer", "Call cancelled", "Not allowed", "No answer", "The call did not come about"]);
  const incoming = (["answered", "timeout", "cancelled", "declined", "internal"] as const).map((end) => title("incoming", end));
  assert.deepEqual(incoming, ["Answered elsewhere", "Missed call", "Missed call", undefined, "The call did not come about"]);
});

test("what nobody took is missed, and what the node says of it is told", () => {
  assert.equal(wordsForEnd({ direction: "incoming", end: "timeout" })?.isMissed, true);
  assert.equal(wordsForEnd({ direction: "outgoing", end: "timeout" })?.isMissed, false);
  assert.equal(wordsForEnd({ direction: "outgoing", end: "notAllowed", said: "this token may not talk" })?.text, "this token may not talk");
});

test("who hangs up is told how long it lasted, and a call that broke off says why", () => {
  assert.equal(wordsForHangUp(7_900, "us").text, "It lasted 7\u00a0s");
  assert.equal(wordsForHangUp(125_000, "us").text, "It lasted 2\u00a0min 5\u00a0s");
  assert.equal(wordsForHangUp(125_000, "camera").text, "The camera has hung up. It lasted 2\u00a0min 5\u00a0s");
  const early = { title: "Call ended", text: "The camera has hung up", isMissed: false };
  for (const direction of ["incoming", "outgoing"] as const) assert.deepEqual(wordsForEnd({ direction, end: "hungUp" }), early);
  assert.deepEqual(wordsForLoss("The camera is off."), { title: "Call ended", text: "The camera is off", isMissed: false });
});
