/** The golden files of the protocol, which the Rust tests read too. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { Malformed, readMessage, readStatus, writeMessage } from "../lib/core/envelope.ts";
import { ERRORS } from "../lib/core/errors.ts";

const SESSION = "../session";

function golden(folder: string): [name: string, file: unknown][] {
  const path = `${SESSION}/golden/${folder}`;
  const names = readdirSync(path).filter((name) => name.endsWith(".json"));
  assert.ok(names.length > 0, `${path} is empty`);
  return names.map((name) => [name.slice(0, -".json".length), JSON.parse(readFileSync(`${path}/${name}`, "utf8"))]);
}

/** A string stands for raw text, so that files can hold what is no JSON. */
function payload(message: unknown): string {
  return typeof message === "string" ? message : JSON.stringify(message);
}

/** What unreadable text is refused with. */
function refusal(read: () => unknown): string {
  try {
    read();
    return "none, it was read";
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    assert.ok(error.message.length <= 200);
    return error.slug;
  }
}

test("every valid message is read and written as it was", () => {
  for (const [name, file] of golden("valid")) {
    const message = readMessage(payload(file));
    assert.deepEqual(JSON.parse(writeMessage(message)), file, name);
    assert.ok(name.startsWith(message.body.type), `${name} holds a ${message.body.type}`);
  }
});

test("every status is read and written as it was, with or without its type", () => {
  for (const [name, file] of golden("status")) {
    assert.deepEqual(JSON.parse(writeMessage({ body: readStatus(payload(file)) })), file, name);
    const untyped = { ...(file as Record<string, unknown>), type: undefined };
    assert.deepEqual(readStatus(payload(untyped)), readStatus(payload(file)), name);
  }
});

test("every invalid message gets its error", () => {
  for (const [name, file] of golden("invalid")) {
    const { message, error } = file as { message: unknown; error: string };
    assert.equal(refusal(() => readMessage(payload(message))), error, name);
  }
});

test("the error table is that of the protocol", () => {
  const file = JSON.parse(readFileSync(`${SESSION}/errors.json`, "utf8")) as unknown;
  assert.deepEqual(Object.entries(ERRORS).map(([slug, row]) => ({ slug, ...row })), file);
});

test("a message that cannot be read still tells what is needed to answer it", () => {
  const session = "4bf92f3577b34da6a3ce929d0e0e4736";
  const read = (message: unknown): Malformed => {
    try {
      readMessage(payload(message));
    } catch (error) {
      if (error instanceof Malformed) return error;
    }
    throw new assert.AssertionError({ message: "it was read" });
  };
  const bad = read({ v: 1, type: "dance", session, seq: 7 });
  assert.deepEqual([bad.slug, bad.session, bad.seq, bad.isError], ["unsupported", session, 7, false]);
  assert.equal(read({ v: 1, type: "error", session }).isError, true);
  assert.equal(read("x".repeat(70_000)).slug, "badMessage");
  assert.equal(refusal(() => readStatus(payload({ v: 1, type: "probe" }))), "badMessage");
});

test("what is hostile is refused and harms nothing", () => {
  const deep = `${"[".repeat(30_000)}${"]".repeat(30_000)}`;
  assert.equal(refusal(() => readMessage(deep)), "badMessage");
  assert.equal(refusal(() => readMessage('{"v":1,"type":"constructor"}')), "unsupported");
  assert.equal(refusal(() => readMessage('{"v":1,"type":"__proto__"}')), "unsupported");
  const polluting = readMessage(
    '{"v":1,"type":"offer","session":"4bf92f3577b34da6a3ce929d0e0e4736","seq":1,"sdp":"v=0","mids":{"__proto__":{"camera":"front","kind":"video"}}}',
  );
  assert.equal(polluting.body.type, "offer");
  assert.equal(({} as Record<string, unknown>)["camera"], undefined);
});
