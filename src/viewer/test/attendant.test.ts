/** What a wall tablet does by itself, on a clock of the test's. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ANSWERS_AFTER_MS, Attendant, HANGS_UP_AFTER_MS } from "../page/attendant.ts";
import { Hourglass } from "./hourglass.ts";

/** An attendant, and what it has done. */
function tablet(): { glass: Hourglass; attendant: Attendant; done: string[]; does: (what: string) => () => void } {
  const glass = new Hourglass();
  const done: string[] = [];
  return { glass, attendant: new Attendant(glass.later), done, does: (what) => () => void done.push(what) };
}

test("a call is answered after four seconds, in which a person may answer or decline it", () => {
  assert.equal(ANSWERS_AFTER_MS, 4_000);
  const { glass, attendant, done, does } = tablet();
  attendant.rings(does("answer"));
  glass.pass(ANSWERS_AFTER_MS - 1);
  assert.deepEqual(done, []);
  glass.pass(1);
  assert.deepEqual(done, ["answer"]);

  attendant.rings(does("declined one"));
  glass.pass(ANSWERS_AFTER_MS - 1);
  attendant.settled();
  glass.pass(HANGS_UP_AFTER_MS);
  assert.deepEqual([done, glass.waiting], [["answer"], 0]);
});

test("a call that comes in place of another has all of its time", () => {
  const { glass, attendant, done, does } = tablet();
  attendant.rings(does("first"));
  glass.pass(3_000);
  attendant.rings(does("second"));
  glass.pass(ANSWERS_AFTER_MS - 1);
  assert.deepEqual(done, []);
  glass.pass(1);
  assert.deepEqual(done, ["second"]);
});

test("what it has answered it hangs up after three minutes, and what a person has taken over it does not", () => {
  assert.equal(HANGS_UP_AFTER_MS, 3 * 60 * 1_000);
  const { glass, attendant, done, does } = tablet();
  attendant.answered(does("hang up"));
  // The end of ringing is not the end of the call.
  attendant.settled();
  glass.pass(HANGS_UP_AFTER_MS - 1);
  assert.deepEqual(done, []);
  glass.pass(1);
  assert.deepEqual(done, ["hang up"]);

  attendant.answered(does("hang up again"));
  glass.pass(HANGS_UP_AFTER_MS - 1);
  attendant.takesOver();
  glass.pass(HANGS_UP_AFTER_MS);
  assert.deepEqual([done, glass.waiting], [["hang up"], 0]);
});

test("a call after another has three minutes of its own", () => {
  const { glass, attendant, done, does } = tablet();
  attendant.answered(does("first"));
  glass.pass(170_000);
  attendant.answered(does("second"));
  glass.pass(HANGS_UP_AFTER_MS - 1);
  assert.deepEqual(done, []);
  glass.pass(1);
  assert.deepEqual(done, ["second"]);
});
