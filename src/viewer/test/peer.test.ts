/** What becomes of a step that the browser cannot take: the protocol's code for it, at the connection and at the node. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ERRORS, type ErrorSlug } from "../lib/core/errors.ts";
import type { PeerCommand, PeerEvent } from "../lib/core/session.ts";
import { Peer } from "../lib/peer.ts";
import { withGlobals } from "./globals.ts";
import { Bench, BOOT } from "./node.ts";

const MIDS = { "0": { camera: "front", kind: "video" } } as const;
const TAKEN = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n";
const REFUSED = TAKEN.replace("video 9", "video 0");

type Method = "setConfiguration" | "setRemoteDescription" | "createAnswer" | "createOffer" | "setLocalDescription" | "addIceCandidate";

/** A browser's connection that does nothing, and fails when it is told to: at the so many-th call of a method. */
class FakeConnection extends EventTarget {
  localDescription: { sdp: string } | null = null;
  connectionState = "new";
  readonly calls: string[] = [];
  /** Of the first section's transport. */
  dtls = { state: "connected", onstatechange: null as (() => void) | null };
  answerSdp = TAKEN;

  constructor(private readonly fails?: { method: Method; call: number }) {
    super();
  }

  getConfiguration = (): object => ({ bundlePolicy: "max-bundle" });
  getReceivers = (): object[] => [{ transport: this.dtls }];
  getTransceivers = (): object[] => [];
  readonly sctp = null;
  close = (): void => {
    this.calls.push("close");
  };

  setConfiguration(): void {
    if (this.isToFail("setConfiguration")) throw new Error("setConfiguration is not to be");
  }

  setRemoteDescription = (): Promise<void> => this.does("setRemoteDescription", undefined);
  createAnswer = (): Promise<{ sdp: string }> => this.does("createAnswer", { sdp: this.answerSdp });
  createOffer = (): Promise<{ sdp: string }> => this.does("createOffer", { sdp: TAKEN });
  addIceCandidate = (): Promise<void> => this.does("addIceCandidate", undefined);

  async setLocalDescription(description: { sdp?: string }): Promise<void> {
    await this.does("setLocalDescription", undefined);
    this.localDescription = { sdp: description.sdp ?? "" };
  }

  /** The connection is in another state. */
  turns(state: string, dtls = this.dtls.state): void {
    this.connectionState = state;
    this.dtls.state = dtls;
    this.dispatchEvent(new Event("connectionstatechange"));
  }

  private does<T>(method: Method, result: T): Promise<T> {
    // What a browser rejects with need not be an Error.
    return this.isToFail(method) ? Promise.reject(new DOMException(`${method} is not to be`, "OperationError")) : Promise.resolve(result);
  }

  private isToFail(method: Method): boolean {
    this.calls.push(method);
    return this.fails?.method === method && this.calls.filter((each) => each === method).length === this.fails.call;
  }
}

/** What a connection reports of these commands, once all of them are done. */
async function reported(connection: FakeConnection, commands: PeerCommand[]): Promise<PeerEvent[]> {
  const events: PeerEvent[] = [];
  const nothing = (): void => undefined;
  const peer = new Peer({ event: (event) => events.push(event), track: nothing, channel: nothing, voice: nothing }, 0, connection as unknown as RTCPeerConnection);
  for (const command of commands) peer.perform(command);
  await new Promise(setImmediate);
  return events;
}

const OPEN: PeerCommand = { do: "open", iceServers: [] };
const ANSWER: PeerCommand = { do: "answer", sdp: "v=0", mids: MIDS };
const RESTART: PeerCommand = { do: "restart" };
const ACCEPT: PeerCommand = { do: "accept", sdp: "v=0" };
const ROLLBACK: PeerCommand = { do: "rollback" };
const CANDIDATE: PeerCommand = { do: "addCandidates", candidates: [{ candidate: "c" }], complete: true };

test("what goes well is reported in the order of the commands", async () => {
  const events = await reported(new FakeConnection(), [OPEN, ANSWER, RESTART, ACCEPT, RESTART, ROLLBACK, CANDIDATE]);
  assert.deepEqual(events, [{ type: "answered", sdp: TAKEN }, { type: "offered", sdp: TAKEN }, { type: "offered", sdp: TAKEN }]);
});

test("each step that the browser refuses has a code of its own, also when it went well before", async () => {
  const first = [OPEN, ANSWER];
  for (const [method, call, commands, step] of [
    ["setConfiguration", 1, [OPEN], "internal"],
    ["setRemoteDescription", 1, first, "remoteDescriptionFailed"],
    ["createAnswer", 1, first, "answerFailed"],
    ["setLocalDescription", 1, first, "localDescriptionFailed"],
    ["setRemoteDescription", 2, [...first, ANSWER], "remoteDescriptionFailed"],
    ["createAnswer", 2, [...first, ANSWER], "answerFailed"],
    ["setLocalDescription", 2, [...first, ANSWER], "localDescriptionFailed"],
    ["createOffer", 1, [...first, RESTART], "offerFailed"],
    ["setLocalDescription", 2, [...first, RESTART], "localDescriptionFailed"],
    ["setRemoteDescription", 2, [...first, RESTART, ACCEPT], "remoteDescriptionFailed"],
    ["setLocalDescription", 3, [...first, RESTART, ROLLBACK], "localDescriptionFailed"],
  ] as const) {
    const events = await reported(new FakeConnection({ method, call }), [...commands]);
    assert.deepEqual(events.at(-1), { type: "failed", step, message: `${method} is not to be` });
    assert.equal(events.filter(({ type }) => type === "failed").length, 1);
  }
});

test("an answer that refuses the picture is no common codec, and is not said", async () => {
  const connection = Object.assign(new FakeConnection(), { answerSdp: REFUSED });
  assert.deepEqual(await reported(connection, [OPEN, ANSWER]), [{ type: "failed", step: "noCommonCodec", message: "the browser refused the picture (H.264)" }]);
  assert.ok(!connection.calls.includes("setLocalDescription"));
});

test("a candidate that the browser cannot use is none, and what needs a connection says that there is none", async () => {
  for (const call of [1, 2]) {
    const events = await reported(new FakeConnection({ method: "addIceCandidate", call }), [OPEN, ANSWER, CANDIDATE]);
    assert.deepEqual(events.map(({ type }) => type), ["answered"]);
  }
  assert.deepEqual(await reported(new FakeConnection(), [ANSWER]), [{ type: "failed", step: "internal", message: "there is no connection yet" }]);
  await withGlobals({ RTCPeerConnection: undefined }, async () => {
    const events: PeerEvent[] = [];
    const nothing = (): void => undefined;
    const peer = new Peer({ event: (event) => events.push(event), track: nothing, channel: nothing, voice: nothing }, 0);
    peer.perform(OPEN);
    await new Promise(setImmediate);
    assert.deepEqual(events, [{ type: "failed", step: "internal", message: "this browser has no WebRTC, or it is switched off" }]);
  });
});

test("a connection that fails was closed by the node, could not encrypt, or has no path", async () => {
  for (const [dtls, event] of [
    ["closed", { type: "closed" }],
    ["failed", { type: "failed", step: "internal", message: "encryption failed" }],
    ["connected", { type: "failed", step: "iceFailed", message: "no network path, or it was lost" }],
  ] as const) {
    const connection = new FakeConnection();
    const events = await reported(connection, [OPEN]);
    connection.turns("failed", dtls);
    assert.deepEqual(events, [event]);
  }
});

test("a connection that has been closed reports nothing, whatever still fails", async () => {
  const connection = new FakeConnection({ method: "createAnswer", call: 1 });
  assert.deepEqual(await reported(connection, [OPEN, ANSWER, { do: "close" }]), []);
  connection.turns("failed");
  assert.ok(connection.calls.includes("close"));
});

const OF_A_SESSION: ErrorSlug[] = ["offerFailed", "answerFailed", "localDescriptionFailed", "remoteDescriptionFailed", "noCommonCodec", "internal"];

test("a step that fails ends the session: the node hears the code, then a leave, and it is tried again where that may help", () => {
  for (const step of OF_A_SESSION) {
    for (const isLive of [false, true]) {
      const bench = new Bench();
      if (isLive) bench.goLive();
      else begin(bench);
      const { session } = bench;
      const before = bench.published.length;
      bench.peer({ type: "failed", step, message: "not to be" });
      const [error, leave, ...more] = bench.published.slice(before).map(({ message }) => message);
      const { code, name, retry } = ERRORS[step];
      assert.deepEqual([error?.session, error?.body, error?.seq], [session, { type: "error", code, name, message: "not to be" }, undefined]);
      assert.deepEqual([leave?.session, leave?.body], [session, { type: "leave", reason: "failed" }]);
      assert.deepEqual(more, []);
      assert.deepEqual(bench.commands.at(-1), { do: "close" });
      assert.equal(bench.steps.at(-1), "failed");
      assert.ok(bench.done.some(({ output }) => output.type === "error" && output.slug === step && output.session === session), step);
      const { state, reason, said, retryAt } = bench.state;
      assert.deepEqual([state, reason, said, retryAt !== undefined], [retry ? "lost" : "refused", step, "not to be", retry], step);
      bench.says({ type: "ack" });
      bench.advance(60_000);
      assert.equal(bench.joins().length > 1, retry, step);
    }
  }
});

test("without a path the session is joined anew from its beginning, and is mended where it was live", () => {
  const bench = new Bench();
  begin(bench);
  bench.peer({ type: "failed", step: "iceFailed", message: "no path" });
  assert.deepEqual(bench.said.slice(-2), ["error", "leave"]);
  const { body } = bench.last("error");
  assert.ok(body.type === "error" && body.code === ERRORS.iceFailed.code);
  const live = new Bench();
  live.goLive();
  live.peer({ type: "failed", step: "iceFailed", message: "no path" });
  assert.ok(!live.said.includes("leave"));
  live.advance(10_000);
  assert.ok(live.commands.some((command) => command.do === "restart"));
});

/** The node has offered, and the connection answers. */
function begin(bench: Bench): void {
  bench.connect();
  bench.status("online");
  bench.says({ type: "peer", iceServers: [], node: { name: "Front door", boot: BOOT, version: "0.1.0" }, nonce: "n" }, { re: 0 });
  bench.says({ type: "offer", sdp: "v=0\r\na=ice-ufrag:one\r\n", mids: MIDS }, { re: 0 });
}
