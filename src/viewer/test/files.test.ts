/** Files and full-size pictures over channels that are not there. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { ControlError } from "../lib/control.ts";
import { Files } from "../lib/files.ts";
import { fullSnapshot } from "../lib/still.ts";
import { type ByteChannel, type Opener, Transfer } from "../lib/transfer.ts";

type Request = { do?: string; name?: string; offset?: number; after?: string; width?: number };
type Answer = (request: Request, channel: FakeChannel) => void;

class FakeChannel implements ByteChannel {
  binaryType = "blob";
  closed = false;
  readonly requests: Request[] = [];
  private readonly listeners: Record<string, ((event: { data: unknown }) => void)[]> = {};

  constructor(private readonly answer: Answer) {}

  send(text: string): void {
    const request = JSON.parse(text) as Request;
    this.requests.push(request);
    queueMicrotask(() => {
      this.answer(request, this);
    });
  }

  addEventListener(type: string, listener: (event: { data: unknown }) => void): void {
    (this.listeners[type] ??= []).push(listener);
  }

  say(said: unknown): void {
    const data = said instanceof Uint8Array ? Uint8Array.from(said).buffer : JSON.stringify(said);
    for (const listener of this.listeners["message"] ?? []) listener({ data });
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const listener of this.listeners["close"] ?? []) listener({ data: undefined });
  }
}

/** Channels, each answered by the next of these, the last one for all that follow. */
function opener(...answers: Answer[]): Opener & { channels: FakeChannel[] } {
  const channels: FakeChannel[] = [];
  return {
    channels,
    openChannel: () => {
      const answer = answers[Math.min(channels.length, answers.length - 1)];
      if (answer === undefined) return Promise.reject(new ControlError(59, "InvalidStateError", "no session"));
      const channel = new FakeChannel(answer);
      channels.push(channel);
      return Promise.resolve(channel);
    },
  };
}

const CLIP = Uint8Array.from({ length: 100_000 }, (_, at) => (at * 7) % 251);
const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** A node that gives this file, and goes away after so many bytes of an answer. */
function giving(clip: Uint8Array, until = Infinity, sha256 = hashOf(clip)): Answer {
  return ({ offset = 0 }, channel) => {
    if (offset > clip.length) {
      channel.say({ error: { code: 61, name: "ConstraintError", message: "beyond" } });
      return;
    }
    channel.say({ name: "clip", bytes: clip.length, modified: 7, sha256, offset });
    for (let at = offset; at < clip.length; at += 16_384) {
      if (at - offset >= until) {
        channel.close();
        return;
      }
      channel.say(clip.subarray(at, Math.min(at + 16_384, clip.length)));
    }
  };
}

const bytesOf = async (blob: Blob): Promise<Uint8Array> => new Uint8Array(await blob.arrayBuffer());

test("a list has all pages", async () => {
  const pages: Answer = ({ after }, channel) => {
    const page = after === undefined ? [1, 2] : [3];
    channel.say({ files: page.map((n) => ({ name: `f${n}`, bytes: n, modified: n })), ...(after === undefined && { next: "f2" }) });
  };
  const camera = opener(pages);
  assert.deepEqual((await new Files(camera).list()).map(({ name }) => name), ["f1", "f2", "f3"]);
  assert.deepEqual(camera.channels.map(({ requests, closed }) => [requests.length, closed]), [[2, true]]);
});

test("a file is fetched, held against its hash, and told of as it comes", async () => {
  const told: number[] = [];
  const got = await new Files(opener(giving(CLIP))).fetch("clip", { onprogress: (received) => told.push(received) });
  assert.deepEqual([got.bytes, got.verified, got.sha256], [CLIP.length, true, hashOf(CLIP)]);
  assert.deepEqual(await bytesOf(got.blob), CLIP);
  assert.deepEqual([told[0], told.at(-1)], [16_384, CLIP.length]);
});

test("a file goes on where the session broke, and begins anew where it is another by then", async () => {
  const camera = opener(giving(CLIP, 40_000), giving(CLIP));
  const got = await new Files(camera).fetch("clip");
  assert.deepEqual(await bytesOf(got.blob), CLIP);
  assert.deepEqual(camera.channels.map(({ requests }) => requests[0]?.offset), [undefined, 49_152]);
  for (const other of [CLIP.map((byte) => byte + 1), CLIP.subarray(0, 20_000)]) {
    const changed = await new Files(opener(giving(CLIP, 40_000), giving(other))).fetch("clip");
    assert.deepEqual(await bytesOf(changed.blob), other);
  }
});

test("what is not its hash's is not given out, and what the node refuses is not tried again", async () => {
  const name = (error: unknown): string => (error instanceof Error ? error.name : "none");
  const wrong = new Files(opener(giving(CLIP, Infinity, "00"))).fetch("clip");
  assert.equal(await wrong.then(() => "", name), "DataError");
  const camera = opener((_, channel) => {
    channel.say({ error: { code: 80, name: "NotFoundError", message: "there is no file of this name" } });
  });
  const missing = await new Files(camera).delete("x").then(() => undefined, (error: unknown) => error);
  assert.ok(missing instanceof ControlError && missing.slug === "noSuchFile");
  assert.equal(await new Files(camera).fetch("x").then(() => "", name), "NotFoundError");
  assert.equal(camera.channels.length, 2);
});

test("without a session it gives up in time, and at once when it is told to", async () => {
  const name = (error: unknown): string => (error instanceof Error ? error.name : "none");
  assert.equal(await new Files(opener()).fetch("x", { resumeWithinMs: 0 }).then(() => "", name), "InvalidStateError");
  const abort = new AbortController();
  const fetched = new Files(opener(giving(CLIP, 20_000))).fetch("clip", {
    signal: abort.signal,
    onprogress: () => {
      abort.abort();
    },
  });
  assert.equal(await fetched.then(() => "", name), "AbortError");
});

test("a picture of full size comes in pieces, and junk is none", async () => {
  const camera = opener(({ width = 0 }, channel) => {
    channel.say({ camera: "main", width, height: 2, bytes: 20_000, type: "image/jpeg" });
    channel.say(CLIP.subarray(0, 16_384));
    channel.say(CLIP.subarray(16_384, 20_000));
  });
  const blob = await fullSnapshot(camera, { width: 64 });
  assert.deepEqual([blob.type, blob.size, camera.channels[0]?.requests[0]?.width], ["image/jpeg", 20_000, 64]);
  for (const junk of [{}, [], "x", 7, { bytes: "9" }, { error: 7 }]) {
    const refused = fullSnapshot(opener((_, channel) => {
      channel.say(junk);
    }));
    await assert.rejects(refused, ControlError);
  }
});

test("a picture that is wanted no more closes its channel, and is not asked for where that was known before", async () => {
  const abort = new AbortController();
  const camera = opener((_, channel) => {
    channel.say({ camera: "main", width: 4, height: 2, bytes: 20_000, type: "image/jpeg" });
    abort.abort(new Error("too late"));
  });
  await assert.rejects(fullSnapshot(camera, { width: 64, signal: abort.signal }), /too late/);
  assert.deepEqual(camera.channels.map(({ requests, closed }) => [requests, closed]), [[[{ width: 64 }], true]]);
  await assert.rejects(fullSnapshot(camera, { signal: abort.signal }), /too late/);
  assert.equal(camera.channels.length, 1);
  const meanwhile = new AbortController();
  const slow: Opener = {
    openChannel: (label) => {
      meanwhile.abort(new Error("meanwhile"));
      return camera.openChannel(label);
    },
  };
  await assert.rejects(fullSnapshot(slow, { signal: meanwhile.signal }), /meanwhile/);
  assert.deepEqual(camera.channels.map(({ requests, closed }) => [requests.length, closed]), [[1, true], [0, true]]);
});

test("the golden files are what is asked and understood", async () => {
  const golden = (name: string): { request: Request; answer: Record<string, unknown> }[] =>
    JSON.parse(readFileSync(new URL(`../../../session/golden/transfer/${name}.json`, import.meta.url), "utf8")) as { request: Request; answer: Record<string, unknown> }[];
  const all = [...golden("files"), ...golden("snapshot")];
  const camera = opener((request, channel) => {
    const found = all.find((each) => JSON.stringify(each.request) === JSON.stringify(request));
    assert.ok(found !== undefined, JSON.stringify(request));
    channel.say(found.answer);
    if (request.do === "fetch") channel.say(new TextEncoder().encode("clip"));
    if (typeof found.answer["type"] === "string") channel.say(new Uint8Array(Number(found.answer["bytes"])));
  });
  const files = new Files(camera);
  const list = await files.list();
  assert.deepEqual(list, all[0]?.answer["files"]);
  assert.equal((await files.fetch(list[0]?.name ?? "")).verified, true);
  await files.delete(list[1]?.name ?? "");
  assert.equal((await fullSnapshot(camera)).size, 41_873);
  assert.equal((await fullSnapshot(camera, { camera: "main", width: 640, quality: 95 })).size, 20_017);
  await assert.rejects(fullSnapshot(camera, { camera: "cellar" }), (error) => error instanceof ControlError && error.slug === "noSuchCamera");
});

test("a node that falls silent in the middle is given up", async () => {
  const transfer = new Transfer(new FakeChannel(() => undefined), 20);
  await assert.rejects(transfer.ask({}), (error) => error instanceof ControlError && error.slug === "timedOut");
});
