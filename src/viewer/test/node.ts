/** A scripted node, a clock that stands until it is moved, and a viewer between them. */

import assert from "node:assert/strict";

import { type Message, readMessage, writeMessage } from "../lib/core/envelope.ts";
import type { Input, Output, ViewerConfig } from "../lib/core/io.ts";
import type { Body, Status } from "../lib/core/message.ts";
import type { PeerCommand, PeerEvent } from "../lib/core/session.ts";
import type { ViewerState } from "../lib/core/state.ts";
import { Viewer } from "../lib/core/viewer.ts";

export const BOOT = "c0ffee0123456789";
export const PEER = "tab-1";
const BASE = "camera-node/v1/porch";

/** What the viewer has wanted done, at its time. */
export interface Done {
  readonly at: number;
  readonly output: Output;
}

export class Bench {
  readonly viewer: Viewer;
  readonly done: Done[] = [];
  now = 1_000;
  /** The node's next `seq` in the viewer's latest session. */
  private seq = 0;
  private seenSession = "";
  private seed = 1;

  constructor(config: Partial<ViewerConfig> = {}) {
    const wants = { video: true, audio: true };
    this.viewer = new Viewer({ prefix: "camera-node/v1", node: "porch", wants, ...config }, () => this.random());
  }

  /** A sequence that is the same in every run (Lehmer's). */
  private random(): number {
    this.seed = (this.seed * 48_271) % 2_147_483_647;
    return this.seed / 2_147_483_647;
  }

  handle(input: Input): void {
    this.viewer.handle(input, this.now);
    this.collect();
  }

  /** Moves the clock, waking the viewer whenever it wants to be woken. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (let turns = 0; ; turns += 1) {
      assert.ok(turns < 10_000, "the viewer wants to be woken again and again without moving on");
      const due = this.viewer.pollTimeout();
      if (due === undefined || due > end) break;
      this.now = Math.max(this.now, due);
      this.viewer.handleTimeout(this.now);
      this.collect();
    }
    this.now = end;
  }

  private collect(): void {
    for (const output of this.viewer.takeOutputs()) this.done.push({ at: this.now, output });
  }

  /** Starts, and connects to the broker. */
  connect(): void {
    this.handle({ type: "start" });
    this.handle({ type: "linkUp", peer: PEER });
  }

  status(state: "online" | "offline", more: Partial<Status> = {}): void {
    const body: Status = { type: "status", versions: [1], state, boot: BOOT, conn: 1, cameras: [], access: "open", ...more };
    this.handle({ type: "message", topic: `${BASE}/status`, payload: writeMessage({ body }), retain: true });
  }

  /** A message from the node to this peer. */
  deliver(message: Message, retain = false): void {
    this.raw(writeMessage(message), retain);
  }

  raw(payload: string, retain = false): void {
    this.handle({ type: "message", topic: `${BASE}/out/${PEER}`, payload, retain });
  }

  /** The node says something in the viewer's latest session, numbered and acknowledging everything. */
  says(body: Body, more: Partial<Message> = {}): void {
    const session = this.session;
    if (session !== this.seenSession) {
      this.seenSession = session;
      this.seq = 0;
    }
    const numbered = body.type === "error" || body.type === "ack" ? {} : { seq: this.seq++ };
    this.deliver({ session, ...numbered, ...this.acknowledging, body, ...more });
  }

  private get acknowledging(): { ack?: number } {
    const seqs = this.published.map(({ message }) => message).filter(({ session, seq }) => session === this.session && seq !== undefined);
    const ack = Math.max(-1, ...seqs.map(({ seq }) => seq ?? -1));
    return ack < 0 ? {} : { ack };
  }

  peer(event: PeerEvent): void {
    this.handle({ type: "peer", session: this.session, event });
  }

  /** From nothing to moving pictures. */
  goLive(): void {
    this.connect();
    this.status("online");
    this.joinThrough();
  }

  /** From a join that has just gone out to moving pictures. */
  joinThrough(boot = BOOT): void {
    this.says({ type: "peer", iceServers: [], node: { name: "Front door", boot, version: "0.1.0" }, nonce: "n" }, { re: 0 });
    this.says({ type: "offer", sdp: "v=0\r\na=ice-ufrag:one\r\n", mids: { "0": { camera: "front", kind: "video" } } }, { re: 0 });
    this.peer({ type: "answered", sdp: "v=0" });
    this.says({ type: "ack" });
    this.peer({ type: "connected" });
  }

  /** Media have flowed for so many seconds. */
  watch(seconds: number): void {
    for (let second = 1; second <= seconds; second += 1) {
      this.advance(1_000);
      this.handle({ type: "media", session: this.session, bytes: this.bytes++ });
    }
  }

  /** Nothing has come for so many seconds. */
  stall(seconds: number): void {
    for (let second = 1; second <= seconds; second += 1) {
      this.advance(1_000);
      this.handle({ type: "media", session: this.session, bytes: this.bytes - 1 });
    }
  }

  bytes = 1;

  /** The latest session the viewer has joined with. */
  get session(): string {
    const join = this.published.findLast(({ message }) => message.body.type === "join");
    assert.ok(join?.message.session !== undefined, "no join has been sent");
    return join.message.session;
  }

  get published(): { at: number; message: Message }[] {
    return this.done.flatMap(({ at, output }) =>
      output.type === "publish" ? [{ at, message: readMessage(output.payload) }] : [],
    );
  }

  /** The types of all messages published so far. */
  get said(): string[] {
    return this.published.map(({ message }) => message.body.type);
  }

  /** The last message of a type. */
  last(type: Body["type"]): Message {
    const found = this.published.findLast(({ message }) => message.body.type === type);
    assert.ok(found !== undefined, `no ${type} has been sent`);
    return found.message;
  }

  get commands(): PeerCommand[] {
    return this.done.flatMap(({ output }) => (output.type === "peer" ? [output.command] : []));
  }

  get steps(): string[] {
    return this.done.flatMap(({ output }) => (output.type === "event" ? [output.event.name] : []));
  }

  get states(): string[] {
    return this.done.flatMap(({ output }) => (output.type === "state" ? [`${output.state.state} ${output.state.reason}`] : []));
  }

  get state(): ViewerState {
    const last = this.done.findLast(({ output }) => output.type === "state")?.output;
    assert.ok(last?.type === "state", "no state has been told");
    return last.state;
  }

  /** The numbers of the questions for a token. */
  get asks(): number[] {
    return this.done.flatMap(({ output }) => (output.type === "askToken" ? [output.ask] : []));
  }

  /** Answers the latest of them. */
  grant(token: string | undefined, lifeMs?: number): void {
    this.handle({ type: "token", ask: this.asks.at(-1) ?? 0, token, lifeMs });
  }

  deny(said: string): void {
    this.handle({ type: "noToken", ask: this.asks.at(-1) ?? 0, said });
  }

  /** How often the viewer has asked for a connection to the broker. */
  get connects(): number {
    return this.done.filter(({ output }) => output.type === "connect").length;
  }

  joins(): number[] {
    const first = new Map<string | undefined, number>();
    for (const { at, message } of this.published) {
      if (message.body.type === "join" && !first.has(message.session)) first.set(message.session, at);
    }
    return [...first.values()];
  }
}
