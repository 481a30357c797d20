// The page's way to a broker that asks everybody for a user name and a password of their own.
import assert from "node:assert/strict";
import test from "node:test";

import { Door, isOwnBroker } from "../page/login.ts";

const PORCH = { broker: "wss://h/mqtt", node: "porch" };
const NO_LINK = { value: undefined, isNew: false };
const ANNA = { username: "anna", password: "s3cret" };

function memory(): { all: Map<string, string>; storage: () => Pick<Storage, "getItem" | "setItem" | "removeItem"> } {
  const all = new Map<string, string>();
  const storage = { getItem: (key: string) => all.get(key) ?? null, setItem: (key: string, value: string) => void all.set(key, value), removeItem: (key: string) => void all.delete(key) };
  return { all, storage: () => storage };
}

/** What a promise has come to by the time all that was ready has been done. */
async function soon<T>(promise: Promise<T>): Promise<T | undefined> {
  return Promise.race([promise, new Promise<undefined>((resolve) => setImmediate(resolve, undefined))]);
}

test("a broker that has refused us is left alone until somebody has typed, and what it takes is kept", async () => {
  const { all, storage } = memory();
  const door = new Door(PORCH, PORCH.broker, NO_LINK, storage);
  assert.deepEqual(await door.connect(), { url: PORCH.broker });
  assert.match(door.refused(), /asks for a user name and a password/);
  const waiting = door.connect();
  assert.equal(await soon(waiting), undefined);
  door.enter({ ...ANNA, password: "wrong" });
  assert.deepEqual(await waiting, { url: PORCH.broker, username: "anna", password: "wrong" });
  assert.match(door.refused(), /did not take this user name and password/);
  assert.equal(await soon(door.connect()), undefined);
  assert.equal(all.size, 0, "what the broker does not take is not kept");

  door.enter(ANNA);
  door.taken();
  const next = new Door(PORCH, PORCH.broker, NO_LINK, storage);
  assert.deepEqual(await next.connect(), { url: PORCH.broker, ...ANNA });
  for (const other of [{ ...PORCH, broker: "wss://evil/mqtt" }, { ...PORCH, node: "garden" }, { ...PORCH, prefix: "a/b" }]) {
    assert.equal(new Door(other, other.broker, NO_LINK, storage).username, undefined, JSON.stringify(other));
  }
  next.refused();
  assert.equal(all.size, 0, "a password that has been changed is asked for again");
});

test("what the broker has taken once is tried on when it is refused later, as brokers do for a moment when they start", async () => {
  const door = new Door(PORCH, PORCH.broker, NO_LINK, memory().storage);
  door.enter(ANNA);
  door.taken();
  door.refused();
  assert.deepEqual(await soon(door.connect()), { url: PORCH.broker, ...ANNA });
});

test("a new link's password goes before what was typed, and what is typed before the link's", async () => {
  const { storage } = memory();
  const first = new Door(PORCH, PORCH.broker, NO_LINK, storage);
  first.enter(ANNA);
  first.taken();
  assert.deepEqual(await new Door(PORCH, PORCH.broker, { value: "p", isNew: false }, storage).connect(), { url: PORCH.broker, ...ANNA });
  const door = new Door(PORCH, PORCH.broker, { value: "p", isNew: true }, storage);
  assert.deepEqual(await door.connect(), { url: PORCH.broker, password: "p" });
  assert.match(door.refused(), /password of this link/);
});

test("where storage is forbidden, or holds something else, what is typed does for as long as the page lives", async () => {
  const forbidden = (): never => assert.fail("SecurityError");
  const door = new Door(PORCH, PORCH.broker, NO_LINK, forbidden);
  door.enter(ANNA);
  door.taken();
  assert.deepEqual(await door.connect(), { url: PORCH.broker, ...ANNA });
  for (const text of ["7", "null", "{", "{\"username\":1}"]) {
    const storage = { getItem: () => text, setItem: () => undefined, removeItem: () => undefined };
    assert.deepEqual(await new Door(PORCH, PORCH.broker, NO_LINK, () => storage).connect(), { url: PORCH.broker }, text);
  }
});

test("the broker inside a node is entered by the node's link, not by anybody's name", () => {
  assert.ok(isOwnBroker({ broker: "./mqtt", node: "porch" }, "node"));
  assert.ok(!isOwnBroker({ broker: "wss://h/mqtt", node: "porch" }, "node"));
  assert.ok(!isOwnBroker({ broker: "./mqtt", node: "porch" }, "fragment"));
});
