/**
 * What the node's core said to the headless viewer's over bad channels, told to this core at the same times, with the same
 * reports of the connection: it says the same. Written by `cargo test --lib transcripts`.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { test } from "node:test";

import { type Message, readMessage } from "../lib/core/envelope.ts";
import { Viewer } from "../lib/core/viewer.ts";

/** Those that are kept, and those that `tests/run unit` has just had written. */
const FOLDERS = ["test/transcripts", process.env["CAMERA_NODE_TRANSCRIPTS"]].filter((folder) => folder !== undefined);
const BASE = "camera-node/v1/porch";
const PEER = "tab-0";

/** One thing that happened at the headless viewer's, at a time in milliseconds. */
interface Line {
  readonly at: number;
  /** From the node. */
  readonly node?: object;
  readonly status?: object;
  readonly link?: boolean;
  readonly connection?: { type: "addressLost" } | Extract<Parameters<Viewer["handle"]>[0], { type: "peer" }>["event"];
  /** What the headless viewer published. */
  readonly viewer?: { session?: string; nonce?: string };
}

/** Numbers that make this core choose the ids of the one in the transcript. */
function chances(lines: readonly Line[]): () => number {
  const join = lines.find(({ viewer }) => viewer?.nonce !== undefined)?.viewer;
  const digits = Array.from(`${join?.session ?? ""}${join?.nonce ?? ""}`);
  return () => parseInt(digits.shift() ?? "0", 16) / 16;
}

/** What counts of the messages of one side: each once, in order, without what depends on how it was heard. */
function told(messages: readonly Message[]): string[] {
  const numbered = messages.filter(({ seq }) => seq !== undefined);
  const bySeq = new Map(numbered.map((message) => [message.seq, message]));
  return [...bySeq.values()]
    .sort((one, other) => (one.seq ?? 0) - (other.seq ?? 0))
    .map(({ session, seq, re, body }) => JSON.stringify([session, seq, re, body.type, "sdp" in body ? body.sdp : undefined]));
}

const files = FOLDERS.flatMap((folder) => readdirSync(folder).sort().map((name) => `${folder}/${name}`));
for (const file of files) {
  test(`${basename(file)}: the same is said to the node as by the headless viewer`, () => {
    const lines = JSON.parse(readFileSync(file, "utf8")) as Line[];
    const viewer = new Viewer({ prefix: "camera-node/v1", node: "porch", wants: { video: true } }, chances(lines));
    const said: Message[] = [];
    const collect = (): void => {
      for (const output of viewer.takeOutputs()) if (output.type === "publish") said.push(readMessage(output.payload));
    };
    const sleepUntil = (at: number): void => {
      for (let due = viewer.pollTimeout(); due !== undefined && due <= at; due = viewer.pollTimeout()) {
        viewer.handleTimeout(due);
        collect();
      }
    };
    const hears = (topic: string, message: object, at: number): void => {
      viewer.handle({ type: "message", topic, payload: JSON.stringify(message), retain: topic.endsWith("status") }, at);
    };
    viewer.handle({ type: "start" }, 0);
    for (const { at, node, status, link, connection } of lines) {
      sleepUntil(at);
      const session = viewer.sessionId ?? "";
      if (link === true) viewer.handle({ type: "linkUp", peer: PEER }, at);
      if (status !== undefined) hears(`${BASE}/status`, status, at);
      if (node !== undefined) hears(`${BASE}/out/${PEER}`, node, at);
      if (connection?.type === "addressLost") {
        // A browser tells neither more nor less of it.
        viewer.handle({ type: "peer", session, event: { type: "silent" } }, at);
        viewer.handle({ type: "networkChanged" }, at);
      } else if (connection !== undefined) {
        viewer.handle({ type: "peer", session, event: connection }, at);
      }
      collect();
    }
    const theirs = lines.flatMap(({ viewer: message }) => (message === undefined ? [] : [readMessage(JSON.stringify(message))]));
    assert.deepEqual(told(said), told(theirs));
    const least = basename(file).startsWith("beginning") ? 2 : 30;
    assert.ok(theirs.length > least && told(theirs).some((text) => /"(offer|answer)"/.test(text)), "there is something to compare");
  });
}
