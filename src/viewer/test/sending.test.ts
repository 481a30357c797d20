/** Messages of an application's channels, and the network that takes them. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ControlError } from "../lib/index.ts";
import { sendInTurn } from "../lib/sending.ts";

/** A channel whose network takes what it is told to. */
class Slow extends EventTarget {
  readonly label = "app:ptz";
  readyState = "open";
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  readonly sent: string[] = [];
  most = 0;
  private waiting = 0;

  send(data: string | ArrayBuffer | ArrayBufferView): void {
    if (this.readyState !== "open") throw new Error("InvalidStateError");
    this.sent.push(typeof data === "string" ? data : `${data.byteLength} bytes`);
    this.bufferedAmount += typeof data === "string" ? data.length : data.byteLength;
    this.most = Math.max(this.most, this.bufferedAmount);
  }

  /** The network takes so much; as in a browser the event comes when the line is crossed, and not else. */
  takes(bytes: number): void {
    const before = this.bufferedAmount;
    this.bufferedAmount = Math.max(0, before - bytes);
    if (before > this.bufferedAmountLowThreshold && this.bufferedAmount <= this.bufferedAmountLowThreshold) this.dispatchEvent(new Event("bufferedamountlow"));
  }

  close(): void {
    this.readyState = "closed";
    this.dispatchEvent(new Event("close"));
  }

  override addEventListener(...given: Parameters<EventTarget["addEventListener"]>): void {
    this.waiting += 1;
    super.addEventListener(...given);
  }

  override removeEventListener(...given: Parameters<EventTarget["removeEventListener"]>): void {
    this.waiting -= 1;
    super.removeEventListener(...given);
  }

  get listeners(): number {
    return this.waiting;
  }
}

/** All that can go on without the network has gone on. */
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test("what the network does not take is waited for, however much there is, and comes in its order", async () => {
  const channel = new Slow();
  const piece = new Uint8Array(16_384);
  let given = 0;
  const all = (async () => {
    for (; given < 640; given += 1) await sendInTurn(channel, piece);
  })();
  await settled();
  assert.deepEqual([given, channel.sent.length], [17, 17], "256 KiB, and the one that goes beyond");
  while (given < 640) {
    channel.takes(100_000);
    await settled();
  }
  await all;
  assert.equal(channel.sent.length, 640);
  assert.ok(channel.most <= 262_144 + 16_384, `${channel.most} bytes waited`);
  assert.equal(channel.listeners, 0, "nothing is left behind");
});

test("who does not wait is put in line, and nobody overtakes", async () => {
  const channel = new Slow();
  channel.bufferedAmount = 300_000;
  const said = ["one", "two", "three"].map((word) => sendInTurn(channel, word));
  await settled();
  assert.deepEqual(channel.sent, []);
  channel.takes(300_000);
  await Promise.all([...said, sendInTurn(channel, "four")]);
  assert.deepEqual(channel.sent, ["one", "two", "three", "four"]);
});

test("a channel that is closed meanwhile, and a message that would close it, are told to who sent it", async () => {
  const channel = new Slow();
  const failsWith = (code: number) => (error: unknown) => error instanceof ControlError && error.code === code;
  await assert.rejects(sendInTurn(channel, "ä".repeat(8_193)), failsWith(72));
  await sendInTurn(channel, "ä".repeat(8_192));
  assert.equal(channel.sent.length, 1, "one that is too long is in nobody's way");
  channel.bufferedAmount = 300_000;
  const waiting = [sendInTurn(channel, "a"), sendInTurn(channel, "b")];
  const refused = waiting.map((each) => assert.rejects(each, failsWith(59)));
  await settled();
  channel.close();
  await Promise.all(refused);
  assert.equal(channel.sent.length, 1);
});
