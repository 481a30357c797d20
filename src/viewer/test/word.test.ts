/** What stands beside the camera's name: of each fault of deploy/faults.md that the node's status tells. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { CameraDetail, CameraState } from "../lib/index.ts";
import { wordsFor } from "../lib/words.ts";
import { oneWord } from "../page/word.ts";

const live: CameraState = { ...wordsFor({ state: "live", reason: "live" }), state: "live", reason: "live" };
const running: CameraDetail = { state: "running" };

function word(detail: CameraDetail, warnings: string[] = [], more: { state?: CameraState; isStill?: boolean } = {}): string {
  const said = oneWord(more.state ?? live, { detail, warnings, isStill: more.isStill ?? false });
  return `${said.attention ? "! " : ""}${said.word}`;
}

test("a camera's fault is named as its card names it", () => {
  assert.equal(word(running), "Live");
  assert.equal(word({ state: "away", message: "/dev/video0: gone" }), "! Camera unplugged");
  const faults = ["busy", "denied", "stalled", "unsupported", "failed", "of a later node"];
  const said = ["Camera in use", "The board may not open its camera", "Camera silent", "Camera not usable", "Camera failed", "Camera failed"];
  assert.deepEqual(faults.map((fault) => word({ state: "failed", fault })), said.map((each) => `! ${each}`));
  assert.equal(word({ state: "failed" }), "! Camera failed", "an older node");
});

test("of other parts, what viewers miss comes first, and what waits for somebody is said calmly", () => {
  const full = "storage full: no room in /var/lib/camera-node";
  const silent = "microphone main away: plughw:CARD=Mic: gone";
  assert.equal(word(running, [full]), "Live, storage full");
  assert.equal(word(running, [full, silent]), "! Live, microphone main away");
  assert.equal(word(running, [full, "speaker main away: plughw:CARD=Jack: not there"]), "! Live, speaker main away");
  assert.equal(word(running, ["encoder main stalled: takes pictures and gives none"], { isStill: true }), "! Live, encoder main stalled");
  assert.equal(word(running, [silent], { isStill: true }), "! Picture stands still");
  assert.equal(word(running, ["config refused: the node's log says more"]), "Live, config refused");
  assert.equal(word(running, ["turn refused: the node's log says more"]), "Live, turn refused");
  assert.equal(word(running, ["ice tcp refused: the node's log says more"]), "Live, ice tcp refused");
  assert.equal(word(running, ["clock away: stands before a time that has passed"]), "Live, clock away");
  const standIns = ["camera main missing: none was found: the test pattern is shown", "microphone main missing: none was found: a tone is heard"];
  assert.equal(word(running, standIns), "Live, camera main missing");
  assert.equal(word(running, standIns.slice(1)), "Live, microphone main missing");
  assert.equal(word(running, ["the certificate in /etc/x ends on Friday"]), "Live", "for who looks after it: in the title");
  assert.equal(word(running, [full], { state: { ...live, brokerAway: true } }), "! Live, broker away");
});

test("what is true of the connection is said before all that", () => {
  const state: CameraState = { ...wordsFor({ state: "lost", reason: "silent" }), state: "lost", reason: "silent" };
  assert.equal(word({ state: "away" }, ["storage full: x"], { state }), "Reconnecting");
});
