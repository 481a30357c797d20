/** Sending on channels of the application's own no faster than the network takes it. */

import { ControlError } from "./control.ts";

/** What a data channel must have for it; an `RTCDataChannel` has. */
export interface SendingChannel {
  /** What it is called. */
  readonly label: string;
  /** Messages are taken while it is `"open"`. */
  readonly readyState: string;
  /** Bytes that wait in the browser. */
  readonly bufferedAmount: number;
  /** With so few left it tells. */
  bufferedAmountLowThreshold: number;
  /** Gives a message to the browser. */
  send(data: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>): void;
  /** Hears that there is room, or that it is over. */
  addEventListener(type: "bufferedamountlow" | "close", listener: () => void): void;
  /** Has heard enough. */
  removeEventListener(type: "bufferedamountlow" | "close", listener: () => void): void;
}

/** With more than so much waiting nothing is added: a tenth of a second at 20 Mbit/s, as on the node's side. */
const MOST_WAITING = 262_144;
/** Half of it goes out before more comes. */
const LITTLE = MOST_WAITING / 2;
/** The longest message, in bytes: one that is longer ends its channel. */
const MAX_MESSAGE_BYTES = 16_384;

/** What was asked for last on each channel: messages go in the order of the calls. */
const turns = new WeakMap<SendingChannel, Promise<void>>();

/**
 * Sends a message as soon as the browser has few others waiting on this channel (one of {@link Camera.openChannel}), after those that
 * were given to it before; await it before you make the next one, and nothing piles up. Sets the channel's `bufferedAmountLowThreshold`.
 * @throws {ControlError} `messageTooLong` for more than 16,384 bytes, or `internal` when the channel is closed.
 */
export function sendInTurn(channel: SendingChannel, data: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>): Promise<void> {
  const before = turns.get(channel) ?? Promise.resolve();
  const sent = before.then(() => send(channel, data));
  // A failure is told to whoever has asked for that message.
  turns.set(channel, sent.catch(() => undefined));
  return sent;
}

async function send(channel: SendingChannel, data: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>): Promise<void> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data).length : data.byteLength;
  if (bytes > MAX_MESSAGE_BYTES) {
    throw new ControlError(72, "QuotaExceededError", `a message has ${MAX_MESSAGE_BYTES} bytes at most, not ${bytes}`);
  }
  while (channel.readyState === "open" && channel.bufferedAmount > MOST_WAITING) await room(channel);
  if (channel.readyState !== "open") throw new ControlError(59, "InvalidStateError", `the channel ${channel.label} is closed`);
  channel.send(data);
}

/** Waits until little is left, or the channel is over. */
function room(channel: SendingChannel): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      channel.removeEventListener("bufferedamountlow", done);
      channel.removeEventListener("close", done);
      resolve();
    };
    channel.bufferedAmountLowThreshold = LITTLE;
    channel.addEventListener("bufferedamountlow", done);
    channel.addEventListener("close", done);
  });
}
