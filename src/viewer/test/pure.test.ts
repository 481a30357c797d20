/** Everything else that is pure: statistics, stamps, words, settings, numbers. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { parse, publishPacket } from "../lib/link.ts";
import { refusedSection } from "../lib/peer.ts";
import { ageMs, blockSide, readStamp } from "../lib/stamp.ts";
import { sample, statsBetween } from "../lib/stats.ts";
import { wordsFor } from "../lib/words.ts";
import { browserName, keptName, nextName } from "../page/bellname.ts";
import { kept } from "../page/kept.ts";
import { LastName } from "../page/lastname.ts";
import { isTabletByAddress, Tablet } from "../page/tablet.ts";
import { bitrate, numberTexts, plotPoints, secondsUntil, snapshotName } from "../page/numbers.ts";
import { brokerAddress, fromFragment, isComplete, problemOf, toFragment } from "../page/settings.ts";

function report(seconds: number): Map<string, unknown> {
  return new Map<string, unknown>([
    ["v", { type: "inbound-rtp", kind: "video", codecId: "c", timestamp: seconds * 1_000, bytesReceived: seconds * 250_000, packetsLost: 2, framesDecoded: seconds * 30, totalDecodeTime: seconds * 0.06, jitterBufferDelay: seconds * 0.6, jitterBufferEmittedCount: seconds * 30, frameWidth: 1_280, frameHeight: 720 }],
    ["a", { type: "inbound-rtp", kind: "audio", timestamp: seconds * 1_000, bytesReceived: seconds * 4_000, packetsLost: 1 }],
    ["c", { type: "codec", mimeType: "video/H264" }],
    ["t", { type: "transport", selectedCandidatePairId: "p" }],
    ["p", { type: "candidate-pair", currentRoundTripTime: 0.02, localCandidateId: "l" }],
    ["l", { type: "local-candidate", candidateType: "relay" }],
  ]);
}

test("numbers come from the difference of two reports", () => {
  const stats = statsBetween(sample(report(3)), sample(report(4)));
  assert.equal(stats.width, 1_280);
  assert.equal(stats.fps, 30);
  assert.equal(stats.bitrateBps, 2_032_000);
  assert.equal(stats.roundTripMs, 20);
  assert.equal(Math.round(stats.bufferMs ?? 0), 20);
  assert.equal(Math.round(stats.latencyMs ?? 0), 32, "half a round trip, 20 ms of buffer, 2 ms of decoding");
  assert.deepEqual([stats.codec, stats.path, stats.packetsLost, stats.still], ["H264", "relay", 3, false]);
});

test("a picture that does not change is still, and gives no invented latency", () => {
  const stats = statsBetween(sample(report(3)), { ...sample(report(3)), atMs: 4_000 });
  assert.deepEqual([stats.still, stats.fps, stats.latencyMs], [true, 0, undefined]);
});

test("an empty report is no error", () => {
  assert.deepEqual(statsBetween(undefined, sample(new Map())), { still: false });
});

/** Paints a stamp as the test pattern does, in the pixels of a canvas. */
function painted(millis: number, side: number, sumError = 0): Uint8ClampedArray {
  const bytes = [millis >>> 24, (millis >>> 16) & 255, (millis >>> 8) & 255, millis & 255];
  bytes.push((bytes.reduce((sum, each) => sum + each, 0) + sumError) & 255);
  const rgba = new Uint8ClampedArray(40 * side * side * 4);
  for (let pixel = 0; pixel < 40 * side * side; pixel += 1) {
    const block = Math.floor((pixel % (40 * side)) / side);
    const bit = ((bytes[block >> 3] ?? 0) >> (7 - (block & 7))) & 1;
    rgba.fill(bit === 1 ? 235 : 16, pixel * 4, pixel * 4 + 3);
  }
  return rgba;
}

test("a stamp is read back, one with a wrong sum or a black picture is none", () => {
  for (const side of [8, 16, 32]) {
    for (const millis of [1, 0x12345678, 0xffff_ffff]) assert.equal(readStamp(painted(millis, side), side), millis);
    assert.equal(readStamp(painted(0x12345678, side, 1), side), undefined);
    assert.equal(readStamp(painted(0, side), side), undefined);
  }
  assert.deepEqual([blockSide(1_280, 720), blockSide(640, 480), blockSide(300, 200)], [32, 16, undefined]);
});

test("an age survives the wrap of 32 bits", () => {
  assert.equal(ageMs(2 ** 40 + 5, 0xffff_fffb), 10);
  assert.equal(ageMs(100, 110), -10);
});

test("an answer that refuses the picture is noticed, one that refuses only the sound is not", () => {
  const mids = { "0": { camera: "front", kind: "video" }, "1": { camera: "front", kind: "audio" } } as const;
  const answer = (video: number, audio: number): string =>
    `v=0\r\nm=video ${video} UDP/TLS/RTP/SAVPF 102\r\na=mid:0\r\nm=audio ${audio} UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\n`;
  assert.equal(refusedSection(answer(9, 9), mids), undefined);
  assert.equal(refusedSection(answer(9, 0), mids), undefined);
  assert.equal(refusedSection(answer(0, 9), mids), "picture (H.264)");
  assert.equal(refusedSection("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n", {}), undefined);
});

test("an address is left as it is, unless it holds a user", () => {
  const signed = "wss://x.iot.example.com/mqtt?X-Amz-Signature=a%2Fb%3D";
  assert.deepEqual(parse(signed), { url: signed });
  assert.deepEqual(parse("wss://ann:p%40ss@h/mqtt"), { url: "wss://h/mqtt", username: "ann", password: "p@ss" });
  assert.equal(parse("mqtt://h"), undefined);
  assert.equal(parse("no address"), undefined);
});

test("the packet for a page's last word is a PUBLISH of QoS 0", () => {
  assert.deepEqual([...publishPacket("a/b", "xy")], [0x30, 7, 0, 3, 0x61, 0x2f, 0x62, 0x78, 0x79]);
  assert.deepEqual([...publishPacket("a", "x".repeat(200)).slice(0, 6)], [0x30, 0xcb, 0x01, 0, 1, 0x61]);
});

test("what goes on by itself is not said of what has stopped", () => {
  assert.match(wordsFor({ state: "refused", reason: "clockUnknown", retryAt: 1 }).hint, /by itself/);
  assert.doesNotMatch(wordsFor({ state: "refused", reason: "rateLimited" }).hint, /by itself/);
  assert.match(wordsFor({ state: "live", reason: "live", brokerAway: true }).text, /broker is away/);
});

test("a fragment names broker, node and prefix, and is written as it is read", () => {
  const settings = { broker: "wss://h:8084/mqtt?a=1&b=2", node: "porch", prefix: "site/cams" };
  assert.deepEqual(fromFragment(toFragment(settings)), settings);
  assert.equal(toFragment({ broker: "wss://h/mqtt", node: "porch" }), "#broker=wss://h/mqtt&node=porch");
  assert.deepEqual(fromFragment("#x=1"), {});
  assert.ok(!isComplete({ broker: "wss://h", node: "two words" }));
  assert.ok(!isComplete({ broker: "wss://h", node: "n", prefix: "a/b/c" }));
});

test("what is wrong with an address is said in words", () => {
  const problem = (broker: string, node = "porch", prefix = "cams"): string => problemOf({ broker, node, prefix }) ?? "nothing";
  assert.equal(problem("broker.example.org/mqtt"), "nothing");
  assert.equal(problem("/mqtt"), "nothing");
  assert.match(problem("mqtt://broker:1883"), /by WebSocket.*mqtt:\/\/ is not/);
  for (const broker of ["javascript:alert(1)", "data:text/html,x", "two words", "wss://"]) assert.match(problem(broker), /cannot be a broker's address/, broker);
  for (const broker of ["h", "h:9001/mqtt", "[::1]:9001", "ws://ann:secret@h"]) assert.equal(problem(broker), "nothing", broker);
  assert.match(problem("wss://h", "two words"), /“two words” cannot be a node's name/);
  assert.match(problem("wss://h", "porch", `${"a".repeat(60)}/long`), /cannot be a topic prefix/);
  assert.equal(problemOf({ node: "porch" }), "The broker's address is missing.");
  assert.equal(problemOf({ broker: "wss://h" }), "The name of the camera's node is missing.");
});

test("a broker's address may be short", () => {
  const page = "https://cam.example.org/view/";
  assert.equal(brokerAddress("wss://h/mqtt", page), "wss://h/mqtt");
  assert.equal(brokerAddress("/mqtt", page), "wss://cam.example.org/mqtt");
  assert.equal(brokerAddress("./mqtt", "http://ha.local/ingress/cam/#x"), "ws://ha.local/ingress/cam/mqtt");
  assert.equal(brokerAddress("http://h:9001", "http://x/"), "ws://h:9001");
  assert.equal(brokerAddress(" h:9001 ", "http://x/"), "ws://h:9001");
  assert.equal(brokerAddress("mqtt://h", page), "mqtt://h");
});

test("numbers are short, and an estimate is marked as one", () => {
  assert.deepEqual([bitrate(999), bitrate(640_000), bitrate(2_040_000)], ["1 kbit/s", "640 kbit/s", "2.0 Mbit/s"]);
  assert.equal(numberTexts({ still: false, latencyMs: 81.6 }, undefined).latency, "≈ 82 ms latency");
  assert.equal(numberTexts({ still: false, latencyMs: 81.6 }, 64).latency, "64 ms latency");
  assert.equal(numberTexts(undefined, undefined).fps, "");
  assert.equal(secondsUntil(1_001, 1_000), 1);
  assert.equal(snapshotName("porch", "front", new Date(2026, 10, 21, 6, 5, 9), "jpg"), "porch-front-2026-11-21T06-05-09.jpg");
});

test("a browser is called by a name that people know it by, and by the next one when that is taken", () => {
  assert.equal(browserName("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36", "4f2"), "Chrome on Linux 4f2");
  assert.equal(browserName("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1", "0a1"), "Safari on iPhone 0a1");
  assert.equal(browserName("Mozilla/5.0 (Android 14; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0", "111"), "Firefox on Android 111");
  assert.equal(browserName("curl/8", "111"), "Browser 111");
  assert.equal(nextName("Kitchen"), "Kitchen (2)");
  assert.equal(nextName("Kitchen (2)"), "Kitchen (3)");
  assert.equal(nextName("Kitchen (9)"), undefined);
  assert.equal(Array.from(nextName("x".repeat(64)) ?? "").length, 64);
});

test("a bell that is on is kept for its camera alone, and where nothing may be kept it works all the same", () => {
  const values = new Map<string, string>();
  const storage = { getItem: (key: string) => values.get(key) ?? null, setItem: (key: string, value: string) => void values.set(key, value), removeItem: (key: string) => void values.delete(key) };
  const porch = keptName({ broker: "wss://h", node: "porch" }, () => storage);
  const yard = keptName({ broker: "wss://h", node: "yard" }, () => storage);
  porch.set("Kitchen");
  assert.deepEqual([porch.get(), yard.get()], ["Kitchen", undefined]);
  porch.set(undefined);
  assert.deepEqual([porch.get(), values.size], [undefined, 0]);
  const forbidden = keptName({ broker: "wss://h", node: "porch" }, () => {
    throw new DOMException("no", "SecurityError");
  });
  forbidden.set("Kitchen");
  assert.equal(forbidden.get(), undefined);
});

test("a camera whose node is gone is called as before, also by a page that opens then", () => {
  const values = new Map<string, string>();
  const storage = { getItem: (key: string) => values.get(key) ?? null, setItem: (key: string, value: string) => void values.set(key, value), removeItem: (key: string) => void values.delete(key) };
  const opened = (): LastName => new LastName("jb", kept("name", { broker: "wss://h", node: "jb" }, () => storage));
  const page = opened();
  page.hear({ state: "offline" });
  assert.equal(page.shown, "jb");
  page.hear({ state: "online", name: "Front door" });
  page.hear({ state: "offline" });
  assert.deepEqual([page.shown, opened().shown], ["Front door", "Front door"]);
  page.hear({ state: "online", name: "Back door" });
  assert.deepEqual([page.shown, opened().shown], ["Back door", "Back door"]);
  page.hear({ state: "online" });
  assert.deepEqual([page.shown, opened().shown, values.size], ["jb", "jb", 0]);
  const unkept = new LastName("jb", kept("name", { broker: "wss://h", node: "jb" }, () => {
    throw new DOMException("no", "SecurityError");
  }));
  unkept.hear({ state: "online", name: "Front door" });
  unkept.hear({ state: "offline" });
  assert.equal(unkept.shown, "Front door");
});

test("a plot has its newest value on the right, and makes nothing of noise", () => {
  assert.equal(plotPoints([5], 10), "120,15.0");
  assert.equal(plotPoints([0, 10], 10), "119,30.0 120,0.0");
  assert.equal(plotPoints([4, 6], 10), "119,18.0 120,12.0");
  assert.equal(plotPoints([0, 100], 10), "119,30.0 120,0.0");
});

test("a wall tablet is one by the address, or because somebody has said so here", () => {
  assert.deepEqual(["#wall-tablet", "#broker=wss://h&node=porch&wall-tablet", "#node=wall-tablet", ""].map(isTabletByAddress), [true, true, false, false]);
  const store = new Map<string, string>();
  const storage = { getItem: (key: string) => store.get(key) ?? null, setItem: (key: string, value: string) => store.set(key, value), removeItem: (key: string) => store.delete(key) };
  const wish = kept("wall-tablet", { broker: "wss://h", node: "porch" }, () => storage);
  assert.deepEqual([new Tablet(wish, false).isOn, new Tablet(wish, true).isOn, new Tablet(wish, false).isOn], [false, true, false]);
  new Tablet(wish, false).turn(true);
  assert.equal(new Tablet(wish, false).isOn, true);
  new Tablet(wish, false).turn(false);
  assert.deepEqual([new Tablet(wish, false).isOn, store.size], [false, 0]);
});
