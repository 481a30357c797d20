/** Tokens: asked for, sent, renewed, refused. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { endOfToken, peerOfToken } from "../lib/core/token.ts";
import { peerId } from "../lib/identity.ts";
import { wordsFor } from "../lib/words.ts";
import { fragmentOf, secretsFor, splitFragment } from "../page/secrets.ts";
import { withGlobals } from "./globals.ts";
import { Bench } from "./node.ts";

/** Live with a token that was asked for, good for so long. */
function liveFor(lifeMs: number): Bench {
  const bench = new Bench({ asksForToken: true });
  bench.connect();
  bench.status("online");
  bench.grant("first", lifeMs);
  bench.joinThrough();
  return bench;
}

/** The tokens of all messages of a type. */
function tokens(bench: Bench, type: "join" | "renew"): (string | undefined)[] {
  return bench.published.flatMap(({ message: { body } }) => (body.type === type && "token" in body ? [body.token] : []));
}

test("a token that is given stands in every join", () => {
  const bench = new Bench({ token: "fixed" });
  bench.goLive();
  bench.status("online", { boot: "fedcba9876543210" });
  bench.advance(5_000);
  assert.equal(bench.joins().length, 2);
  assert.deepEqual([new Set(tokens(bench, "join")), bench.asks], [new Set(["fixed"]), []]);
});

test("a token that is asked for is asked for when it is time to join, and nothing is said before it comes", () => {
  const bench = new Bench({ asksForToken: true });
  bench.connect();
  bench.advance(500);
  assert.deepEqual(bench.asks, []);
  bench.status("online");
  assert.deepEqual([bench.asks, bench.said], [[1], []]);
  assert.deepEqual([bench.state.state, bench.state.reason], ["connecting", "token"]);
  bench.status("online");
  bench.advance(20_000);
  assert.deepEqual([bench.asks, bench.said], [[1], []], "asked once");
  bench.grant("fresh");
  assert.deepEqual(tokens(bench, "join"), ["fresh"]);
  bench.joinThrough();
  assert.equal(bench.state.state, "live");
});

test("each session gets a token of its own, and none when there is none to be had on purpose", () => {
  const bench = liveFor(3_600_000);
  bench.watch(20);
  bench.peer({ type: "failed", step: "internal", message: "gone" });
  assert.deepEqual(bench.asks, [1, 2]);
  bench.grant(undefined);
  const join = bench.last("join").body;
  assert.ok(join.type === "join" && join.token === undefined);
});

test("a token is renewed in band a minute before it ends, a short one after half of its time", () => {
  for (const [lifeMs, renewedAfterMs] of [[3_600_000, 3_540_000], [30_000, 15_000]] as const) {
    const bench = liveFor(lifeMs);
    bench.advance(renewedAfterMs - 1);
    assert.deepEqual(bench.asks, [1]);
    bench.advance(1);
    assert.deepEqual(bench.asks, [1, 2]);
    bench.grant("second", lifeMs);
    assert.deepEqual(tokens(bench, "renew"), ["second"]);
    const renew = bench.last("renew");
    assert.deepEqual([renew.session, renew.seq], [bench.session, 2], "in its session, after join and answer");
    bench.says({ type: "ack" });
    bench.advance(renewedAfterMs);
    assert.deepEqual(bench.asks, [1, 2, 3], "and so on");
    assert.deepEqual([bench.state.state, bench.joins().length], ["live", 1]);
  }
});

test("a renewal that is lost on its way is said again, like everything else", () => {
  const bench = liveFor(3_600_000);
  bench.advance(3_540_000);
  bench.grant("second");
  bench.advance(1_500);
  assert.deepEqual(tokens(bench, "renew"), ["second", "second", "second"]);
});

test("a token that does not say when it ends is not renewed", () => {
  const bench = new Bench({ asksForToken: true });
  bench.connect();
  bench.status("online");
  bench.grant("opaque");
  bench.joinThrough();
  bench.advance(10 * 86_400_000);
  assert.deepEqual([bench.asks, tokens(bench, "renew")], [[1], []]);
});

test("a renewal that cannot be had is tried again while the session lasts, and each failure is told", () => {
  const bench = liveFor(600_000);
  bench.advance(540_000);
  bench.deny("signed out");
  assert.equal(bench.state.state, "live");
  assert.ok(bench.done.some(({ output }) => output.type === "error" && /not renewed: signed out/.test(output.failure.message)));
  bench.advance(1_000);
  assert.deepEqual(bench.asks, [1, 2, 3]);
  bench.grant("late", 600_000);
  assert.deepEqual(tokens(bench, "renew"), ["late"]);
});

test("tokens that are over already do not make it ask on and on", () => {
  const bench = liveFor(-1_000);
  for (let second = 0; second < 60; second += 1) {
    const asked = bench.asks.length;
    bench.advance(1_000);
    if (bench.asks.length > asked) bench.grant("over", -1_000);
  }
  assert.ok(bench.asks.length <= 13, String(bench.asks.length));
});

test("a token that cannot be had is said with the reason, and asked for again after a while", () => {
  const bench = new Bench({ asksForToken: true });
  bench.connect();
  bench.status("online");
  bench.deny("signed out");
  const { state, reason, said, retryAt } = bench.state;
  assert.deepEqual([state, reason, said], ["refused", "noToken", "signed out"]);
  assert.ok(retryAt !== undefined);
  bench.advance(1_000);
  assert.deepEqual(bench.asks, [1, 2]);
  bench.deny("still out");
  bench.advance(600_000);
  assert.ok(bench.asks.length < 60, "with longer and longer waits");
  assert.deepEqual(bench.said, []);
});

test("a token that never comes is given up after half a minute, and one that comes too late counts for nothing", () => {
  const bench = new Bench({ asksForToken: true });
  bench.connect();
  bench.status("online");
  bench.advance(30_000);
  assert.deepEqual([bench.state.state, bench.state.reason], ["refused", "noToken"]);
  bench.handle({ type: "token", ask: 1, token: "late", lifeMs: undefined });
  assert.deepEqual(bench.said, []);
  bench.advance(1_000);
  assert.deepEqual(bench.asks, [1, 2]);
});

test("a token that comes while the broker is away is dropped, and another asked for when it is back", () => {
  const bench = new Bench({ asksForToken: true });
  bench.connect();
  bench.status("online");
  bench.handle({ type: "linkDown", problem: "lost" });
  bench.grant("early", 60_000);
  bench.advance(3_600_000);
  assert.deepEqual(bench.asks, [1], "what is in no use is not renewed");
  bench.handle({ type: "linkUp", peer: "tab-1" });
  assert.deepEqual([bench.asks, bench.said], [[1, 2], []]);
  bench.grant("fresh");
  assert.deepEqual(tokens(bench, "join"), ["fresh"]);
});

test("a token that comes after somebody has stopped begins nothing", () => {
  const bench = new Bench({ asksForToken: true });
  bench.connect();
  bench.status("online");
  bench.handle({ type: "stop" });
  bench.grant("late");
  bench.advance(60_000);
  assert.deepEqual([bench.said, bench.state.state], [[], "idle"]);
  assert.equal(bench.viewer.pollTimeout(), undefined);
});

test("a clock that stood still in the sleep is put right when the page wakes up", () => {
  const bench = liveFor(3_600_000);
  bench.handle({ type: "wake", lifeMs: 30_000 });
  bench.status("online");
  bench.advance(15_000);
  assert.deepEqual(bench.asks, [1, 2]);
});

test("a session that ended with its token is not begun again by itself, only when a person comes back", () => {
  const bench = liveFor(3_600_000);
  bench.says({ type: "leave", reason: "expired" });
  bench.status("online");
  bench.advance(3_600_000);
  assert.deepEqual([bench.state.state, bench.state.reason, bench.joins().length], ["refused", "expired", 1]);
  bench.handle({ type: "wake" });
  assert.deepEqual(bench.asks, [1, 2]);
  const fixed = new Bench({ token: "fixed" });
  fixed.goLive();
  fixed.says({ type: "leave", reason: "expired" });
  fixed.handle({ type: "wake" });
  fixed.advance(60_000);
  assert.equal(fixed.joins().length, 1, "the same token would be refused again");
});

test("each refusal for the token's sake is said in its own words, and none of them is tried again by itself", () => {
  for (const [code, reason, words] of [
    [20, "notAllowed", /may not watch/],
    [21, "tokenMissing", /only be watched with an access token.*link you were given/],
    [22, "tokenExpired", /come to its end.*new link/],
  ] as const) {
    const bench = new Bench({ token: "bad" });
    bench.connect();
    bench.status("online");
    bench.says({ type: "error", code, name: "NotAllowedError", message: "no" }, { re: 0 });
    bench.advance(600_000);
    assert.deepEqual([bench.state.state, bench.state.reason, bench.state.retryAt], ["refused", reason, undefined]);
    assert.equal(bench.joins().length, 1);
    const { text, hint } = wordsFor(bench.state);
    assert.match(`${text} ${hint}`, words);
  }
});

test("a renewal that the node refuses ends the session with the node's reason", () => {
  const bench = liveFor(30_000);
  bench.advance(15_000);
  bench.grant("forged", 30_000);
  bench.says({ type: "error", code: 20, name: "NotAllowedError", message: "not yours" }, { re: bench.last("renew").seq ?? -1 });
  assert.deepEqual([bench.state.state, bench.state.reason, bench.state.said], ["refused", "notAllowed", "not yours"]);
  bench.advance(600_000);
  assert.deepEqual(bench.asks, [1, 2]);
});

test("a node that knows no renewal is not asked to forget its viewer", () => {
  const bench = liveFor(30_000);
  bench.advance(15_000);
  bench.grant("second", 30_000);
  bench.says({ type: "error", code: 12, name: "NotSupportedError", message: "" }, { re: bench.last("renew").seq ?? -1 });
  assert.equal(bench.state.state, "live");
});

const jwt = (claims: unknown): string => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;

test("a token's end is read from a JWT, and from nothing else", () => {
  assert.equal(endOfToken(jwt({ exp: 1_700_000_000, name: "Tür ÿ?>" })), 1_700_000_000_000);
  for (const other of [jwt({}), jwt({ exp: "soon" }), jwt(null), "opaque", "a.b.c", "..", ""]) assert.equal(endOfToken(other), undefined, other);
});

test("the peer a token is for is who we are, with letters of our own where it leaves them open", async () => {
  // Only what a page from plain http:// has: neither randomUUID nor subtle.
  const crypto = { getRandomValues: globalThis.crypto.getRandomValues.bind(globalThis.crypto) };
  const kept = new Map<string, string>();
  const sessionStorage = {
    getItem: (key: string) => kept.get(key) ?? null,
    removeItem: (key: string) => kept.delete(key),
  };
  await withGlobals({ crypto, sessionStorage, addEventListener: () => undefined }, () => {
    const own = peerId();
    assert.match(own, /^v-[0-9a-f]{20}$/);
    assert.equal(peerId("*"), own);
    assert.equal(peerId("tablet-1"), "tablet-1");
    assert.equal(peerId(), own, "another camera in the same tab has none of it");
    const guest = peerId("guest-*");
    assert.match(guest, /^guest-[0-9a-f]{20}$/);
    assert.equal(peerId("guest-*"), guest);
    assert.equal(peerId(`${"x".repeat(60)}*`).length, 64);
    assert.equal(peerId("two words"), peerId(), "what can be nobody's id is left to the node to refuse");
  });
  assert.equal(peerOfToken(jwt({ peer: "guest-*" })), "guest-*");
  assert.equal(peerOfToken(jwt({ peer: 7 })), undefined);
  assert.equal(peerOfToken("opaque"), undefined);
});

test("a link's secrets are taken out of its fragment, and the rest left as it is", () => {
  const link = "#broker=wss://h/mqtt%3Fa=1&token=a.b-_.c&node=porch&password=s%26t";
  assert.deepEqual(splitFragment(link), { secrets: { token: "a.b-_.c", password: "s&t" }, rest: "#broker=wss://h/mqtt%3Fa=1&node=porch" });
  assert.deepEqual(splitFragment("#token=a.b.c"), { secrets: { token: "a.b.c" }, rest: "" });
  assert.deepEqual(splitFragment("#node=porch"), { secrets: {}, rest: "#node=porch" });
  assert.deepEqual(splitFragment("#token=&password="), { secrets: {}, rest: "" });
  assert.deepEqual(splitFragment(""), { secrets: {}, rest: "" });
  for (const secrets of [{}, { token: "a.b.c" }, { token: "a.b.c", password: "s&t=" }]) {
    assert.deepEqual(splitFragment(fragmentOf(secrets)), { secrets, rest: "" });
  }
});

test("secrets are kept for their own camera, and no other camera's broker gets them", () => {
  const kept = new Map<string, string>();
  const storage = () => ({ getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) });
  const camera = { broker: "wss://h/mqtt", node: "porch" };
  assert.deepEqual(secretsFor(camera, {}, storage), {});
  assert.deepEqual(secretsFor(camera, { token: "first", password: "p" }, storage), { token: "first", password: "p" });
  assert.deepEqual(secretsFor(camera, {}, storage), { token: "first", password: "p" });
  assert.deepEqual(secretsFor(camera, { token: "second" }, storage), { token: "second", password: "p" });
  assert.deepEqual(secretsFor(camera, {}, storage), { token: "second", password: "p" });
  for (const other of [{ ...camera, broker: "wss://evil/mqtt" }, { ...camera, node: "garden" }, { ...camera, prefix: "a/b" }]) {
    assert.deepEqual(secretsFor(other, {}, storage), {});
  }
});

test("where storage is forbidden, a link's secrets still do for as long as the page lives", () => {
  const forbidden = () => assert.fail("SecurityError");
  const camera = { broker: "wss://h/mqtt", node: "porch" };
  assert.deepEqual(secretsFor(camera, { token: "given" }, forbidden), { token: "given" });
  assert.deepEqual(secretsFor(camera, {}, forbidden), {});
});
