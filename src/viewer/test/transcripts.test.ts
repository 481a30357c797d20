/**
 * What the node's core said to the headless viewer's over bad channels, told to this core at the same times, with the same
 * reports of the connection: it says the same. Written by `cargo test --lib transcripts`.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { test } from "node:test";

import { type Message, readMessage } from "../lib/core/envelope.ts";
import type { Input } from "../lib/core/io.ts";
import { Viewer } from "../lib/core/viewer.ts";

/** Those that are kept, and those that `tests/run unit` has just had written. */
const FOLDERS = ["test/transcripts", process.env["CAMERA_NODE_TRANSCRIPTS"]].filter((folder) => folder !== undefined);
const BASE = "camera-node/v1/porch";
const PEER = "tab-0";

/** Steps that end a session. */
const ENDS: readonly string[] = ["leave", "failed", "refused", "rejected", "cancelled", "rebooted"];

/** One thing that happened at the headless viewer's, at a time in milliseconds. */
interface Line {
  readonly at: number;
  /** From the node. */
  readonly node?: object;
  readonly status?: object;
  readonly link?: boolean;
  readonly connection?: { type: "addressLost" } | Extract<Parameters<Viewer["handle"]>[0], { type: "peer" }>["event"];
  /** What the headless viewer published. */
  readonly viewer?: { type: string; session?: string; nonce?: string };
  /** A session of it has ended: by which step, and with which error. */
  readonly ends?: readonly [session: string, step: string, slug: string | null];
}

/** The first message of each session. */
function beginnings(lines: readonly Line[]): Line[] {
  const seen = new Set<string | undefined>();
  return lines.filter(({ viewer }) => {
    const isFirst = (viewer?.type === "join" || viewer?.type === "call") && !seen.has(viewer.session);
    if (isFirst) seen.add(viewer.session);
    return isFirst;
  });
}

/**
 * Numbers that make this core choose the ids of the one in the transcript, and try anew when that did: the wait for a session is half
 * of what the tries before it make, and chance for the rest.
 */
function chances(lines: readonly Line[], now: () => number): () => number {
  const left = beginnings(lines);
  let digits: string[] = [];
  let hasWaited = true;
  return () => {
    const next = left[0];
    if (digits.length === 0 && next !== undefined && !hasWaited && next.at - now() > 1) {
      hasWaited = true;
      const wait = next.at - now();
      const full = 1_000 * 2 ** Math.ceil(Math.log2(wait / 1_000));
      return Math.min((wait / full - 0.5) * 2, 0.999_999);
    }
    if (digits.length === 0 && next?.viewer !== undefined) {
      left.shift();
      digits = Array.from(`${next.viewer.session ?? ""}${next.viewer.nonce ?? ""}`);
      hasWaited = false;
    }
    return parseInt(digits.shift() ?? "0", 16) / 16;
  };
}

/** What counts of the messages of one side: each once, in order, without what depends on how it was heard. */
function told(messages: readonly Message[]): string[] {
  const sessions = [...new Set(messages.map(({ session }) => session))];
  const numbered = messages.filter(({ seq }) => seq !== undefined);
  const bySeq = new Map(numbered.map((message) => [`${message.session ?? ""} ${message.seq ?? ""}`, message]));
  return [...bySeq.values()]
    .sort((one, other) => sessions.indexOf(one.session) - sessions.indexOf(other.session) || (one.seq ?? 0) - (other.seq ?? 0))
    .map(({ session, seq, re, body }) => JSON.stringify([session, seq, re, body.type, "sdp" in body ? body.sdp : undefined]));
}

const files = FOLDERS.flatMap((folder) => readdirSync(folder).sort().map((name) => `${folder}/${name}`));
for (const file of files) {
  test(`${basename(file)}: the same is said to the node as by the headless viewer`, () => {
    const lines = JSON.parse(readFileSync(file, "utf8")) as Line[];
    let now = 0;
    let isUp = false;
    let kept: object | undefined;
    const viewer = new Viewer({ prefix: "camera-node/v1", node: "porch", wants: { video: true } }, chances(lines, () => now));
    const said: Message[] = [];
    const ends: Line["ends"][] = [];
    const collect = (): void => {
      for (const output of viewer.takeOutputs()) {
        if (output.type === "publish") said.push(readMessage(output.payload));
        if (output.type === "disconnect") isUp = false;
        if (output.type !== "event" || !ENDS.includes(output.event.name)) continue;
        const { session, name, detail } = output.event;
        ends.push([session, name, name === "failed" || name === "refused" ? (detail ?? "").replace(/:.*/, "") : null]);
      }
    };
    const handle = (input: Input, at: number): void => {
      now = at;
      viewer.handle(input, at);
    };
    const sleepUntil = (at: number): void => {
      for (let due = viewer.pollTimeout(); due !== undefined && due <= at; due = viewer.pollTimeout()) {
        now = due;
        viewer.handleTimeout(due);
        collect();
      }
    };
    const hears = (topic: string, message: object, at: number): void => {
      handle({ type: "message", topic, payload: JSON.stringify(message), retain: topic.endsWith("status") }, at);
    };
    const begun = beginnings(lines);
    handle(begun[0]?.viewer?.type === "call" ? { type: "call" } : { type: "start" }, 0);
    for (const line of lines) {
      const { at, node, status, link, connection } = line;
      sleepUntil(at);
      const session = viewer.sessionId ?? "";
      // A call is a person's wish, each of them: between two of them nobody wants the broker.
      const callsAgain = line !== begun[0] && begun.includes(line) && line.viewer?.type === "call";
      if (callsAgain) handle({ type: "call" }, at);
      if (link === true) handle({ type: "linkUp", peer: PEER }, at);
      if (callsAgain && !isUp) {
        handle({ type: "linkUp", peer: PEER }, at);
        // The broker has kept it.
        if (kept !== undefined) hears(`${BASE}/status`, kept, at);
      }
      isUp ||= link === true || callsAgain;
      kept = status ?? kept;
      if (status !== undefined) hears(`${BASE}/status`, status, at);
      if (node !== undefined) hears(`${BASE}/out/${PEER}`, node, at);
      if (connection?.type === "addressLost") {
        // A browser tells neither more nor less of it.
        handle({ type: "peer", session, event: { type: "silent" } }, at);
        handle({ type: "networkChanged" }, at);
      } else if (connection !== undefined) {
        handle({ type: "peer", session, event: connection }, at);
      }
      collect();
    }
    // The times of a transcript are rounded.
    sleepUntil((lines.at(-1)?.at ?? 0) + 0.1);
    const theirs = lines.flatMap(({ viewer: message }) => (message === undefined ? [] : [readMessage(JSON.stringify(message))]));
    assert.deepEqual(told(said), told(theirs));
    assert.deepEqual(ends, lines.flatMap((line) => (line.ends === undefined ? [] : [line.ends])));
    const least = basename(file).startsWith("beginning") ? 2 : 30;
    assert.ok(theirs.length > least, "there is something to compare");
  });
}
