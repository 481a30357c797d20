/** The microphone: when it is asked for, what becomes of it, and what is said when there is none. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { levelOf, Talk, type Sender, type TalkState } from "../lib/talk.ts";
import { Hold } from "../page/hold.ts";
import { withGlobals } from "./globals.ts";

/** A microphone's track, as far as it matters. */
function microphone() {
  const ended: (() => void)[] = [];
  const track = {
    readyState: "live",
    stop: () => {
      track.readyState = "ended";
    },
    addEventListener: (_: string, listener: () => void) => ended.push(listener),
    getSettings: () => ({ deviceId: "one" }),
    unplug: () => {
      track.readyState = "ended";
      for (const listener of ended) listener();
    },
  };
  return track;
}

/** A session that takes sound: what it was given. */
function session(): { sender: Sender; given: unknown[] } {
  const given: unknown[] = [];
  const replaceTrack = (track: unknown): Promise<void> => {
    given.push(track);
    return Promise.resolve();
  };
  return { sender: { replaceTrack }, given };
}

function talking(keepMs = 50): { talk: Talk; told: TalkState[] } {
  const told: TalkState[] = [];
  return { talk: new Talk((state) => told.push(state), keepMs), told };
}

function offering(getUserMedia: () => Promise<unknown>) {
  return { navigator: { mediaDevices: { getUserMedia } } };
}

const streamOf = (track: unknown) => ({ getAudioTracks: () => [track], getTracks: () => [track] });

test("the microphone is asked for once, heard while somebody talks, and kept for a moment", async () => {
  const track = microphone();
  let asked = 0;
  const ask = (): Promise<unknown> => {
    asked += 1;
    return Promise.resolve(streamOf(track));
  };
  await withGlobals(offering(ask), async () => {
    const { talk, told } = talking();
    const { sender, given } = session();
    talk.use(sender);
    assert.equal(asked, 0);
    assert.equal(await talk.start(), true);
    talk.stop();
    assert.equal(await talk.start(), true);
    talk.stop();
    assert.equal(asked, 1);
    assert.deepEqual(given, [track, null, track, null]);
    assert.deepEqual(told.map(({ state }) => state), ["ready", "asking", "on", "ready", "on", "ready"]);
    assert.equal(track.readyState, "live");
    const isLive = (): boolean => track.readyState === "live";
    while (isLive()) await new Promise((done) => setTimeout(done, 5));
    assert.equal(track.readyState, "ended");
  });
});

test("who lets go before the browser has asked is not heard", async () => {
  const track = microphone();
  let grant: (stream: unknown) => void = () => undefined;
  const ask = () => new Promise((resolve) => (grant = resolve));
  await withGlobals(offering(ask), async () => {
    const { talk } = talking();
    const { sender, given } = session();
    talk.use(sender);
    const started = talk.start();
    talk.stop();
    grant(streamOf(track));
    assert.equal(await started, false);
    assert.deepEqual([given, track.readyState, talk.state.state], [[null], "ended", "ready"]);
  });
});

test("who talks goes on in the next session, and a microphone that is pulled out is told of", async () => {
  const track = microphone();
  await withGlobals(offering(() => Promise.resolve(streamOf(track))), async () => {
    const { talk, told } = talking();
    const [first, second] = [session(), session()];
    talk.use(first.sender);
    await talk.start();
    talk.use(undefined);
    assert.equal(talk.state.state, "off");
    talk.use(second.sender);
    await Promise.resolve();
    assert.deepEqual(second.given, [track]);
    track.unplug();
    assert.deepEqual([told.at(-1)?.state, told.at(-1)?.trouble], ["ready", "noMicrophone"]);
    talk.end();
  });
});

test("who answers a call is asked at once, and heard when the session is there; what came to nothing lets the microphone go", async () => {
  const track = microphone();
  let grant: (stream: unknown) => void = () => undefined;
  await withGlobals(offering(() => new Promise((resolve) => (grant = resolve))), async () => {
    const { talk, told } = talking();
    const { sender, given } = session();
    const started = talk.startSoon();
    grant(streamOf(track));
    assert.equal(await started, true);
    assert.deepEqual(given, []);
    talk.use(sender);
    await Promise.resolve();
    assert.deepEqual(given, [track]);
    assert.deepEqual(told.map(({ state }) => state), ["asking", "off", "on"]);
    talk.end();
    assert.equal(track.readyState, "ended");

    // The session may be there before the person has answered the browser.
    const slow = talking();
    const next = session();
    const asked = slow.talk.startSoon();
    slow.talk.use(next.sender);
    assert.equal(slow.talk.state.state, "asking");
    const other = microphone();
    grant(streamOf(other));
    assert.equal(await asked, true);
    assert.deepEqual([next.given, slow.talk.state.state], [[other], "on"]);

    // Nobody was at the other end.
    const nothing = talking();
    const late = nothing.talk.startSoon();
    nothing.talk.end();
    const unused = microphone();
    grant(streamOf(unused));
    assert.deepEqual([await late, unused.readyState, nothing.talk.state.state], [false, "ended", "off"]);
  });
});

test("each reason why nobody is heard has its own words", async () => {
  const error = (name: string) => () => Promise.reject(Object.assign(new Error("no"), { name }));
  for (const [globals, trouble, text] of [
    [offering(error("NotAllowedError")), "refused", /does not let this page use the microphone/],
    [offering(error("NotFoundError")), "noMicrophone", /no microphone/],
    [offering(error("NotReadableError")), "busy", /in use by another program/],
    [offering(error("TypeError")), "failed", /cannot be used/],
    [{ navigator: {}, isSecureContext: false }, "insecure", /did not come over https/],
  ] as const) {
    await withGlobals(globals, async () => {
      const { talk } = talking();
      talk.use(session().sender);
      assert.equal(await talk.start(), false);
      assert.deepEqual([talk.state.state, talk.state.trouble], ["ready", trouble]);
      assert.match(talk.state.text ?? "", text);
    });
  }
  const { talk } = talking();
  assert.equal(await talk.start(), false);
  assert.deepEqual([talk.state.state, talk.state.trouble], ["off", "noSpeaker"]);
});

test("a level is between quiet and loud", () => {
  const sine = (amplitude: number) => Array.from({ length: 1_024 }, (_, n) => amplitude * Math.sin(n / 8));
  assert.equal(levelOf(sine(0)), 0);
  assert.equal(levelOf(sine(1)), 1);
  const middle = levelOf(sine(0.05));
  assert.ok(middle > 0.4 && middle < 0.8, String(middle));
});

test("a button is held to talk, or tapped to leave the microphone open", () => {
  const hold = new Hold();
  assert.deepEqual([hold.down(0), hold.down(10), hold.up(1_000), hold.isOpen], ["start", undefined, "stop", false]);
  assert.deepEqual([hold.down(2_000), hold.up(2_100), hold.isOpen], ["start", undefined, true]);
  assert.deepEqual([hold.down(9_000), hold.up(9_100), hold.isOpen], [undefined, "stop", false]);
  // The window is left while it is held, and while it is open.
  assert.deepEqual([hold.down(10_000), hold.lost(), hold.up(11_000)], ["start", "stop", undefined]);
  assert.deepEqual([hold.down(12_000), hold.up(12_001), hold.lost(), hold.isOpen], ["start", undefined, undefined, true]);
  hold.reset();
  // A call has opened it, and a tap closes it.
  hold.opened();
  assert.deepEqual([hold.isOpen, hold.down(12_500), hold.up(12_600), hold.isOpen], [true, undefined, "stop", false]);
  assert.deepEqual([hold.isOpen, hold.down(13_000)], [false, "start"]);
});
