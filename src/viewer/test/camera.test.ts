/** The library's face, over a socket that is not there: what it asks its user for, and when. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { writeMessage } from "../lib/core/envelope.ts";
import { Camera, type CameraOptions, type IncomingCall, withPassword } from "../lib/index.ts";
import { publishPacket } from "../lib/link.ts";
import { withGlobals } from "./globals.ts";
import { BOOT } from "./node.ts";
import { FakeSocket } from "./socket.ts";

const PAGE = {
  WebSocket: FakeSocket,
  RTCPeerConnection: class {
    close(): void {
      // Nothing has been opened.
    }
  },
  location: { protocol: "https:" },
  document: { visibilityState: "visible", addEventListener: () => undefined, removeEventListener: () => undefined },
  addEventListener: () => undefined,
  removeEventListener: () => undefined,
};
const BASE = "camera-node/v1/porch";

/** Turns of the event loop until something is there; real time, as the back-off of the core is. */
async function until<T>(find: () => T | undefined): Promise<T> {
  const end = Date.now() + 10_000;
  for (;;) {
    const found = find();
    if (found !== undefined) return found;
    assert.ok(Date.now() < end, `never: ${find.toString()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Gives `work` a camera, and stops it whatever becomes of that: a timer that is left would keep the process for ever. */
async function stopped(camera: Camera, work: () => Promise<void>): Promise<void> {
  await work().finally(() => {
    camera.unregister();
    camera.stop();
  });
  await until(() => (FakeSocket.made.at(-1)?.readyState === 1 ? undefined : true));
}

/** What the page has published over a socket, as text. */
const published = (socket: FakeSocket): string[] =>
  socket.packets.flatMap(({ type, bytes }) => (type === "publish" ? [new TextDecoder().decode(bytes)] : []));

const socketAfter = (before: FakeSocket | undefined): Promise<FakeSocket> =>
  until(() => (FakeSocket.made.at(-1) === before ? undefined : FakeSocket.made.at(-1)));

async function watched(options: Omit<CameraOptions, "node">, work: (camera: Camera) => Promise<void>): Promise<void> {
  await withGlobals(PAGE, async () => {
    const camera = new Camera({ node: "porch", ...options });
    camera.start();
    await stopped(camera, () => work(camera));
  });
}

function sayOnline(socket: FakeSocket): void {
  const status = writeMessage({ body: { type: "status", versions: [1], state: "online", boot: BOOT, conn: 1, cameras: [], access: "token" } });
  socket.hear(...publishPacket(`${BASE}/status`, status));
}

test("connect and token are asked for when they are needed, and again for the next connection", async () => {
  let asked = 0;
  let tokens = 0;
  const connect = withPassword({ url: "wss://h/mqtt", username: "ann", password: () => `p${(asked += 1)}`, clientId: "tablet-1" });
  await watched({ connect, token: () => Promise.resolve(`token-${(tokens += 1)}`) }, async (camera) => {
    const first = await socketAfter(undefined);
    await until(() => (first.said.includes("subscribe") ? true : undefined));
    assert.deepEqual([asked, tokens], [1, 0]);
    sayOnline(first);
    const join = await until(() => published(first).find((text) => text.includes('"type":"join"')));
    assert.ok(join.includes(`${BASE}/in/tablet-1`) && join.includes('"token":"token-1"'), join);
    first.cut();
    const second = await socketAfter(first);
    const connected = await until(() => second.packets.find(({ type }) => type === "connect"));
    assert.ok(new TextDecoder().decode(connected.bytes).includes("p2"));
    assert.deepEqual([asked, tokens, camera.events.filter(({ name }) => name === "join").length], [2, 1, 1], "the session goes on");
  });
});

test("what connect or token fail with is told", async () => {
  await watched({ connect: () => Promise.reject(new Error("signed out")) }, async (camera) => {
    await until(() => (camera.state.state === "refused" ? true : undefined));
    const { reason, said, title, retryAt } = camera.state;
    assert.deepEqual([reason, said, title], ["noAddress", "signed out", "No way in"]);
    assert.ok(retryAt !== undefined && retryAt > Date.now());
  });
  const before = FakeSocket.made.at(-1);
  const token = (): string => {
    throw new Error("no permission");
  };
  await watched({ broker: "wss://h/mqtt", token }, async (camera) => {
    const socket = await socketAfter(before);
    await until(() => (socket.said.includes("subscribe") ? true : undefined));
    sayOnline(socket);
    await until(() => (camera.state.state === "refused" ? true : undefined));
    assert.deepEqual([camera.state.reason, camera.state.said], ["noToken", "no permission"]);
  });
});

test("what is no address at all is refused once, with what is wrong, until it is started anew", async () => {
  let asked = 0;
  let url = "javascript:alert('secret')";
  const connect = (): Promise<{ url: string }> => {
    asked += 1;
    return Promise.resolve({ url });
  };
  await watched({ connect }, async (camera) => {
    await until(() => (camera.state.state === "refused" ? true : undefined));
    const { reason, said, retryAt, title } = camera.state;
    assert.deepEqual([reason, retryAt, title, asked], ["badAddress", undefined, "Wrong address", 1]);
    assert.equal(said, "an address that begins with javascript: instead of wss:// or ws://");
    const before = FakeSocket.made.at(-1);
    url = "wss://h/mqtt";
    camera.stop();
    camera.start();
    await socketAfter(before);
    assert.equal(asked, 2);
  });
});

test("a browser without WebRTC is told so, and no broker is asked for", async () => {
  const made = FakeSocket.made.length;
  await withGlobals({ ...PAGE, RTCPeerConnection: undefined }, async () => {
    const camera = new Camera({ node: "porch", broker: "wss://h/mqtt" });
    camera.start();
    await stopped(camera, async () => {
      await Promise.resolve();
      const { state, reason, retryAt, text, hint } = camera.state;
      assert.deepEqual([state, reason, retryAt], ["refused", "noWebRtc", undefined]);
      assert.match(`${text} ${hint}`, /cannot show the camera.*Chrome, Edge, Firefox or Safari/);
      assert.equal(FakeSocket.made.length, made);
    });
  });
});

test("a token that is text names who we are, unless connect does", async () => {
  const token = `e30.${Buffer.from('{"peer":"guest-7"}').toString("base64url")}.c2ln`;
  for (const [connect, peer] of [
    [() => Promise.resolve({ url: "wss://h/mqtt" }), "guest-7"],
    [() => Promise.resolve({ url: "wss://h/mqtt", clientId: "tablet-1" }), "tablet-1"],
  ] as const) {
    const before = FakeSocket.made.at(-1);
    await watched({ connect, token }, async () => {
      const socket = await socketAfter(before);
      const connected = await until(() => socket.packets.find(({ type }) => type === "connect"));
      assert.ok(new TextDecoder().decode(connected.bytes).includes(peer));
    });
  }
});

test("a ring is an event with names and time, its answer goes out, and a page that is left is not rung any more", async () => {
  const before = FakeSocket.made.at(-1);
  const listeners = new Map<string, () => void>();
  const addEventListener = (name: string, listener: () => void): void => void listeners.set(name, listener);
  await withGlobals({ ...PAGE, addEventListener }, async () => {
    const camera = new Camera({ node: "porch", broker: "wss://h/mqtt" });
    await stopped(camera, async () => {
      const rings: IncomingCall[] = [];
      const calls: string[] = [];
      camera.on("incomingCall", (call) => rings.push(call));
      camera.on("call", ({ state, end }) => calls.push(end ?? state));
      assert.throws(() => { camera.register(""); }, TypeError);
      camera.register("Kitchen");
      const socket = await socketAfter(before);
      await until(() => (socket.said.includes("subscribe") ? true : undefined));
      const front = { name: "front", width: 640, height: 360, fps: 30 };
      socket.hear(...publishPacket(`${BASE}/status`, writeMessage({ body: { type: "status", versions: [1], state: "online", boot: BOOT, conn: 1, name: "Front door", cameras: [front], access: "open" } })));
      const register = await until(() => published(socket).find((text) => text.includes('"type":"register"')));
      // Of the length that ids have: the packet's number that follows may look like more of it.
      const [, peer = "", seq = ""] = /\/in\/(v-[0-9a-f]{20}).*"seq":(\d+)/s.exec(register) ?? [];
      const tell = (message: Parameters<typeof writeMessage>[0]): void => {
        socket.hear(...publishPacket(`${BASE}/out/${peer}`, writeMessage(message)));
      };
      tell({ re: Number(seq), body: { type: "registered", name: "Kitchen", ttl: 80 } });
      await until(() => (camera.registration.state === "on" ? true : undefined));
      tell({ session: "4bf92f3577b34da6a3ce929d0e0e4736", seq: 0, body: { type: "call", from: "porch", nonce: "n" } });
      const call = await until(() => rings[0]);
      assert.deepEqual([call.from, call.node, call.cameras, camera.state.state], ["porch", "Front door", ["front"], "idle"]);
      assert.ok(call.timeLeftMs > 100_000 && call.timeLeftMs <= 120_000 && call.endsAt > Date.now());
      call.decline("busy");
      await until(() => published(socket).find((text) => text.includes('"response":"rejected"') && text.includes('"reason":"busy"')));
      assert.deepEqual(calls, ["ringing", "busy"]);
      // Within this very call: a page that is being left has no later.
      listeners.get("pagehide")?.();
      assert.ok(published(socket).at(-1)?.includes('"type":"unregister"'));
      assert.equal(camera.registration.state, "off");
    });
  });
});

test("what a listener does comes after what was under way", async () => {
  const before = FakeSocket.made.at(-1);
  await watched({ broker: "wss://h/mqtt" }, async (camera) => {
    const states: string[] = [];
    const stop = camera.on("status", () => {
      camera.stop();
      stop();
    });
    camera.on("state", ({ state, reason }) => states.push(`${state} ${reason}`));
    const socket = await socketAfter(before);
    await until(() => (socket.said.includes("subscribe") ? true : undefined));
    sayOnline(socket);
    await until(() => (states.at(-1) === "idle stopped" ? true : undefined));
    assert.deepEqual(states, ["connecting node", "connecting join", "idle stopped"]);
    assert.equal(camera.state.state, "idle");
  });
});
