/** Requests over a channel that is not there. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Control, ControlError, readControlError } from "../lib/control.ts";
import { scopesOfToken } from "../lib/core/token.ts";
import { readTelemetry } from "../lib/telemetry.ts";

class FakeChannel {
  readonly sent: { id: number; method: string; params: unknown }[] = [];
  private readonly listeners: Record<string, ((event: { data: unknown }) => void)[]> = {};

  send(text: string): void {
    this.sent.push(JSON.parse(text) as FakeChannel["sent"][number]);
  }

  addEventListener(type: string, listener: (event: { data: unknown }) => void): void {
    (this.listeners[type] ??= []).push(listener);
  }

  say(said: unknown): void {
    const data = typeof said === "string" ? said : JSON.stringify(said);
    for (const listener of this.listeners["message"] ?? []) listener({ data });
  }

  close(): void {
    for (const listener of this.listeners["close"] ?? []) listener({ data: undefined });
  }
}

const golden = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../session/golden/control/${name}.json`, import.meta.url), "utf8"));

test("each answer reaches whoever asked, in any order", async () => {
  const channel = new FakeChannel();
  const control = new Control(channel);
  const first = control.request("describe", {});
  const second = control.request("camera.mute", { camera: "main", muted: true });
  assert.deepEqual(channel.sent.map(({ method }) => method), ["describe", "camera.mute"]);
  const [one, two] = channel.sent.map(({ id }) => id);
  channel.say("junk");
  channel.say({ id: 999, result: {} });
  channel.say({ id: two, result: { muted: true, kept: true } });
  channel.say({ id: one, result: { cameras: [] } });
  assert.deepEqual(await second, { muted: true, kept: true });
  assert.deepEqual(await first, { cameras: [] });
});

test("an error has the protocol's name, and the range that was missed", async () => {
  const channel = new FakeChannel();
  const answer = new Control(channel).request("camera.setSettings", { camera: "main", fps: 500 });
  const error = { code: 61, name: "ConstraintError", message: "fps must be 1 to 120", range: { minimum: 1, maximum: 120, step: 1 } };
  channel.say({ id: channel.sent[0]?.id, error });
  await assert.rejects(answer, (got) => {
    assert.ok(got instanceof ControlError);
    assert.deepEqual([got.slug, got.name, got.message, got.range], ["outOfRange", "ConstraintError", error.message, error.range]);
    return true;
  });
});

test("what takes too long, and what the end of the channel cuts off, fails", async () => {
  const channel = new FakeChannel();
  const control = new Control(channel);
  await assert.rejects(control.request("describe", {}, { timeoutMs: 1 }), { name: "TimeoutError" });
  const cut = control.request("describe", {});
  channel.close();
  await assert.rejects(cut, { name: "AbortError" });
  await assert.rejects(control.request("describe", {}), { name: "AbortError" });
});

test("the ninth request waits here until one of the eight is answered", async () => {
  const channel = new FakeChannel();
  const control = new Control(channel);
  const answers = Array.from({ length: 9 }, () => control.request("camera.keyFrame", { camera: "main" }));
  assert.equal(channel.sent.length, 8);
  channel.say({ id: channel.sent[3]?.id, result: {} });
  assert.equal(channel.sent.length, 9);
  for (const { id } of channel.sent) channel.say({ id, result: {} });
  await Promise.all(answers);
});

test("controls are fetched page by page", async () => {
  const channel = new FakeChannel();
  const all = new Control(channel).controls("main");
  channel.say({ id: channel.sent[0]?.id, result: { controls: [{ id: 5 }], next: 5 } });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(channel.sent[1]?.params, { camera: "main", after: 5 });
  channel.say({ id: channel.sent[1].id, result: { controls: [{ id: 6 }] } });
  assert.deepEqual((await all).map(({ id }) => id), [5, 6]);
});

test("the golden answers are read: results, errors and events", () => {
  const events: string[] = [];
  const channel = new FakeChannel();
  new Control(channel, (name) => events.push(name));
  for (const answer of golden("answers") as { error?: unknown; result?: unknown }[]) {
    channel.say(answer);
    if (answer.error !== undefined) assert.ok(readControlError(answer.error)?.slug);
  }
  assert.deepEqual(events, ["channelClosed"]);
});

test("this side has each error of the reference by its slug", () => {
  const reference = readFileSync(new URL("../../../session/PROTOCOL.md", import.meta.url), "utf8");
  const section = reference.slice(reference.indexOf("## 9."), reference.indexOf("## 10."));
  const rows = [...section.matchAll(/^\| (\d+) \| `(\w+)` \| (\w+) \|/gm)];
  assert.ok(rows.length > 10);
  for (const [, code, slug, name] of rows) assert.equal(new ControlError(Number(code), name ?? "", "").slug, slug);
});

test("telemetry is read, and what is none is left", () => {
  assert.equal(readTelemetry('{"uptime_s":3,"cameras":{}}')?.uptime_s, 3);
  for (const junk of ["", "[]", "7", "{}", new ArrayBuffer(2)]) assert.equal(readTelemetry(junk), undefined);
});

test("a token says what it allows", () => {
  const token = (claims: object): string => `a.${btoa(JSON.stringify(claims)).replace(/=+$/, "")}.c`;
  assert.deepEqual(scopesOfToken(token({ scope: "view control" })), ["view", "control"]);
  for (const none of [token({}), token({ scope: 7 }), "junk", ""]) assert.deepEqual(scopesOfToken(none), []);
});
